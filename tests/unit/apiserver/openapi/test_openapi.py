"""OpenAPI documents: complete, consistent, and what kubectl reads in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from fairlead.api.apiextensions import CrdSpec, CustomResourceDefinition, Names
from fairlead.api.meta import ObjectMeta, Resource
from fairlead.apiserver import catalog, openapi
from fairlead.apiserver.catalog import Catalog, Served
from fairlead.apiserver.openapi import gnostic
from fairlead.machinery import tables

SCHEMA: dict[str, Any] = {
    "type": "object", "description": "A set of things.",
    "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer", "minimum": 1}}}},
}  # fmt: skip
SETS: Resource[dict[str, Any]] = Resource("x.example.org", "v1", "Set", "sets", dict, singular="set", status=True)


@pytest.fixture(scope="module")
def kinds() -> Catalog:
    return catalog.with_builtins()


def add_sets(kinds: Catalog, generation: int = 1) -> None:
    spec = CrdSpec("x.example.org", Names("sets", "Set", listKind="SetCollection"), "Namespaced", [])
    crd = CustomResourceDefinition(spec=spec, metadata=ObjectMeta(uid="u", generation=generation))
    kinds.put_crd("sets.x.example.org", [Served(SETS, tables.custom(SCHEMA), crd=crd)])


def read(kinds: Catalog, path: str) -> Any:
    document = openapi.OpenAPI(kinds).document(path, "application/json")
    return None if document is None else msgspec.json.decode(document.body)


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_the_index_names_every_document(kinds: Catalog) -> None:
    index = read(kinds, "/openapi/v3")["paths"]

    assert {"api/v1", "apis/batch/v1", "apis/authorization.k8s.io/v1"} <= set(index)
    for place, entry in index.items():
        url, _, digest = entry["serverRelativeURL"].partition("?hash=")
        assert url == f"/openapi/v3/{place}"
        assert len(digest) == 32
        assert read(kinds, url) is not None


def test_every_reference_leads_somewhere(kinds: Catalog) -> None:
    add_sets(kinds)
    for place in read(kinds, "/openapi/v3")["paths"]:
        document = read(kinds, f"/openapi/v3/{place}")
        schemas = document["components"]["schemas"]
        for reference in references(document):
            assert reference.startswith("#/components/schemas/")
            assert reference.rpartition("/")[2] in schemas
    v2 = read(kinds, "/openapi/v2")
    assert all(r.removeprefix("#/definitions/") in v2["definitions"] for r in references(v2))


@pytest.mark.parametrize(
    "path", ["/openapi", "/openapi/v3/api/v2", "/openapi/v3/apis/no/v1", "/openapi/v4", "/openapi/v3/x"]
)
def test_what_is_not_there(kinds: Catalog, path: str) -> None:
    assert read(kinds, path) is None


def test_every_kind_can_be_explained_and_validated(kinds: Catalog) -> None:
    """kubectl finds a kind by the path of its resource, its schema by group, version and kind."""
    add_sets(kinds)
    for served in kinds.all():
        resource = served.resource
        place = f"apis/{resource.group}/{resource.version}" if resource.group else f"api/{resource.version}"
        document = read(kinds, f"/openapi/v3/{place}")
        gvk = {"group": resource.group, "version": resource.version, "kind": resource.kind}
        inside = "/namespaces/{namespace}" if resource.namespaced else ""
        one = document["paths"][f"/{place}{inside}/{resource.plural}/{{name}}"]
        assert one["get"]["x-kubernetes-group-version-kind"] == gvk
        if "patch" not in resource.verbs:
            continue
        assert one["patch"]["x-kubernetes-group-version-kind"] == gvk
        assert {"dryRun", "fieldManager", "fieldValidation", "force"} == {p["name"] for p in one["patch"]["parameters"]}
        marked = [
            s for s in document["components"]["schemas"].values()
            if gvk in s.get("x-kubernetes-group-version-kind", ())
        ]  # fmt: skip
        assert len(marked) == 1
        assert {"apiVersion", "kind", "metadata"} <= set(marked[0]["properties"])


def test_actions(kinds: Catalog) -> None:
    paths = read(kinds, "/openapi/v3/api/v1")["paths"]

    actions = {
        m: o["x-kubernetes-action"]
        for m, o in paths["/api/v1/namespaces/{namespace}/pods"].items()
        if m != "parameters"
    }
    assert actions == {"post": "post", "delete": "deletecollection", "get": "list"}
    assert set(paths["/api/v1/namespaces/{namespace}/pods/{name}/eviction"]) == {"post", "parameters"}
    assert set(paths["/api/v1/pods"]) == {"get", "parameters"}
    ids = [o["operationId"] for p in paths.values() for m, o in p.items() if m != "parameters"]
    assert len(ids) == len(set(ids))


def test_unions_are_said_in_v3(kinds: Catalog) -> None:
    schemas = read(kinds, "/openapi/v3/api/v1")["components"]["schemas"]

    assert schemas["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]["oneOf"] == [
        {"type": "integer"}, {"type": "string"}
    ]  # fmt: skip


def test_a_custom_kind(kinds: Catalog) -> None:
    add_sets(kinds)
    schemas = read(kinds, "/openapi/v3/apis/x.example.org/v1")["components"]["schemas"]

    found = schemas["org.example.x.v1.Set"]
    assert found["description"] == "A set of things."
    assert found["properties"]["spec"] == SCHEMA["properties"]["spec"]
    assert found["properties"]["metadata"] == {
        "$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
    }  # fmt: skip
    assert "org.example.x.v1.SetCollection" in schemas


def test_hashes_follow_definitions(kinds: Catalog) -> None:
    def hashes() -> dict[str, str]:
        return {p: e["serverRelativeURL"] for p, e in read(kinds, "/openapi/v3")["paths"].items()}

    add_sets(kinds, generation=1)
    first = hashes()
    add_sets(kinds, generation=1)
    assert hashes() == first
    add_sets(kinds, generation=2)
    second = hashes()
    assert {p for p in second if second[p] != first[p]} == {"apis/x.example.org/v1"}


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(data: bytes) -> list[tuple[int, bytes]]:
    """The fields of a message that has only length-delimited ones."""
    found, at = [], 0
    while at < len(data):
        tag, at = varint(data, at)
        assert tag & 7 == 2
        size, at = varint(data, at)
        found.append((tag >> 3, data[at : at + size]))
        at += size
    return found


def test_old_kubectls_get_one_patch_for_each_kind(kinds: Catalog) -> None:
    accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
    document = openapi.OpenAPI(kinds).document("/openapi/v2", accept)

    assert document is not None
    assert document.media == gnostic.MEDIA
    assert "@" not in document.media
    whole = dict(fields(document.body))
    assert whole[1] == b"2.0"
    items = fields(whole[8])
    assert len(items) == len(kinds.all())
    operation = dict(fields(dict(fields(dict(fields(items[0][1]))[2]))[8]))
    parameter = dict(fields(dict(fields(dict(fields(dict(fields(operation[8]))[1]))[2]))[3]))
    assert parameter == {2: b"query", 4: b"fieldValidation", 6: b"string"}
    extension = dict(fields(operation[13]))
    assert extension[1] == b"x-kubernetes-group-version-kind"
    assert b"kind: Pod\nversion: v1\n" in dict(fields(extension[2]))[2]
