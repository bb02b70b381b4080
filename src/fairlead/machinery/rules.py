"""Checks the rules (x-kubernetes-validations, in CEL) of a custom kind's schema.

A rule that reads `oldSelf` is a transition rule: it counts on update, where the old value can be told: by field, by
map key, by the keys of a list map. Other rules are passed over where the value is as it was, so that a stricter
definition does not lock the objects that are there already.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fairlead.base.errors import Cause
from fairlead.machinery import causes, cel
from fairlead.machinery.cel import values
from fairlead.machinery.compiled import Node
from fairlead.machinery.decoding import At, spelled
from fairlead.machinery.defaulting import children
from fairlead.machinery.structure import Structure

SELF, OLD = "self", "oldSelf"
NAMES = frozenset({SELF, OLD})
_ABSENT: Any = object()
_NAMED = ("name", "generateName")


def compile(text: str) -> cel.Program:
    """The program of a rule or of a message. Raises CelError."""
    return cel.compile(text, NAMES)


def broken(structure: Node, obj: dict[str, Any], old: dict[str, Any] | None) -> list[Cause]:
    """The rules that an object breaks; rules that read `oldSelf` count on update only."""
    found: list[Cause] = []
    if has_rules(structure):
        before = _ABSENT if old is None else _visible(old)
        _walk(structure, _visible(obj), before, None, found)
    return found


def _visible(obj: dict[str, Any]) -> dict[str, Any]:
    """An object as rules see it: of metadata the name only."""
    meta = {k: v for k, v in obj.get("metadata", {}).items() if k in _NAMED}
    return {**obj, "metadata": meta}


def has_rules(node: Structure) -> bool:
    """Whether a rule is anywhere at or below a node of a custom kind (which is never recursive)."""
    assert isinstance(node, Node)
    if node.ruled is None:
        node.ruled = not node.typed and (bool(node.rules) or any(has_rules(c) for c in children(node)))
    return node.ruled


def _walk(node: Structure, value: Any, old: Any, at: At, found: list[Cause]) -> None:
    if value is None or not has_rules(node):
        return
    assert isinstance(node, Node)
    for rule in node.rules:
        cause = _check(node, rule, value, old, at)
        if cause is not None:
            found.append(cause)
    match value:
        case dict():
            for key, item in value.items():
                child = node.property(key)
                if child is not None:
                    before = old.get(key, _ABSENT) if isinstance(old, dict) else _ABSENT
                    _walk(child, item, before, (at, key, ""), found)
        case list():
            _walk_list(node, value, old, at, found)


def _walk_list(node: Node, value: list[Any], old: Any, at: At, found: list[Cause]) -> None:
    child = node.element()
    if child is None or not has_rules(child):
        return
    were = _by_key(node, old)
    for index, item in enumerate(value):
        before = were.get(_key(node, item), _ABSENT) if were else _ABSENT
        _walk(child, item, before, (at, index, ""), found)


def _by_key(node: Node, old: Any) -> dict[Any, Any]:
    """The old elements of a list map; those of other lists have no identity."""
    if node.list_type != "map" or not isinstance(old, list):
        return {}
    return {_key(node, item): item for item in old}


def _key(node: Node, item: Any) -> tuple[str, ...]:
    return tuple(repr(item.get(k)) for k in node.map_keys) if isinstance(item, dict) else ()


# --- one rule ------------------------------------------------------------------------------------------------------


def _check(node: Node, rule: Mapping[str, Any], value: Any, old: Any, at: At) -> Cause | None:
    text = rule.get("rule", "")
    try:
        program = compile(text)
        variables = _variables(node, rule, program, value, old)
        if variables is None or program.evaluate(variables) is True:
            return None
        message = _message(rule, variables)
    except cel.CelError as wrong:
        message = f"rule evaluation error: {wrong}: {text}"
    path = spelled(at) + rule.get("fieldPath", "")
    reason = rule.get("reason") or "FieldValueInvalid"
    shown = node.type if isinstance(value, dict | list) else value
    return Cause(reason, _worded(reason, shown, message), path.removeprefix("."))


def _variables(
    node: Node, rule: Mapping[str, Any], program: cel.Program, value: Any, old: Any
) -> dict[str, Any] | None:
    """What a rule reads; None when it does not count."""
    known = old is not _ABSENT and old is not None
    if OLD not in program.names:
        return None if known and old == value else {SELF: _typed(node, value)}
    if rule.get("optionalOldSelf"):
        return {SELF: _typed(node, value), OLD: cel.Optional(known, _typed(node, old) if known else None)}
    return {SELF: _typed(node, value), OLD: _typed(node, old)} if known else None


def _message(rule: Mapping[str, Any], variables: dict[str, Any]) -> str:
    expression = rule.get("messageExpression")
    if expression:
        try:
            made = compile(expression).evaluate(variables)
            if isinstance(made, str) and made.strip():
                return made
        except cel.CelError:
            pass  # as upstream: the plain message stands in
    return str(rule.get("message") or f"failed rule: {rule.get('rule', '').strip()}")


def _worded(reason: str, shown: Any, message: str) -> str:
    match reason:
        case "FieldValueForbidden":
            return f"Forbidden: {message}"
        case "FieldValueRequired":
            return f"Required value: {message}"
        case "FieldValueDuplicate":
            return f"Duplicate value: {causes.spelled(shown)}"
    return f"Invalid value: {causes.spelled(shown)}: {message}"


def _typed(node: Structure, value: Any) -> Any:
    """A value with the types that rules see: times and durations are no strings."""
    match value:
        case str():
            return _moment(node.format, value) if node.format else value
        case dict():
            return {k: _typed(c, v) if (c := node.property(k)) is not None else v for k, v in value.items()}
        case list():
            child = node.element()
            return [_typed(child, v) for v in value] if child is not None else value
    return value


def _moment(form: str, text: str) -> str | datetime | cel.Duration:
    match form:
        case "date-time" | "datetime":
            return values.parse_timestamp(text)
        case "duration":
            return values.parse_duration(text)
    return text
