"""traffic: Services as this node's Pods use them: their names, and what answers at their addresses.

Follows Services and EndpointSlices. Names stand for a Service's own address where a balancer serves it, else (headless,
or no balancer) for the addresses of its endpoints; an ExternalName for what the host's resolver says.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from fairlead.agent import hosts, services
from fairlead.agent.balancers import Balancer
from fairlead.agent.names import Names
from fairlead.agent.services import Frontend
from fairlead.api.core import SERVICES, Service
from fairlead.api.discovery import ENDPOINT_SLICES, EndpointSlice
from fairlead.api.meta import Key
from fairlead.base import telemetry
from fairlead.base.clock import Clock
from fairlead.client import informer
from fairlead.client.informer import Handlers, Informer
from fairlead.client.protocol import Client

log = telemetry.logger("agent.services")

_GATHER = 0.01
_SPARING = 10.0
"""Changes gather for that many times as long as the last table took to be put in place: thousands of Services are no
reason to do nothing else."""
_RESOLVE_SECONDS = 30.0
"""How often external names are asked for again."""


class Traffic:
    """One node's. `run` follows until cancelled; what was put in place stays."""

    def __init__(self, client: Client, state: str, node: str, balancer: Balancer, clock: Clock, api: str) -> None:
        self._client, self._node, self._balancer, self._clock = client, node, balancer, clock
        self.services: Informer[Service] = Informer(SERVICES)
        self._slices: Informer[EndpointSlice] = Informer(ENDPOINT_SLICES)
        self.names = Names(state, lambda: list(self.services.cache), self._told, self._fixed(api))
        self._behind: dict[Key, list[EndpointSlice]] = {}
        self._external: dict[str, tuple[str, ...]] = {}
        self._table: tuple[Frontend, ...] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._wanted = asyncio.Event()
        self._unsynced = 2
        self._cost = 0.0

    @property
    def _virtual(self) -> bool:
        return self._balancer.name != "none"

    def _fixed(self, api: str) -> Mapping[str, str]:
        """The API server's names, where its Service's address does not work."""
        names = ("kubernetes.default.svc.cluster.local", "kubernetes.default.svc", "kubernetes.default", "kubernetes")
        return dict.fromkeys(names, api) if api and not self._virtual else {}

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            handlers: Handlers[Any] = Handlers(lambda old, new: self._changed(), self._synced)
            tasks.create_task(informer.run(self._client, self.services, self._clock, handlers))
            tasks.create_task(informer.run(self._client, self._slices, self._clock, handlers))
            tasks.create_task(self._resolve())

    def close(self, *, keep: bool) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.names.close()
        self._balancer.close(keep=keep)

    def _synced(self) -> None:
        self._unsynced -= 1
        self._changed()

    def _changed(self) -> None:
        """Once for all changes that come together, and not before everything is known: nothing is taken away that
        only has not been listed yet."""
        if self._timer is None and not self._unsynced:
            self._timer = asyncio.get_running_loop().call_later(max(_GATHER, _SPARING * self._cost), self._apply)

    def _apply(self) -> None:
        self._timer, began = None, self._clock.monotonic()
        self._behind = services.by_service(self._slices.cache)
        table = services.frontends(self.services.cache, self._behind, self._node)
        if table != self._table:
            try:
                self._balancer.put(table)
                self._table = table
            except OSError as error:
                log.warning("services are not balanced as they should be: %s", error)
        self._cost = self._clock.monotonic() - began
        self._wanted.set()
        self.names.refresh()

    # --- names -----------------------------------------------------------------------------------------------------

    def _told(self, service: Service, peers: Sequence[hosts.Peer]) -> Sequence[str]:
        """The addresses that a Service's name stands for."""
        spec = service.spec
        if spec.type == "ExternalName":
            return self._alias(spec.externalName.rstrip("."), peers)
        if spec.virtual and self._virtual:
            return (spec.virtual,)
        ready = services.ready_addresses(self._behind.get(service.key, ()))
        if not spec.publishNotReadyAddresses:
            return ready
        return list(dict.fromkeys((*hosts.selected(service, peers), *ready)))

    def _alias(self, name: str, peers: Sequence[hosts.Peer]) -> Sequence[str]:
        """Another Service's address, or an outer one's."""
        words = name.removesuffix("." + hosts.DOMAIN).split(".")
        if len(words) == 3 and words[2] == "svc":
            other = self.services.cache.get(Key(words[1], words[0]))
            return self._told(other, peers) if other is not None and other.spec.type != "ExternalName" else ()
        return self._external.get(name, ())

    async def _resolve(self) -> None:
        """Ask for external names, when there are new ones and now and then."""
        while True:
            await self._wait()
            wanted = {s.spec.externalName.rstrip(".") for s in self.services.cache if s.spec.type == "ExternalName"}
            if not wanted:
                self._external = {}
                continue
            found = dict(zip(wanted, await asyncio.gather(*map(_addresses, wanted)), strict=True))
            if found != self._external:
                self._external = found
                self.names.refresh()

    async def _wait(self) -> None:
        waits = [
            asyncio.ensure_future(self._wanted.wait()),
            asyncio.ensure_future(self._clock.sleep(_RESOLVE_SECONDS)),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        self._wanted.clear()


async def _addresses(name: str) -> tuple[str, ...]:
    """What the host's resolver says; nothing for a name that it does not know."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, None, family=socket.AF_INET, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))
