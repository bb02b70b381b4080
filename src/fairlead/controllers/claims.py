"""PersistentVolumeClaims: which volume a claim gets, and when a claim may go.

A claim is bound in three writes, each decided on what is stored: the volume's claimRef (at the revision that was seen,
so that two claims never get one volume), the claim's volumeName, the claim's status. Before: a volume that was reserved
for the claim; else the smallest that suits; else a provisioner is asked for one, by an annotation. A class that waits
for its first consumer waits until the scheduler has named a node on the claim.

Leaves to others: making and removing what volumes hold (provisioners, such as the agents' own), the volumes' phases.
A claim that waits says why: an Event, and the reason in an annotation, so that the same is not told again and again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fairlead.api import core, storage
from fairlead.api.core import Node, PersistentVolume, PersistentVolumeClaim, Pod
from fairlead.api.meta import Key
from fairlead.api.storage import StorageClass
from fairlead.reconcile import storage as rules
from fairlead.reconcile.reconciler import (
    Change,
    Controller,
    Everywhere,
    Keyed,
    Patch,
    Record,
    SetStatus,
    View,
)

WAITING = "fairlead.dev/waiting"
"""On a claim: the reason that was told last."""
_EXTERNAL = (
    "Waiting for a volume to be created either by the external provisioner '{0}' or manually by the system "
    "administrator. If volume creation is delayed, please verify that the provisioner is running and correctly "
    "registered."
)


def reconcile(view: View[PersistentVolumeClaim]) -> Sequence[Change]:
    """See the module's text."""
    claim = view.object
    if claim is None:
        return []
    if claim.metadata.deleting:
        return list(_let_go(claim, view.all(core.PODS)))
    look = _Pass(claim, view)
    return list(look.bound() if claim.spec.volumeName else look.unbound())


def _let_go(claim: PersistentVolumeClaim, pods: Sequence[Pod]) -> Iterator[Change]:
    """A claim stays while a Pod on a node uses it."""
    if rules.IN_USE in claim.metadata.finalizers and not any(p.spec.nodeName and not p.finished for p in pods):
        kept = [f for f in claim.metadata.finalizers if f != rules.IN_USE]
        yield Patch(
            core.CLAIMS, claim.key, {"metadata": {"finalizers": kept}}, claim.metadata.uid,
            claim.metadata.resourceVersion,
        )  # fmt: skip


class _Pass:
    """One look at one claim."""

    def __init__(self, claim: PersistentVolumeClaim, view: View[PersistentVolumeClaim]) -> None:
        self.claim = claim
        self.volumes: Sequence[PersistentVolume] = view.all(core.PERSISTENT_VOLUMES)
        self.classes = {c.metadata.name: c for c in view.all(storage.STORAGE_CLASSES)}
        self.nodes: Sequence[Node] = view.all(core.NODES)

    # --- with a volume's name --------------------------------------------------------------------------------------

    def bound(self) -> Iterator[Change]:
        claim = self.claim
        completed = rules.BIND_COMPLETED in claim.metadata.annotations
        volume = next((v for v in self.volumes if v.metadata.name == claim.spec.volumeName), None)
        if volume is None:
            if completed:
                yield from self._lost(
                    "ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
                )
            else:
                yield from self._wait("Warning", "FailedBinding", f'volume "{claim.spec.volumeName}" not found.')
        elif volume.spec.claimRef is None or volume.spec.claimRef.uid == "":
            if volume.spec.claimRef is None or rules.refers(volume.spec.claimRef, claim):
                yield self._reserve(volume)
        elif not rules.refers(volume.spec.claimRef, claim):
            if completed:
                yield from self._lost(
                    "ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly"
                )
            else:
                text = f'volume "{volume.metadata.name}" already bound to a different claim.'
                yield from self._wait("Warning", "FailedBinding", text)
        elif not completed:
            yield self._annotate({rules.BIND_COMPLETED: "yes", WAITING: None})
        else:
            yield from self._complete(volume)

    def _complete(self, volume: PersistentVolume) -> Iterator[Change]:
        status, spec = self.claim.status, volume.spec
        if (status.phase, status.accessModes, status.capacity) != ("Bound", spec.accessModes, spec.capacity):
            wanted = {"phase": "Bound", "accessModes": spec.accessModes, "capacity": spec.capacity}
            yield SetStatus(core.CLAIMS, self.claim.key, wanted, self.claim.metadata.resourceVersion)

    def _lost(self, reason: str, message: str) -> Iterator[Change]:
        if self.claim.status.phase != "Lost":
            yield SetStatus(core.CLAIMS, self.claim.key, {"phase": "Lost"}, self.claim.metadata.resourceVersion)
            yield Record(core.CLAIMS, self.claim, "Warning", reason, message)

    def _reserve(self, volume: PersistentVolume) -> Change:
        """Write the claim on the volume."""
        claim, fresh = self.claim, volume.spec.claimRef is None
        reference = {
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": claim.metadata.namespace,
            "name": claim.metadata.name, "uid": claim.metadata.uid,
            "resourceVersion": claim.metadata.resourceVersion,
        }  # fmt: skip
        patch: dict[str, Any] = {"spec": {"claimRef": reference}}
        if fresh:
            patch["metadata"] = {"annotations": {rules.BOUND_BY_CONTROLLER: "yes"}}
        uid, revision = volume.metadata.uid, volume.metadata.resourceVersion
        return Patch(core.PERSISTENT_VOLUMES, volume.key, patch, uid, revision)

    # --- without ---------------------------------------------------------------------------------------------------

    def unbound(self) -> Iterator[Change]:
        claim, selected = self.claim, self.claim.metadata.annotations.get(rules.SELECTED_NODE)
        reserved = next((v for v in self.volumes if rules.refers(v.spec.claimRef, claim)), None)
        class_ = self.classes.get(rules.class_of(claim))
        if reserved is not None:
            yield from self._take(reserved)
        elif claim.spec.storageClassName is None and (default := self._default()) is not None:
            yield self._patch({"spec": {"storageClassName": default.metadata.name}})
        elif rules.delayed(class_) and not selected:
            text = "waiting for first consumer to be created before binding"
            yield from self._wait("Normal", "WaitForFirstConsumer", text)
        else:
            yield from self._find(class_, selected)

    def _take(self, volume: PersistentVolume) -> Iterator[Change]:
        if volume.spec.claimRef is not None and not volume.spec.claimRef.uid:
            yield self._reserve(volume)
            return
        done = {rules.BIND_COMPLETED: "yes", rules.BOUND_BY_CONTROLLER: "yes", WAITING: None}
        yield self._patch({"spec": {"volumeName": volume.metadata.name}, "metadata": {"annotations": done}})

    def _default(self) -> StorageClass | None:
        """The newest class that is marked as the default, as admission takes it."""
        marked = [c for c in self.classes.values() if c.metadata.annotations.get(rules.DEFAULT_CLASS) == "true"]
        newest = max((c.metadata.creationTimestamp or "" for c in marked), default="")
        found = [c for c in marked if (c.metadata.creationTimestamp or "") == newest]
        return min(found, key=lambda c: c.metadata.name, default=None)

    def _find(self, class_: StorageClass | None, selected: str | None) -> Iterator[Change]:
        node = next((n for n in self.nodes if n.metadata.name == selected), None)
        volume = rules.best(self.volumes, self.claim, node)
        name = rules.class_of(self.claim)
        if volume is not None:
            yield self._reserve(volume)
        elif not name:
            text = "no persistent volumes available for this claim and no storage class is set"
            yield from self._wait("Normal", "FailedBinding", text)
        elif class_ is None:
            text = f'storageclass.storage.k8s.io "{name}" not found'
            yield from self._wait("Warning", "ProvisioningFailed", text)
        elif class_.provisioner == rules.NO_PROVISIONER:
            text = f"no persistent volumes available for this claim, and nobody makes volumes of class {name}"
            yield from self._wait("Normal", "FailedBinding", text)
        else:
            yield from self._provision(class_, selected)

    def _provision(self, class_: StorageClass, selected: str | None) -> Iterator[Change]:
        """Ask the class's provisioner for a volume. One that makes folders must be told of which node."""
        wanted = {rules.PROVISIONER: class_.provisioner, rules.OLD_PROVISIONER: class_.provisioner}
        if class_.provisioner == storage.LOCAL_PATH and not selected:
            node = self._some_node()
            if node is None:
                yield from self._wait("Warning", "ProvisioningFailed", "no node is ready to hold the volume")
                return
            wanted[rules.SELECTED_NODE] = node.metadata.name
        have = self.claim.metadata.annotations
        if not wanted.items() <= have.items():
            yield self._annotate({**wanted, WAITING: "ExternalProvisioning"})
            text = _EXTERNAL.format(class_.provisioner)
            yield Record(core.CLAIMS, self.claim, "Normal", "ExternalProvisioning", text)

    def _some_node(self) -> Node | None:
        """A ready node, chosen by the claim's uid so that claims spread."""
        ready = [n for n in self.nodes if not n.spec.unschedulable and _is_ready(n)]
        return ready[sum(self.claim.metadata.uid.encode()) % len(ready)] if ready else None

    # --- writing ---------------------------------------------------------------------------------------------------

    def _wait(self, type_: Any, reason: str, message: str) -> Iterator[Change]:
        if self.claim.metadata.annotations.get(WAITING) != reason:
            yield self._annotate({WAITING: reason})
            yield Record(core.CLAIMS, self.claim, type_, reason, message)

    def _annotate(self, annotations: dict[str, Any]) -> Change:
        return self._patch({"metadata": {"annotations": annotations}})

    def _patch(self, patch: dict[str, Any]) -> Change:
        meta = self.claim.metadata
        return Patch(core.CLAIMS, self.claim.key, patch, meta.uid, meta.resourceVersion)


def _is_ready(node: Node) -> bool:
    return any(c.type == "Ready" and c.status == "True" for c in node.status.conditions)


def claims_of(pod: Pod) -> Iterable[Key]:
    """The claims that a Pod uses."""
    for volume in pod.spec.volumes:
        if volume.persistentVolumeClaim is not None:
            yield Key(pod.metadata.namespace, volume.persistentVolumeClaim.claimName)


def _reserved(volume: PersistentVolume) -> Iterable[Key]:
    if volume.spec.claimRef is not None:
        yield rules.claim_key(volume.spec.claimRef)


def _named(claim: PersistentVolumeClaim) -> Iterable[Key]:
    if claim.spec.volumeName:
        yield Key("", claim.spec.volumeName)


def _frees(old: PersistentVolume | None, new: PersistentVolume | None) -> bool:
    """Whether a volume has become free, or different while it is free."""
    if new is None or new.spec.claimRef is not None:
        return False
    return old is None or (old.spec, old.metadata.labels) != (new.spec, new.metadata.labels)


def _joins(old: Node | None, new: Node | None) -> bool:
    return new is not None and _is_ready(new) and (old is None or not _is_ready(old))


CONTROLLER: Controller[PersistentVolumeClaim] = Controller(
    "persistentvolume-binder",
    core.CLAIMS,
    reconcile,
    (
        Keyed(core.PODS, claims_of),
        Keyed(core.PERSISTENT_VOLUMES, _reserved),
        Everywhere(core.PERSISTENT_VOLUMES, _frees),
        Everywhere(storage.STORAGE_CLASSES),
        Everywhere(core.NODES, _joins),
    ),
    embedded=True,
)
