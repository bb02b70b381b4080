"""services: what stands behind each Service, as the table that a balancer carries out. Pure.

A Service with an address of its own has one frontend for each port, and one more for a node port. Behind a frontend are
the ready endpoints of its EndpointSlices; when none is ready, those that are ending but still serve (KEP-1669). Where
the Service asks for it, only this node's. A frontend without backends is in the table too: it refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from fairlead.api.core import Service, ServicePort
from fairlead.api.discovery import Endpoint, EndpointSlice
from fairlead.api.meta import Key

SERVICE_NAME = "kubernetes.io/service-name"


class Backend(NamedTuple):
    """Where a connection goes."""

    ip: str
    port: int


class Frontend(msgspec.Struct, frozen=True):
    """Where connections come to. `ip` is empty for a port of the node, at whichever of its addresses."""

    service: Key
    ip: str
    port: int
    protocol: str
    backends: tuple[Backend, ...] = ()
    sticky: bool = False
    """A client comes to the same backend again, as long as these do not change."""


def by_service(slices: Iterable[EndpointSlice]) -> dict[Key, list[EndpointSlice]]:
    """Slices by the Service that they are of."""
    found: dict[Key, list[EndpointSlice]] = {}
    for each in slices:
        name = each.metadata.labels.get(SERVICE_NAME)
        if name and each.addressType == "IPv4":
            found.setdefault(Key(each.metadata.namespace, name), []).append(each)
    return found


def frontends(
    services: Iterable[Service], slices: Mapping[Key, Sequence[EndpointSlice]], node: str
) -> tuple[Frontend, ...]:
    """All frontends, in an order that stays."""
    found = [f for s in services for f in _of(s, slices.get(s.key, ()), node)]
    return tuple(sorted(found, key=lambda f: (f.service, f.port, f.protocol, f.ip)))


def _of(service: Service, slices: Sequence[EndpointSlice], node: str) -> Iterator[Frontend]:
    spec = service.spec
    if not spec.virtual:
        return
    sticky = spec.sessionAffinity == "ClientIP"
    for port in spec.ports:
        inner = _backends(port, slices, node if spec.internalTrafficPolicy == "Local" else "")
        for ip in (spec.virtual, *spec.externalIPs):
            yield Frontend(service.key, ip, port.port, port.protocol, inner, sticky)
        if port.nodePort:
            outer = _backends(port, slices, node if spec.externalTrafficPolicy == "Local" else "")
            yield Frontend(service.key, "", port.nodePort, port.protocol, outer, sticky)


def _backends(port: ServicePort, slices: Sequence[EndpointSlice], node: str) -> tuple[Backend, ...]:
    """`node`: only its endpoints; empty: everybody's."""
    ready: set[Backend] = set()
    ending: set[Backend] = set()
    for each in slices:
        number = _number(port, each.ports)
        for endpoint in each.endpoints if number else ():
            if not endpoint.addresses or (node and endpoint.nodeName != node):
                continue
            backend = Backend(endpoint.addresses[0], number)
            if is_ready(endpoint):
                ready.add(backend)
            elif endpoint.conditions.serving and endpoint.conditions.terminating:
                ending.add(backend)
    return tuple(sorted(ready or ending))


def _number(port: ServicePort, ports: Sequence[Mapping[str, Any]]) -> int:
    """The endpoints' number of a Service's port: the port of that name and protocol; 0 for none."""
    for each in ports:
        if (each.get("name") or "") == port.name and (each.get("protocol") or "TCP") == port.protocol:
            return int(each.get("port") or 0)
    return 0


def is_ready(endpoint: Endpoint) -> bool:
    """Unknown counts as ready."""
    return endpoint.conditions.ready is not False


def ready_addresses(slices: Iterable[EndpointSlice]) -> list[str]:
    """The addresses of the ready endpoints, whatever their ports."""
    return sorted({a for s in slices for e in s.endpoints if is_ready(e) for a in e.addresses[:1]})
