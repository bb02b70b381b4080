"""Discovery, legacy and aggregated."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fairlead.api import builtin
from fairlead.api.apiextensions import ScaleSubresource
from fairlead.api.meta import Resource
from fairlead.apiserver import discovery
from fairlead.apiserver.catalog import Catalog, Served
from fairlead.machinery.structure import Structure

V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
V2BETA1 = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
SETS: Resource[dict[str, Any]] = Resource(
    "example.org", "v1beta1", "Set", "sets", dict, singular="set", short=("st",), categories=("all",), status=True
)  # fmt: skip


@pytest.fixture
def catalog() -> Catalog:
    return Catalog([Served(r.plain, Structure({})) for r in builtin.RESOURCES])


def read(catalog: Catalog, path: str, accept: str = "application/json") -> Any:
    document = discovery.Discovery(catalog, "10.0.0.1:6443").document(path, accept)
    return None if document is None else msgspec.json.decode(document.body)


def add_sets(catalog: Catalog) -> None:
    older = Resource("example.org", "v1alpha1", "Set", "sets", dict, singular="set")
    scale = ScaleSubresource(".spec.replicas", ".status.replicas")
    catalog.put_crd("sets.example.org", [Served(older, Structure({})), Served(SETS, Structure({}), scale=scale)])


def test_core_versions(catalog: Catalog) -> None:
    assert read(catalog, "/api") == {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "10.0.0.1:6443"}],
    }


def test_groups(catalog: Catalog) -> None:
    groups = {g["name"]: g for g in read(catalog, "/apis")["groups"]}

    assert "" not in groups
    assert groups["batch"] == {
        "name": "batch",
        "versions": [{"groupVersion": "batch/v1", "version": "v1"}],
        "preferredVersion": {"groupVersion": "batch/v1", "version": "v1"},
    }
    assert read(catalog, "/apis/batch") == {"kind": "APIGroup", "apiVersion": "v1"} | groups["batch"]


def test_pods_and_their_subresources(catalog: Catalog) -> None:
    found = read(catalog, "/api/v1")

    assert (found["kind"], found["groupVersion"]) == ("APIResourceList", "v1")
    pods = [r for r in found["resources"] if r["name"].partition("/")[0] == "pods"]
    assert pods[0] == {
        "name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "shortNames": ["po"],
        "categories": ["all"],
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    }  # fmt: skip
    names = ["attach", "binding", "ephemeralcontainers", "eviction", "exec", "log", "portforward", "status"]
    assert [r["name"] for r in pods[1:]] == [f"pods/{name}" for name in names]
    assert pods[5] == {
        "name": "pods/exec", "singularName": "", "namespaced": True, "kind": "PodExecOptions",
        "verbs": ["create", "get"],
    }  # fmt: skip
    assert pods[4] == {
        "name": "pods/eviction", "singularName": "", "namespaced": True, "kind": "Eviction", "verbs": ["create"],
        "group": "policy", "version": "v1",
    }  # fmt: skip


def test_what_is_only_created(catalog: Catalog) -> None:
    found = read(catalog, "/apis/authentication.k8s.io/v1")

    assert [(r["name"], r["verbs"]) for r in found["resources"]] == [
        ("selfsubjectreviews", ["create"]), ("tokenreviews", ["create"])
    ]  # fmt: skip


@pytest.mark.parametrize("path", ["/apis/nope", "/apis/nope/v1", "/apis/batch/v9", "/api/v2", "/apis//v1"])
def test_what_is_not_served(catalog: Catalog, path: str) -> None:
    assert read(catalog, path) is None


@pytest.mark.parametrize("path", ["/api/", "/apis/", "/apis/batch/", "/apis/batch/v1/", "/version/"])
def test_a_final_slash_changes_nothing(catalog: Catalog, path: str) -> None:
    assert read(catalog, path) == read(catalog, path.rstrip("/")) is not None


def test_custom_kinds_come_and_go(catalog: Catalog) -> None:
    served = discovery.Discovery(catalog)
    before = served.document("/apis")
    add_sets(catalog)
    after = served.document("/apis")
    catalog.drop_crd("sets.example.org")
    again = served.document("/apis")

    assert before is not None
    assert after is not None
    assert again is not None
    assert b"example.org" in after.body
    assert before.etag == again.etag != after.etag
    assert again.matches(f'W/"x", "{before.etag}"')


def test_the_preferred_version_comes_first(catalog: Catalog) -> None:
    add_sets(catalog)

    assert [v["version"] for v in read(catalog, "/apis/example.org")["versions"]] == ["v1beta1", "v1alpha1"]


@pytest.mark.parametrize(("accept", "form"), [(V2, "v2"), (V2BETA1, "v2beta1")])
def test_aggregated(catalog: Catalog, accept: str, form: str) -> None:
    add_sets(catalog)
    document = discovery.Discovery(catalog).document("/apis", accept + ",application/json")

    assert document is not None
    assert document.media == accept
    found = msgspec.json.decode(document.body)
    assert (found["kind"], found["apiVersion"]) == ("APIGroupDiscoveryList", f"apidiscovery.k8s.io/{form}")
    item = next(i for i in found["items"] if i["metadata"]["name"] == "example.org")
    assert item["versions"][0]["resources"] == [{
        "resource": "sets",
        "responseKind": {"group": "example.org", "version": "v1beta1", "kind": "Set"},
        "scope": "Namespaced", "singularResource": "set", "shortNames": ["st"], "categories": ["all"],
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        "subresources": [
            {
                "subresource": "scale", "verbs": ["get", "patch", "update"],
                "responseKind": {"group": "autoscaling", "version": "v1", "kind": "Scale"},
            },
            {
                "subresource": "status", "verbs": ["get", "patch", "update"],
                "responseKind": {"group": "example.org", "version": "v1beta1", "kind": "Set"},
            },
        ],
    }]  # fmt: skip


def test_the_core_group_is_aggregated_at_api(catalog: Catalog) -> None:
    found = read(catalog, "/api", V2)

    assert [i["metadata"].get("name") for i in found["items"]] == [None]
    names = [r["resource"] for r in found["items"][0]["versions"][0]["resources"]]
    assert names == sorted(names)


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", ""),
        ("*/*", ""),
        ("application/json", ""),
        ("application/json, */*", ""),
        (f"{V2},{V2BETA1},application/json", "v2"),
        (f"{V2BETA1},application/json", "v2beta1"),
        ("application/json;g=apidiscovery.k8s.io;v=v3;as=APIGroupDiscoveryList,application/json", ""),
        (f"application/json;q=0.5,{V2};q=0.9", "v2"),
        (f"{V2};q=bad,application/json", ""),
    ],
)
def test_negotiation(accept: str, form: str) -> None:
    assert discovery.negotiate(accept) == form


def test_version() -> None:
    found = discovery.version()

    assert (found["major"], found["minor"]) == ("1", "36")
    assert found["gitVersion"].startswith("v1.36.0+fairlead")
