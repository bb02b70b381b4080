"""Compiles schema nodes to Structures, lazily: a node is compiled when it is first reached, and once.

Two sorts of nodes become Structures: those of built-in definitions (`typed`, they refer to each other by `$ref`) and
those of CustomResourceDefinitions (self-contained, but for the `$ref` to ObjectMeta that `tables.custom` puts in).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fairlead.machinery.structure import Structure

Resolve = Callable[[str], Structure]
"""Finds the Structure of a definition by its name (what follows `#/definitions/`)."""

REFERENCE = "#/definitions/"
ANYTHING = frozenset({
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1",
    "io.k8s.apimachinery.pkg.runtime.RawExtension",
})  # fmt: skip
"""Definitions without properties that hold any object; the others without properties are empty structs."""
EMBEDDED_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


class Node(Structure):
    """A Structure that knows whether it is of a built-in definition, and how the decoder walks it."""

    __slots__ = ("checks", "defaults", "definition", "plan", "ruled", "typed")

    def __init__(self, node: Mapping[str, Any], typed: bool, definition: str) -> None:
        super().__init__(node)
        self.typed = typed
        self.definition = definition
        """The definition's name, where it is the root of one."""
        self.plan: dict[str, Any] | None = None
        """The decoder's: property to how to read it. Made when the node is first walked."""
        self.checks: Any = None
        """The validator's: the compiled constraints."""
        self.defaults: bool | None = None
        """Whether a default is anywhere at or below; None until somebody has looked."""
        self.ruled: bool | None = None
        """Whether a rule (x-kubernetes-validations) is anywhere at or below; None until somebody has looked."""


class _Once:
    """A child that is compiled when it is first asked for."""

    __slots__ = ("_found", "_node", "_resolve", "_typed")

    def __init__(self, node: Mapping[str, Any], resolve: Resolve | None, typed: bool) -> None:
        self._node, self._resolve, self._typed = node, resolve, typed
        self._found: Structure | None = None

    def __call__(self) -> Structure:
        if self._found is None:
            self._found = _compile(self._node, self._resolve, self._typed, "")
        return self._found


def compile(node: Mapping[str, Any], resolve: Resolve | None = None, definition: str = "") -> Structure:
    """The Structure of a schema node.

    With `definition` (the name of a built-in definition) it is a typed structure and `$ref`s go through `resolve`.
    """
    return _compile(node, resolve, bool(definition), definition)


def _compile(node: Mapping[str, Any], resolve: Resolve | None, typed: bool, definition: str) -> Structure:
    reference = node.get("$ref")
    if isinstance(reference, str) and resolve is not None:
        target = resolve(reference.removeprefix(REFERENCE))
        return target if len(node) == 1 else _overlaid(node, target, resolve)
    made = Node(node, typed, definition)
    _fill(made, node, resolve)
    return made


def _overlaid(node: Mapping[str, Any], target: Structure, resolve: Resolve) -> Structure:
    """A `$ref` with siblings, as a built-in list has its merge key and a field its own default."""
    definition = target.definition if isinstance(target, Node) else ""
    merged = {**target.node, **{k: v for k, v in node.items() if k != "$ref"}}
    return _compile(merged, resolve, True, definition)


def _fill(made: Node, node: Mapping[str, Any], resolve: Resolve | None) -> None:
    properties = node.get("properties", {})
    made._properties = {name: _Once(child, resolve, made.typed) for name, child in properties.items()}
    if made.embedded and resolve is not None:
        made._properties.setdefault("apiVersion", _Once({"type": "string"}, None, False))
        made._properties.setdefault("kind", _Once({"type": "string"}, None, False))
        made._properties["metadata"] = _Once({"$ref": REFERENCE + EMBEDDED_META}, resolve, True)
    items = node.get("items")
    if isinstance(items, Mapping):
        made.items = _Once(items, resolve, made.typed)
    additional = node.get("additionalProperties")
    if isinstance(additional, Mapping):
        made.additional = _Once(additional, resolve, made.typed)
    elif additional is True:
        made.preserve = True
    if made.typed and (not made.type or made.definition in ANYTHING):
        made.preserve = True
