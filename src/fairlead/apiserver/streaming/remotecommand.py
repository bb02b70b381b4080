"""Channels in SPDY: one stream each, told apart by the header `streamType`. Protocol `v4.channel.k8s.io`.

The client opens all streams first, and waits for the answer to each. A process's streams are the client's to read at
the pace that suits it: there is one reader of the connection, and it reads on when the process has taken what came.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator

from fairlead.apiserver.streaming import spdy
from fairlead.apiserver.streaming.takeover import Wire
from fairlead.client.node import AttachOptions, Channel

V4 = "v4.channel.k8s.io"
_TYPES = {
    "stdin": Channel.STDIN, "stdout": Channel.STDOUT, "stderr": Channel.STDERR, "error": Channel.ERROR,
    "resize": Channel.RESIZE,
}  # fmt: skip
_PATIENCE = 30.0
"""Seconds for the client to open its streams."""
_PARTING = 5.0
"""Seconds for the client to close the connection, once it was told everything."""


class Incomplete(Exception):
    """The client has not opened the streams that it asked for."""


def expected(options: AttachOptions) -> set[Channel]:
    """The streams that a client opens for what it asks for."""
    asked = {
        Channel.STDIN: options.stdin, Channel.STDOUT: options.stdout, Channel.RESIZE: options.tty,
        Channel.STDERR: options.stderr and not options.tty,
    }  # fmt: skip
    return {Channel.ERROR, *(channel for channel, wanted in asked.items() if wanted)}


class Streams:
    """A `channels.Client`."""

    def __init__(self, wire: Wire) -> None:
        self._wire, self._connection = wire, spdy.Connection()
        self._numbers: dict[int, int] = {}
        self._channels: dict[int, int] = {}
        self._early: deque[spdy.Event] = deque()
        self._sizes = b""

    async def open(self, options: AttachOptions) -> None:
        """Wait for all streams. Raises Incomplete, or spdy.Broken."""
        missing = expected(options)
        try:
            async with asyncio.timeout(_PATIENCE):
                while missing:
                    data = await self._wire.receive()
                    if not data:
                        raise Incomplete("the client has gone")
                    for event in self._connection.receive(data):
                        if isinstance(event, spdy.Opened):
                            missing.discard(await self._opened(event))
                        else:
                            self._early.append(event)
                    await self._answer()
        except TimeoutError:
            raise Incomplete(f"no stream for {', '.join(c.name.lower() for c in sorted(missing))}") from None

    async def _opened(self, event: spdy.Opened) -> Channel:
        channel = _TYPES.get(event.headers.get("streamtype", ""))
        if channel is None or channel in self._numbers:
            await self._wire.send(self._connection.reset(event.stream, spdy.PROTOCOL_ERROR))
            raise Incomplete(f"a stream of type {event.headers.get('streamtype')!r}")
        self._numbers[channel], self._channels[event.stream] = event.stream, channel
        await self._wire.send(self._connection.reply(event.stream))
        return channel

    async def _answer(self) -> None:
        answer = self._connection.take()
        if answer:
            await self._wire.send(answer)

    async def __aiter__(self) -> AsyncIterator[tuple[int, bytes]]:
        while True:
            while self._early:
                for item in self._meaning(self._early.popleft()):
                    yield item
            data = await self._wire.receive()
            if not data:
                return
            self._early.extend(self._connection.receive(data))
            await self._answer()

    def _meaning(self, event: spdy.Event) -> Iterator[tuple[int, bytes]]:
        match event:
            case spdy.Data(stream, data):
                channel = self._channels[stream]
                if channel == Channel.RESIZE:
                    yield from self._resized(data)
                elif data:
                    yield channel, data
            case spdy.Ended(stream) | spdy.Reset(stream) if self._channels.get(stream) == Channel.STDIN:
                yield Channel.STDIN, b""
            case _:
                pass

    def _resized(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The stream of sizes has one JSON object a line."""
        *lines, self._sizes = (self._sizes + data).split(b"\n")
        self._sizes = self._sizes[:1024]
        for line in lines:
            yield Channel.RESIZE, line

    async def send(self, channel: int, data: bytes) -> None:
        stream = self._numbers.get(channel)
        if stream is not None:
            await self._wire.send(self._connection.data(stream, data))

    async def finish(self) -> None:
        """End all streams; then the client closes. Closing first could take the last bytes from it (RFC 1122, 4.2.2.13:
        a connection that is closed with data unread is reset)."""
        await self._wire.send(b"".join(self._connection.end(stream) for stream in self._channels))
        try:
            async with asyncio.timeout(_PARTING):
                while await self._wire.receive():
                    pass
        except TimeoutError:
            pass
