"""Strategy, and how one is built from what is particular to a kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from fairlead.api.meta import Resource
from fairlead.base.errors import Cause

Obj = dict[str, Any]
Fill = Callable[[Obj], None]
Rule = Callable[[Obj], Iterable[Cause]]
Carry = Callable[[Obj, Obj], None]
Transition = Callable[[Obj, Obj], Iterable[Cause]]

_BESIDE_SPEC = frozenset({"apiVersion", "kind", "metadata", "status"})


class Strategy(msgspec.Struct, frozen=True):
    """One kind's ways. Updates take (new, old)."""

    default: Fill
    validate: Callable[[Obj], list[Cause]]
    validate_update: Callable[[Obj, Obj], list[Cause]]
    """Includes the rules of `validate` for the new object, but for those of creation."""
    validate_status: Callable[[Obj, Obj], list[Cause]]
    prepare_create: Fill
    """Drops what a client may not set (status where it is a subresource), sets generation 1, generated fields."""
    prepare_update: Carry
    """Keeps what this path may not change (status), raises metadata.generation when the rest has changed."""
    prepare_status: Carry
    """Keeps everything but status."""
    generation: bool
    """Has metadata.generation."""


class Ways(msgspec.Struct, frozen=True):
    """What is particular to a kind; everything is optional."""

    default: Fill | None = None
    rules: Rule | None = None
    transitions: Transition | None = None
    """What may not change on update, beside `rules` for the new object."""
    status_rules: Transition | None = None
    create: Fill | None = None
    """Generated fields, after the status is dropped."""
    update: Carry | None = None
    generation: bool = True
    keeps_status: bool = False
    """A create may set status although it is a subresource (Node)."""
    creation: Rule | None = None
    """What holds for new objects only, beside `rules`."""


PLAIN = Ways(generation=False)
"""A kind without spec, of which nothing needs saying."""


def built(resource: Resource[Any], ways: Ways, custom: bool = False) -> Strategy:
    """The strategy of a kind. A custom kind's status path keeps all metadata, as upstream's does."""
    return Strategy(
        default=ways.default or _nothing,
        validate=_creation_rules(ways),
        validate_update=_update_rules(ways),
        validate_status=_listed_pair(ways.status_rules),
        prepare_create=_creation(resource, ways),
        prepare_update=_updating(resource, ways),
        prepare_status=_status_custom if custom else _status_built_in,
        generation=ways.generation,
    )


def _nothing(_obj: Obj) -> None:
    return None


def _listed(rules: Rule | None) -> Callable[[Obj], list[Cause]]:
    return (lambda obj: list(rules(obj))) if rules is not None else (lambda obj: [])


def _listed_pair(rules: Transition | None) -> Callable[[Obj, Obj], list[Cause]]:
    return (lambda new, old: list(rules(new, old))) if rules is not None else (lambda new, old: [])


def _creation_rules(ways: Ways) -> Callable[[Obj], list[Cause]]:
    rules, creation = _listed(ways.rules), _listed(ways.creation)
    return rules if ways.creation is None else lambda obj: rules(obj) + creation(obj)


def _update_rules(ways: Ways) -> Callable[[Obj, Obj], list[Cause]]:
    rules, transitions = _listed(ways.rules), _listed_pair(ways.transitions)
    return lambda new, old: rules(new) + transitions(new, old)


def _creation(resource: Resource[Any], ways: Ways) -> Fill:
    def prepare(obj: Obj) -> None:
        if resource.status and not ways.keeps_status:
            obj.pop("status", None)
        if ways.generation:
            obj["metadata"]["generation"] = 1
        else:
            obj["metadata"].pop("generation", None)
        if ways.create is not None:
            ways.create(obj)
        if resource.status and resource.schema:
            # Built-in kinds always show a status: Go's encoder does not leave out an empty struct, and clients read it.
            obj.setdefault("status", {})

    return prepare


def _updating(resource: Resource[Any], ways: Ways) -> Carry:
    def prepare(new: Obj, old: Obj) -> None:
        if resource.status:
            carry(new, old, "status")
        if ways.update is not None:
            ways.update(new, old)
        carry(new["metadata"], old["metadata"], "generation")
        if ways.generation and _substance(new, resource.status) != _substance(old, resource.status):
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1

    return prepare


def _substance(obj: Obj, has_status: bool) -> Obj:
    """What counts for the generation."""
    aside = _BESIDE_SPEC if has_status else _BESIDE_SPEC - {"status"}
    return {k: v for k, v in obj.items() if k not in aside}


def _status_built_in(new: Obj, old: Obj) -> None:
    for key in (new.keys() | old.keys()) - _BESIDE_SPEC:
        carry(new, old, key)
    for key in ("ownerReferences", "generation"):
        carry(new["metadata"], old["metadata"], key)


def _status_custom(new: Obj, old: Obj) -> None:
    for key in (new.keys() | old.keys()) - {"status", "metadata"}:
        carry(new, old, key)
    managed = new["metadata"].get("managedFields")
    new["metadata"] = dict(old["metadata"])
    if managed is not None:
        new["metadata"]["managedFields"] = managed


def carry(new: Obj, old: Obj, key: str) -> None:
    """Give `new` what `old` has under a key, or its absence."""
    if key in old:
        new[key] = old[key]
    else:
        new.pop(key, None)


def spec_of(obj: Obj) -> Obj:
    """The spec, {} when there is none."""
    return part(obj, "spec")


def part(obj: Obj, key: str) -> Obj:
    """An object below, {} when it is not there or is none: defaults run before types are checked."""
    found = obj.get(key)
    return found if isinstance(found, dict) else {}


def parts(obj: Obj, key: str) -> list[Obj]:
    """The objects of a list below; what is none is left out."""
    found = obj.get(key)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
