"""EndpointSlices: which Pods stand behind a Service, at which addresses and ports.

Every Pod that a Service selects, has an address and has not finished is an endpoint. It is `serving` when the Pod is
ready, and `ready` when it is serving and not being deleted, or always with `publishNotReadyAddresses` (peers of one
training job must find each other before they are ready). A Pod whose `subdomain` is a headless Service has a hostname
there. Services without a selector and of type ExternalName are left alone.

Slices hold one address family and one set of ports, `SLICE` endpoints at most; their names follow from that, so that a
repeated run writes the same ones. They are owned by the Service: the garbage collector removes them with it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from fairlead.api import core, discovery
from fairlead.api.core import Pod, Service
from fairlead.api.discovery import EndpointSlice
from fairlead.reconcile import ownership, serving
from fairlead.reconcile.reconciler import Apply, Change, Controller, Delete, Owned, Selected, View

SLICE = 100
SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
HEADLESS = "service.kubernetes.io/headless"

Json = Mapping[str, Any]
_Kind = tuple[str, str]
"""Address family, and the ports as text: what all endpoints of one slice share."""


def reconcile(view: View[Service]) -> Sequence[Change]:
    service = view.object
    if service is None or service.metadata.deleting:
        return []
    if not service.spec.selector or service.spec.type == "ExternalName":
        return []
    wanted = {s["metadata"]["name"]: s for s in _slices(service, view.all(core.PODS))}
    known = {s.metadata.name: s for s in view.all(discovery.ENDPOINT_SLICES)}
    applies = [Apply(discovery.ENDPOINT_SLICES, s) for name, s in wanted.items() if not _shows(known.get(name), s)]
    stale = [s for name, s in known.items() if name not in wanted and s.metadata.labels.get(MANAGED_BY) == MANAGER]
    return [*applies, *(Delete(discovery.ENDPOINT_SLICES, s.key, s.metadata.uid) for s in stale)]


def _slices(service: Service, pods: Sequence[Pod]) -> Iterator[Json]:
    """The Service's slices; an empty one if it has no endpoints, so that readers see it was looked at."""
    groups: dict[_Kind, list[Json]] = {}
    ports_of: dict[_Kind, Sequence[Json]] = {}
    for pod in pods:
        if not pod.status.podIP or pod.finished:
            continue
        family = "IPv6" if ":" in pod.status.podIP else "IPv4"
        ports = list(serving.ports(service, pod))
        kind = (family, json.dumps(ports))
        ports_of[kind] = ports
        groups.setdefault(kind, []).append(_endpoint(service, pod))
    if not groups:
        empty = ("IPv4", "")
        groups[empty], ports_of[empty] = [], []
    for kind, endpoints in groups.items():
        for number, start in enumerate(range(0, max(1, len(endpoints)), SLICE)):
            name = _name(service, kind, number)
            yield _slice(service, name, kind[0], ports_of[kind], endpoints[start : start + SLICE])


def _endpoint(service: Service, pod: Pod) -> Json:
    serves = serving.is_ready(pod)
    ready = service.spec.publishNotReadyAddresses or (serves and not pod.metadata.deleting)
    endpoint: dict[str, Any] = {
        "addresses": [pod.status.podIP],
        "conditions": {"ready": ready, "serving": serves, "terminating": pod.metadata.deleting},
        "targetRef": serving.target(pod),
    }
    if pod.spec.nodeName:
        endpoint["nodeName"] = pod.spec.nodeName
    if pod.spec.hostname and pod.spec.subdomain == service.metadata.name:
        endpoint["hostname"] = pod.spec.hostname
    return endpoint


def _slice(service: Service, name: str, family: str, ports: Sequence[Json], endpoints: Sequence[Json]) -> Json:
    meta = service.metadata
    labels = {**meta.labels, SERVICE_NAME: meta.name, MANAGED_BY: MANAGER}
    if service.spec.clusterIP == "None":
        labels[HEADLESS] = ""
    owner = ownership.reference(core.SERVICES, service)
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": meta.namespace, "labels": labels, "ownerReferences": [owner]},
        "addressType": family,
        "endpoints": list(endpoints),
        "ports": list(ports),
    }


def _name(service: Service, kind: _Kind, number: int) -> str:
    """`<service>-<hash>`: the same for the same Service, address family, ports and number."""
    text = "\n".join((service.metadata.uid, *kind, str(number)))
    return f"{service.metadata.name[:52]}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def _shows(known: EndpointSlice | None, wanted: Json) -> bool:
    """Whether the slice is as it should be."""
    if known is None:
        return False
    expected = msgspec.convert(wanted, EndpointSlice)
    return (
        known.endpoints == expected.endpoints
        and known.addressType == expected.addressType
        and [serving.significant(p) for p in known.ports] == [serving.significant(p) for p in expected.ports]
        and expected.metadata.labels.items() <= known.metadata.labels.items()
    )


CONTROLLER: Controller[Service] = Controller(
    "endpointslice-controller",
    core.SERVICES,
    reconcile,
    (Selected(core.PODS, serving.selects), Owned(discovery.ENDPOINT_SLICES)),
    embedded=True,
)
