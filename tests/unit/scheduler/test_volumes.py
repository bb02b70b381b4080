"""Pods with claims: held back, placed where their volumes are, or deciding where these are to be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fairlead.api import core, storage
from fairlead.api.core import Pod
from fairlead.api.meta import Key
from fairlead.controllers import claims, volumes
from fairlead.reconcile import storage as rules
from fairlead.scheduler.loop import Scheduler
from fairlead.scheduler.volumes import FREE, NONE_FREE, UNBOUND, Verdict, Volumes
from fairlead.testing import builders
from fairlead.testing.cluster import Cluster

ASKED = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
LATER = {"volumeBindingMode": "WaitForFirstConsumer"}


def pod(*names: str) -> Any:
    sources = [{"name": n, "persistentVolumeClaim": {"claimName": n}} for n in names]
    return builders.pod("p").spec(volumes=sources)


def claim(name: str, class_: str = "") -> Any:
    return builders.any_of(core.CLAIMS, name, spec={**ASKED, "storageClassName": class_})


def volume(name: str, node: str, class_: str = "") -> Any:
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    spec = {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "local": {"path": "/x"},
        "storageClassName": class_,
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}},
    }  # fmt: skip
    return builders.any_of(core.PERSISTENT_VOLUMES, name, spec=spec)


def known(*objects: Any) -> Volumes:
    made = Volumes()
    for obj in (o.view() for o in objects):
        match obj:
            case core.PersistentVolumeClaim():
                made.claims[obj.key] = obj
            case core.PersistentVolume():
                made.volumes[obj.metadata.name] = obj
            case _:
                made.classes[obj.metadata.name] = obj
    return made


def class_(name: str, provisioner: str = "p", **more: Any) -> Any:
    return builders.any_of(storage.STORAGE_CLASSES, name, provisioner=provisioner, **more)


def test_without_claims_nothing_is_asked() -> None:
    assert known().judge(pod().view()) is FREE


@pytest.mark.parametrize(
    ("objects", "why"),
    [
        ((), 'persistentvolumeclaim "c" not found'),
        ((claim("c").deleting(),), 'persistentvolumeclaim "c" is being deleted'),
        ((claim("c"),), UNBOUND),
        ((claim("c", "now"), class_("now")), UNBOUND),
        ((claim("c", "none"), class_("none", rules.NO_PROVISIONER, **LATER)), f"3 {NONE_FREE}"),
    ],
)
def test_what_holds_a_pod_back(objects: tuple[Any, ...], why: str) -> None:
    assert known(*objects).judge(pod("c").view(), 3) == Verdict(why)


def test_a_bound_claim_ties_the_pod_to_its_volume() -> None:
    bound = claim("c").spec(volumeName="v").status(phase="Bound")
    affinity = volume("v", "n").view().spec.nodeAffinity
    assert known(bound, volume("v", "n")).judge(pod("c").view()) == Verdict("", (affinity.required,))


def test_a_class_that_waits_lets_the_node_decide() -> None:
    found = known(claim("c", "later"), class_("later", **LATER))
    assert found.judge(pod("c").view()) == Verdict("", (), (Key("default", "c"),))


def test_volumes_that_are_there_already_say_where() -> None:
    found = known(
        claim("c", "none"), class_("none", rules.NO_PROVISIONER, **LATER), volume("a", "x", "none"),
        volume("b", "y", "none"), volume("other", "z"),
    ).judge(pod("c").view())  # fmt: skip
    (where,) = found.nodes
    assert [t.matchExpressions[0].values for t in where.nodeSelectorTerms] == [["x"], ["y"]]
    assert found.selects == (Key("default", "c"),)


# --- with a server -------------------------------------------------------------------------------------------------


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with Cluster([claims.CONTROLLER, volumes.CONTROLLER], nodes=3, scheduler=False) as made:
        running = asyncio.create_task(Scheduler(made.client, made.clock).run())
        yield made
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def node_of(cluster: Cluster, name: str) -> str:
    found: Pod = await cluster.get(core.PODS, name)
    return found.spec.nodeName


async def why(cluster: Cluster, name: str) -> str:
    found = (await cluster.get(core.PODS, name)).condition("PodScheduled")
    return found.message if found is not None else ""


async def test_a_pod_waits_for_its_claim_and_then_runs_where_the_volume_is(cluster: Cluster) -> None:
    await cluster.create(pod("c"))
    await cluster.run_until_quiet()
    assert await why(cluster, "p") == '0/3 nodes are available: persistentvolumeclaim "c" not found.'
    await cluster.create(claim("c"))
    await cluster.run_until_quiet()
    assert await why(cluster, "p") == f"0/3 nodes are available: {UNBOUND}."
    await cluster.create(volume("v", "node-1"))
    await cluster.run_until_quiet()
    assert await node_of(cluster, "p") == "node-1"


async def test_a_volume_on_a_node_that_is_not_there(cluster: Cluster) -> None:
    await cluster.create(claim("c"))
    await cluster.create(volume("v", "gone"))
    await cluster.create(pod("c"))
    await cluster.run_until_quiet()
    assert "3 node(s) didn't match PersistentVolume's node affinity" in await why(cluster, "p")


async def test_the_first_consumer_decides(cluster: Cluster) -> None:
    await cluster.create(class_("none", rules.NO_PROVISIONER, **LATER))
    await cluster.create(claim("c", "none"))
    await cluster.create(volume("v", "node-2", "none"))
    await cluster.create(pod("c"))
    await cluster.run_until_quiet()
    assert await node_of(cluster, "p") == "node-2"
    found = await cluster.get(core.CLAIMS, "c")
    assert (found.spec.volumeName, found.metadata.annotations[rules.SELECTED_NODE]) == ("v", "node-2")


async def test_a_provisioner_that_does_nothing_sends_the_pod_back(cluster: Cluster) -> None:
    await cluster.create(class_("slow", **LATER))
    await cluster.create(claim("c", "slow"))
    await cluster.create(pod("c"))
    await cluster.run_until_quiet(100)
    assert await node_of(cluster, "p") == ""
    assert rules.SELECTED_NODE in (await cluster.get(core.CLAIMS, "c")).metadata.annotations
    await cluster.run_until_quiet(125)
    assert "timed out" in await why(cluster, "p")
