"""hosts: the text of the hosts file that the Pods of one namespace share. Pure.

Kubernetes answers these names by DNS; here they are lines of a file that every Pod of the namespace has bound over
/etc/hosts, so a Pod also finds peers that come later. A Service's name stands for the addresses of its running Pods
(there is no virtual address, so a port is the Pod's own port, not the Service's). A Pod with hostname and subdomain is
`<hostname>.<subdomain>`, with and without the namespace and `svc.cluster.local`, when a Service has the subdomain's
name. Lines keep the order in which their Pods came, so that a change mostly appends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from fairlead.api.core import Pod, Service

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
    running: bool = True


def hostname(pod: Pod) -> str:
    """The Pod's host name: its own wish, or its name cut to what a host name may have."""
    return pod.spec.hostname or pod.metadata.name[:63].rstrip("-.")


def peer(pod: Pod, ip: str, *, running: bool = True) -> Peer:
    return Peer(pod.metadata.namespace, hostname(pod), pod.spec.subdomain, ip, pod.metadata.labels, running)


def render(
    namespace: str, peers: Sequence[Peer], services: Sequence[Service], fixed: Mapping[str, str] | None = None
) -> str:
    """The file of one namespace. `fixed` are further names, such as the API server's."""
    subdomains = {(s.metadata.namespace, s.metadata.name) for s in services}
    lines = [HEAD]
    lines += (f"{ip} {name}\n" for name, ip in (fixed or {}).items())
    for each in peers:
        names = list(_pod_names(each, namespace, subdomains))
        if names:
            lines.append(f"{each.ip} {' '.join(names)}\n")
    for service in services:
        names = list(_qualified(service.metadata.name, service.metadata.namespace, namespace))
        lines += (f"{ip} {' '.join(names)}\n" for ip in addresses(service, peers))
    return "".join(lines)


def addresses(service: Service, peers: Iterable[Peer]) -> list[str]:
    """The addresses behind a Service: its running Pods', or all of them if it publishes those too."""
    wanted = service.spec.selector
    if not wanted:
        return []
    early = service.spec.publishNotReadyAddresses
    return [
        p.ip
        for p in peers
        if p.namespace == service.metadata.namespace
        and (p.running or early)
        and all(p.labels.get(k) == v for k, v in wanted.items())
    ]


def peer_names(namespace: str, peers: Sequence[Peer], services: Sequence[Service]) -> dict[str, str]:
    """Dotted names of Pods to their addresses: for containers that can be given no hosts file."""
    subdomains = {(s.metadata.namespace, s.metadata.name) for s in services}
    return {n: p.ip for p in peers for n in _pod_names(p, namespace, subdomains) if "." in n}


def _pod_names(each: Peer, namespace: str, subdomains: set[tuple[str, str]]) -> Iterator[str]:
    """Fully qualified first: that is the canonical name."""
    if each.subdomain and (each.namespace, each.subdomain) in subdomains:
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
