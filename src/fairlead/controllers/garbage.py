"""The garbage collector: deletes what belongs to objects that are gone, as ownerReferences say.

An object of any kind is looked at when its owners change and when one of them leaves. By what its references are:

    some owner is there                the references to absent ones are dropped
    none is, one waits (foreground)    it is deleted; if it has dependents itself, in the foreground too
    none is there                      it is deleted
    an owner's kind is not served      nothing is known, so nothing is done; it is looked at again later

An owner is absent when its name is free or has another uid. The caches may be behind, so a delete for that reason is
carried out only if a fresh read finds no owner. An object that is being deleted with the finalizer `foregroundDeletion`
waits for its blocking dependents; one with `orphan` first takes its references off its dependents. Objects that own
each other do not wait in a circle: a dependent that is itself waited for stops blocking.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from fairlead.api.meta import Object, OwnerReference, Resource
from fairlead.reconcile.reconciler import (
    EVERY,
    Absent,
    Change,
    Controller,
    Delete,
    Dependents,
    Found,
    Owner,
    Owners,
    Patch,
    View,
    WakeAt,
)

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
LOOK_AGAIN = 30.0
"""Seconds until an object is looked at again whose owner's kind is not served."""


def heeds(old: Object | None, new: Object | None) -> bool:
    """A change matters if it brings other owners, or a deletion that waits for this controller."""
    if new is None:
        return False
    meta = new.metadata
    if meta.deleting and (FOREGROUND in meta.finalizers or ORPHAN in meta.finalizers):
        return True
    return bool(meta.ownerReferences) and (old is None or old.metadata.ownerReferences != meta.ownerReferences)


def reconcile(view: View[Object]) -> Sequence[Change]:
    obj, resource = view.object, view.across.resource
    if obj is None or resource is None:
        return []
    if not obj.metadata.deleting:
        return _collect(resource, obj, view)
    if ORPHAN in obj.metadata.finalizers:
        return _orphan(resource, obj, view.across.dependents)
    if FOREGROUND in obj.metadata.finalizers:
        blocked = any(_blocks(found.object, obj) for found in view.across.dependents)
        return [] if blocked else [_without(resource, obj, FOREGROUND)]
    return []


def _collect(resource: Resource[Any], obj: Object, view: View[Object]) -> Sequence[Change]:
    """What becomes of an object that is not being deleted, by its owners."""
    owners = view.across.owners
    if not owners:
        return []
    if any(owner.resource is None for owner in owners):
        return [WakeAt(view.now + LOOK_AGAIN)]
    waiting = [owner for owner in owners if owner.alive and _waits(owner.object)]
    solid = [owner for owner in owners if owner.alive and not _waits(owner.object)]
    absent = tuple(_absent(owner) for owner in owners if not owner.alive)
    if solid:
        kept = [owner.reference for owner in solid]
        return [_references(resource, obj, kept, absent)] if len(kept) < len(owners) else []
    if waiting and view.across.dependents:
        circle = any(_waits(found.object) for found in view.across.dependents)
        blocking = any(reference.blockOwnerDeletion for reference in obj.metadata.ownerReferences)
        freed = [msgspec.structs.replace(r, blockOwnerDeletion=False) for r in obj.metadata.ownerReferences]
        unblock = [_references(resource, obj, freed)] if circle and blocking else []
        return [*unblock, Delete(resource, obj.key, obj.metadata.uid, "Foreground", absent=absent)]
    return [Delete(resource, obj.key, obj.metadata.uid, _policy(obj), absent=absent)]


def _orphan(resource: Resource[Any], obj: Object, dependents: Sequence[Found]) -> Sequence[Change]:
    """Take the references off all dependents; the finalizer goes once there is none left."""
    uid = obj.metadata.uid
    freed = [
        _references(d.resource, d.object, [r for r in d.object.metadata.ownerReferences if r.uid != uid])
        for d in dependents
    ]
    return freed or [_without(resource, obj, ORPHAN)]


def _references(
    resource: Resource[Any], obj: Object, kept: Sequence[OwnerReference], absent: tuple[Absent, ...] = ()
) -> Patch:
    wanted = [msgspec.to_builtins(reference) for reference in kept]
    patch = {"metadata": {"ownerReferences": wanted}}
    return Patch(resource, obj.key, patch, obj.metadata.uid, obj.metadata.resourceVersion, absent)


def _without(resource: Resource[Any], obj: Object, finalizer: str) -> Patch:
    patch = {"metadata": {"finalizers": [f for f in obj.metadata.finalizers if f != finalizer]}}
    return Patch(resource, obj.key, patch, obj.metadata.uid, obj.metadata.resourceVersion)


def _blocks(dependent: Object, owner: Object) -> bool:
    references = dependent.metadata.ownerReferences
    return any(r.uid == owner.metadata.uid and r.blockOwnerDeletion for r in references)


def _waits(obj: Object | None) -> bool:
    """Whether an object's deletion waits for its dependents."""
    return obj is not None and obj.metadata.deleting and FOREGROUND in obj.metadata.finalizers


def _absent(owner: Owner) -> Absent:
    assert owner.resource is not None
    return Absent(owner.resource, owner.key, owner.reference.uid)


def _policy(obj: Object) -> Any:
    """An object says by its finalizers how it wants to go."""
    if ORPHAN in obj.metadata.finalizers:
        return "Orphan"
    return "Foreground" if FOREGROUND in obj.metadata.finalizers else "Background"


CONTROLLER: Controller[Object] = Controller(
    "garbage-collector-controller", EVERY, reconcile, (Owners(), Dependents()), embedded=True, heeds=heeds
)
