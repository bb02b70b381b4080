"""proxy: balancing by this process: it listens at a Service's address, and connects to one of its endpoints.

For networks where the kernel does not balance: Pods on loopback addresses, or a kernel without nf_tables. TCP only. A
frontend without backends is not listened at, so that its clients are refused at once. Where Pods share the host's
ports, a server that listens on all addresses would collide with a frontend on the same port; so such a frontend begins
to listen only when a backend answers, and if the port is taken then, the server has it anyway.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import random
import zlib
from collections.abc import Callable, Sequence
from typing import cast

from fairlead.agent import netlink
from fairlead.agent.services import Backend, Frontend
from fairlead.base import telemetry

log = telemetry.logger("agent.services")

_CONNECT_SECONDS = 5.0
_LOOK_SECONDS = 0.1
_BACKLOG = 128


class Proxy:
    """`alone`: Services' addresses are this host's already (127.0.0.0/8), and Pods share its ports."""

    name = "proxy"

    def __init__(self, services: ipaddress.IPv4Network, *, alone: bool) -> None:
        self._alone = alone
        if not alone:
            netlink.add_local_route(services)
        self.detail = f"{services}, TCP only, balanced by the agent: every byte passes through it"
        self._doors: dict[tuple[str, int], _Door] = {}
        self._sides: set[_Side] = set()
        """The connections that there are."""

    def put(self, frontends: Sequence[Frontend]) -> None:
        wanted = {(f.ip, f.port): f for f in frontends if f.protocol == "TCP" and f.backends}
        for place in [p for p in self._doors if p not in wanted]:
            self._doors.pop(place).close()
        for place, frontend in wanted.items():
            door = self._doors.get(place)
            if door is None:
                door = self._doors[place] = _Door(frontend, self._sides, shared=self._alone)
            door.frontend = frontend

    def close(self, *, keep: bool) -> None:
        for door in self._doors.values():
            door.close()
        self._doors.clear()
        for side in list(self._sides):
            side.abort()


class _Door:
    """One frontend's listener and its connections."""

    def __init__(self, frontend: Frontend, sides: set[_Side], *, shared: bool) -> None:
        self.frontend, self._sides, self._shared = frontend, sides, shared
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._opening = asyncio.get_running_loop().create_task(self._open())

    def close(self) -> None:
        """Listen no more. Connections that exist go on until either side ends them."""
        self._opening.cancel()
        if self._server is not None:
            self._server.close()

    async def _open(self) -> None:
        place = (self.frontend.ip or "0.0.0.0", self.frontend.port)  # noqa: S104 - a node port is on all addresses
        if self._collides():
            await self._answered()
        try:
            self._server = await asyncio.get_running_loop().create_server(self._accept, *place, backlog=_BACKLOG)
        except OSError as error:
            log.log(20 if self._collides() else 30, "service %s: %s:%d: %s", self.frontend.service, *place, error)

    def _collides(self) -> bool:
        return self._shared and any(b.port == self.frontend.port for b in self.frontend.backends)

    async def _answered(self) -> None:
        """Return when a backend takes connections."""
        while True:
            for ip, port in self.frontend.backends:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection(ip, port)
                    writer.close()
                    return
            await asyncio.sleep(_LOOK_SECONDS)

    def _accept(self) -> asyncio.Protocol:
        return _Side(self._sides, self._connected)

    def _connected(self, client: _Side) -> None:
        task = asyncio.get_running_loop().create_task(self._join(client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, client: _Side) -> None:
        """Connect to a backend, another one if that does not answer, and let bytes pass."""
        for ip, port in self._order(client):
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    loop = asyncio.get_running_loop()
                    _, server = await loop.create_connection(lambda: _Side(self._sides), ip, port)
            except (OSError, TimeoutError):
                continue
            client.join(server)
            return
        client.abort()

    def _order(self, client: _Side) -> Sequence[Backend]:
        backends = list(self.frontend.backends)
        if self.frontend.sticky and backends:
            first = zlib.crc32(client.host.encode()) % len(backends)
            return [*backends[first:], *backends[:first]]
        random.shuffle(backends)
        return backends


class _Side(asyncio.Protocol):
    """One of the two connections. What it reads is written to the other, no faster than that takes it; until there is
    another, it is kept."""

    def __init__(self, sides: set[_Side], connected: Callable[[_Side], None] | None = None) -> None:
        self._sides, self._connected = sides, connected
        self._other: _Side | None = None
        self._transport: asyncio.Transport | None = None
        self._kept: list[bytes] = []
        self._ended = False

    @property
    def host(self) -> str:
        """Whose connection it is."""
        assert self._transport is not None
        return str((self._transport.get_extra_info("peername") or ("",))[0])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._sides.add(self)
        if self._connected is not None:
            self._connected(self)

    def join(self, other: _Side) -> None:
        """Be the two ends of one connection."""
        self._other, other._other = other, self
        if self._transport is None or self._transport.is_closing():
            other.abort()
            return
        for side in (self, other):
            side._catch_up()

    def _catch_up(self) -> None:
        for data in self._kept:
            self._pass(data)
        self._kept.clear()
        if self._ended:
            self._pass_end()
        elif self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._other is not None:
            self._pass(data)
            return
        self._kept.append(data)
        if self._transport is not None:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """The other side is told; it may still send."""
        self._ended = True
        if self._other is None:
            return True
        self._pass_end()
        return not self._other._ended

    def _pass(self, data: bytes) -> None:
        if self._other is not None and self._other._transport is not None:
            self._other._transport.write(data)

    def _pass_end(self) -> None:
        transport = self._other._transport if self._other is not None else None
        if transport is not None and transport.can_write_eof() and not transport.is_closing():
            transport.write_eof()

    def pause_writing(self) -> None:
        if self._other is not None and self._other._transport is not None:
            self._other._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._other is not None and self._other._transport is not None:
            self._other._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._sides.discard(self)
        other = self._other
        if other is None or other._transport is None:
            return
        if exc is not None:
            other._transport.abort()
        else:
            other._transport.close()
