"""hosts: the text of the hosts file that the Pods of one namespace share. Pure.

Kubernetes answers these names by DNS; here they are lines of a file that every Pod of the namespace has bound over
/etc/hosts, so a Pod also finds peers that come later. A Service's name stands for its own address, or for those of its
endpoints (`traffic` decides). A Pod with hostname and subdomain is `<hostname>.<subdomain>`, with and without the
namespace and `svc.cluster.local`, when a Service has the subdomain's name. Services with an address of their own come
first; the other lines keep the order in which their Pods came, so that a change mostly appends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from fairlead.api.core import Pod, Service
from fairlead.api.meta import Key

DOMAIN = "cluster.local"
HEAD = (
    "# Kept by Fairlead: the Pods and Services of this namespace.\n127.0.0.1 localhost\n::1 localhost ip6-localhost\n"
)


class Peer(msgspec.Struct, frozen=True):
    """A Pod with an address."""

    namespace: str
    hostname: str
    subdomain: str
    ip: str
    labels: Mapping[str, str]


def hostname(pod: Pod) -> str:
    """The Pod's host name: its own wish, or its name cut to what a host name may have."""
    return pod.spec.hostname or pod.metadata.name[:63].rstrip("-.")


def peer(pod: Pod, ip: str) -> Peer:
    return Peer(pod.metadata.namespace, hostname(pod), pod.spec.subdomain, ip, pod.metadata.labels)


class Named(msgspec.Struct, frozen=True):
    """A Service and the addresses that its name stands for."""

    key: Key
    addresses: tuple[str, ...]
    first: bool
    """Its lines come before those of Pods: it has an address that is no Pod's."""


def named(service: Service, addresses: Sequence[str]) -> Named:
    return Named(service.key, tuple(addresses), service.spec.virtual in addresses)


def render(
    namespace: str, peers: Sequence[Peer], services: Sequence[Named], fixed: Mapping[str, str] | None = None
) -> str:
    """The file of one namespace. `fixed` are further names, such as the API server's."""
    subdomains = {s.key for s in services}
    lines = [HEAD]
    lines += (f"{ip} {name}\n" for name, ip in (fixed or {}).items())
    lines += _service_lines((s for s in services if s.first), namespace)
    for each in peers:
        names = list(_pod_names(each, namespace, subdomains))
        if names:
            lines.append(f"{each.ip} {' '.join(names)}\n")
    lines += _service_lines((s for s in services if not s.first), namespace)
    return "".join(lines)


def _service_lines(services: Iterable[Named], namespace: str) -> Iterator[str]:
    for service in services:
        names = " ".join(_qualified(service.key.name, service.key.namespace, namespace))
        yield from (f"{ip} {names}\n" for ip in service.addresses)


def selected(service: Service, peers: Iterable[Peer]) -> list[str]:
    """The addresses of the Pods that a Service selects, ready or not."""
    wanted = service.spec.selector
    if not wanted:
        return []
    return [
        p.ip
        for p in peers
        if p.namespace == service.metadata.namespace and all(p.labels.get(k) == v for k, v in wanted.items())
    ]


def dotted(namespace: str, peers: Sequence[Peer], services: Sequence[Named]) -> dict[str, str]:
    """Dotted names to addresses: for containers that can be given no hosts file."""
    subdomains = {s.key for s in services}
    found = {n: p.ip for p in peers for n in _pod_names(p, namespace, subdomains)}
    for service in services:
        names = _qualified(service.key.name, service.key.namespace, namespace)
        found.update((name, ip) for name in names for ip in service.addresses[:1])
    return {name: ip for name, ip in found.items() if "." in name}


def _pod_names(each: Peer, namespace: str, subdomains: set[Key]) -> Iterator[str]:
    """Fully qualified first: that is the canonical name."""
    if each.subdomain and Key(each.namespace, each.subdomain) in subdomains:
        stem = f"{each.hostname}.{each.subdomain}"
        yield from _qualified(stem, each.namespace, namespace)
    if each.namespace == namespace:
        yield each.hostname


def _qualified(stem: str, own: str, seen_from: str) -> Iterator[str]:
    yield f"{stem}.{own}.svc.{DOMAIN}"
    yield f"{stem}.{own}.svc"
    yield f"{stem}.{own}"
    if own == seen_from:
        yield stem
