"""Brings an object into the form of its schema: what upstream's decoder does before anything else sees the object.

One walk, in place. Unknown fields are reported and removed. In typed structures every value's type is checked,
quantities and times become canonical, and null means absent. In untyped ones only pruning happens, null is dropped
where the schema does not allow it, and a whole float becomes an integer (as upstream writes it).

The texts are those of upstream's strict decoder, because clients show and match them. A path is a chain of
`(parent, step, owner)`: nothing is spelled until something is wrong.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from typing import Any

import msgspec

from fairlead.base import timestamp
from fairlead.machinery import quantity
from fairlead.machinery.compiled import Node
from fairlead.machinery.structure import Structure

At = tuple[Any, str | int, str] | None
"""(the parent's At, the field, key or index, the Go name of the struct whose field it is, "" for keys and indices)."""
Step = Callable[[Node, Any, At, "Report"], Any]

QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
TIME = "io.k8s.apimachinery.pkg.apis.meta.v1.Time"
MICRO_TIME = "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime"
_SECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_MICROS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_RANGES = {"int32": 1 << 31, "int64": 1 << 63}


class Conformed(msgspec.Struct):
    """What became of an object."""

    obj: dict[str, Any]
    """The same dict: unknown fields are gone, quantities and times canonical."""
    unknown: list[str]
    """`unknown field "spec.foo"`: for `fieldValidation` Strict (400 `strict decoding error: …`) and Warn."""
    problems: list[str]
    """Decoding problems of typed parts: any is a 400; the text is what follows `… cannot be handled as a Job: `."""


class Report:
    """What a walk finds."""

    __slots__ = ("problems", "unknown")

    def __init__(self) -> None:
        self.unknown: list[str] = []
        self.problems: list[str] = []

    def mismatch(self, node: Node, value: Any, at: At) -> Any:
        """A value of the wrong type; it is left as it is."""
        owner, path = _go_field(at)
        where = f"Go struct field {owner}.{path}" if owner else "Go value"
        self.problems.append(f"json: cannot unmarshal {_json_type(value)} into {where} of type {_go_type(node)}")
        return value

    def problem(self, text: str, value: Any) -> Any:
        self.problems.append(text)
        return value


def conform(structure: Structure, obj: dict[str, Any]) -> Conformed:
    """Bring an object into the form of its schema, in place, in one walk."""
    report = Report()
    assert isinstance(structure, Node)
    _struct(structure, obj, None, report)
    return Conformed(obj, report.unknown, report.problems)


def unknown_fields(structure: Structure, obj: dict[str, Any]) -> list[str]:
    """`unknown field "spec.foo"` for each field that the schema does not know; the object is left as it is."""
    return conform(structure, msgspec.json.decode(msgspec.json.encode(obj))).unknown


def prune(structure: Structure, obj: dict[str, Any]) -> None:
    """Remove the fields that the schema does not know."""
    conform(structure, obj)


# --- containers ----------------------------------------------------------------------------------------------------


def _struct(node: Node, value: Any, at: At, report: Report) -> Any:
    if value.__class__ is not dict:
        return report.mismatch(node, value, at) if node.typed else value
    plan = node.plan
    if plan is None:
        plan = _plan(node)
    drop: list[str] = []
    for key, item in value.items():
        entry = plan.get(key)
        if entry is None:
            if not node.preserve:
                drop.append(key)
                report.unknown.append(f'unknown field "{spelled((at, key, ""))}"')
            continue
        exact, step, child, owner = entry
        if item.__class__ is exact:
            continue
        if item is None:
            if not child.nullable:
                drop.append(key)
            continue
        made = step(child, item, (at, key, owner), report)
        if made is not item:
            value[key] = made
    for key in drop:
        del value[key]
    return value


def _map(node: Node, value: Any, at: At, report: Report) -> Any:
    if value.__class__ is not dict:
        return report.mismatch(node, value, at) if node.typed else value
    exact, step, child, _ = _inner(node, node.additional)
    drop: list[str] = []
    for key, item in value.items():
        if item.__class__ is exact:
            continue
        if item is None:
            if node.typed:
                value[key] = _zero(step)
            elif not child.nullable:
                drop.append(key)
            continue
        made = step(child, item, (at, key, ""), report)
        if made is not item:
            value[key] = made
    for key in drop:
        del value[key]
    return value


def _list(node: Node, value: Any, at: At, report: Report) -> Any:
    if value.__class__ is not list:
        return report.mismatch(node, value, at) if node.typed else value
    exact, step, child, _ = _inner(node, node.items)
    for index, item in enumerate(value):
        if item.__class__ is exact:
            continue
        if item is None:
            if node.typed:
                value[index] = _zero(step)
            continue
        made = step(child, item, (at, index, ""), report)
        if made is not item:
            value[index] = made
    return value


def _anything(node: Node, value: Any, at: At, report: Report) -> Any:
    if node.typed and node.type == "object" and value.__class__ is not dict:
        return report.mismatch(node, value, at)
    return value


def _plan(node: Node) -> dict[str, Any]:
    owner = node.definition.rpartition(".")[2]
    node.plan = {name: _entry(child(), owner) for name, child in node.names.items()}
    return node.plan


def _inner(node: Node, child: Callable[[], Structure] | None) -> Any:
    """How to read the one schema that all of a container's values have; kept in the plan under no name."""
    if node.plan is None:
        node.plan = {}
    found = node.plan.get("")
    if found is None and child is not None:
        found = node.plan[""] = _entry(child(), "")
    return found


def _entry(child: Structure, owner: str) -> tuple[type | None, Step, Node, str]:
    """(the exact type that needs no further look, how to read others, the schema, the owner's Go name)."""
    assert isinstance(child, Node)
    step = _step(child)
    return (_EXACT.get(step), step, child, owner)


def _step(node: Node) -> Step:
    """How to read values of a schema."""
    if node.names or node.embedded:
        return _struct
    if node.int_or_string and not node.typed:
        return _untyped_scalar
    if node.additional is not None:
        return _map
    if node.items is not None:
        return _list
    if node.preserve or not node.typed:
        return _anything if node.typed or node.type in {"object", "array", ""} else _untyped_scalar
    return _SPECIAL.get(node.definition) or _SCALARS.get((node.type, node.format)) or _SCALARS[node.type, ""]


# --- scalars -------------------------------------------------------------------------------------------------------


def _string(node: Node, value: Any, at: At, report: Report) -> Any:
    return value if isinstance(value, str) else report.mismatch(node, value, at)


def _boolean(node: Node, value: Any, at: At, report: Report) -> Any:
    return value if isinstance(value, bool) else report.mismatch(node, value, at)


def _integer(node: Node, value: Any, at: At, report: Report) -> Any:
    limit = _RANGES.get(node.format, 1 << 63)
    if value.__class__ is int and -limit <= value < limit:
        return value
    return report.mismatch(node, value, at)


def _number(node: Node, value: Any, at: At, report: Report) -> Any:
    return value if value.__class__ in {int, float} else report.mismatch(node, value, at)


def _quantity(_node: Node, value: Any, _at: At, report: Report) -> Any:
    try:
        return quantity.canonical(value)
    except ValueError as wrong:
        return report.problem(str(wrong), value)


def _int_or_string(_node: Node, value: Any, _at: At, report: Report) -> Any:
    if isinstance(value, str) or (value.__class__ is int and -(1 << 31) <= value < 1 << 31):
        return value
    return report.problem(f"json: cannot unmarshal {_json_type(value)} into Go value of type int32", value)


def _base64(node: Node, value: Any, at: At, report: Report) -> Any:
    if not isinstance(value, str):
        return report.mismatch(node, value, at)
    plain = value.replace("\n", "").replace("\r", "")
    try:
        binascii.a2b_base64(plain, strict_mode=True)
    except (binascii.Error, ValueError):
        return report.problem(f"illegal base64 data at input byte {_bad_byte(plain)}", value)
    return plain


def _time(node: Node, value: Any, at: At, report: Report) -> Any:
    if isinstance(value, str) and _SECONDS.fullmatch(value):
        return value
    return _stamp(node, value, at, report, timestamp.seconds)


def _micro_time(node: Node, value: Any, at: At, report: Report) -> Any:
    if isinstance(value, str) and _MICROS.fullmatch(value):
        return value
    return _stamp(node, value, at, report, timestamp.micro)


def _stamp(node: Node, value: Any, at: At, report: Report, spelled: Callable[[float], str]) -> Any:
    if not isinstance(value, str):
        return report.mismatch(node, value, at)
    try:
        if _STAMP.fullmatch(value) is None:
            raise ValueError
        return spelled(timestamp.parse(value))
    except ValueError:
        text = f'parsing time "{value}" as "2006-01-02T15:04:05Z07:00": cannot parse "{value}" as "2006"'
        return report.problem(text, value)


def _untyped_scalar(_node: Node, value: Any, _at: At, _report: Report) -> Any:
    return int(value) if value.__class__ is float and value.is_integer() else value


_SPECIAL: dict[str, Step] = {QUANTITY: _quantity, TIME: _time, MICRO_TIME: _micro_time}
_SCALARS: dict[tuple[str, str], Step] = {
    ("string", ""): _string, ("string", "byte"): _base64, ("string", "int-or-string"): _int_or_string,
    ("string", "date-time"): _time, ("boolean", ""): _boolean, ("integer", ""): _integer, ("number", ""): _number,
    ("object", ""): _struct, ("array", ""): _anything,
}  # fmt: skip
_EXACT: dict[Step, type] = {_string: str, _boolean: bool, _untyped_scalar: str}
_ZEROS: dict[Step, Callable[[], Any]] = {
    _string: str, _boolean: bool, _integer: int, _number: int, _struct: dict, _map: dict, _list: list,
    _base64: str, _quantity: lambda: "0",
}  # fmt: skip


def _zero(step: Step) -> Any:
    """What Go makes of a null in a list or a map."""
    made = _ZEROS.get(step)
    return made() if made is not None else None


# --- spelling ------------------------------------------------------------------------------------------------------


def _steps(at: At) -> list[tuple[str | int, str]]:
    found: list[tuple[str | int, str]] = []
    while at is not None:
        found.append((at[1], at[2]))
        at = at[0]
    found.reverse()
    return found


def spelled(at: At) -> str:
    """`spec.containers[0].image`."""
    text = ""
    for step, _ in _steps(at):
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")


def _go_field(at: At) -> tuple[str, str]:
    """The innermost struct and the fields that lead to its field; indices and keys are not told."""
    steps = _steps(at)
    owner = next((o for _, o in reversed(steps) if o), "")
    return owner, ".".join(str(s) for i, (s, o) in enumerate(steps) if o or (i == 0 and isinstance(s, str)))


def _go_type(node: Node) -> str:
    if node.definition:
        return ".".join(node.definition.split(".")[-2:])
    for child, prefix in ((node.element(), "[]"), (node.additional and node.additional(), "map[string]")):
        if isinstance(child, Node):
            return prefix + _go_type(child)
    if node.type == "string":
        return "[]uint8" if node.format == "byte" else "string"
    return {"boolean": "bool", "number": "float64", "integer": node.format or "int64"}.get(node.type, node.type)


def _json_type(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case int() | float():
            return f"number {value}" if isinstance(value, float) or abs(value) >= 1 << 31 else "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"


def _bad_byte(text: str) -> int:
    """Where a base64 text goes wrong, as Go counts."""
    found = re.search(r"[^A-Za-z0-9+/]", text)
    return found.start() if found is not None else len(text) // 4 * 4
