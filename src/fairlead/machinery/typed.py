"""Typed walks over objects: compare two, merge one into another, list one's fields, take fields away.

Server-side apply is made of these four (structured-merge-diff's `typed`). What a list or a map is comes from its
`Structure`; without one, maps are granular and lists atomic. Nothing is changed in place; results share what they can.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from fairlead.machinery import fieldset
from fairlead.machinery.fieldset import MEMBER, SELF, FieldSet
from fairlead.machinery.structure import Structure

ABSENT: Final[Any] = object()
"""No value at all, as opposed to null."""

LEAF, MAP, LIST = 0, 1, 2

ALWAYS: Final = frozenset((
    "metadata", "spec", "status", "template", "jobTemplate", "strategy", "updateStrategy", "containers", "resources",
    "loadBalancer", "daemonEndpoints", "kubeletEndpoint", "nodeInfo", "involvedObject", "source", "devices",
    "podSelector",
))  # fmt: skip
"""Fields of built-in kinds that are there even when they are empty, because upstream's types hold them by value.
Nobody owns them, only what is in them."""


class Duplicates(list[Any]):
    """Elements of a list that have the same key; compared as one."""


def shape(value: Any, structure: Structure | None) -> int:
    """How a value is walked: as a map, as a list with keyed elements, or as one leaf."""
    if isinstance(value, dict):
        return LEAF if structure is not None and structure.map_type == "atomic" else MAP
    if isinstance(value, list):
        return LIST if structure is not None and structure.list_type in ("map", "set") else LEAF
    return LEAF


def element_path(item: Any, structure: Structure) -> str:
    """The path element of a list's element. Raises ValueError if it has none."""
    if structure.list_type == "set":
        return fieldset.value_element(item)
    if not isinstance(item, dict):
        raise ValueError("associative list with keys may not have non-map elements")
    keys: dict[str, Any] = {}
    for name in structure.map_keys:
        value = item.get(name, ABSENT)
        if value is ABSENT:
            value = _key_default(structure, name)
        if value is not ABSENT:
            keys[name] = value
    if not keys:
        listed = ", ".join(f'"{k}"' for k in structure.map_keys)
        raise ValueError(f"associative list with keys has an element that omits all key fields [{listed}]")
    return fieldset.key_element(keys)


def _key_default(structure: Structure, name: str) -> Any:
    element = structure.element()
    key = element.property(name) if element is not None else None
    return key.default if key is not None and key.has_default else ABSENT


def index(items: Iterable[Any], structure: Structure) -> dict[str, Any]:
    """A list's elements by path element; several of one path element are `Duplicates`."""
    found: dict[str, Any] = {}
    for item in items:
        path = element_path(item, structure)
        if path not in found:
            found[path] = item
        elif isinstance(found[path], Duplicates):
            found[path].append(item)
        else:
            found[path] = Duplicates((found[path], item))
    return found


# --- all fields ----------------------------------------------------------------------------------------------------


def everything(value: Any, structure: Structure | None) -> FieldSet:
    """The node of a value that is new: every field, interior ones too."""
    kind = shape(value, structure)
    if kind == LEAF or not value:
        return MEMBER
    node: FieldSet = {SELF: MEMBER}
    if kind == MAP:
        for name, below in value.items():
            # Every created object passes here: leaves are told by their class, without a call.
            if below and (below.__class__ is dict or below.__class__ is list):
                inner = structure.property(name) if structure is not None else None
                node["f:" + name] = everything(below, inner)
            else:
                node["f:" + name] = MEMBER
        return node
    assert structure is not None
    if structure.list_type == "set":
        for item in value:
            node[fieldset.value_element(item)] = MEMBER
        return node
    element = structure.element()
    for path, item in index(value, structure).items():
        node[path] = MEMBER if isinstance(item, Duplicates) else everything(item, element)
    return node


def fields_of(value: Any, structure: Structure | None) -> FieldSet:
    """What an applier owns by naming it: leaves, elements of lists, keys of maps; not the declared fields above."""
    kind = shape(value, structure)
    if kind == LEAF or not value:
        return {}
    node: FieldSet = {}
    if kind == MAP:
        declared: Mapping[str, Any] = structure.names if structure is not None else {}
        for name, below in value.items():
            inner = structure.property(name) if structure is not None else None
            nested = fields_of(below, inner)
            if shape(below, inner) == LEAF or below == {} or name not in declared:
                node["f:" + name] = fieldset.with_self(nested)
            elif nested:
                node["f:" + name] = nested
        return node
    assert structure is not None
    element = structure.element()
    for path, item in index(value, structure).items():
        node[path] = MEMBER if isinstance(item, Duplicates) else fieldset.with_self(fields_of(item, element))
    return node


def with_named(node: FieldSet, structure: Structure | None) -> FieldSet:
    """The set with the declared fields above its members added, so that an emptied field can go as a whole."""
    result: FieldSet = {}
    for path, below in node.items():
        if path == SELF or not below:
            result[path] = below
            continue
        inner: Structure | None = None
        named = False
        if structure is not None:
            if path[:2] == "f:":
                named = path[2:] in structure.names
                inner = structure.property(path[2:])
            else:
                inner = structure.element()
        grown = with_named(below, inner)
        result[path] = {SELF: MEMBER, **grown} if named else grown
    return result


# --- compare -------------------------------------------------------------------------------------------------------


def compare(
    old: Mapping[str, Any], new: Mapping[str, Any], structure: Structure | None, always: bool
) -> tuple[FieldSet, FieldSet]:
    """What is added or changed, and what is removed, from one map to another.

    `always`: the maps are a built-in kind's, whose by-value structs exist even where they are not written.
    """
    changed: FieldSet = {}
    removed: FieldSet = {}
    for name, value in new.items():
        before = old.get(name, ABSENT)
        if before is value or (before == value and before is not ABSENT):
            continue
        if not isinstance(value, (dict, list)) and not isinstance(before, (dict, list)):
            changed["f:" + name] = MEMBER
            continue
        inner = structure.property(name) if structure is not None else None
        held = always and name in ALWAYS
        if before is ABSENT and held and shape(value, inner) != LEAF:
            if not value:
                continue
            before = type(value)()
        _compare_value(("f:" + name, before, value), inner, held, changed, removed)
    for name, value in old.items():
        if name not in new:
            inner = structure.property(name) if structure is not None else None
            removed["f:" + name] = everything(value, inner)
    return changed, removed


def _compare_value(
    item: tuple[str, Any, Any], structure: Structure | None, always: bool, changed: FieldSet, removed: FieldSet
) -> None:
    """Compare two values that differ, and write what differs under their path element."""
    path, before, value = item
    if before is ABSENT:
        changed[path] = everything(value, structure)
        return
    before, value = _unnulled(before, value, structure), _unnulled(value, before, structure)
    kind = shape(value, structure)
    if kind != shape(before, structure):
        _compare_shapes((path, before, value), structure, changed, removed)
        return
    if kind == LEAF:
        changed[path] = MEMBER
        return
    if kind == MAP:
        more, less = compare(before, value, structure, always)
    else:
        assert structure is not None
        more, less = _compare_lists(before, value, structure)
    if more:
        changed[path] = more
    if less:
        removed[path] = less


def _unnulled(value: Any, other: Any, structure: Structure | None) -> Any:
    """Null next to a map or keyed list that holds something is an empty one."""
    return type(other)() if value is None and other and shape(other, structure) != LEAF else value


def _compare_shapes(
    item: tuple[str, Any, Any], structure: Structure | None, changed: FieldSet, removed: FieldSet
) -> None:
    """A value became another kind of thing: what it held is gone, what it holds is new."""
    path, before, value = item
    if gone := {k: v for k, v in everything(before, structure).items() if k != SELF}:
        removed[path] = gone
    changed[path] = everything(value, structure)


def _compare_lists(old: list[Any], new: list[Any], structure: Structure) -> tuple[FieldSet, FieldSet]:
    changed: FieldSet = {}
    removed: FieldSet = {}
    element = structure.element()
    before, after = index(old, structure), index(new, structure)
    for path, value in after.items():
        was = before.get(path, ABSENT)
        if was is value or (was == value and was is not ABSENT):
            continue
        if isinstance(value, Duplicates):
            if was is not ABSENT and not isinstance(was, Duplicates):
                removed[path] = {k: v for k, v in everything(was, element).items() if k != SELF} or MEMBER
            changed[path] = MEMBER
        elif isinstance(was, Duplicates):
            changed[path] = everything(value, element)
        else:
            _compare_value((path, was, value), element, False, changed, removed)
    for path, was in before.items():
        if path not in after:
            removed[path] = MEMBER if isinstance(was, Duplicates) else everything(was, element)
    return changed, removed
