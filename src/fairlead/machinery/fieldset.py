"""Field sets: which fields of an object somebody owns, in the form of `managedFields[].fieldsV1`.

A set is kept as it is written on the wire: nested dicts whose keys are path elements, `f:<name>` for a field,
`k:<json>` for an element of a list by its keys, `v:<json>` for an element of a set, `i:<n>` for an index. A node is a
member itself when it is empty or has the key `.`. So nothing is decoded or encoded where an object is only passed on.
Sets are never changed in place, and results share their nodes. An empty root is the empty set.

Algebra and path texts follow structured-merge-diff's `fieldpath`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import msgspec

FieldSet = dict[str, Any]

MEMBER: Final[FieldSet] = {}
"""A node that is a member and has nothing below it."""

SELF: Final = "."
_encode: Final = msgspec.json.encode


def key_element(keys: dict[str, Any]) -> str:
    """The path element of a list's element: the values of its keys."""
    ordered = keys if len(keys) == 1 else dict(sorted(keys.items()))
    return "k:" + _encode({k: _number(v) if type(v) is float else v for k, v in ordered.items()}).decode()


def value_element(value: Any) -> str:
    """The path element of a set's element."""
    return "v:" + _encode(_number(value) if type(value) is float else value).decode()


def _number(value: float) -> float | int:
    """2.0 as 2: a number has one spelling."""
    return int(value) if value.is_integer() else value


def is_member(node: FieldSet) -> bool:
    return not node or SELF in node


def with_self(children: FieldSet) -> FieldSet:
    """The node that has these children and is a member too."""
    return {SELF: MEMBER, **children} if children else MEMBER


def union(a: FieldSet, b: FieldSet) -> FieldSet:
    """What is in either set."""
    if not b or a is b:
        return a
    if not a:
        return b
    result = dict(a)
    for key, node in b.items():
        mine = a.get(key)
        result[key] = node if mine is None else _join(mine, node)
    return result


def _join(a: FieldSet, b: FieldSet) -> FieldSet:
    """The union of two nodes, each of which may be a member."""
    if a is b or (not a and not b):
        return a
    if not a:
        return b if SELF in b else with_self(b)
    if not b:
        return a if SELF in a else with_self(a)
    return union(a, b)


def difference(a: FieldSet, b: FieldSet) -> FieldSet:
    """What is in `a` and not in `b`: exactly these paths, not what lies below them."""
    if not b or not a:
        return a
    result: FieldSet = {}
    for key, node in a.items():
        other = b.get(key)
        if other is None:
            result[key] = node
        elif key != SELF and (rest := _subtract(node, other)) is not None:
            result[key] = rest
    return result


def _subtract(a: FieldSet, b: FieldSet) -> FieldSet | None:
    """The node `a` without `b`; None when nothing is left."""
    if not a:
        return None if is_member(b) else a
    if not b:
        return {k: v for k, v in a.items() if k != SELF} if len(a) > (SELF in a) else None
    rest = difference(a, b)
    return rest or None


def intersection(a: FieldSet, b: FieldSet) -> FieldSet:
    """What is in both sets."""
    if not a or not b:
        return {}
    result: FieldSet = {}
    for key, node in a.items():
        other = b.get(key)
        if other is None:
            continue
        if key == SELF:
            result[key] = MEMBER
        elif (both := _meet(node, other)) is not None:
            result[key] = both
    return result


def _meet(a: FieldSet, b: FieldSet) -> FieldSet | None:
    if not a or not b:
        return MEMBER if is_member(a) and is_member(b) else None
    both = intersection(a, b)
    return both or None


def leaves(a: FieldSet) -> FieldSet:
    """The members that have no members below them."""
    return {k: leaves(v) if v and (len(v) > (SELF in v)) else MEMBER for k, v in a.items() if k != SELF}


def equal(a: FieldSet, b: FieldSet) -> bool:
    """Whether two sets have the same members."""
    return a == b or canonical(a) == canonical(b)


def canonical(a: FieldSet) -> FieldSet:
    """The one way to write a set: ordered, and without `.` in nodes that have nothing else."""
    ordered: FieldSet = {}
    for key in sorted(a):
        node = a[key]
        if node:
            node = MEMBER if len(node) == 1 and SELF in node else canonical(node)
        ordered[key] = node
    return ordered


def paths(a: FieldSet, prefix: str = "") -> Iterator[str]:
    """The members as texts, such as `.spec.containers[name="a"].image`; at each level members come first."""
    found = sorted((k, v, prefix + element_text(k)) for k, v in a.items() if k != SELF)
    for _, node, text in found:
        if is_member(node):
            yield text
    for _, node, text in found:
        if node:
            yield from paths(node, text)


def element_text(element: str) -> str:
    """A path element as messages write it: `.name`, `[name="a"]`, `[="x"]`."""
    kind, body = element[:2], element[2:]
    match kind:
        case "f:":
            return f".{body}"
        case "k:":
            keys = json.loads(body)
            return "[" + ",".join(f"{k}={_encode(keys[k]).decode()}" for k in sorted(keys)) + "]"
        case "v:":
            return f"[={body}]"
    return f"[{body}]"


def validated(node: Any) -> FieldSet:
    """A set that somebody wrote, with its elements in their one spelling. Raises ValueError."""
    if not isinstance(node, dict):
        raise ValueError(f"a field set must be an object, got {type(node).__name__}")
    return {_element(k): validated(v) for k, v in node.items()}


def _element(element: str) -> str:
    kind, body = element[:2], element[2:]
    try:
        match kind:
            case "f:" | ".":
                return element
            case "k:":
                keys = json.loads(body)
                if isinstance(keys, dict) and keys:
                    return key_element(keys)
            case "v:":
                return value_element(json.loads(body))
            case "i:":
                return f"i:{int(body)}"
    except ValueError:
        pass
    raise ValueError(f"{element!r} is no path element: one starts with f:, k:, v: or i:")
