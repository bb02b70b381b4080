"""Folders for claims: made once, kept while claimed, removed when the policy says so."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fairlead.agent.provisioner import Provisioner
from fairlead.api import core, storage
from fairlead.controllers import claims, volumes
from fairlead.reconcile import storage as rules
from fairlead.testing import builders
from fairlead.testing.cluster import Cluster

ASKED = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Cluster([claims.CONTROLLER, volumes.CONTROLLER]) as made:
        provisioner = Provisioner(made.client, "node-0", str(tmp_path), made.clock)
        running = asyncio.create_task(provisioner.run())
        yield made
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def claim(cluster: Cluster, name: str, **class_: Any) -> str:
    """A bound claim's volume."""
    made = builders.any_of(storage.STORAGE_CLASSES, name, provisioner=storage.LOCAL_PATH, **class_)
    await cluster.create(made)
    await cluster.create(builders.any_of(core.CLAIMS, name, spec={**ASKED, "storageClassName": name}))
    await cluster.run_until_quiet()
    found = await cluster.get(core.CLAIMS, name)
    assert found.status.phase == "Bound"
    return found.spec.volumeName


async def until_gone(cluster: Cluster, volume: str) -> None:
    """Folders are removed in a thread, whose end is no turn of the loop."""
    for _ in range(1000):
        if await cluster.find(core.PERSISTENT_VOLUMES, volume) is None:
            return
        await asyncio.sleep(0.01)
        await cluster.run_until_quiet(0)
    raise AssertionError(f"{volume} stays")


async def test_a_folder_is_made_and_its_volume_is_of_this_node(cluster: Cluster, tmp_path: Path) -> None:
    volume = await cluster.get(core.PERSISTENT_VOLUMES, await claim(cluster, "c"))
    assert volume.spec.local is not None
    assert volume.spec.local.path == f"{tmp_path}/volumes/{volume.metadata.name}_default_c"
    assert os.stat(volume.spec.local.path).st_mode & 0o777 == 0o777
    assert (volume.status.phase, volume.spec.storageClassName) == ("Bound", "c")
    assert rules.reachable(volume, builders.node("node-0").view())
    assert not rules.reachable(volume, builders.node("node-1").view())
    reasons = {e.reason for e in await cluster.list(core.EVENTS)}
    assert "ProvisioningSucceeded" in reasons


async def test_delete_removes_the_folder_and_the_volume(cluster: Cluster, tmp_path: Path) -> None:
    volume = await claim(cluster, "c")
    (folder,) = (tmp_path / "volumes").iterdir()
    (folder / "data").write_text("x")
    await cluster.delete(core.CLAIMS, "c")
    await cluster.run_until_quiet()
    await until_gone(cluster, volume)
    assert not folder.exists()


async def test_retain_keeps_both(cluster: Cluster, tmp_path: Path) -> None:
    volume = await claim(cluster, "c", reclaimPolicy="Retain")
    (folder,) = (tmp_path / "volumes").iterdir()
    await cluster.delete(core.CLAIMS, "c")
    await cluster.run_until_quiet()
    assert (await cluster.get(core.PERSISTENT_VOLUMES, volume)).status.phase == "Released"
    await cluster.delete(core.PERSISTENT_VOLUMES, volume)
    await cluster.run_until_quiet()
    await until_gone(cluster, volume)
    assert folder.is_dir()


async def test_a_path_that_is_not_ours_is_not_removed(cluster: Cluster, tmp_path: Path) -> None:
    elsewhere = tmp_path / "precious"
    elsewhere.mkdir()
    spec = {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "local": {"path": str(elsewhere)},
        "persistentVolumeReclaimPolicy": "Delete", "storageClassName": "none",
        "claimRef": {"namespace": "default", "name": "gone", "uid": "0"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [
            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-0"]}]}]}},
    }  # fmt: skip
    notes = {rules.PROVISIONED_BY: storage.LOCAL_PATH, rules.SELECTED_NODE: "node-0"}
    made = builders.any_of(core.PERSISTENT_VOLUMES, "forged", spec=spec).annotations(notes)
    await cluster.create(made)
    await cluster.run_until_quiet()
    told: set[str] = set()
    for _ in range(1000):
        told = {e.reason for e in await cluster.list(core.EVENTS)}
        if "VolumeFailedDelete" in told:
            break
        await asyncio.sleep(0.01)
    assert "VolumeFailedDelete" in told
    assert elsewhere.is_dir()
