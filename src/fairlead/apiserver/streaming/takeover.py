"""Wire: a stream of bytes both ways, and how a request's connection becomes one.

Two kinds. `take_over` answers a request by 101 and then has its connection for itself, which aiohttp does for
websockets only: the transport is given another protocol, and the one that it had is told of the end, so that the
server's books are right. `Tunnel` is the same over the binary messages of a websocket.

Reading is paused when what was read is not taken; writing returns when the transport can take more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Protocol

from aiohttp import WSMsgType, web

_HIGH, _LOW = 1 << 20, 1 << 18
"""Bytes read and not taken, at which reading is paused, and goes on."""


class Wire(Protocol):
    """Bytes both ways."""

    async def receive(self) -> bytes:
        """What has come; empty at the end."""

    async def send(self, data: bytes) -> None:
        """Send. Raises ConnectionError when the other side is gone."""

    async def close(self) -> None:
        """Send what is to be sent, and close."""


class Taken(asyncio.Protocol):
    """A connection that was taken over."""

    def __init__(self, transport: asyncio.Transport, before: asyncio.BaseProtocol) -> None:
        self._transport, self._before = transport, before
        self._read: deque[bytes] = deque()
        self._held = 0
        self._paused = self._lost = False
        self._came, self._writable = asyncio.Event(), asyncio.Event()
        self._writable.set()

    # --- what the transport calls

    def data_received(self, data: bytes) -> None:
        self._read.append(data)
        self._held += len(data)
        self._came.set()
        if self._held > _HIGH and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._came.set()
        self._writable.set()
        self._before.connection_lost(exc)

    # --- Wire

    async def receive(self) -> bytes:
        while not self._read:
            if self._lost:
                return b""
            self._came.clear()
            await self._came.wait()
        data = b"".join(self._read)
        self._read.clear()
        self._held = 0
        if self._paused and not self._lost:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def send(self, data: bytes) -> None:
        if self._lost or self._transport.is_closing():
            raise ConnectionResetError("the client has gone")
        self._transport.write(data)
        await self._writable.wait()

    async def close(self) -> None:
        self._transport.close()


class Switched(web.StreamResponse):
    """Stands for the answer to a request whose connection was taken over: there is nothing left to send on it."""

    def __init__(self) -> None:
        super().__init__(status=101)
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None


def take_over(request: web.BaseRequest, headers: Mapping[str, str]) -> Taken:
    """Answer 101 with these headers; the connection is ours. The handler must return `Switched()` when it is done."""
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the client has gone")
    taken = Taken(transport, transport.get_protocol())
    transport.set_protocol(taken)
    lines = ["HTTP/1.1 101 Switching Protocols", *(f"{name}: {value}" for name, value in headers.items())]
    transport.write("\r\n".join((*lines, "", "")).encode("latin-1"))
    return taken


class Tunnel:
    """A wire within a websocket: the binary messages' bytes, one after another."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def receive(self) -> bytes:
        while True:
            message = await self._socket.receive()
            if message.type == WSMsgType.BINARY:
                if message.data:
                    return bytes(message.data)
            elif message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
                return b""

    async def send(self, data: bytes) -> None:
        await self._socket.send_bytes(data)

    async def close(self) -> None:
        await self._socket.close()
