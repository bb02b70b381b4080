"""Whatever is sent, writing answers with what is wrong and never fails; and what is in form stays as it is."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.api import builtin
from fairlead.api.apiextensions import CustomResourceDefinition
from fairlead.api.meta import Resource
from fairlead.apiserver.kinds import strategy
from fairlead.machinery import schema, tables
from fairlead.machinery.structure import Structure

Kind = tuple[Resource[Any], Structure, strategy.Strategy]
TEXTS = (
    "",
    "a",
    "Always",
    "Never",
    "None",
    "Indexed",
    "1",
    "500m",
    "1Gi",
    "2026-01-02T03:04:05Z",
    "YQ==",
    "a/b",
    "A b",
)
ODD: tuple[Any, ...] = (None, True, -1, 0, 1.5, "x", [], {}, [None], {"a": None}, [{}], {"": ""})
PROPER = {
    "Quantity": "1500m", "Time": "2026-01-02T03:04:05Z", "MicroTime": "2026-01-02T03:04:05.000006Z", "byte": "YQ==",
    "date-time": "2026-01-02T03:04:05Z", "int-or-string": "80%",
}  # fmt: skip


def kinds() -> list[Kind]:
    found = [(r, tables.structure(r.schema)) for r in builtin.RESOURCES]
    for crd in tables.bundled_crds():
        spec = msgspec.convert(crd, CustomResourceDefinition).spec
        resource = Resource(spec.group, spec.versions[0].name, spec.names.kind, spec.names.plural, dict, status=True)
        found.append((resource, tables.custom(spec.versions[0].schema.openAPIV3Schema)))
    return [(r, s, strategy.find(r, s)) for r, s in found]


class Maker:
    """Makes values for a schema, most of them of the right type."""

    def __init__(self, seed: int, odd: float) -> None:
        self._random, self._odd = random.Random(seed), odd

    def value(self, node: Structure | None, depth: int = 0) -> Any:
        chance = self._random
        if node is None or chance.random() < self._odd:
            return chance.choice(ODD)
        if node.names:
            share = 0.9 if depth < 2 else 0.35 if depth < 7 else 0.0
            names = [n for n in node.names if chance.random() < share or n in node.required]
            return {n: self.value(node.property(n), depth + 1) for n in names}
        if node.additional is not None:
            return {chance.choice(TEXTS): self.value(node.additional(), depth + 1) for _ in range(2)}
        if node.items is not None:
            return [self.value(node.element(), depth + 1) for _ in range(chance.randrange(3))]
        return self._scalar(node)

    def _scalar(self, node: Structure) -> Any:
        chance = self._random
        definition = getattr(node, "definition", "").rpartition(".")[2]
        if definition in PROPER:
            return PROPER[definition]
        if node.node.get("enum"):
            return chance.choice(node.node["enum"])
        match node.type:
            case "boolean":
                return chance.random() < 0.5
            case "integer":
                return chance.choice((0, 1, 2, 80, 420, -1))
            case "number":
                return 1.5
            case "string" if node.format:
                return PROPER.get(node.format, "x")
            case "string" | "":
                return chance.choice(TEXTS)
        return {}


def write(kind: Kind, obj: dict[str, Any]) -> dict[str, Any] | None:
    """The create path, then an update; None when the object cannot be decoded."""
    resource, structure, ways = kind
    obj["metadata"] = {"name": "a", "namespace": "default", "uid": "u"}
    if schema.conform(structure, obj).problems:
        return None
    ways.default(obj)
    ways.prepare_create(obj)
    strategy.validate_meta(obj, resource)
    if ways.validate(obj):
        return None
    new = msgspec.json.decode(msgspec.json.encode(obj))
    ways.prepare_update(new, obj)
    assert new == obj
    assert ways.validate_update(new, obj) == []
    assert ways.validate_status(new, obj) == []
    return obj


@pytest.mark.parametrize("kind", kinds(), ids=lambda k: k[0].kind)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), odd=st.sampled_from([0.0, 0.02, 0.2]))
def test_writing_never_fails(kind: Kind, seed: int, odd: float) -> None:
    made = Maker(seed, odd).value(kind[1])
    write(kind, made if isinstance(made, dict) else {})


@pytest.mark.parametrize("kind", kinds(), ids=lambda k: k[0].kind)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_what_is_in_form_stays(kind: Kind, seed: int) -> None:
    _, structure, ways = kind
    obj = Maker(seed, 0.02).value(structure)
    obj = obj if isinstance(obj, dict) else {}
    obj["metadata"] = {"name": "a"}
    if schema.conform(structure, obj).problems:
        return
    ways.default(obj)
    once = msgspec.json.encode(obj)
    again = schema.conform(structure, obj)
    ways.default(obj)
    assert (again.unknown, again.problems) == ([], [])
    assert msgspec.json.decode(msgspec.json.encode(obj)) == msgspec.json.decode(once)
