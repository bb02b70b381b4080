"""The catalog: every kind that is served now, built-in or from a CustomResourceDefinition.

Discovery, OpenAPI, Table and REST all read this one structure. It changes only when CustomResourceDefinitions do;
`generation` then grows, so that whatever is derived from the catalog can be cached by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from fairlead.api import builtin
from fairlead.api.apiextensions import Column, CustomResourceDefinition, ScaleSubresource
from fairlead.api.meta import Resource
from fairlead.apiserver.versions import CONVERSIONS, Conversion
from fairlead.machinery import tables
from fairlead.machinery.structure import Structure

Plain = Resource[dict[str, Any]]


class Served(msgspec.Struct, frozen=True):
    """One served version of a kind."""

    resource: Plain
    structure: Structure
    """The schema of the whole object (apiVersion, kind, metadata included)."""
    crd: CustomResourceDefinition | None = None
    """Where it comes from; None for a built-in kind."""
    columns: tuple[Column, ...] = ()
    """additionalPrinterColumns of a custom kind. Built-in kinds' columns are in `apiserver.table`."""
    scale: ScaleSubresource | None = None
    """Paths of the scale subresource."""
    selectable: tuple[str, ...] = ()
    """JSON paths of further selectable fields, such as `.spec.foo`."""
    storage_version: str = ""
    """The version that custom objects are stored in (all versions of a kind share one storage prefix)."""

    conversion: Conversion | None = None
    """Between this version of a built-in kind and the one that is stored."""

    @property
    def prefix(self) -> str:
        """Where its objects live in the store: `/registry/<group or core>/<plural>/`; then `<namespace>/` and name."""
        if self.conversion is not None and self.conversion.prefix:
            return self.conversion.prefix
        return f"/registry/{self.resource.group or 'core'}/{self.resource.plural}/"


_SCALE = ScaleSubresource("spec.replicas", "status.replicas", "spec.selector")
"""Where built-in kinds have what their `scale` shows."""


def with_builtins() -> Catalog:
    """A catalog of the built-in kinds."""
    return Catalog([_built_in(r) for r in builtin.RESOURCES])


def _built_in(resource: Resource[Any]) -> Served:
    scale, conversion = _SCALE if resource.scale else None, CONVERSIONS.get(resource.gvr)
    return Served(resource.plain, tables.structure(resource.schema), scale=scale, conversion=conversion)


class Catalog:
    """Looks kinds up. Built by `with_builtins`; custom kinds come and go by `put_crd` and `drop_crd`."""

    def __init__(self, builtins: Sequence[Served] = ()) -> None:
        self.generation = 0
        self._builtins = {s.resource.gvr: s for s in builtins}
        self._custom: dict[str, tuple[Served, ...]] = {}
        self._index: dict[tuple[str, str, str], Served] = {}
        self._kinds: dict[tuple[str, str], Served] = {}
        self._rebuild()

    def find(self, group: str, version: str, plural: str) -> Served | None:
        """The kind at `/apis/<group>/<version>/<plural>`."""
        return self._index.get((group, version, plural))

    def by_kind(self, api_version: str, kind: str) -> Served | None:
        """The kind that an object names in its apiVersion and kind."""
        return self._kinds.get((api_version, kind))

    def versions(self, group: str, plural: str) -> Sequence[str]:
        """The versions that a kind is served in."""
        return self._versions.get((group, plural), ())

    def all(self) -> Sequence[Served]:
        """Every served version of every kind; built-in ones first, in the order of `api.builtin`."""
        return tuple(self._index.values())

    def groups(self) -> Mapping[str, Sequence[str]]:
        """Group to its versions, most stable and newest first (the first is the preferred one)."""
        versions: dict[str, set[str]] = {}
        for group, version, _ in self._index:
            versions.setdefault(group, set()).add(version)
        return {g: sorted(v, key=version_order) for g, v in versions.items()}

    def put_crd(self, name: str, served: Sequence[Served]) -> None:
        """Serve the versions of a CustomResourceDefinition (again)."""
        self._custom[name] = tuple(served)
        self._rebuild()

    def drop_crd(self, name: str) -> None:
        """Stop serving a CustomResourceDefinition's kinds."""
        if self._custom.pop(name, None) is not None:
            self._rebuild()

    def _rebuild(self) -> None:
        self._index = dict(self._builtins)
        for many in self._custom.values():
            self._index.update({s.resource.gvr: s for s in many})
        self._versions: dict[tuple[str, str], list[str]] = {}
        for group, version, plural in self._index:
            self._versions.setdefault((group, plural), []).append(version)
        self._kinds = {(s.resource.api_version, s.resource.kind): s for s in self._index.values()}
        self.generation += 1


def version_order(version: str) -> tuple[int, int, int, str]:
    """Sort key of Kubernetes versions: GA before beta before alpha, newest first, anything else last."""
    text = version[1:] if version.startswith("v") else ""
    for rank, word in ((1, "beta"), (2, "alpha")):
        head, found, tail = text.partition(word)
        if found and head.isdigit() and tail.isdigit():
            return (rank, -int(head), -int(tail), version)
    return (0, -int(text), 0, version) if text.isdigit() else (3, 0, 0, version)
