"""provisioner: persistent volumes that are folders of this node (`fairlead.dev/local-path`).

A claim that names this provisioner and this node gets a folder below the state directory, and a PersistentVolume that
says where it is and for which claim. The folder outlives Pods, agents and restarts. It is removed when its claim is
gone and the volume's policy is Delete: after a fresh look at the claim, because a cache may be behind and data does not
come back. Sizes are not enforced: a folder has what the disk has.

Leaves to others: binding (the claims controller), naming the node (the scheduler), mounting (`volumes`).
"""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import Any

from fairlead.api.core import CLAIMS, EVENTS, PERSISTENT_VOLUMES, PersistentVolume, PersistentVolumeClaim
from fairlead.api.meta import Key, Object, Resource
from fairlead.api.storage import LOCAL_PATH, STORAGE_CLASSES
from fairlead.base import telemetry
from fairlead.base.clock import Clock
from fairlead.base.errors import StatusError
from fairlead.client import informer
from fairlead.client.informer import Handlers, Informer
from fairlead.client.protocol import Client, DeleteOptions, PatchType, WriteOptions
from fairlead.reconcile import storage as rules
from fairlead.reconcile.events import Recorder

log = telemetry.logger("agent.volumes")

FOLDER = "volumes"
_AS = WriteOptions(manager="fairlead-local-path")
_AGAIN = 5.0
"""Seconds until what has failed is tried again."""


def is_asked(claim: PersistentVolumeClaim, node: str) -> bool:
    """Whether this provisioner is to make the claim's volume on that node."""
    notes = claim.metadata.annotations
    asked = notes.get(rules.PROVISIONER) == LOCAL_PATH and notes.get(rules.SELECTED_NODE) == node
    return asked and not claim.spec.volumeName and not claim.metadata.deleting


def is_over(volume: PersistentVolume, node: str) -> bool:
    """Whether the volume is one of that node's, and nobody has it any more."""
    notes = volume.metadata.annotations
    if notes.get(rules.PROVISIONED_BY) != LOCAL_PATH or notes.get(rules.SELECTED_NODE) != node:
        return False
    if volume.metadata.deleting:
        return volume.status.phase != "Bound" and rules.RECLAIMS in volume.metadata.finalizers
    return volume.status.phase == "Released" and volume.spec.persistentVolumeReclaimPolicy == "Delete"


def folder_of(claim: PersistentVolumeClaim) -> str:
    """A name that people recognize and that is never given twice."""
    meta = claim.metadata
    return f"pvc-{meta.uid}_{meta.namespace}_{meta.name}"[:255]


def volume_of(claim: PersistentVolumeClaim, class_: Any, node: str, path: str) -> dict[str, Any]:
    """The PersistentVolume of a claim: bound to it from the start, and to the node."""
    meta, spec = claim.metadata, claim.spec
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
    reference = {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": meta.namespace, "name": meta.name,
        "uid": meta.uid, "resourceVersion": meta.resourceVersion,
    }  # fmt: skip
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": f"pvc-{meta.uid}",
            "annotations": {rules.PROVISIONED_BY: LOCAL_PATH, rules.SELECTED_NODE: node},
            "finalizers": [rules.RECLAIMS],
        },
        "spec": {
            "capacity": {"storage": spec.resources.requests.get("storage", "0")},
            "accessModes": spec.accessModes,
            "persistentVolumeReclaimPolicy": class_.reclaimPolicy,
            "storageClassName": class_.metadata.name,
            "volumeMode": spec.volumeMode,
            "claimRef": reference,
            "local": {"path": path},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
        },
    }


class Provisioner:
    """One node's. `run` works until it is cancelled."""

    def __init__(self, client: Client, node: str, state: str, clock: Clock) -> None:
        self._client, self._node, self._clock = client, node, clock
        self._recorder = Recorder(LOCAL_PATH, node)
        self._root = os.path.join(os.path.abspath(state), FOLDER)
        self._claims: Informer[PersistentVolumeClaim] = Informer(CLAIMS)
        self._volumes: Informer[PersistentVolume] = Informer(PERSISTENT_VOLUMES)
        self._todo: asyncio.Queue[Object] = asyncio.Queue()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(informer.run(self._client, self._claims, self._clock, Handlers(self._claim_changed)))
            tasks.create_task(informer.run(self._client, self._volumes, self._clock, Handlers(self._volume_changed)))
            while True:
                found = await self._todo.get()
                try:
                    await self._act(found)
                except (OSError, StatusError) as error:
                    await self._failed(found, error)
                    tasks.create_task(self._later(found))

    def _claim_changed(self, _old: PersistentVolumeClaim | None, new: PersistentVolumeClaim | None) -> None:
        if new is not None and is_asked(new, self._node):
            self._todo.put_nowait(new)

    def _volume_changed(self, _old: PersistentVolume | None, new: PersistentVolume | None) -> None:
        if new is not None and is_over(new, self._node):
            self._todo.put_nowait(new)

    async def _later(self, found: Object) -> None:
        await self._clock.sleep(_AGAIN)
        cache: Any = self._claims.cache if isinstance(found, PersistentVolumeClaim) else self._volumes.cache
        present = cache.get(found.key)
        if present is not None and present.metadata.uid == found.metadata.uid:
            self._todo.put_nowait(present)

    async def _act(self, found: Object) -> None:
        if isinstance(found, PersistentVolumeClaim) and is_asked(found, self._node):
            await self._make(found)
        elif isinstance(found, PersistentVolume) and is_over(found, self._node):
            await self._reclaim(found)

    async def _failed(self, found: Object, error: Exception) -> None:
        making = isinstance(found, PersistentVolumeClaim)
        log.warning("%s %s: %s", "making the volume of" if making else "removing", found.key, error)
        reason = "ProvisioningFailed" if making else "VolumeFailedDelete"
        await self._tell(CLAIMS if making else PERSISTENT_VOLUMES, found, ("Warning", reason, str(error)))

    async def _tell(self, resource: Resource[Any], about: Object, says: tuple[str, str, str]) -> None:
        note = self._recorder.note(resource, about, says, self._clock.now())
        try:
            if note.count == 1:
                await self._client.create(EVENTS, note.object, _AS)
            else:
                await self._client.patch(EVENTS, note.key, note.patch, PatchType.MERGE, _AS)
        except StatusError as error:
            self._recorder.forget(note.key)
            log.warning("event of %s not recorded: %s", about.key, error)

    # --- making ----------------------------------------------------------------------------------------------------

    async def _make(self, claim: PersistentVolumeClaim) -> None:
        if claim.spec.volumeMode == "Block":
            raise OSError("folders cannot be block devices: ask for volumeMode Filesystem")
        class_ = await self._client.get(STORAGE_CLASSES, Key("", rules.class_of(claim)))
        path = os.path.join(self._root, folder_of(claim))
        os.makedirs(path, exist_ok=True)
        os.chmod(path, 0o777)  # noqa: S103 - containers of any user write to it
        made = volume_of(claim, class_, self._node, path)
        try:
            await self._client.create(PERSISTENT_VOLUMES, made, _AS)
        except StatusError as error:
            if error.reason != "AlreadyExists":
                raise
            return
        name = made["metadata"]["name"]
        await self._tell(CLAIMS, claim, ("Normal", "ProvisioningSucceeded", f"Successfully provisioned volume {name}"))

    # --- removing --------------------------------------------------------------------------------------------------

    async def _reclaim(self, volume: PersistentVolume) -> None:
        if await self._is_claimed(volume):
            return
        if volume.spec.persistentVolumeReclaimPolicy == "Delete" and volume.spec.local is not None:
            await asyncio.to_thread(self._erase, volume.spec.local.path)
        if not volume.metadata.deleting:
            options = DeleteOptions(uid=volume.metadata.uid)
            await self._client.delete(PERSISTENT_VOLUMES, volume.key, options)
            return  # the watch tells of the deletion, and then the finalizer goes
        kept = [f for f in volume.metadata.finalizers if f != rules.RECLAIMS]
        guard = {"resourceVersion": volume.metadata.resourceVersion, "uid": volume.metadata.uid}
        patch = {"metadata": {"finalizers": kept, **guard}}
        await self._client.patch(PERSISTENT_VOLUMES, volume.key, patch, PatchType.MERGE, _AS)

    async def _is_claimed(self, volume: PersistentVolume) -> bool:
        """Asked of the server: whether the claim is still there."""
        reference = volume.spec.claimRef
        if reference is None:
            return False
        try:
            claim = await self._client.get(CLAIMS, rules.claim_key(reference))
        except StatusError as error:
            if error.code == 404:
                return False
            raise
        return claim.metadata.uid == reference.uid

    def _erase(self, path: str) -> None:
        """Remove a folder, if it is one of ours."""
        if os.path.dirname(os.path.realpath(path)) != os.path.realpath(self._root):
            raise OSError(f"{path} is not below {self._root}: it is not removed")
        if os.path.isdir(path):
            shutil.rmtree(path)
