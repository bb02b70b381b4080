"""Deployments: revisions, rollouts, conditions, as kubectl reads them."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.api import apps, core
from fairlead.api.apps import Deployment, ReplicaSet
from fairlead.controllers import deployment, replicaset
from fairlead.reconcile import pods as claims
from fairlead.reconcile import rollout
from fairlead.testing import builders
from fairlead.testing.cluster import Cluster

CONTROLLERS = (deployment.CONTROLLER, replicaset.CONTROLLER)
REVISION = deployment.REVISION


def cluster() -> Cluster:
    return Cluster(CONTROLLERS)


async def sets(up: Cluster) -> dict[str, ReplicaSet]:
    """The ReplicaSets by the image of their template."""
    return {r.spec.template["spec"]["containers"][0]["image"]: r for r in await up.list(apps.REPLICA_SETS)}


def condition(found: Deployment, type_: str) -> tuple[str, str, str]:
    (one,) = [c for c in found.status.conditions if c.type == type_]
    return one.status, one.reason, one.message


async def test_a_rollout_from_nothing() -> None:
    async with cluster() as up:
        await up.apply(builders.deployment("web", 3).image("one"))
        await up.run_until_quiet()
        found = await up.get(apps.DEPLOYMENTS, "web")
        (only,) = await up.list(apps.REPLICA_SETS)
        assert found.metadata.annotations == {REVISION: "1"}
        assert (found.status.replicas, found.status.updatedReplicas, found.status.availableReplicas) == (3, 3, 3)
        assert found.status.observedGeneration == found.metadata.generation == 1
        assert condition(found, "Available") == (
            "True", "MinimumReplicasAvailable", "Deployment has minimum availability.",
        )  # fmt: skip
        name = only.metadata.name
        assert condition(found, "Progressing") == (
            "True", "NewReplicaSetAvailable", f'ReplicaSet "{name}" has successfully progressed.',
        )  # fmt: skip
        word = only.metadata.labels["pod-template-hash"]
        assert name == f"web-{word}"
        assert only.spec.selector == {"matchLabels": {"app": "web", "pod-template-hash": word}}
        assert only.metadata.annotations == {REVISION: "1", rollout.DESIRED: "3", rollout.MOST: "4"}
        assert {p.metadata.labels["pod-template-hash"] for p in await up.list(core.PODS)} == {word}


async def test_a_new_template_rolls_within_its_bounds() -> None:
    async with cluster() as up:
        web = builders.deployment("web", 4).template(builders.pod("x").simulate("ready=1s"))
        await up.apply(web.image("one"))
        await up.run_until_quiet()
        await up.apply(web.image("two"))
        seen = set()
        for _ in range(40):
            await up.run_until_quiet(1)
            pods = [p for p in await up.list(core.PODS) if not p.metadata.deleting]
            ready = [p for p in pods if claims.ready_since(p) is not None]
            seen.add((len(pods) <= 5, len(ready) >= 3))
        assert seen == {(True, True)}
        by_image = await sets(up)
        assert {i: r.spec.replicas for i, r in by_image.items()} == {"one": 0, "two": 4}
        assert by_image["two"].metadata.annotations[REVISION] == "2"


async def test_going_back_takes_the_old_set_and_gives_it_the_highest_number() -> None:
    async with cluster() as up:
        for image in ("one", "two", "one"):
            await up.apply(builders.deployment("web", 1).image(image))
            await up.run_until_quiet()
        by_image = await sets(up)
        assert len(by_image) == 2
        back = by_image["one"].metadata.annotations
        assert (back[REVISION], back[deployment.HISTORY]) == ("3", "1")
        assert (await up.get(apps.DEPLOYMENTS, "web")).metadata.annotations[REVISION] == "3"


async def test_a_paused_deployment_scales_but_does_not_roll() -> None:
    async with cluster() as up:
        await up.apply(builders.deployment("web", 2).image("one"))
        await up.run_until_quiet()
        await up.apply(builders.deployment("web", 3).image("two").spec(paused=True))
        await up.run_until_quiet()
        by_image = await sets(up)
        assert {i: r.spec.replicas for i, r in by_image.items()} == {"one": 3}
        paused = await up.get(apps.DEPLOYMENTS, "web")
        assert condition(paused, "Progressing") == ("Unknown", "DeploymentPaused", "Deployment is paused")
        await up.apply(builders.deployment("web", 3).image("two").spec(paused=False))
        await up.run_until_quiet()
        assert {i: r.spec.replicas for i, r in (await sets(up)).items()} == {"one": 0, "two": 3}


async def test_recreate_waits_until_the_old_pods_are_gone() -> None:
    async with cluster() as up:
        anew = builders.deployment("web", 2).spec(strategy={"type": "Recreate"})
        await up.apply(anew.image("one"))
        await up.run_until_quiet()
        up.kubelet.down.update(up.kubelet.nodes)  # nobody ends the old Pods
        await up.apply(anew.image("two"))
        await up.run_until_quiet()
        assert list(await sets(up)) == ["one"]
        up.kubelet.down.clear()
        for one in await up.list(core.PODS):
            up.manager.wake(up.kubelet.controller.name, core.PODS, one.key)
        await up.run_until_quiet()
        assert {i: r.spec.replicas for i, r in (await sets(up)).items()} == {"one": 0, "two": 2}


async def test_a_rollout_that_does_not_move_is_late() -> None:
    async with cluster() as up:
        web = builders.deployment("web", 1).spec(progressDeadlineSeconds=20)
        await up.apply(web.template(builders.pod("x").simulate("ready=never")))
        await up.run_until_quiet(60)
        found = await up.get(apps.DEPLOYMENTS, "web")
        status, reason, message = condition(found, "Progressing")
        assert (status, reason) == ("False", "ProgressDeadlineExceeded")
        assert message.endswith("has timed out progressing.")
        assert condition(found, "Available")[0] == "False"


async def test_old_templates_are_forgotten_beyond_the_limit() -> None:
    async with cluster() as up:
        for image in ("one", "two", "three", "four"):
            await up.apply(builders.deployment("web", 1).image(image).spec(revisionHistoryLimit=1))
            await up.run_until_quiet()
        assert sorted(await sets(up)) == ["four", "three"]


async def test_a_name_that_a_stranger_has_is_not_used() -> None:
    async with cluster() as up:
        web = builders.deployment("web", 1).image("one")
        await up.apply(web)
        await up.run_until_quiet()
        (first,) = await up.list(apps.REPLICA_SETS)
        stranger = builders.replica_set(first.metadata.name, 0)
        await up.delete(apps.DEPLOYMENTS, "web")
        await up.delete(apps.REPLICA_SETS, first.metadata.name)
        await up.run_until_quiet()
        await up.apply(stranger)
        await up.apply(web)
        await up.run_until_quiet()
        found = await up.get(apps.DEPLOYMENTS, "web")
        assert found.status.collisionCount == 1
        assert found.status.availableReplicas == 1


async def test_a_set_without_owner_is_adopted() -> None:
    async with cluster() as up:
        web = builders.deployment("web", 1).image("one")
        lost = builders.replica_set("web", 1).image("one").labels(app="web")
        await up.apply(lost)
        await up.apply(web)
        await up.run_until_quiet()
        (only,) = await up.list(apps.REPLICA_SETS)
        assert only.metadata.controller is not None
        assert only.metadata.annotations[REVISION] == "1"


def _set(name: str, size: int, available: int, desired: int, created: int = 0) -> Any:
    made = builders.replica_set(name, size).status(replicas=size, availableReplicas=available)
    return made.annotations({rollout.DESIRED: str(desired), rollout.MOST: str(desired + 2)}).created(created).view()


@pytest.mark.parametrize(
    ("size", "new", "old", "expected"),
    [
        (20, (4, 4), (8, 8), {"new": 8, "old": 17}),
        (5, (4, 4), (8, 8), {"new": 2, "old": 5}),
    ],
)
def test_scaling_in_the_middle_of_a_rollout_is_shared_by_size(
    size: int, new: tuple[int, int], old: tuple[int, int], expected: dict[str, int]
) -> None:
    web: Deployment = builders.deployment("web", size).view()
    sizes = rollout.plan(web, _set("new", *new, 10, 2), [_set("old", *old, 10, 1)])
    limits = rollout.bounds(web)
    assert sum(sizes.values()) == limits.most
    assert sizes == expected


def test_bounds_round_up_and_down_and_are_never_both_nothing() -> None:
    web = builders.deployment("web", 5)
    assert rollout.bounds(web.view()) == rollout.Bounds(5, 2, 1)
    none = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": "1%"}}
    assert rollout.bounds(web.spec(strategy=none).view()) == rollout.Bounds(5, 0, 1)
