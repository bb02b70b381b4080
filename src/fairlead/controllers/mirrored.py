"""EndpointSlices out of Endpoints that people keep themselves, for Services without a selector.

One slice for each address family of a subset. They are owned by the Endpoints, and go with them, or when the Service
gets a selector (then its own slices say more), or when the Endpoints ask not to be mirrored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from fairlead.api import core, discovery
from fairlead.api.core import Endpoints, Service
from fairlead.api.discovery import EndpointSlice
from fairlead.api.meta import Key
from fairlead.reconcile import ownership, serving
from fairlead.reconcile.reconciler import Apply, Change, Controller, Delete, Owned, Referred, View

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY, MANAGER = "endpointslice.kubernetes.io/managed-by", "endpointslicemirroring-controller.k8s.io"
SKIP = "endpointslice.kubernetes.io/skip-mirror"
_LEADER = "control-plane.alpha.kubernetes.io/leader"
_TRIGGER = "endpoints.kubernetes.io/last-change-trigger-time"
_MOST = 1000

Json = Mapping[str, Any]


def reconcile(view: View[Endpoints]) -> Sequence[Change]:
    endpoints = view.object
    if endpoints is None or endpoints.metadata.deleting:
        return []
    service = view.find(core.SERVICES, endpoints.key)
    wanted = {s["metadata"]["name"]: s for s in _slices(endpoints)} if _is_mirrored(endpoints, service) else {}
    known = {s.metadata.name: s for s in view.all(discovery.ENDPOINT_SLICES)}
    applies = [Apply(discovery.ENDPOINT_SLICES, s) for name, s in wanted.items() if not _shows(known.get(name), s)]
    stale = [s for name, s in known.items() if name not in wanted]
    return [*applies, *(Delete(discovery.ENDPOINT_SLICES, s.key, s.metadata.uid) for s in stale)]


def _is_mirrored(endpoints: Endpoints, service: Service | None) -> bool:
    if service is None or service.spec.selector or service.metadata.deleting:
        return False
    meta = endpoints.metadata
    return meta.labels.get(SKIP) != "true" and _LEADER not in meta.annotations


def _slices(endpoints: Endpoints) -> Iterator[Json]:
    for number, subset in enumerate(endpoints.subsets):
        families: dict[str, list[Json]] = {}
        for field, ready in (("addresses", True), ("notReadyAddresses", False)):
            for address in subset.get(field) or ():
                family = "IPv6" if ":" in address["ip"] else "IPv4"
                families.setdefault(family, []).append(_endpoint(address, ready))
        for family, found in families.items():
            yield _slice(endpoints, f"{number}\n{family}", family, found[:_MOST], subset.get("ports") or ())


def _endpoint(address: Json, ready: bool) -> Json:
    kept = {k: address[k] for k in ("hostname", "nodeName", "targetRef") if address.get(k)}
    return {"addresses": [address["ip"]], "conditions": {"ready": ready}, **kept}


def _slice(endpoints: Endpoints, kind: str, family: str, found: Sequence[Json], ports: Sequence[Json]) -> Json:
    meta = endpoints.metadata
    digest = hashlib.sha256(f"{meta.uid}\n{kind}".encode()).hexdigest()[:10]
    owner = ownership.reference(core.ENDPOINTS, endpoints)
    annotations = {k: v for k, v in meta.annotations.items() if k != _TRIGGER and not k.startswith("kubectl.")}
    told: dict[str, Any] = {
        "name": f"{meta.name[:52]}-{digest}", "namespace": meta.namespace,
        "labels": {**meta.labels, SERVICE_NAME: meta.name, MANAGED_BY: MANAGER}, "ownerReferences": [owner],
    }  # fmt: skip
    if annotations:
        told["annotations"] = annotations
    return {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": told, "addressType": family,
        "endpoints": list(found), "ports": [{"name": "", "protocol": "TCP", **port} for port in ports],
    }  # fmt: skip


def _shows(known: EndpointSlice | None, wanted: Json) -> bool:
    if known is None:
        return False
    expected = msgspec.convert(wanted, EndpointSlice)
    return (
        known.endpoints == expected.endpoints
        and [serving.significant(p) for p in known.ports] == [serving.significant(p) for p in expected.ports]
        and expected.metadata.labels.items() <= known.metadata.labels.items()
    )


def _service(endpoints: Endpoints) -> Iterable[Key]:
    yield endpoints.key


CONTROLLER: Controller[Endpoints] = Controller(
    "endpointslicemirroring-controller",
    core.ENDPOINTS,
    reconcile,
    (Referred(core.SERVICES, _service), Owned(discovery.ENDPOINT_SLICES)),
    embedded=True,
)
