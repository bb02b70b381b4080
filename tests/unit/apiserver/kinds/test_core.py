"""The smaller core kinds, Services, and those of the smaller groups."""

from __future__ import annotations

from typing import Any

import pytest


def test_a_namespace_is_active_named_and_finalized(kinds: Any) -> None:
    made = kinds.made("Namespace", {"metadata": {"name": "n"}})
    assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": "n"}
    assert (made["spec"], made["status"]) == ({"finalizers": ["kubernetes"]}, {"phase": "Active"})
    assert kinds.update("Namespace", made, spec={"finalizers": []})[0]["spec"] == made["spec"]


def test_secrets_take_plain_text_and_store_it_encoded(kinds: Any) -> None:
    made = kinds.made("Secret", {"metadata": {"name": "s"}, "data": {"a": "YQ=="}, "stringData": {"b": "b"}})
    assert (made["data"], made["type"]) == ({"a": "YQ==", "b": "Yg=="}, "Opaque")
    assert "stringData" not in made


def test_a_typed_secret_has_its_keys(kinds: Any) -> None:
    given = {"metadata": {"name": "s"}, "type": "kubernetes.io/tls", "data": {"tls.crt": "YQ=="}}
    assert kinds.create("Secret", given)[1] == ["data[tls.key]: Required value"]


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
def test_immutable_is_for_ever(kinds: Any, kind: str) -> None:
    old = kinds.made(kind, {"metadata": {"name": "s"}, "data": {"a": "YQ=="}, "immutable": True})
    says = "Forbidden: field is immutable when `immutable` is set"
    assert kinds.update(kind, old, data={"a": "Yg=="})[1] == [f"data: {says}"]
    assert kinds.update(kind, old, immutable=False)[1] == [f"immutable: {says}"]


def test_a_config_maps_keys(kinds: Any) -> None:
    found = kinds.create("ConfigMap", {"metadata": {"name": "c"}, "data": {"a b": ""}})[1]
    assert found[0].startswith('data[a b]: Invalid value: "a b": a valid config key must consist of')


def test_a_node_may_be_created_with_its_status(kinds: Any) -> None:
    made = kinds.made("Node", {"metadata": {"name": "n"}, "status": {"capacity": {"cpu": 2}}})
    assert made["status"] == {"capacity": {"cpu": "2"}, "allocatable": {"cpu": "2"}}


def test_an_event_is_where_its_object_is(kinds: Any) -> None:
    event = {"metadata": {"name": "e"}, "involvedObject": {"namespace": "other"}}
    assert kinds.create("Event", event)[1]
    assert kinds.create("Event", {"metadata": {"name": "e"}, "involvedObject": {"namespace": "default"}})[1] == []


def test_a_service_is_filled_in(kinds: Any) -> None:
    made = kinds.made("Service", {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}})
    assert made["spec"] == {
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}], "type": "ClusterIP", "sessionAffinity": "None",
        "internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
    }  # fmt: skip


def test_a_headless_service_needs_no_ports_and_stays_headless(kinds: Any) -> None:
    made = kinds.made("Service", {"metadata": {"name": "s"}, "spec": {"clusterIP": "None"}})
    assert made["spec"]["clusterIPs"] == ["None"]
    assert kinds.create("Service", {"metadata": {"name": "s"}, "spec": {}})[1] == ["spec.ports: Required value"]
    assert kinds.update("Service", made, spec={"ports": [{"port": 1}]})[0]["spec"]["clusterIP"] == "None"
    assert kinds.update("Service", made, spec={"clusterIP": "10.0.0.1", "ports": [{"port": 1}]})[1] == [
        'spec.clusterIPs[0]: Invalid value: ["10.0.0.1"]: may not change once set'
    ]


def test_several_ports_need_names(kinds: Any) -> None:
    ports = [{"port": 80}, {"port": 81}]
    found = kinds.create("Service", {"metadata": {"name": "s"}, "spec": {"ports": ports}})[1]
    assert found == ["spec.ports[0].name: Required value", "spec.ports[1].name: Required value"]


def test_a_priority_is_fixed_and_bounded(kinds: Any) -> None:
    old = kinds.made("PriorityClass", {"metadata": {"name": "p"}, "value": 5})
    assert old["preemptionPolicy"] == "PreemptLowerPriority"
    assert kinds.update("PriorityClass", old, value=6)[1] == ["value: Forbidden: may not be changed in an update."]
    assert kinds.create("PriorityClass", {"metadata": {"name": "p"}, "value": 2**30})[1]


def test_a_pod_group_has_one_policy(kinds: Any) -> None:
    group = {"metadata": {"name": "g"}, "spec": {"schedulingPolicy": {"gang": {"minCount": 2}}}}
    kinds.made("PodGroup", group)
    group["spec"]["schedulingPolicy"]["basic"] = {}
    assert kinds.create("PodGroup", group)[1]


def test_a_lease_lasts(kinds: Any) -> None:
    lease = {"metadata": {"name": "l"}, "spec": {"leaseDurationSeconds": 0}}
    assert kinds.create("Lease", lease)[1] == ["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"]


def test_an_endpoint_slice_names_its_family(kinds: Any) -> None:
    made, wrong = kinds.create("EndpointSlice", {"metadata": {"name": "e"}, "ports": [{"port": 80}]})
    assert wrong == ["addressType: Required value"]
    assert made["ports"] == [{"port": 80, "name": "", "protocol": "TCP"}]


def test_a_claim_asks_for_something(kinds: Any) -> None:
    found = kinds.create("PersistentVolumeClaim", {"metadata": {"name": "c"}, "spec": {}})[1]
    assert found == [
        "spec.accessModes: Required value: at least 1 access mode is required",
        "spec.resources[storage]: Required value",
    ]
