"""Checks an object against a CustomResourceDefinition's schema; the texts are upstream's.

Typed parts (metadata) are passed over: decoding has checked their types, `apiserver.kinds.metadata` their values.
Rules in CEL are checked only when everything else holds, because they may assume it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from fairlead.base.errors import Cause
from fairlead.machinery import causes, formats, regex, rules
from fairlead.machinery.compiled import Node, compile
from fairlead.machinery.decoding import At, spelled
from fairlead.machinery.structure import Structure

Found = list[Cause]

_JUNCTORS = ("allOf", "anyOf", "oneOf", "not")
_COUNTED = {"maxItems", "minItems", "maxProperties", "minProperties"}
_STRINGS = {"pattern", "minLength", "maxLength"}
_NUMBERS = {"minimum", "maximum", "multipleOf"}


class Checks(msgspec.Struct):
    """What a node asks beside types, required fields and structure."""

    enum: list[Any] | None
    strings: bool
    numbers: bool
    counts: bool
    junctors: list[tuple[str, list[Node]]]


UNCHECKED = Cause(
    "FieldValueInvalid",
    "Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation",
    "<nil>",
)
"""Beside other causes: rules in CEL are only asked about objects that fit their schema."""


def validate(structure: Structure, obj: dict[str, Any], old: dict[str, Any] | None = None) -> list[Cause]:
    """The rules of the schema that an object breaks.

    `old` is given on update: for transition rules, and because what was wrong already may stay (ratcheting).
    """
    assert isinstance(structure, Node)
    found = _values(structure, obj)
    if found and old is not None:
        before = _values(structure, old)
        found = [cause for cause in found if cause not in before]
    if found and rules.has_rules(structure):
        found.append(UNCHECKED)
    return found or rules.broken(structure, obj, old)


def _values(structure: Node, obj: dict[str, Any]) -> Found:
    """Everything but the rules."""
    found: Found = []
    _check(structure, obj, None, found)
    _check_name(structure, obj, found)
    return found


def _check(node: Structure, value: Any, at: At, found: Found) -> None:
    assert isinstance(node, Node)
    if node.typed:
        return
    if not _fits(node, value):
        wanted = "integer" if node.int_or_string else node.type
        _mistyped(at, value, wanted, found)
        return
    checks: Checks = node.checks or _compiled(node)
    if checks.enum is not None and value not in checks.enum:
        found.append(causes.not_supported(spelled(at), value, checks.enum))
    match value:
        case str():
            if checks.strings or node.format:
                found += _text(node, value, spelled(at))
        case dict():
            _check_object(node, value, at, found)
        case list():
            _check_list(node, value, at, found)
        case int() | float() if checks.numbers and not isinstance(value, bool):
            found += _number(node.node, value, spelled(at))
    if checks.counts and isinstance(value, list | dict):
        found += _counts(node.node, value, spelled(at))
    if checks.junctors:
        found += _junctors(checks, value, at)


def _check_object(node: Node, value: dict[str, Any], at: At, found: Found) -> None:
    for name in node.required:
        if name not in value:
            found.append(causes.required(spelled((at, name, ""))))
    for key, item in value.items():
        child = node.property(key)
        if child is not None and not (item is None and child.nullable):
            _check(child, item, (at, key, ""), found)


def _check_list(node: Node, value: list[Any], at: At, found: Found) -> None:
    child = node.element()
    if child is not None:
        for index, item in enumerate(value):
            _check(child, item, (at, index, ""), found)
    if node.list_type in {"set", "map"}:
        found += _duplicates(node, value, at)


def _duplicates(node: Node, value: list[Any], at: At) -> Iterator[Cause]:
    seen: set[bytes] = set()
    for index, item in enumerate(value):
        told = item
        if node.list_type == "map":
            if not isinstance(item, dict):
                continue
            told = {k: item[k] for k in node.map_keys if k in item}
        mark = msgspec.json.encode(told, order="deterministic")
        if mark in seen:
            yield causes.duplicate(spelled((at, index, "")), told)
        seen.add(mark)


# --- types ---------------------------------------------------------------------------------------------------------


def _fits(node: Node, value: Any) -> bool:
    if node.int_or_string:
        return isinstance(value, str) or _is_integer(value)
    if value is None:
        return node.nullable or not node.type
    match node.type:
        case "string":
            return isinstance(value, str)
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return _is_integer(value)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
    return True


def _is_integer(value: Any) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())


def json_type(value: Any) -> str:
    """The name that JSON schema has for a value's type."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case str():
            return "string"
        case int():
            return "integer"
        case float():
            return "number"
        case list():
            return "array"
    return "object"


def _mistyped(at: At, value: Any, wanted: str, found: Found) -> None:
    path, given = spelled(at), json_type(value)
    found.append(causes.type_invalid(path, given, f'{path} in body must be of type {wanted}: "{given}"'))


# --- constraints ---------------------------------------------------------------------------------------------------


def _compiled(node: Node) -> Checks:
    plain = node.node
    node.checks = Checks(
        enum=plain.get("enum"),
        strings=not _STRINGS.isdisjoint(plain),
        numbers=not _NUMBERS.isdisjoint(plain),
        counts=not _COUNTED.isdisjoint(plain),
        junctors=[] if node.int_or_string else list(_junctors_of(plain)),
    )
    found: Checks = node.checks
    return found


def _junctors_of(plain: Mapping[str, Any]) -> Iterator[tuple[str, list[Node]]]:
    for name in _JUNCTORS:
        branches = plain.get(name)
        if branches:
            listed = branches if isinstance(branches, list) else [branches]
            yield name, [n for b in listed if isinstance(n := compile(b), Node)]


def _text(node: Node, value: str, path: str) -> Iterator[Cause]:
    plain = node.node
    if (most := plain.get("maxLength")) is not None and len(value) > most:
        yield causes.too_long(path, most)
    if (least := plain.get("minLength")) is not None and len(value) < least:
        yield causes.invalid(path, value, f"{path} in body should be at least {least} chars long")
    pattern = plain.get("pattern")
    if pattern and regex.compile(pattern).search(value) is None:
        yield causes.invalid(path, value, f"{path} in body should match '{pattern}'")
    if node.format and not formats.valid(node.format, value):
        yield causes.invalid(path, value, f"{path} in body must be of type {node.format}: {causes.spelled(value)}")


def _number(plain: Mapping[str, Any], value: float, path: str) -> Iterator[Cause]:
    least, most, step = plain.get("minimum"), plain.get("maximum"), plain.get("multipleOf")
    if most is not None:
        if plain.get("exclusiveMaximum") and value >= most:
            yield causes.invalid(path, value, f"{path} in body should be less than {most}")
        elif value > most:
            yield causes.invalid(path, value, f"{path} in body should be less than or equal to {most}")
    if least is not None:
        if plain.get("exclusiveMinimum") and value <= least:
            yield causes.invalid(path, value, f"{path} in body should be greater than {least}")
        elif value < least:
            yield causes.invalid(path, value, f"{path} in body should be greater than or equal to {least}")
    if step and value % step:
        yield causes.invalid(path, value, f"{path} in body should be a multiple of {step}")


def _counts(plain: Mapping[str, Any], value: list[Any] | dict[str, Any], path: str) -> Iterator[Cause]:
    noun = "Items" if isinstance(value, list) else "Properties"
    count, least, most = len(value), plain.get("min" + noun), plain.get("max" + noun)
    if most is not None and count > most:
        yield causes.too_many(path, count, most)
    if least is not None and count < least:
        yield causes.invalid(path, count, f"{path} in body should have at least {least} {noun.lower()}")


def _junctors(checks: Checks, value: Any, at: At) -> Iterator[Cause]:
    path = spelled(at)
    for name, branches in checks.junctors:
        held = [not _problems(b, value, at) for b in branches]
        match name:
            case "allOf" if not all(held):
                for branch in branches:
                    yield from _problems(branch, value, at)
                yield causes.invalid(path, "", f'"{path}" must validate all the schemas (allOf)')
            case "anyOf" if not any(held):
                yield causes.invalid(path, "", f'"{path}" must validate at least one schema (anyOf)')
            case "oneOf" if sum(held) != 1:
                told = "Found none valid" if not any(held) else f"Found {sum(held)} valid alternatives"
                yield causes.invalid(path, "", f'"{path}" must validate one and only one schema (oneOf). {told}')
            case "not" if any(held):
                yield causes.invalid(path, "", f'"{path}" must not validate the schema (not)')


def _problems(node: Node, value: Any, at: At) -> Found:
    found: Found = []
    _check(node, value, at, found)
    return found


# --- metadata ------------------------------------------------------------------------------------------------------


def _check_name(structure: Node, obj: dict[str, Any], found: Found) -> None:
    """A schema may restrict metadata.name and metadata.generateName, and nothing else of metadata."""
    declared = structure.node.get("properties", {}).get("metadata", {}).get("properties")
    meta = obj.get("metadata")
    if declared and isinstance(meta, dict):
        for field in ("name", "generateName"):
            if field in declared and field in meta:
                restricted = compile(declared[field])
                assert isinstance(restricted, Node)
                _check(restricted, meta[field], ((None, "metadata", ""), field, ""), found)
