"""StatefulSets: names, order, claims, updates down to the partition."""

from __future__ import annotations

from typing import Any

from fairlead.api import apps, core
from fairlead.client.protocol import PatchType, WriteOptions
from fairlead.controllers import statefulset
from fairlead.testing import builders
from fairlead.testing.cluster import Cluster

CLAIM = {
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


def cluster() -> Cluster:
    return Cluster([statefulset.CONTROLLER])


def db(count: int, script: str = "ready=2s") -> Any:
    return builders.stateful_set("db", count).template(builders.pod("x").simulate(script))


async def images(up: Cluster) -> dict[str, str]:
    return {p.metadata.name: p.spec.containers[0].image for p in await up.list(core.PODS)}


async def test_pods_come_one_after_another() -> None:
    async with cluster() as up:
        await up.apply(db(3))
        await up.run_until_quiet(1)
        assert [p.metadata.name for p in await up.list(core.PODS)] == ["db-0"]
        await up.run_until_quiet()
        pods = await up.list(core.PODS)
        assert [p.metadata.name for p in pods] == ["db-0", "db-1", "db-2"]
        (revision,) = await up.list(apps.CONTROLLER_REVISIONS)
        assert pods[1].metadata.labels == {
            "app": "db", "apps.kubernetes.io/pod-index": "1", "statefulset.kubernetes.io/pod-name": "db-1",
            "controller-revision-hash": revision.metadata.name,
        }  # fmt: skip
        assert (pods[1].spec.hostname, pods[1].spec.subdomain) == ("db-1", "db")
        status = (await up.get(apps.STATEFUL_SETS, "db")).status
        assert (status.replicas, status.readyReplicas, status.currentReplicas, status.updatedReplicas) == (3, 3, 3, 3)
        assert status.currentRevision == status.updateRevision == revision.metadata.name
        assert (revision.revision, status.observedGeneration) == (1, 1)


async def test_in_parallel_all_come_at_once() -> None:
    async with cluster() as up:
        await up.apply(db(3).spec(podManagementPolicy="Parallel"))
        await up.run_until_quiet(1)
        assert len(await up.list(core.PODS)) == 3


async def test_a_pod_that_is_not_ready_holds_up_those_after_it() -> None:
    async with cluster() as up:
        await up.apply(db(3, "ready=never"))
        await up.run_until_quiet()
        assert [p.metadata.name for p in await up.list(core.PODS)] == ["db-0"]


async def test_every_pod_has_claims_of_its_own_and_they_stay() -> None:
    async with cluster() as up:
        await up.apply(db(2).spec(volumeClaimTemplates=[CLAIM]))
        await up.run_until_quiet()
        claims = [c.metadata.name for c in await up.list(core.CLAIMS)]
        assert claims == ["data-db-0", "data-db-1"]
        pod = await up.get(core.PODS, "db-1")
        source = pod.spec.volumes[0].persistentVolumeClaim
        assert source is not None
        assert source.claimName == "data-db-1"
        await up.apply(db(1).spec(volumeClaimTemplates=[CLAIM]))
        await up.run_until_quiet()
        assert [p.metadata.name for p in await up.list(core.PODS)] == ["db-0"]
        assert len(await up.list(core.CLAIMS)) == 2


async def test_updates_go_down_to_the_partition() -> None:
    async with cluster() as up:
        await up.apply(db(3).image("one"))
        await up.run_until_quiet()
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
        await up.apply(db(3).image("two").spec(updateStrategy=strategy))
        await up.run_until_quiet()
        assert await images(up) == {"db-0": "one", "db-1": "one", "db-2": "two"}
        status = (await up.get(apps.STATEFUL_SETS, "db")).status
        assert (status.currentReplicas, status.updatedReplicas) == (2, 1)
        await up.delete(core.PODS, "db-0")
        await up.run_until_quiet()
        assert (await images(up))["db-0"] == "one"  # below the partition a Pod comes back as it was
        await up.apply(db(3).image("two").spec(updateStrategy={"type": "RollingUpdate", "rollingUpdate": {}}))
        await up.run_until_quiet()
        assert set((await images(up)).values()) == {"two"}
        status = (await up.get(apps.STATEFUL_SETS, "db")).status
        assert status.currentRevision == status.updateRevision


async def test_going_back_renumbers_the_old_revision() -> None:
    async with cluster() as up:
        for image in ("one", "two", "one"):
            await up.apply(db(1).image(image))
            await up.run_until_quiet()
        found = await up.list(apps.CONTROLLER_REVISIONS)
        held = {r.data["spec"]["template"]["spec"]["containers"][0]["image"]: r.revision for r in found}
        assert held == {"one": 3, "two": 2}


async def test_on_delete_replaces_only_what_somebody_deletes() -> None:
    async with cluster() as up:
        await up.apply(db(2).image("one").spec(updateStrategy={"type": "OnDelete"}))
        await up.run_until_quiet()
        await up.apply(db(2).image("two").spec(updateStrategy={"type": "OnDelete"}))
        await up.run_until_quiet()
        assert set((await images(up)).values()) == {"one"}
        await up.delete(core.PODS, "db-1")
        await up.run_until_quiet()
        assert await images(up) == {"db-0": "one", "db-1": "two"}


async def test_a_failed_pod_is_made_anew() -> None:
    async with cluster() as up:
        await up.apply(db(1, ""))
        await up.run_until_quiet()
        before = await up.get(core.PODS, "db-0")
        patch = {"status": {"phase": "Failed"}}
        await up.client.patch(core.PODS, before.key, patch, PatchType.MERGE, WriteOptions(subresource="status"))
        await up.run_until_quiet()
        after = await up.get(core.PODS, "db-0")
        assert after.metadata.uid != before.metadata.uid
        assert after.status.phase == "Running"
