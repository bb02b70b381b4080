"""PersistentVolumes: the phase that a volume is in, and when a volume may go.

Available until a claim has it, Bound while that claim exists, then Released (its data is still there). Who removes the
data of a released volume with the policy Delete is the provisioner that made it; one that nobody made is Failed, and
its data stays. A volume that a claim was to get, but that has got another one since, is free again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fairlead.api import core
from fairlead.api.core import PersistentVolume, PersistentVolumeClaim
from fairlead.api.meta import Key
from fairlead.reconcile import storage as rules
from fairlead.reconcile.reconciler import Change, Controller, Patch, Record, Referred, SetStatus, View

AVAILABLE, BOUND, RELEASED, FAILED = "Available", "Bound", "Released", "Failed"


def reconcile(view: View[PersistentVolume]) -> Sequence[Change]:
    """See the module's text."""
    volume = view.object
    if volume is None:
        return []
    claim = _claim(view, volume)
    if claim is not None and claim.spec.volumeName not in ("", volume.metadata.name) and _is_ours(volume):
        return [_patch(volume, {"spec": {"claimRef": None}})]
    phase, message = _phase(volume, claim)
    if volume.metadata.deleting and phase != BOUND and rules.BOUND in volume.metadata.finalizers:
        kept = [f for f in volume.metadata.finalizers if f != rules.BOUND]
        return [_patch(volume, {"metadata": {"finalizers": kept}})]
    return list(_tell(volume, phase, message))


def _claim(view: View[PersistentVolume], volume: PersistentVolume) -> PersistentVolumeClaim | None:
    """The very claim that the volume is for, if it is still there."""
    reference = volume.spec.claimRef
    if reference is None or not reference.uid:
        return None
    found = view.find(core.CLAIMS, rules.claim_key(reference))
    return found if found is not None and found.metadata.uid == reference.uid else None


def _is_ours(volume: PersistentVolume) -> bool:
    """Whether the claimRef was written by the binder for a volume that was not made for the claim."""
    notes = volume.metadata.annotations
    return rules.BOUND_BY_CONTROLLER in notes and rules.PROVISIONED_BY not in notes


def _phase(volume: PersistentVolume, claim: PersistentVolumeClaim | None) -> tuple[str, str]:
    """The phase, and what is to be said about it."""
    reference = volume.spec.claimRef
    if reference is None or not reference.uid:
        return AVAILABLE, ""
    if claim is not None and claim.spec.volumeName in ("", volume.metadata.name):
        return BOUND, ""
    policy = volume.spec.persistentVolumeReclaimPolicy
    if policy == "Retain" or rules.PROVISIONED_BY in volume.metadata.annotations:
        return RELEASED, ""
    return FAILED, f"no provisioner made this volume, so nobody can {policy.lower()} what it holds: do it by hand"


def _tell(volume: PersistentVolume, phase: str, message: str) -> Iterator[Change]:
    if (volume.status.phase, volume.status.message) == (phase, message):
        return
    status = {"phase": phase, "message": message or None}
    yield SetStatus(core.PERSISTENT_VOLUMES, volume.key, status, volume.metadata.resourceVersion)
    if message:
        yield Record(core.PERSISTENT_VOLUMES, volume, "Warning", "VolumeFailedDelete", message)


def _patch(volume: PersistentVolume, patch: dict[str, Any]) -> Change:
    return Patch(core.PERSISTENT_VOLUMES, volume.key, patch, volume.metadata.uid, volume.metadata.resourceVersion)


def _claims(volume: PersistentVolume) -> Iterable[Key]:
    if volume.spec.claimRef is not None:
        yield rules.claim_key(volume.spec.claimRef)


CONTROLLER: Controller[PersistentVolume] = Controller(
    "persistentvolume-controller",
    core.PERSISTENT_VOLUMES,
    reconcile,
    (Referred(core.CLAIMS, _claims),),
    embedded=True,
)
