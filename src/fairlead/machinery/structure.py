"""Structure: a compiled schema node, as patch, apply, validation, pruning and defaulting read it.

`machinery.schema` compiles it from a CustomResourceDefinition's `openAPIV3Schema` or from the built-in tables.
Nodes may be recursive (JSONSchemaProps), so `$ref`s are resolved on first use and nodes are compared by identity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_MISSING: Any = object()


class Structure:
    """One schema node. Attributes are those of structural schemas; `x-kubernetes-` extensions have short names.

    `list_type` is `atomic`, `set` or `map` ("" = atomic for apply); `map_type` is `atomic` or "" (granular);
    `merge_key` and `strategies` are those of strategic merge patch.
    """

    __slots__ = (
        "_properties", "additional", "default", "embedded", "format", "int_or_string", "items", "list_type",
        "map_keys", "map_type", "merge_key", "node", "nullable", "preserve", "required", "rules", "strategies", "type",
    )  # fmt: skip

    def __init__(self, node: Mapping[str, Any]) -> None:
        self.node = node
        """The source node: constraints (enum, pattern, minimum, …) are read from here."""
        self.type: str = node.get("type", "")
        self.format: str = node.get("format", "")
        self.nullable: bool = bool(node.get("nullable"))
        self.default: Any = node.get("default", _MISSING)
        self.required: tuple[str, ...] = tuple(node.get("required", ()))
        self.int_or_string: bool = bool(node.get("x-kubernetes-int-or-string")) or self.format == "int-or-string"
        self.preserve: bool = bool(node.get("x-kubernetes-preserve-unknown-fields"))
        self.embedded: bool = bool(node.get("x-kubernetes-embedded-resource"))
        self.list_type: str = node.get("x-kubernetes-list-type", "")
        self.map_keys: tuple[str, ...] = tuple(node.get("x-kubernetes-list-map-keys", ()))
        self.map_type: str = node.get("x-kubernetes-map-type", "")
        self.merge_key: str = node.get("x-kubernetes-patch-merge-key", "")
        self.strategies: frozenset[str] = frozenset(
            filter(None, node.get("x-kubernetes-patch-strategy", "").split(","))
        )
        self.rules: tuple[Mapping[str, Any], ...] = tuple(node.get("x-kubernetes-validations", ()))
        self._properties: dict[str, Callable[[], Structure]] = {}
        self.items: Callable[[], Structure] | None = None
        self.additional: Callable[[], Structure] | None = None
        """The schema of a map's values; None where there are none or anything goes (then `preserve` is true)."""

    @property
    def has_default(self) -> bool:
        return self.default is not _MISSING

    @property
    def names(self) -> Mapping[str, Callable[[], Structure]]:
        """The declared properties, each resolved by calling it."""
        return self._properties

    def property(self, name: str) -> Structure | None:
        """The schema of a field: declared, or that of the map's values; None when it is unknown."""
        found = self._properties.get(name)
        if found is not None:
            return found()
        return self.additional() if self.additional is not None else None

    def element(self) -> Structure | None:
        """The schema of a list's elements."""
        return self.items() if self.items is not None else None
