"""Endpoints of Services, and slices of Endpoints."""

from __future__ import annotations

from typing import Any

from fairlead.api import core, discovery
from fairlead.api.meta import Key
from fairlead.controllers import mirrored, subsets
from fairlead.reconcile.reconciler import Apply, Change, Delete, View
from fairlead.testing import builders
from fairlead.testing.clock import START

SERVICE = builders.service("web").selects(app="web").port(80, 8080, "http")
OURS = {"endpoints.kubernetes.io/managed-by": "endpoint-controller"}


def pod(name: str, ip: str, *, ready: bool = True) -> Any:
    return builders.pod(name).labels(app="web").on("node-1").ready(ip, ready=ready)


def reconcile(service: Any, pods: list[Any], known: list[Any] | None = None) -> list[Change]:
    linked = {core.PODS: builders.views(pods), core.ENDPOINTS: builders.views(known or [])}
    return list(subsets.reconcile(View(SERVICE.key, service and service.view(), linked, START)))


def told(service: Any, *pods: Any) -> dict[str, Any]:
    (change,) = reconcile(service, list(pods))
    assert isinstance(change, Apply)
    return dict(change.object)


def address(name: str, ip: str) -> dict[str, Any]:
    target = {"kind": "Pod", "namespace": "default", "name": name, "uid": f"uid-pod-{name}"}
    return {"ip": ip, "targetRef": target, "nodeName": "node-1"}


def test_ready_pods_apart_from_others_in_the_order_of_addresses() -> None:
    gone = pod("gone", "10.0.0.4").deleting()
    found = told(SERVICE, pod("b", "10.0.0.2"), pod("a", "10.0.0.1"), pod("c", "10.0.0.3", ready=False), gone)
    assert found["metadata"] == {"name": "web", "namespace": "default", "labels": OURS}
    assert found["subsets"] == [
        {
            "addresses": [address("a", "10.0.0.1"), address("b", "10.0.0.2")],
            "notReadyAddresses": [address("c", "10.0.0.3")],
            "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
        }
    ]


def test_nobody_is_an_object_without_subsets_and_that_is_told_once() -> None:
    found = told(SERVICE)
    assert "subsets" not in found
    known = builders.any_of(core.ENDPOINTS, "web").labels(OURS)
    assert reconcile(SERVICE, [], [known]) == []


def test_peers_may_be_published_before_they_are_ready() -> None:
    service = SERVICE.headless().spec(publishNotReadyAddresses=True)
    found = told(service, pod("c", "10.0.0.3", ready=False), pod("d", "10.0.0.4").deleting())
    assert [a["ip"] for a in found["subsets"][0]["addresses"]] == ["10.0.0.3", "10.0.0.4"]
    assert found["metadata"]["labels"] == {**OURS, "service.kubernetes.io/headless": ""}


def test_pods_with_other_numbers_for_a_named_port_have_a_subset_of_their_own() -> None:
    service = builders.service("web").selects(app="web").port(80, "http")
    one, two = pod("a", "10.0.0.1").port(8080, "http"), pod("b", "10.0.0.2").port(9090, "http")
    found = told(service, one, two, pod("none", "10.0.0.3"))
    assert [(s["addresses"][0]["ip"], s["ports"][0]["port"]) for s in found["subsets"]] == [
        ("10.0.0.1", 8080),
        ("10.0.0.2", 9090),
    ]


def test_they_go_with_their_service_unless_they_are_somebody_elses() -> None:
    known = builders.any_of(core.ENDPOINTS, "web")
    assert reconcile(None, [], [known]) == []
    (change,) = reconcile(None, [], [known.labels(OURS)])
    assert isinstance(change, Delete)
    assert reconcile(builders.service("web").port(80), [pod("a", "10.0.0.1")], [known]) == []


# --- mirrored ------------------------------------------------------------------------------------------------------


SUBSET = {"addresses": [{"ip": "10.1.1.1"}], "notReadyAddresses": [{"ip": "fd00::1"}], "ports": [{"port": 80}]}


def mirror(service: Any, endpoints: Any, known: list[Any] | None = None) -> list[Change]:
    linked = {
        core.SERVICES: builders.views([service] if service else []),
        discovery.ENDPOINT_SLICES: builders.views(known or []),
    }
    return list(mirrored.reconcile(View(Key("default", "own"), endpoints.view(), linked, START)))


def test_endpoints_that_people_keep_are_mirrored_by_family() -> None:
    endpoints = builders.any_of(core.ENDPOINTS, "own", subsets=[SUBSET]).labels(team="red")
    found = [c.object for c in mirror(builders.service("own").port(80), endpoints) if isinstance(c, Apply)]
    ports = [{"name": "", "protocol": "TCP", "port": 80}]
    assert [(s["addressType"], s["endpoints"], s["ports"]) for s in found] == [
        ("IPv4", [{"addresses": ["10.1.1.1"], "conditions": {"ready": True}}], ports),
        ("IPv6", [{"addresses": ["fd00::1"], "conditions": {"ready": False}}], ports),
    ]
    assert found[0]["metadata"]["labels"] == {
        "team": "red",
        "kubernetes.io/service-name": "own",
        "endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io",
    }
    assert found[0]["metadata"]["ownerReferences"][0]["kind"] == "Endpoints"


def test_a_selector_or_a_wish_ends_the_mirroring() -> None:
    endpoints = builders.any_of(core.ENDPOINTS, "own", subsets=[SUBSET])
    known = builders.any_of(discovery.ENDPOINT_SLICES, "own-1")
    for service, kept in (
        (builders.service("own").selects(a="b"), endpoints),
        (None, endpoints),
        (builders.service("own"), endpoints.labels({"endpointslice.kubernetes.io/skip-mirror": "true"})),
    ):
        (change,) = mirror(service, kept, [known])
        assert isinstance(change, Delete)
