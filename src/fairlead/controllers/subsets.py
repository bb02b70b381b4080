"""Endpoints: the older form of what EndpointSlices say, for clients that still read it.

One object with the Service's name; its subsets have Pods that serve the same ports, ready ones apart from others. A Pod
that is being deleted is in none, except where the Service publishes whatever is there. At most `MOST` addresses are
told. The object goes with its Service; one that somebody else keeps for a Service without a selector is left alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fairlead.api import core
from fairlead.api.core import Endpoints, Pod, Service
from fairlead.api.meta import Key
from fairlead.reconcile import serving
from fairlead.reconcile.reconciler import Apply, Change, Controller, Delete, Keyed, Selected, View

MOST = 1000
MANAGED_BY, MANAGER = "endpoints.kubernetes.io/managed-by", "endpoint-controller"
HEADLESS = "service.kubernetes.io/headless"
_TRUNCATED = "endpoints.kubernetes.io/over-capacity"

Json = Mapping[str, Any]


def reconcile(view: View[Service]) -> Sequence[Change]:
    service = view.object
    known = next(iter(view.all(core.ENDPOINTS)), None)
    if service is None or service.metadata.deleting:
        ours = known is not None and known.metadata.labels.get(MANAGED_BY) == MANAGER
        return [Delete(core.ENDPOINTS, known.key, known.metadata.uid)] if known is not None and ours else []
    if not service.spec.selector or service.spec.type == "ExternalName":
        return []
    wanted = _endpoints(service, view.all(core.PODS))
    return [] if known is not None and _shows(known, wanted) else [Apply(core.ENDPOINTS, wanted)]


def _endpoints(service: Service, pods: Sequence[Pod]) -> Json:
    meta = service.metadata
    labels = {**meta.labels, MANAGED_BY: MANAGER}
    if service.spec.clusterIP == "None":
        labels[HEADLESS] = ""
    told: dict[str, Any] = {"name": meta.name, "namespace": meta.namespace, "labels": labels}
    serving_pods = [p for p in pods if _is_told(service, p)]
    if len(serving_pods) > MOST:
        told["annotations"] = {_TRUNCATED: "truncated"}
    subsets = list(_subsets(service, serving_pods[:MOST]))
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": told, **({"subsets": subsets} if subsets else {})}


def _is_told(service: Service, pod: Pod) -> bool:
    if not pod.status.podIP or pod.finished:
        return False
    return service.spec.publishNotReadyAddresses or not pod.metadata.deleting


def _subsets(service: Service, pods: Sequence[Pod]) -> Iterator[Json]:
    """Pods with the same ports together, in the order of their addresses."""
    groups: dict[str, list[Pod]] = {}
    for pod in sorted(pods, key=lambda p: p.status.podIP):
        ports = sorted((serving.significant(p) for p in serving.ports(service, pod)), key=json.dumps)
        if ports or not service.spec.ports:
            groups.setdefault(json.dumps(ports), []).append(pod)
    for text, members in sorted(groups.items()):
        subset: dict[str, Any] = {}
        for pod in members:
            ready = service.spec.publishNotReadyAddresses or serving.is_ready(pod)
            subset.setdefault("addresses" if ready else "notReadyAddresses", []).append(_address(service, pod))
        if ports := json.loads(text):
            subset["ports"] = ports
        yield subset


def _address(service: Service, pod: Pod) -> Json:
    address: dict[str, Any] = {"ip": pod.status.podIP, "targetRef": serving.target(pod)}
    if pod.spec.nodeName:
        address["nodeName"] = pod.spec.nodeName
    if pod.spec.hostname and pod.spec.subdomain == service.metadata.name:
        address["hostname"] = pod.spec.hostname
    return address


def _shows(known: Endpoints, wanted: Json) -> bool:
    """Whether the object says so already. (The API adds a protocol here and there; ours always has one.)"""
    labels: Mapping[str, str] = wanted["metadata"]["labels"]
    return known.subsets == wanted.get("subsets", []) and labels.items() <= known.metadata.labels.items()


def _of_the_same_name(endpoints: Endpoints) -> Iterable[Key]:
    yield endpoints.key


CONTROLLER: Controller[Service] = Controller(
    "endpoint-controller",
    core.SERVICES,
    reconcile,
    (Selected(core.PODS, serving.selects), Keyed(core.ENDPOINTS, _of_the_same_name)),
    embedded=True,
)
