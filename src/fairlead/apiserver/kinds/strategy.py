"""Strategy: what is particular to a kind when its objects are written.

The order that the write path keeps (upstream's):

- create: `schema.conform`, `default`, mutating admission, then namespace, name, uid and creationTimestamp are set,
  `prepare_create`, `validate_meta` and `validate`, validating admission.
- update: `schema.conform`, `default`, mutating admission, `prepare_update`, `validate_meta_update` and
  `validate_update` (which includes `validate`), validating admission.
- update of status: `schema.conform`, `default`, `prepare_status`, `validate_meta_update` and `validate_status`.

Every function works on plain objects; those that return None work in place on their first argument.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from fairlead.api.meta import Resource
from fairlead.base.errors import Cause
from fairlead.machinery.structure import Structure

Obj = dict[str, Any]


class Strategy(msgspec.Struct, frozen=True):
    """One kind's ways. Updates take (new, old)."""

    default: Callable[[Obj], None]
    validate: Callable[[Obj], list[Cause]]
    validate_update: Callable[[Obj, Obj], list[Cause]]
    """Includes `validate` of the new object."""
    validate_status: Callable[[Obj, Obj], list[Cause]]
    prepare_create: Callable[[Obj], None]
    """Drops what a client may not set (status where it is a subresource), sets generation 1, generated fields."""
    prepare_update: Callable[[Obj, Obj], None]
    """Keeps what this path may not change (status), raises metadata.generation when the rest has changed."""
    prepare_status: Callable[[Obj, Obj], None]
    """Keeps everything but status."""
    generation: bool
    """Has metadata.generation."""


def find(resource: Resource[Any], structure: Structure) -> Strategy:
    """The strategy of a kind. Make it once per served kind and keep it."""
    raise NotImplementedError


def validate_meta(obj: Obj, resource: Resource[Any]) -> list[Cause]:
    """The rules of metadata on create: name, generateName, labels, annotations, finalizers, ownerReferences."""
    raise NotImplementedError


def validate_meta_update(new: Obj, old: Obj, resource: Resource[Any]) -> list[Cause]:
    """The rules of metadata on update: those of `validate_meta`, and what may not change."""
    raise NotImplementedError
