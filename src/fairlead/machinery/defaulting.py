"""Fills in the defaults of a CustomResourceDefinition's schema. Built-in kinds' defaults are in `apiserver.kinds`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fairlead.machinery.compiled import Node
from fairlead.machinery.structure import Structure


def default(structure: Structure, obj: dict[str, Any]) -> None:
    """Fill in the schema's defaults, in place, wherever the parent is present."""
    assert isinstance(structure, Node)
    _fill(structure, obj)


def _fill(node: Node, value: Any) -> None:
    if not _has_defaults(node):
        return
    match value:
        case dict():
            _fill_object(node, value)
        case list() if node.items is not None:
            inner = node.items()
            assert isinstance(inner, Node)
            for item in value:
                _fill(inner, item)


def _fill_object(node: Node, value: dict[str, Any]) -> None:
    for name, child in node.names.items():
        schema = child()
        assert isinstance(schema, Node)
        if not _has_defaults(schema):
            continue
        if schema.has_default and (name not in value or (value[name] is None and not schema.nullable)):
            value[name] = copied(schema.default)
        if name in value:
            _fill(schema, value[name])
    if node.additional is not None:
        inner = node.additional()
        assert isinstance(inner, Node)
        for key in value.keys() - node.names.keys():
            if value[key] is None and inner.has_default and not inner.nullable:
                value[key] = copied(inner.default)
            _fill(inner, value[key])


def _has_defaults(node: Node) -> bool:
    """Whether a default is anywhere at or below a node of a custom kind (which is never recursive)."""
    if node.defaults is None:
        node.defaults = not node.typed and (node.has_default or any(_has_defaults(c) for c in children(node)))
    return node.defaults


def children(node: Node) -> Iterator[Node]:
    """The schemas directly below."""
    for child in (*node.names.values(), node.items, node.additional):
        found = child() if child is not None else None
        if isinstance(found, Node):
            yield found


def copied(value: Any) -> Any:
    """A plain value that shares nothing with the original."""
    match value:
        case dict():
            return {k: copied(v) for k, v in value.items()}
        case list():
            return [copied(v) for v in value]
    return value
