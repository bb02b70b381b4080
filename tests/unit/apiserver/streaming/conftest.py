"""A Pod's side of a session, and a wire with a client that speaks SPDY."""

from __future__ import annotations

import asyncio
import struct

import pytest

from fairlead.apiserver.streaming import headerblock, spdy
from fairlead.testing.sessions import Session


class Wire:
    """A `takeover.Wire`, and the client at its other end, which speaks SPDY."""

    def __init__(self) -> None:
        self._inbox: asyncio.Queue[bytes] = asyncio.Queue()
        self._writer, self._reader = headerblock.Writer(), headerblock.Reader()
        self.gone = self.closed = False
        self._sent = b""
        self._news = asyncio.Event()

    # --- the server's side

    async def receive(self) -> bytes:
        return await self._inbox.get()

    async def send(self, data: bytes) -> None:
        if self.gone:
            raise ConnectionResetError
        self._sent += data
        self._news.set()

    async def close(self) -> None:
        self.closed = True

    # --- the client's

    def open(self, stream: int, **headers: str) -> None:
        block = self._writer.write(headers)
        self.frame(spdy.SYN_STREAM, struct.pack(">IIH", stream, 0, 0) + block)

    def frame(self, kind: int, body: bytes) -> None:
        self._inbox.put_nowait(struct.pack(">II", 0x80030000 | kind, len(body)) + body)

    def data(self, stream: int, data: bytes = b"", *, end: bool = False) -> None:
        self._inbox.put_nowait(struct.pack(">II", stream, end << 24 | len(data)) + data)

    def raw(self, data: bytes) -> None:
        self._inbox.put_nowait(data)

    def leave(self) -> None:
        self._inbox.put_nowait(b"")

    async def sees(self, *frames: tuple[object, ...]) -> None:
        """Return once exactly these frames came: ("reply", stream), ("data", stream, bytes), ("end", stream), …"""
        found: list[tuple[object, ...]] = []
        async with asyncio.timeout(5):
            while len(found) < len(frames):
                while not self._sent:
                    self._news.clear()
                    await self._news.wait()
                found.append(self._one())
        assert found == list(frames)

    def _one(self) -> tuple[object, ...]:
        first, second = struct.unpack_from(">II", self._sent)
        size = second & 0xFFFFFF
        body, self._sent = self._sent[8 : 8 + size], self._sent[8 + size :]
        if not first >> 31:
            return ("end", first) if second >> 24 else ("data", first, body)
        number = struct.unpack_from(">I", body)[0]
        if first & 0xFFFF == spdy.SYN_REPLY:
            self._reader.read(body[4:])
            return ("reply", number)
        return ({spdy.RST_STREAM: "reset", spdy.PING: "ping"}.get(first & 0xFFFF, first & 0xFFFF), number)


@pytest.fixture
def pod() -> Session:
    return Session()


@pytest.fixture
def wire() -> Wire:
    return Wire()
