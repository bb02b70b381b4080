"""Claims and volumes: what is bound to what, and when what goes. With the real API server, in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from fairlead.api import core, storage
from fairlead.api.core import PersistentVolume, PersistentVolumeClaim
from fairlead.api.meta import Key
from fairlead.client.protocol import PatchType
from fairlead.controllers import claims, volumes
from fairlead.reconcile import storage as rules
from fairlead.testing import builders
from fairlead.testing.cluster import Cluster

CLASS = "made"


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with Cluster([claims.CONTROLLER, volumes.CONTROLLER], nodes=2) as made:
        yield made


def claim(name: str, size: str = "1Gi", class_: str | None = "", **more: Any) -> Any:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **more}
    if class_ is not None:
        spec["storageClassName"] = class_
    return builders.any_of(core.CLAIMS, name, spec=spec)


def volume(name: str, size: str = "1Gi", **more: Any) -> Any:
    spec = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}, **more}
    return builders.any_of(core.PERSISTENT_VOLUMES, name, spec=spec)


async def class_(cluster: Cluster, provisioner: str = storage.LOCAL_PATH, **more: Any) -> None:
    await cluster.create(builders.any_of(storage.STORAGE_CLASSES, CLASS, provisioner=provisioner, **more))


async def state(cluster: Cluster, name: str) -> tuple[str, str]:
    found: PersistentVolumeClaim = await cluster.get(core.CLAIMS, name)
    return found.status.phase, found.spec.volumeName


async def phases(cluster: Cluster) -> dict[str, str]:
    found: list[PersistentVolume] = list(await cluster.list(core.PERSISTENT_VOLUMES))
    return {v.metadata.name: v.status.phase for v in found}


async def notes(cluster: Cluster, name: str) -> dict[str, str]:
    return dict((await cluster.get(core.CLAIMS, name)).metadata.annotations)


async def reasons(cluster: Cluster) -> set[str]:
    return {e.reason for e in await cluster.list(core.EVENTS)}


async def test_the_smallest_volume_that_suits(cluster: Cluster) -> None:
    for name, size in (("large", "9Gi"), ("fits", "2Gi"), ("small", "1Gi")):
        await cluster.create(volume(name, size))
    await cluster.create(volume("other", "2Gi", storageClassName="other"))
    await cluster.create(volume("many", "2Gi", accessModes=["ReadOnlyMany"]))
    await cluster.create(claim("c", "1500Mi"))
    await cluster.run_until_quiet()
    assert await state(cluster, "c") == ("Bound", "fits")
    found = await cluster.get(core.CLAIMS, "c")
    assert (found.status.capacity, found.status.accessModes) == ({"storage": "2Gi"}, ["ReadWriteOnce"])
    assert await phases(cluster) == {
        "large": "Available", "fits": "Bound", "small": "Available", "other": "Available", "many": "Available",
    }  # fmt: skip


async def test_a_selector_chooses_among_volumes(cluster: Cluster) -> None:
    await cluster.create(volume("a"))
    await cluster.create(volume("b").labels(disk="fast"))
    await cluster.create(claim("c", selector={"matchLabels": {"disk": "fast"}}))
    await cluster.run_until_quiet()
    assert await state(cluster, "c") == ("Bound", "b")


async def test_many_claims_and_as_many_volumes(cluster: Cluster) -> None:
    for number in range(8):
        await cluster.create(claim(f"c{number}"))
    for number in range(8):
        await cluster.create(volume(f"v{number}"))
    await cluster.run_until_quiet()
    found = [await state(cluster, f"c{number}") for number in range(8)]
    assert {phase for phase, _ in found} == {"Bound"}
    assert len({name for _, name in found}) == 8


async def test_a_volume_may_be_reserved_from_either_side(cluster: Cluster) -> None:
    await cluster.create(volume("v", claimRef={"namespace": "default", "name": "mine"}))
    await cluster.create(claim("first", "9Gi"))
    await cluster.create(claim("mine"))
    await cluster.create(volume("w", "5Gi"))
    await cluster.create(claim("named", volumeName="w"))
    await cluster.run_until_quiet()
    assert await state(cluster, "mine") == ("Bound", "v")
    assert await state(cluster, "named") == ("Bound", "w")
    assert (await state(cluster, "first"))[0] == "Pending"
    assert "FailedBinding" in await reasons(cluster)


async def test_a_released_volume_keeps_its_data_and_its_claims_name(cluster: Cluster) -> None:
    await cluster.create(volume("keeps"))
    await cluster.create(volume("fails", "5Gi", persistentVolumeReclaimPolicy="Delete"))
    await cluster.create(claim("a"))
    await cluster.create(claim("b", "5Gi"))
    await cluster.run_until_quiet()
    await cluster.delete(core.CLAIMS, "a")
    await cluster.delete(core.CLAIMS, "b")
    await cluster.run_until_quiet()
    assert await phases(cluster) == {"keeps": "Released", "fails": "Failed"}
    assert "VolumeFailedDelete" in await reasons(cluster)
    await cluster.create(claim("a"))
    await cluster.run_until_quiet()
    assert (await state(cluster, "a"))[0] == "Pending"
    await cluster.delete(core.PERSISTENT_VOLUMES, "keeps")
    await cluster.run_until_quiet()
    assert "keeps" not in await phases(cluster)


async def test_a_claim_in_use_and_a_bound_volume_stay(cluster: Cluster) -> None:
    await cluster.create(volume("v"))
    await cluster.create(claim("c"))
    source = {"name": "data", "persistentVolumeClaim": {"claimName": "c"}}
    await cluster.create(builders.pod("p").spec(volumes=[source]))
    await cluster.run_until_quiet()
    await cluster.delete(core.PERSISTENT_VOLUMES, "v")
    await cluster.delete(core.CLAIMS, "c")
    await cluster.run_until_quiet()
    assert await state(cluster, "c") == ("Bound", "v")
    assert await phases(cluster) == {"v": "Bound"}
    await cluster.delete(core.PODS, "p")
    await cluster.run_until_quiet()
    assert await cluster.find(core.CLAIMS, "c") is None
    assert await phases(cluster) == {}


async def test_a_lost_volume_is_told(cluster: Cluster) -> None:
    await cluster.create(volume("v"))
    await cluster.create(claim("c"))
    await cluster.run_until_quiet()
    await cluster.delete(core.PERSISTENT_VOLUMES, "v")
    key, gone = Key("", "v"), {"metadata": {"finalizers": None}}
    await cluster.client.patch(core.PERSISTENT_VOLUMES, key, gone, PatchType.MERGE)
    await cluster.run_until_quiet()
    assert (await state(cluster, "c"))[0] == "Lost"
    assert "ClaimLost" in await reasons(cluster)


async def test_an_immediate_class_asks_its_provisioner_and_names_a_node(cluster: Cluster) -> None:
    await class_(cluster)
    await cluster.create(claim("c", class_=CLASS))
    await cluster.run_until_quiet()
    told = await notes(cluster, "c")
    assert told[rules.PROVISIONER] == storage.LOCAL_PATH
    assert told[rules.SELECTED_NODE] in ("node-0", "node-1")
    assert "ExternalProvisioning" in await reasons(cluster)


async def test_a_class_that_waits_for_its_first_consumer(cluster: Cluster) -> None:
    await class_(cluster, volumeBindingMode="WaitForFirstConsumer")
    await cluster.create(claim("c", class_=CLASS))
    await cluster.run_until_quiet()
    assert rules.PROVISIONER not in await notes(cluster, "c")
    assert "WaitForFirstConsumer" in await reasons(cluster)
    selected = {"metadata": {"annotations": {rules.SELECTED_NODE: "node-1"}}}
    await cluster.client.patch(core.CLAIMS, Key("default", "c"), selected, PatchType.MERGE)
    await cluster.run_until_quiet()
    assert (await notes(cluster, "c"))[rules.PROVISIONER] == storage.LOCAL_PATH


async def test_the_selected_nodes_own_volume_is_taken(cluster: Cluster) -> None:
    await class_(cluster, rules.NO_PROVISIONER, volumeBindingMode="WaitForFirstConsumer")
    for node in ("node-0", "node-1"):
        expression = {"key": "metadata.name", "operator": "In", "values": [node]}
        required = {"nodeSelectorTerms": [{"matchFields": [expression]}]}
        await cluster.create(volume(f"on-{node}", storageClassName=CLASS, nodeAffinity={"required": required}))
    await cluster.create(claim("c", class_=CLASS).annotations({rules.SELECTED_NODE: "node-1"}))
    await cluster.run_until_quiet()
    assert await state(cluster, "c") == ("Bound", "on-node-1")


async def test_a_default_class_that_comes_later_is_given(cluster: Cluster) -> None:
    await cluster.create(claim("c", class_=None))
    await cluster.run_until_quiet()
    mark = {"metadata": {"name": CLASS, "annotations": {rules.DEFAULT_CLASS: "true"}}}
    kind = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass"}
    await cluster.create({**kind, **mark, "provisioner": "p"})
    await cluster.run_until_quiet()
    assert (await cluster.get(core.CLAIMS, "c")).spec.storageClassName == CLASS
