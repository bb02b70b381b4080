from __future__ import annotations

from fairlead.agent import hosts
from fairlead.agent.hosts import HEAD, Peer
from fairlead.api.core import Pod, PodSpec, Service, ServiceSpec
from fairlead.api.meta import ObjectMeta

PEERS = [
    Peer("ns", "tj-0", "tj", "10.0.0.2", {"job": "tj"}),
    Peer("ns", "plain", "", "10.0.0.3", {}),
    Peer("other", "far", "svc", "10.0.0.4", {"app": "far"}),
]


def service(name: str, namespace: str, ip: str = "None", **selector: str) -> Service:
    return Service(
        metadata=ObjectMeta(name=name, namespace=namespace), spec=ServiceSpec(selector=selector, clusterIP=ip)
    )


SERVICES = [
    hosts.named(service("tj", "ns", job="tj"), ["10.0.0.2"]),
    hosts.named(service("svc", "other", app="far"), ["10.0.0.4"]),
    hosts.named(service("external", "ns"), []),
    hosts.named(service("web", "ns", "10.96.0.7"), ["10.96.0.7"]),
]


def test_render() -> None:
    assert hosts.render("ns", PEERS, SERVICES, {"kubernetes.default.svc": "10.0.0.1"}) == HEAD + (
        "10.0.0.1 kubernetes.default.svc\n"
        "10.96.0.7 web.ns.svc.cluster.local web.ns.svc web.ns web\n"
        "10.0.0.2 tj-0.tj.ns.svc.cluster.local tj-0.tj.ns.svc tj-0.tj.ns tj-0.tj tj-0\n"
        "10.0.0.3 plain\n"
        "10.0.0.4 far.svc.other.svc.cluster.local far.svc.other.svc far.svc.other\n"
        "10.0.0.2 tj.ns.svc.cluster.local tj.ns.svc tj.ns tj\n"
        "10.0.0.4 svc.other.svc.cluster.local svc.other.svc svc.other\n"
    )


def test_a_selector_chooses_in_its_namespace() -> None:
    assert hosts.selected(service("tj", "ns", job="tj"), PEERS) == ["10.0.0.2"]
    assert hosts.selected(service("tj", "other", job="tj"), PEERS) == []
    assert hosts.selected(service("none", "ns"), PEERS) == []


def test_a_subdomain_needs_its_service() -> None:
    assert "tj-0.tj" not in hosts.render("ns", PEERS, [])


def test_dotted_names_for_containers_without_a_hosts_file() -> None:
    found = hosts.dotted("ns", PEERS, SERVICES)
    assert (found["tj-0.tj"], found["web.ns"]) == ("10.0.0.2", "10.96.0.7")
    assert not {"plain", "web"} & found.keys()


def test_host_names() -> None:
    assert hosts.hostname(Pod(metadata=ObjectMeta(name="a" * 62 + "-bcd"))) == "a" * 62
    assert hosts.hostname(Pod(metadata=ObjectMeta(name="p"), spec=PodSpec(hostname="h"))) == "h"
