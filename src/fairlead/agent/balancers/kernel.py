"""kernel: balancing by the kernel's connection tracking. One nf_tables table, replaced as a whole at every change.

    hook prerouting, output:  to <services>  -> services;  to an address of this host -> ports
    services, ports:          <address, protocol, port> -> a chain for each frontend
    frontend:                 one backend by lot (or by the sender's address), destination rewritten
    hook postrouting:         what comes back to the Pods' own network is given this host's address where the answer
                              would otherwise go past this host
    hook forward, output:     what is still for <services> is refused, so that a Service without endpoints, or a port
                              that it does not have, fails at once

On a bridge, answers between Pods pass the host's rules only if the kernel was told so (bridge-nf-call-iptables). Then
backends see their clients' addresses; else they see the host's.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Iterator, Sequence

from fairlead.agent import netlink, nftables, translation
from fairlead.agent.nftables import Message
from fairlead.agent.services import Backend, Frontend
from fairlead.api.meta import Key

_DNAT, _FILTER, _SNAT = -100, 0, 100
_PROTOCOLS = {"TCP": socket.IPPROTO_TCP, "UDP": socket.IPPROTO_UDP, "SCTP": 132}
_LOOPBACK = ipaddress.IPv4Network("127.0.0.0/8")
_BRIDGED = "/proc/sys/net/bridge/bridge-nf-call-iptables"


class Kernel:
    """One bridge's. Raises OSError when the kernel cannot do it."""

    name = "nf_tables"

    def __init__(self, bridge: str, pods: ipaddress.IPv4Network, services: ipaddress.IPv4Network) -> None:
        self._table, self._pods, self._services = translation.services_table(bridge), pods, services
        self._bridged = bridged()
        self.detail = f"{services}, balanced by the kernel" + (
            "" if self._bridged else "; pods see this node's address instead of their client's"
        )
        trial = Frontend(Key("", ""), str(services[2]), 1, "TCP", (Backend("127.0.0.1", 1), Backend("127.0.0.1", 2)))
        nftables.send(*self.messages([trial]))
        self.put(())
        netlink.remove_local_route(services)
        netlink.add_route(bridge, services)

    def put(self, frontends: Sequence[Frontend]) -> None:
        nftables.send(*self.messages(frontends))

    def close(self, *, keep: bool) -> None:
        """The table goes with the bridge."""

    def messages(self, frontends: Sequence[Frontend]) -> list[Message]:
        """The whole table, in the place of the one that was."""
        table = self._table
        start = [nftables.table(table), nftables.without_table(table), nftables.table(table)]
        served = [f for f in frontends if f.backends and f.protocol in _PROTOCOLS]
        return [*start, *self._chains(served), *self._entries(), *self._frontends(served), *self._ways_back(served)]

    def _chains(self, served: Sequence[Frontend]) -> Iterator[Message]:
        table = self._table
        for name in ("services", "ports", "back", *map(_chain, range(len(served)))):
            yield nftables.chain(table, name)
        yield nftables.hook(table, "arriving", "nat", nftables.PREROUTING, _DNAT)
        yield nftables.hook(table, "from-here", "nat", nftables.OUTPUT, _DNAT)
        yield nftables.hook(table, "outwards", "nat", nftables.POSTROUTING, _SNAT)
        yield nftables.hook(table, "passing", "filter", nftables.FORWARD, _FILTER)
        yield nftables.hook(table, "leaving", "filter", nftables.OUTPUT, _FILTER)

    def _entries(self) -> Iterator[Message]:
        table, for_service = self._table, nftables.within(nftables.DESTINATION, self._services)
        for chain in ("arriving", "from-here"):
            yield nftables.rule(table, chain, for_service, nftables.jump("services"))
            here = nftables.to_this_host() + nftables.within(nftables.DESTINATION, _LOOPBACK, equal=False)
            yield nftables.rule(table, chain, here, nftables.jump("ports"))
        for chain in ("passing", "leaving"):
            yield nftables.rule(table, chain, for_service, nftables.protocol(socket.IPPROTO_TCP), nftables.reset())
            yield nftables.rule(table, chain, for_service, nftables.refuse())

    def _frontends(self, served: Sequence[Frontend]) -> Iterator[Message]:
        for number, frontend in enumerate(served):
            matches = nftables.protocol(_PROTOCOLS[frontend.protocol]) + nftables.port(frontend.port)
            if frontend.ip:
                matches = nftables.address(nftables.DESTINATION, frontend.ip) + matches
            for where in self._places(frontend.ip):
                yield nftables.rule(self._table, where, matches, nftables.goto(_chain(number)))
            yield from self._backends(_chain(number), frontend)

    def _places(self, ip: str) -> tuple[str, ...]:
        """The chains in which a frontend is looked for. External addresses are in no network that we know."""
        if not ip:
            return ("ports",)
        return ("services",) if ipaddress.IPv4Address(ip) in self._services else ("arriving", "from-here")

    def _backends(self, chain: str, frontend: Frontend) -> Iterator[Message]:
        """Each takes its share of what the ones before it have left."""
        count = len(frontend.backends)
        for index, backend in enumerate(frontend.backends):
            lot = nftables.falls_to(index, count) if frontend.sticky else nftables.chance(count - index)
            last = index == count - 1
            yield nftables.rule(self._table, chain, b"" if last else lot, nftables.redirect(*backend))

    def _ways_back(self, served: Sequence[Frontend]) -> Iterator[Message]:
        """Answers must come by this host. A Pod that reaches itself always needs that."""
        inside = (
            nftables.was_redirected(),
            nftables.within(nftables.SOURCE, self._pods),
            nftables.within(nftables.DESTINATION, self._pods),
        )
        yield nftables.rule(self._table, "outwards", *inside, nftables.jump("back"))
        if not self._bridged:
            yield nftables.rule(self._table, "back", nftables.masquerade())
            return
        for ip in _addresses(served):
            itself = nftables.address(nftables.SOURCE, ip) + nftables.address(nftables.DESTINATION, ip)
            yield nftables.rule(self._table, "back", itself, nftables.masquerade())


def bridged() -> bool:
    """Whether what passes a bridge passes the host's rules."""
    try:
        with open(_BRIDGED) as f:
            return f.read().strip() == "1"
    except OSError:
        return False


def _chain(number: int) -> str:
    return f"service-{number}"


def _addresses(served: Iterable[Frontend]) -> list[str]:
    return sorted({backend.ip for frontend in served for backend in frontend.backends})
