"""Metadata: names, labels, owners, what may not change."""

from __future__ import annotations

from typing import Any

import pytest


def config(**metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "c", **metadata}}


@pytest.mark.parametrize(
    ("metadata", "wrong"),
    [
        ({"name": ""}, "metadata.name: Required value: name or generateName is required"),
        ({"name": "Foo"}, 'metadata.name: Invalid value: "Foo": a lowercase RFC 1123 subdomain must consist of'),
        ({"name": "a" * 254}, f'metadata.name: Invalid value: "{"a" * 254}": must be no more than 253 characters'),
        ({"labels": {"a b": "c"}}, 'metadata.labels: Invalid value: "a b": name part must consist of'),
        ({"labels": {"a": "-"}}, 'metadata.labels: Invalid value: "-": a valid label must be an empty string or'),
        ({"annotations": {"a/b/c": ""}}, 'metadata.annotations: Invalid value: "a/b/c": a valid label key'),
        ({"annotations": {"a": "x" * 262144}}, "metadata.annotations: Too long: may not be more than 262144 bytes"),
        ({"finalizers": ["x/a b"]}, 'metadata.finalizers: Invalid value: "x/a b": name part must consist of'),
        ({"finalizers": ["mine"]}, 'metadata.finalizers[0]: Invalid value: "mine": name is neither a standard'),
        (
            {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": ""}]},
            'metadata.ownerReferences.uid: Invalid value: "": must not be empty',
        ),
    ],
    ids=lambda v: v.split(":")[0] if isinstance(v, str) else "",
)
def test_rules(kinds: Any, metadata: dict[str, Any], wrong: str) -> None:
    found = kinds.create("ConfigMap", config(**metadata))[1]
    assert len(found) == 1
    assert found[0].startswith(wrong)


def test_an_object_has_one_controller(kinds: Any) -> None:
    owners = [{"apiVersion": "v1", "kind": "Pod", "name": n, "uid": n, "controller": True} for n in "ab"]
    found = kinds.create("ConfigMap", config(ownerReferences=owners))[1]
    assert "Only one reference can have Controller set to true" in found[0]


def test_what_a_kind_is_called_is_checked_by_kind(kinds: Any) -> None:
    service = {"metadata": {"name": "1A"}, "spec": {"ports": [{"port": 1}]}}
    assert "RFC 1123 label must consist of" in kinds.create("Service", service)[1][0]
    assert "must not contain dots" in kinds.create("Namespace", {"metadata": {"name": "a.b"}})[1][0]


def test_a_cluster_scoped_object_has_no_namespace(kinds: Any) -> None:
    node = {"metadata": {"name": "n", "namespace": "x"}}
    assert kinds.create("Node", node)[1] == ["metadata.namespace: Forbidden: not allowed on this type"]


def test_identity_does_not_change(kinds: Any) -> None:
    old = kinds.made("ConfigMap", config())
    assert kinds.update("ConfigMap", old, metadata__name="d")[1] == [
        'metadata.name: Invalid value: "d": field is immutable'
    ]


def test_no_new_finalizers_once_deleted(kinds: Any) -> None:
    old = kinds.made("ConfigMap", config(finalizers=["a/b"], deletionTimestamp="2026-01-01T00:00:00Z"))
    assert kinds.update("ConfigMap", old, metadata__finalizers=[])[1] == []
    assert kinds.update("ConfigMap", old, metadata__finalizers=["a/b", "c/d"])[1]
