"""The table of frontends: which Services have one, and who is behind."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.agent import services
from fairlead.agent.services import Backend, Frontend
from fairlead.api import discovery
from fairlead.api.meta import Key
from fairlead.testing import builders

WEB = Key("default", "web")


def service(**spec: Any) -> Any:
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
    return builders.service("web").spec(**{"clusterIP": "10.96.0.5", "ports": ports, **spec})


def endpoint(ip: str, node: str = "n", **conditions: bool) -> dict[str, Any]:
    return {"addresses": [ip], "nodeName": node, "conditions": conditions}


def slice_(*endpoints: dict[str, Any], port: int = 8080, name: str = "http", family: str = "IPv4") -> Any:
    made = builders.any_of(
        discovery.ENDPOINT_SLICES, "web-1", addressType=family, endpoints=list(endpoints),
        ports=[{"name": name, "port": port, "protocol": "TCP"}],
    )  # fmt: skip
    return made.labels({"kubernetes.io/service-name": "web"})


def table(found: Any, *slices: Any, node: str = "n") -> tuple[Frontend, ...]:
    return services.frontends([found.view()], services.by_service(s.view() for s in slices), node)


def test_the_ready_endpoints_of_all_slices() -> None:
    one = slice_(endpoint("10.0.0.3", ready=True), endpoint("10.0.0.2"), endpoint("10.0.0.9", ready=False))
    two = slice_(endpoint("10.0.0.1", ready=True), port=9090)
    behind = (Backend("10.0.0.1", 9090), Backend("10.0.0.2", 8080), Backend("10.0.0.3", 8080))
    assert table(service(), one, two) == (Frontend(WEB, "10.96.0.5", 80, "TCP", behind),)


def test_other_families_other_ports_and_other_services_are_not_behind() -> None:
    other = slice_(endpoint("10.0.0.1")).labels({"kubernetes.io/service-name": "other"})
    found = table(service(), other, slice_(endpoint("::1"), family="IPv6"), slice_(endpoint("10.0.0.2"), name="x"))
    assert found == (Frontend(WEB, "10.96.0.5", 80, "TCP"),)


@pytest.mark.parametrize("spec", [{"clusterIP": "None"}, {"clusterIP": ""}, {"type": "ExternalName"}])
def test_services_without_an_address_have_no_frontend(spec: dict[str, Any]) -> None:
    assert table(service(**spec), slice_(endpoint("10.0.0.1"))) == ()


def test_those_that_end_serve_until_others_are_ready() -> None:
    ending = endpoint("10.0.0.1", ready=False, serving=True, terminating=True)
    assert table(service(), slice_(ending))[0].backends == (Backend("10.0.0.1", 8080),)
    ready = table(service(), slice_(ending, endpoint("10.0.0.2", ready=True)))
    assert ready[0].backends == (Backend("10.0.0.2", 8080),)


def test_node_ports_and_traffic_that_stays_on_the_node() -> None:
    port = {"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080}
    local = service(type="NodePort", ports=[port], externalTrafficPolicy="Local", sessionAffinity="ClientIP")
    here, there = endpoint("10.0.0.1", "n"), endpoint("10.0.0.2", "other")
    inner, outer = table(local, slice_(here, there))
    assert (inner.ip, inner.port, len(inner.backends), inner.sticky) == ("10.96.0.5", 80, 2, True)
    assert outer == Frontend(WEB, "", 30080, "TCP", (Backend("10.0.0.1", 8080),), True)
    (only,) = table(service(internalTrafficPolicy="Local"), slice_(here, there), node="other")
    assert only.backends == (Backend("10.0.0.2", 8080),)


def test_ready_addresses() -> None:
    found = slice_(endpoint("10.0.0.2", ready=True), endpoint("10.0.0.1"), endpoint("10.0.0.3", ready=False))
    assert services.ready_addresses([found.view()]) == ["10.0.0.1", "10.0.0.2"]
