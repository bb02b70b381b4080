"""Whether a custom kind's schema is structural: every value's place is typed once, outside of the junctors.

Without that, pruning, defaulting and apply could not know what a field is. Also: patterns must be readable here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fairlead.apiserver.kinds.ways import Obj
from fairlead.base.errors import Cause
from fairlead.machinery import causes, cel, regex, rules

TYPES = ("array", "boolean", "integer", "number", "object", "string")
LIST_TYPES = ("atomic", "map", "set")
_JUNCTORS = ("allOf", "anyOf", "oneOf")
_REFUSED = ("$ref", "definitions", "dependencies", "deprecated", "discriminator", "id", "patternProperties", "readOnly",
            "writeOnly", "xml")  # fmt: skip
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_INT_OR_STRING = "x-kubernetes-int-or-string"


def problems(schema: Obj, path: str) -> Iterator[Cause]:
    """What keeps a version's schema from being structural."""
    if schema.get("type") != "object":
        kind = schema.get("type")
        yield (
            causes.invalid(f"{path}.type", kind, "must be object")
            if kind
            else causes.required(f"{path}.type", "must not be empty at the root")
        )
    if schema.get("nullable"):
        yield causes.forbidden(f"{path}.nullable", "nullable cannot be true at the root")
    yield from _node(schema, path, root=True)


def _node(node: Any, path: str, root: bool = False) -> Iterator[Cause]:
    if not isinstance(node, dict):
        return
    if not root:
        yield from _typed(node, path)
    for field in _REFUSED:
        if field in node:
            yield causes.forbidden(f"{path}.{field}", f"{field} is not supported")
    yield from _lists(node, path)
    yield from _pattern(node, path)
    yield from _rules(node, path)
    if "additionalProperties" in node and node.get("properties"):
        detail = "additionalProperties and properties are mutually exclusive"
        yield causes.forbidden(f"{path}.additionalProperties", detail)
    for name, child in (node.get("properties") or {}).items():
        if not (root and name == "metadata"):
            yield from _node(child, f"{path}.properties[{name}]")
    yield from _node(node.get("items"), f"{path}.items")
    yield from _node(node.get("additionalProperties"), f"{path}.additionalProperties")
    for junctor in _JUNCTORS:
        for index, branch in enumerate(node.get(junctor) or ()):
            yield from _branch(branch, f"{path}.{junctor}[{index}]", bool(node.get(_INT_OR_STRING)))
    if "not" in node:
        yield from _branch(node["not"], f"{path}.not", False)


def _typed(node: Obj, path: str) -> Iterator[Cause]:
    kind = node.get("type")
    if kind is None:
        if not node.get(_PRESERVE) and not node.get(_INT_OR_STRING):
            detail = "must not be empty for specified object fields" if ".properties[" in path else "must not be empty"
            yield causes.required(f"{path}.type", detail)
    elif kind not in TYPES:
        yield causes.not_supported(f"{path}.type", kind, TYPES)
    elif node.get(_INT_OR_STRING):
        yield causes.invalid(f"{path}.type", kind, f"must be empty if {_INT_OR_STRING} is true")
    if kind == "array" and "items" not in node:
        yield causes.required(f"{path}.items", "must be specified")


def _lists(node: Obj, path: str) -> Iterator[Cause]:
    kind, keys = node.get("x-kubernetes-list-type"), node.get("x-kubernetes-list-map-keys") or []
    if kind is None:
        if keys:
            yield causes.invalid(
                f"{path}.x-kubernetes-list-type", "", "must be map if x-kubernetes-list-map-keys is non-empty"
            )
        return
    if kind not in LIST_TYPES:
        yield causes.not_supported(f"{path}.x-kubernetes-list-type", kind, LIST_TYPES)
    if node.get("type") != "array":
        detail = "must be array if x-kubernetes-list-type is specified"
        yield causes.invalid(f"{path}.type", node.get("type"), detail)
    if kind == "map":
        yield from _map_keys(node, keys, path)


def _map_keys(node: Obj, keys: list[str], path: str) -> Iterator[Cause]:
    if not keys:
        detail = "must not be empty if x-kubernetes-list-type is map"
        yield causes.required(f"{path}.x-kubernetes-list-map-keys", detail)
    items = node.get("items") or {}
    for key in keys:
        child = (items.get("properties") or {}).get(key)
        if child is None:
            detail = "entries must all be names of item properties"
            yield causes.invalid(f"{path}.x-kubernetes-list-map-keys", keys, detail)
        elif key not in (items.get("required") or ()) and "default" not in child:
            detail = (
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            )
            yield causes.required(f"{path}.items.properties[{key}].default", detail)


def _pattern(node: Obj, path: str) -> Iterator[Cause]:
    pattern = node.get("pattern")
    if pattern:
        try:
            regex.compile(pattern)
        except ValueError as wrong:
            detail = f"must be a valid regular expression, but isn't: {wrong}"
            yield causes.invalid(f"{path}.pattern", pattern, detail)


def _rules(node: Obj, path: str) -> Iterator[Cause]:
    for index, rule in enumerate(node.get("x-kubernetes-validations") or ()):
        for field in ("rule", "messageExpression"):
            text = rule.get(field)
            at = f"{path}.x-kubernetes-validations[{index}].{field}"
            if not text:
                if field == "rule":
                    yield causes.required(at, "rule is not specified")
                continue
            try:
                rules.compile(text)
            except cel.CelError as wrong:
                yield causes.invalid(at, text, f"compilation failed: {wrong}")


def _branch(node: Any, path: str, int_or_string: bool) -> Iterator[Cause]:
    """Within a junctor only values are restricted; nothing is typed, described or defaulted anew."""
    if not isinstance(node, dict):
        return
    if "type" in node and not int_or_string:
        yield causes.forbidden(f"{path}.type", "must be empty to be structural")
    for field in ("default", "nullable", _PRESERVE, "x-kubernetes-embedded-resource", "x-kubernetes-list-type"):
        if field in node:
            yield causes.forbidden(f"{path}.{field}", "must be undefined to be structural")
    for name, child in (node.get("properties") or {}).items():
        yield from _branch(child, f"{path}.properties[{name}]", False)
    yield from _branch(node.get("items"), f"{path}.items", False)
    yield from _pattern(node, path)
