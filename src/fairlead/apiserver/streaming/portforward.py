"""Connections to a Pod's ports, many in one connection of the client's.

In SPDY (`portforward.k8s.io`) a connection is two streams, `data` and `error`, with the same `requestID` and the
`port`. In a websocket the ports are in the query, port i has the channels 2i and 2i + 1, and the first message of
each channel is the port's number. What goes wrong with one connection is told on its error stream and harms no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Awaitable, Callable, Sequence

from fairlead.apiserver.streaming import spdy
from fairlead.apiserver.streaming.takeover import Wire
from fairlead.apiserver.streaming.websocket import Channels
from fairlead.base import errors, telemetry
from fairlead.client.node import Duplex, Forward

PROTOCOL = "portforward.k8s.io"
TUNNEL = "SPDY/3.1+portforward.k8s.io"
_WAITING = 16
"""Pieces that are held for a Pod that does not read; then the client is not read, either."""
_PATIENCE = 30.0
"""Seconds for the second stream of a pair."""
_log = telemetry.logger("streaming")

Connect = Callable[[int], Awaitable[Duplex]]
Out = Callable[[int, bytes], Awaitable[None]]


class Link:
    """One connection: what is given goes to the Pod, what comes from there goes out."""

    def __init__(self, connect: Connect, port: int, out: Out) -> None:
        self._connect, self.port, self._out = connect, port, out
        self._given: asyncio.Queue[bytes] = asyncio.Queue(_WAITING)
        self._over = False

    async def give(self, data: bytes) -> None:
        """Pass on to the Pod; no bytes are the end. Waits while the Pod takes nothing."""
        if not self._over:
            await self._given.put(data)

    async def run(self) -> None:
        """Connect, and serve until the Pod's side ends."""
        try:
            session = await self._connect(self.port)
        except errors.StatusError as error:
            await self._out(Forward.ERROR, str(error).encode())
            return
        feeding = asyncio.ensure_future(self._feed(session))
        try:
            async for channel, data in session:
                await self._out(channel, data)
        finally:
            feeding.cancel()
            await asyncio.wait((feeding,))
            await session.close()

    async def _feed(self, session: Duplex) -> None:
        while True:
            data = await self._given.get()
            await session.send(Forward.DATA, data)
            if not data:
                return

    def drop(self) -> None:
        """Nothing more is taken; who waits to give goes on."""
        self._over = True
        while not self._given.empty():
            self._given.get_nowait()


class _Pair:
    """The two streams of one connection, as far as they are there."""

    __slots__ = ("link", "port", "streams", "task", "timer")

    def __init__(self, port: int) -> None:
        self.port = port
        self.streams: dict[str, int] = {}
        self.link: Link | None = None
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None


class Forwarder:
    """Port-forwarding in SPDY, over a connection or a tunnel."""

    def __init__(self, wire: Wire, connect: Connect, pod: str) -> None:
        self._wire, self._connect, self._pod = wire, connect, pod
        self._connection = spdy.Connection()
        self._pairs: dict[str, _Pair] = {}
        self._of: dict[int, _Pair] = {}

    async def run(self) -> None:
        """Serve until the client goes away."""
        try:
            while data := await self._wire.receive():
                for event in self._connection.receive(data):
                    await self._take(event)
                answer = self._connection.take()
                if answer:
                    await self._wire.send(answer)
        except spdy.Broken as error:
            _log.warning("port-forward of %s: %s", self._pod, error)
        except ConnectionError:
            pass
        finally:
            await self._close()

    async def _close(self) -> None:
        pairs = tuple(self._pairs.values())
        tasks = [pair.task for pair in pairs if pair.task is not None]
        for pair in pairs:
            if pair.timer is not None:
                pair.timer.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._wire.close()

    async def _take(self, event: spdy.Event) -> None:
        match event:
            case spdy.Opened():
                await self._opened(event)
            case spdy.Data(stream, data):
                await self._give(stream, data)
            case spdy.Ended(stream):
                await self._give(stream, b"")
            case spdy.Reset(stream):
                await self._given_up(stream)
            case spdy.GoneAway():
                pass

    async def _give(self, stream: int, data: bytes) -> None:
        pair = self._of.get(stream)
        if pair is not None and pair.link is not None and stream == pair.streams["data"]:
            await pair.link.give(data)

    async def _given_up(self, stream: int) -> None:
        """The client waits for the end of the error stream even then."""
        pair = self._of.get(stream)
        if pair is not None and pair.task is not None:
            pair.task.cancel()
            await self._wire.send(self._ends(pair))

    def _ends(self, pair: _Pair) -> bytes:
        return b"".join(self._connection.end(stream) for stream in pair.streams.values())

    async def _opened(self, event: spdy.Opened) -> None:
        headers = event.headers
        kind, port = headers.get("streamtype", ""), port_of(headers.get("port", ""))
        name = headers.get("requestid", "")
        pair = self._pairs.get(name)
        if kind not in ("data", "error") or port is None or not name or (pair is not None and kind in pair.streams):
            await self._wire.send(self._connection.reset(event.stream, spdy.PROTOCOL_ERROR))
            return
        if pair is None:
            pair = self._pairs[name] = _Pair(port)
            pair.timer = asyncio.get_running_loop().call_later(_PATIENCE, self._expire, name)
        pair.streams[kind] = event.stream
        self._of[event.stream] = pair
        await self._wire.send(self._connection.reply(event.stream))
        if len(pair.streams) == 2:
            self._begin(name, pair)

    def _begin(self, name: str, pair: _Pair) -> None:
        if pair.timer is not None:
            pair.timer.cancel()
        numbers = {Forward.DATA: pair.streams["data"], Forward.ERROR: pair.streams["error"]}

        async def out(channel: int, data: bytes) -> None:
            text = _explained(pair.port, self._pod, data) if channel == Forward.ERROR else data
            await self._wire.send(self._connection.data(numbers[Forward(channel)], text))

        pair.link = Link(self._connect, pair.port, out)
        pair.task = asyncio.ensure_future(self._serve(name, pair, pair.link))

    async def _serve(self, name: str, pair: _Pair, link: Link) -> None:
        try:
            await link.run()
        except ConnectionError:
            return
        finally:
            link.drop()
            self._forget(name, pair)
        with contextlib.suppress(ConnectionError):
            await self._wire.send(self._ends(pair))

    def _forget(self, name: str, pair: _Pair) -> None:
        self._pairs.pop(name, None)
        for stream in pair.streams.values():
            self._of.pop(stream, None)

    def _expire(self, name: str) -> None:
        pair = self._pairs.get(name)
        if pair is not None:
            self._forget(name, pair)
            for stream in pair.streams.values():
                self._connection.reset(stream)


async def forward_channels(client: Channels, ports: Sequence[int], connect: Connect, pod: str) -> None:
    """Port-forwarding in a websocket's channels, until the client or all Pods' sides are done."""
    links: list[Link] = []
    for i, port in enumerate(ports):
        number = struct.pack("<H", port)
        await client.send(2 * i, number)
        await client.send(2 * i + 1, number)
        links.append(Link(connect, port, _out(client, i, port, pod)))
    served = asyncio.ensure_future(_serve_all(client, links))
    reading = asyncio.ensure_future(_read(client, links))
    try:
        await asyncio.wait((served, reading), return_when=asyncio.FIRST_COMPLETED)
        complete = served.done()
    finally:
        for task in (served, reading):
            task.cancel()
        await asyncio.gather(served, reading, return_exceptions=True)
    if complete:
        await client.finish()


def _out(client: Channels, i: int, port: int, pod: str) -> Out:
    async def out(channel: int, data: bytes) -> None:
        text = _explained(port, pod, data) if channel == Forward.ERROR else data
        await client.send(2 * i + channel, text)

    return out


async def _serve_all(client: Channels, links: Sequence[Link]) -> None:
    async def serve(i: int, link: Link) -> None:
        try:
            await link.run()
        finally:
            link.drop()
        await client.end(2 * i)
        await client.end(2 * i + 1)

    await asyncio.gather(*(serve(i, link) for i, link in enumerate(links)))


async def _read(client: Channels, links: Sequence[Link]) -> None:
    async for channel, data in client:
        if channel % 2 == 0 and channel // 2 < len(links):
            await links[channel // 2].give(data)


def _explained(port: int, pod: str, data: bytes) -> bytes:
    return f"error forwarding port {port} to pod {pod}: ".encode() + data


def port_of(text: str) -> int | None:
    """A port's number; None for what is none."""
    return int(text) if text.isdecimal() and 1 <= int(text) <= 65535 else None
