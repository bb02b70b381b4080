from typing import Any

from fairlead.api import core, discovery
from fairlead.controllers import endpoints
from fairlead.reconcile.reconciler import Apply, Change, Delete, View
from fairlead.testing import builders
from fairlead.testing.clock import START
from fairlead.testing.cluster import Cluster

SERVICE = builders.service("web").selects(app="web").port(80, 8080, "http")


def reconcile(service: Any, pods: list[Any], slices: list[Any] | None = None) -> list[Change]:
    linked = {core.PODS: builders.views(pods), discovery.ENDPOINT_SLICES: builders.views(slices or [])}
    return list(endpoints.reconcile(View(service.key, service.view(), linked, START)))


def stored(change: Change, name: str = "") -> builders.Builder[discovery.EndpointSlice]:
    assert isinstance(change, Apply)
    wire = builders.meta(discovery.ENDPOINT_SLICES, name or change.object["metadata"]["name"])
    wire["metadata"] |= change.object["metadata"] | ({"name": name} if name else {})
    return builders.Builder(discovery.ENDPOINT_SLICES, {**change.object, "metadata": wire["metadata"]})


def pod(name: str, ip: str, *, ready: bool = True) -> Any:
    return builders.pod(name).labels(app="web").on("node-1").ready(ip, ready=ready)


def endpoint(name: str, ip: str, ready: bool, serving: bool, terminating: bool = False) -> dict[str, Any]:
    return {
        "addresses": [ip],
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "targetRef": {"kind": "Pod", "namespace": "default", "name": name, "uid": f"uid-pod-{name}"},
        "nodeName": "node-1",
    }


def test_a_slice_holds_every_pod_with_an_address() -> None:
    pods = [
        pod("a", "10.0.0.1"),
        pod("b", "10.0.0.2", ready=False),
        pod("c", "10.0.0.3").deleting(),
        pod("done", "10.0.0.4").phase("Succeeded"),
        builders.pod("new").labels(app="web"),
    ]
    (change,) = reconcile(SERVICE, pods)
    assert isinstance(change, Apply)
    assert change.object == {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": change.object["metadata"]["name"],
            "namespace": "default",
            "labels": {
                "kubernetes.io/service-name": "web",
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            },
            "ownerReferences": [
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "name": "web",
                    "uid": "uid-service-web",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "addressType": "IPv4",
        "endpoints": [
            endpoint("a", "10.0.0.1", True, True),
            endpoint("b", "10.0.0.2", False, False),
            endpoint("c", "10.0.0.3", False, True, True),
        ],
        "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
    }


def test_a_headless_service_names_its_hosts_before_they_are_ready() -> None:
    service = builders.service("peers").selects(app="web").headless().spec(publishNotReadyAddresses=True)
    peer = pod("a", "10.0.0.1", ready=False).spec(hostname="peer-0", subdomain="peers")
    stranger = pod("b", "10.0.0.2", ready=False).spec(hostname="peer-1", subdomain="others")
    (change,) = reconcile(service, [peer, stranger])
    assert isinstance(change, Apply)
    assert change.object["metadata"]["labels"]["service.kubernetes.io/headless"] == ""
    assert change.object["ports"] == []
    assert change.object["endpoints"] == [
        endpoint("a", "10.0.0.1", True, False) | {"hostname": "peer-0"},
        endpoint("b", "10.0.0.2", True, False),
    ]


def test_pods_with_other_ports_or_addresses_get_slices_of_their_own() -> None:
    service = builders.service("web").selects(app="web").port(80, "http")
    pods = [pod("a", "10.0.0.1").port(1, "http"), pod("b", "10.0.0.2").port(2, "http"), pod("c", "fd00::1")]
    changes = [c.object for c in reconcile(service, pods) if isinstance(c, Apply)]
    assert [(c["addressType"], c["ports"]) for c in changes] == [
        ("IPv4", [{"name": "", "protocol": "TCP", "port": 1}]),
        ("IPv4", [{"name": "", "protocol": "TCP", "port": 2}]),
        ("IPv6", []),
    ]


def test_many_endpoints_are_split() -> None:
    changes = reconcile(SERVICE, [pod(f"p{i:03}", f"10.0.0.{i}") for i in range(250)])
    assert [len(c.object["endpoints"]) for c in changes if isinstance(c, Apply)] == [100, 100, 50]


def test_what_is_right_is_left_and_what_is_stale_goes() -> None:
    (change,) = reconcile(SERVICE, [pod("a", "10.0.0.1")])
    right, stale = stored(change), stored(change, "stale")
    assert reconcile(SERVICE, [pod("a", "10.0.0.1")], [right]) == []
    assert reconcile(SERVICE, [pod("a", "10.0.0.1")], [right, stale]) == [
        Delete(discovery.ENDPOINT_SLICES, stale.key, stale.uid)
    ]


def test_a_service_without_selector_is_left_alone() -> None:
    assert reconcile(builders.service("manual").port(80), [pod("a", "10.0.0.1")]) == []
    assert reconcile(SERVICE.spec(type="ExternalName"), [pod("a", "10.0.0.1")]) == []


async def test_slices_follow_the_pods() -> None:
    async with Cluster([endpoints.CONTROLLER]) as cluster:
        await cluster.apply(SERVICE)
        for name in ("a", "b"):
            await cluster.apply(builders.pod(name).labels(app="web"))
        await cluster.run_until_quiet()
        (one,) = await cluster.list(discovery.ENDPOINT_SLICES)
        assert [(e.targetRef.name if e.targetRef else "", e.conditions.ready) for e in one.endpoints] == [
            ("a", True),
            ("b", True),
        ]
        cluster.finish("a")
        await cluster.run_until_quiet()
        (one,) = await cluster.list(discovery.ENDPOINT_SLICES)
        assert [e.targetRef.name for e in one.endpoints if e.targetRef] == ["b"]
        settled = cluster.store.revision
        await cluster.run_until_quiet()
        assert cluster.store.revision == settled
