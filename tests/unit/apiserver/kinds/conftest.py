"""`kinds`: creates and updates objects as the write path does, without a server."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fairlead.api import builtin
from fairlead.api.apiextensions import CustomResourceDefinition
from fairlead.api.meta import Resource
from fairlead.apiserver.kinds import strategy
from fairlead.base.errors import Cause
from fairlead.machinery import schema, tables
from fairlead.machinery.structure import Structure

Obj = dict[str, Any]


class Kinds:
    """Every built-in and bundled kind, with its strategy."""

    def __init__(self) -> None:
        self._kinds: dict[str, tuple[Resource[Any], Structure, strategy.Strategy]] = {}
        for resource in builtin.RESOURCES:
            self._add(resource, tables.structure(resource.schema))
        for crd in tables.bundled_crds():
            spec = msgspec.convert(crd, CustomResourceDefinition).spec
            version = spec.versions[0]
            resource = Resource(
                spec.group, version.name, spec.names.kind, spec.names.plural, dict,
                namespaced=spec.scope == "Namespaced", status=version.subresources.status is not None,
            )  # fmt: skip
            self._add(resource, tables.custom(version.schema.openAPIV3Schema))

    def _add(self, resource: Resource[Any], structure: Structure) -> None:
        """By kind; where a built-in one has that name already, by kind and group."""
        name = f"{resource.kind}.{resource.group}" if resource.kind in self._kinds else resource.kind
        self._kinds[name] = (resource, structure, strategy.find(resource, structure))

    def create(self, kind: str, obj: Obj) -> tuple[Obj, list[str]]:
        """(the object as it would be stored, what is wrong with it)."""
        resource, structure, ways = self._kinds[kind]
        new = msgspec.json.decode(msgspec.json.encode(obj))
        new.setdefault("apiVersion", resource.api_version)
        new.setdefault("kind", kind)
        conformed = schema.conform(structure, new)
        assert not conformed.problems
        assert not conformed.unknown
        ways.default(new)
        new["metadata"].setdefault("uid", "u-1")
        if resource.namespaced:
            new["metadata"].setdefault("namespace", "default")
        ways.prepare_create(new)
        return new, told(strategy.validate_meta(new, resource) + ways.validate(new))

    def made(self, kind: str, obj: Obj) -> Obj:
        """A created object that has nothing wrong."""
        new, wrong = self.create(kind, obj)
        assert wrong == []
        return new

    def update(self, kind: str, old: Obj, **changed: Any) -> tuple[Obj, list[str]]:
        """Replace top-level parts; dotted names with `__` go deeper."""
        resource, structure, ways = self._kinds[kind]
        new = msgspec.json.decode(msgspec.json.encode(old))
        for path, value in changed.items():
            *parents, last = path.split("__")
            at = new
            for part in parents:
                at = at[int(part) if part.isdigit() else part]
            at[last] = value
        schema.conform(structure, new)
        ways.default(new)
        ways.prepare_update(new, old)
        return new, told(strategy.validate_meta_update(new, old, resource) + ways.validate_update(new, old))

    def update_status(self, kind: str, old: Obj, new: Obj) -> tuple[Obj, list[str]]:
        ways = self._kinds[kind][2]
        ways.prepare_status(new, old)
        return new, told(ways.validate_status(new, old))


def told(causes: list[Cause]) -> list[str]:
    return [f"{c.field}: {c.message}" for c in causes]


@pytest.fixture(scope="session")
def kinds() -> Kinds:
    return Kinds()
