"""Tables: their shape, the other built-in kinds, and custom columns."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.api import builtin
from fairlead.api.apiextensions import Column, CrdSpec, CustomResourceDefinition, Names
from fairlead.api.meta import Resource
from fairlead.apiserver import table
from fairlead.apiserver.catalog import Served
from fairlead.machinery.structure import Structure

NOW = 1_790_000_000.0
BORN = "2026-09-21T14:08:20Z"
META = {"name": "x", "creationTimestamp": BORN}
KINDS = {r.kind: Served(r.plain, Structure({})) for r in builtin.RESOURCES}


def cells(kind: str, **obj: Any) -> list[Any]:
    found: list[Any] = table.table(KINDS[kind], [{"metadata": META, **obj}], now=NOW)["rows"][0]["cells"]
    return found


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_has_a_cell_for_each_column(kind: str) -> None:
    whole = table.table(KINDS[kind], [{"metadata": META}], now=NOW)

    assert len(whole["rows"][0]["cells"]) == len(whole["columnDefinitions"])
    assert [c["format"] for c in whole["columnDefinitions"]].count("name") == 1


def test_a_list() -> None:
    config = {"metadata": META | {"resourceVersion": "7"}, "data": {"a": "1"}}

    assert table.table(KINDS["ConfigMap"], [config], now=NOW, metadata={"resourceVersion": "9", "continue": "t"}) == {
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": "9", "continue": "t"},
        "columnDefinitions": [
            {
                "name": "Name", "type": "string", "format": "name", "priority": 0,
                "description": "Name of the object, unique among its kind in its namespace.",
            },
            {"name": "Data", "type": "string", "format": "", "priority": 0, "description": "How many keys it has."},
            {
                "name": "Age", "type": "string", "format": "", "priority": 0,
                "description": "Time since the object was created.",
            },
        ],
        "rows": [{
            "cells": ["x", 1, "5m"],
            "object": {
                "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": config["metadata"]
            },
        }],
    }  # fmt: skip


def test_what_rows_include() -> None:
    obj = {"metadata": META | {"resourceVersion": "7"}, "data": {}}

    def row(include: Any) -> Any:
        return table.table(KINDS["ConfigMap"], [obj], now=NOW, include=include, version="v1beta1")

    assert row("None")["rows"][0]["object"] is None
    assert row("Object")["rows"][0]["object"] == {"kind": "ConfigMap", "apiVersion": "v1", **obj}
    assert row("Metadata")["rows"][0]["object"]["apiVersion"] == "meta.k8s.io/v1beta1"
    assert row("None")["metadata"] == {"resourceVersion": "7"}


def test_later_events_of_a_watch_have_no_columns() -> None:
    assert table.table(KINDS["Pod"], [], now=NOW, headers=False)["columnDefinitions"] == []


def test_a_pod_that_is_over_says_so() -> None:
    whole = table.table(KINDS["Pod"], [{"metadata": META, "status": {"phase": "Failed"}}], now=NOW)

    assert whole["rows"][0]["conditions"][0]["reason"] == "Failed"


def test_node() -> None:
    labels = {"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/control-plane": "", "a": "b"}
    status = {
        "conditions": [{"type": "Ready", "status": "True"}],
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "nodeInfo": {"kubeletVersion": "v1.36.0", "osImage": "Linux", "kernelVersion": "6"},
    }
    whole = table.table(
        KINDS["Node"],
        [{"metadata": META | {"labels": labels}, "spec": {"unschedulable": True}, "status": status}],
        now=NOW,
    )

    assert whole["rows"][0]["cells"] == [
        "x", "Ready,SchedulingDisabled", "control-plane,worker", "5m", "v1.36.0", "127.0.0.1", "<none>", "Linux", "6",
        "<unknown>",
    ]  # fmt: skip


def test_services() -> None:
    ports = [{"port": 80}, {"port": 53, "protocol": "UDP", "nodePort": 30053}]
    spec = {"clusterIP": "None", "ports": ports, "selector": {"b": "2", "a": "1"}}

    assert cells("Service", spec=spec) == [
        "x", "ClusterIP", "None", "<none>", "80/TCP,53:30053/UDP", "5m", "a=1,b=2"
    ]  # fmt: skip
    assert cells("Service", spec={"type": "LoadBalancer"})[3] == "<pending>"
    assert cells("Service", spec={"type": "ExternalName", "externalName": "e.org"})[1:4] == [
        "ExternalName", "<none>", "e.org"
    ]  # fmt: skip


def test_endpoints() -> None:
    addresses = [{"ip": f"10.0.0.{n}"} for n in range(5)]
    subsets = [{"addresses": addresses, "ports": [{"port": 80}]}]

    assert cells("Endpoints", subsets=subsets)[1] == "10.0.0.0:80,10.0.0.1:80,10.0.0.2:80 + 2 more..."
    assert cells("Endpoints")[1] == "<none>"
    assert cells("EndpointSlice", addressType="IPv4", ports=[{"port": 80}, {}], endpoints=[{"addresses": ["a"]}]) == [
        "x", "IPv4", "80,*", "a", "5m"
    ]  # fmt: skip


def test_events() -> None:
    event = {
        "involvedObject": {"kind": "Pod", "name": "p", "fieldPath": "spec.containers{c}"},
        "type": "Warning", "reason": "BackOff", "message": " restarting \n", "count": 4,
        "firstTimestamp": "2026-09-21T13:13:20Z", "lastTimestamp": BORN,
        "source": {"component": "kubelet", "host": "n"},
    }  # fmt: skip

    assert cells("Event", **event) == [
        "5m", "Warning", "BackOff", "pod/p", "spec.containers{c}", "kubelet, n", "restarting", "60m", 4, "x"
    ]  # fmt: skip
    series = {"count": 9, "lastObservedTime": "2026-09-21T14:13:19.000000Z"}
    newer = {"eventTime": "2026-09-21T14:13:10.000000Z", "reportingComponent": "k", "series": series}
    assert cells("Event", **newer)[0] == "1s"
    assert cells("Event", **newer)[5:9] == ["k", "", "10s", 9]


def test_the_rest() -> None:
    assert cells("Namespace", status={"phase": "Active"}) == ["x", "Active", "5m"]
    assert cells("Secret", type="Opaque", data={"a": "", "b": ""}) == ["x", "Opaque", 2, "5m"]
    assert cells("ServiceAccount") == ["x", 0, "5m"]
    assert cells("Lease", spec={"holderIdentity": "me"}) == ["x", "me", "5m"]
    assert cells("PriorityClass", value=7, preemptionPolicy="Never") == ["x", 7, False, "5m", "Never"]
    assert cells("CustomResourceDefinition") == ["x", BORN]
    assert cells("PersistentVolumeClaim", status={"phase": "Pending"})[:4] == ["x", "Pending", "", ""]
    bound = {"spec": {"volumeName": "v"}, "status": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}}}
    assert cells("PersistentVolumeClaim", **bound)[2:5] == ["v", "1Gi", "RWO"]


def custom(*columns: Column) -> Served:
    resource: Resource[dict[str, Any]] = Resource("example.org", "v1", "Set", "sets", dict)
    spec = CrdSpec("example.org", Names("sets", "Set"), "Namespaced", [])
    return Served(resource, Structure({}), crd=CustomResourceDefinition(spec=spec), columns=columns)


def test_a_custom_kind_without_columns_shows_its_age() -> None:
    whole = table.table(custom(), [{"metadata": META}], now=NOW)

    assert [(c["name"], c["type"]) for c in whole["columnDefinitions"]] == [("Name", "string"), ("Age", "date")]
    assert whole["rows"][0]["cells"] == ["x", "5m"]


@pytest.mark.parametrize(
    ("type_", "path", "expected"),
    [
        ("string", ".spec.text", "t"),
        ("string", ".spec.number", "3"),
        ("string", ".spec.flag", "true"),
        ("string", ".spec.map", '{"a":1}'),
        ("string", ".spec.missing", None),
        ("integer", ".spec.number", 3),
        ("integer", ".spec.float", 2),
        ("integer", ".spec.text", None),
        ("integer", ".spec.flag", None),
        ("number", ".spec.float", 2.5),
        ("boolean", ".spec.flag", True),
        ("boolean", ".spec.number", None),
        ("date", ".metadata.creationTimestamp", "5m"),
        ("date", ".spec.text", "<invalid>"),
        ("string", ".status.conditions[-1:].type", "Done"),
        ("string", '.status.conditions[?(@.type=="Ready")].status', "True"),
    ],
)
def test_custom_columns(type_: str, path: str, expected: Any) -> None:
    conditions = [{"type": "Ready", "status": "True"}, {"type": "Done", "status": "False"}]
    obj = {
        "metadata": META, "status": {"conditions": conditions},
        "spec": {"text": "t", "number": 3, "float": 2.5, "flag": True, "map": {"a": 1}},
    }  # fmt: skip
    served = custom(Column("C", type_, path, priority=1))

    whole = table.table(served, [obj], now=NOW)

    assert whole["rows"][0]["cells"] == ["x", expected]
    assert whole["columnDefinitions"][1]["priority"] == 1
