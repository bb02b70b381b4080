"""Looks a kind's strategy up: what is particular to it when its objects are written.

The order that the write path keeps (upstream's):

- create: `schema.conform`, `default`, mutating admission, then namespace, name, uid and creationTimestamp are set,
  `prepare_create`, `validate_meta` and `validate`, validating admission.
- update: `schema.conform`, `default`, mutating admission, `prepare_update`, `validate_meta_update` and
  `validate_update` (which includes `validate`), validating admission.
- update of status: `schema.conform`, `default`, `prepare_status`, `validate_meta_update` and `validate_status`.
  (The precondition on resourceVersion is read before: a custom kind's `prepare_status` restores all metadata.)

Every function works on plain objects; those that return None work in place on their first argument. The new object
may share parts with the old one: what is set is either a top-level key or in a part that is already as it should be.
"""

from __future__ import annotations

from typing import Any

import msgspec

from fairlead.api.meta import Resource
from fairlead.apiserver.kinds import (
    admissionregistration,
    apps,
    autoscaling,
    coordination,
    core,
    crds,
    cron,
    discovery,
    jobs,
    jobset,
    metadata,
    networks,
    pods,
    policy,
    quotas,
    rbac,
    replication,
    scheduling,
    services,
    storage,
    trainer,
    ways,
)
from fairlead.apiserver.kinds.ways import Obj, Strategy, Ways
from fairlead.base.errors import Cause
from fairlead.machinery import schema
from fairlead.machinery.structure import Structure

__all__ = ["Obj", "Strategy", "find", "validate_meta", "validate_meta_update"]

BUILT_IN: dict[tuple[str, str], Ways] = {
    **pods.WAYS, **jobs.WAYS, **services.WAYS, **core.WAYS, **scheduling.WAYS, **coordination.WAYS, **discovery.WAYS,
    **crds.WAYS, **apps.WAYS, **replication.WAYS, **cron.WAYS, **autoscaling.WAYS, **policy.WAYS, **rbac.WAYS,
    **admissionregistration.WAYS,
    **storage.WAYS, **quotas.WAYS, **networks.WAYS,
}  # fmt: skip
CUSTOM: dict[tuple[str, str], Ways] = {**jobset.WAYS, **trainer.WAYS}


def find(resource: Resource[Any], structure: Structure) -> Strategy:
    """The strategy of a kind. Make it once per served kind and keep it."""
    place = (resource.group, resource.plural)
    if resource.schema:
        other = (resource.api_version, resource.plural)  # a version that has ways of its own
        return ways.built(resource, BUILT_IN.get(other) or BUILT_IN.get(place, Ways()))
    return _custom(resource, CUSTOM.get(place, Ways()), structure)


def validate_meta(obj: Obj, resource: Resource[Any]) -> list[Cause]:
    """The rules of metadata on create: name, generateName, labels, annotations, finalizers, ownerReferences."""
    return metadata.validate(obj, resource)


def validate_meta_update(new: Obj, old: Obj, resource: Resource[Any]) -> list[Cause]:
    """The rules of metadata on update: those of `validate_meta`, and what may not change."""
    return metadata.validate_update(new, old, resource)


def _custom(resource: Resource[Any], particular: Ways, structure: Structure) -> Strategy:
    """A custom kind's strategy: what its schema says, then what is particular to it."""

    def default(obj: Obj) -> None:
        schema.default(structure, obj)
        if particular.default is not None:
            particular.default(obj)

    def validate(obj: Obj) -> list[Cause]:
        found = schema.validate(structure, obj)
        return found if found or particular.rules is None else list(particular.rules(obj))

    def validate_update(new: Obj, old: Obj) -> list[Cause]:
        found = schema.validate(structure, new, old)
        return found or own.validate_update(new, old)

    def validate_status(new: Obj, old: Obj) -> list[Cause]:
        return schema.validate(structure, new, old)

    own = ways.built(resource, particular, custom=True)
    return msgspec.structs.replace(
        own, default=default, validate=validate, validate_update=validate_update, validate_status=validate_status
    )
