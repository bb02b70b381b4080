"""An API server of the test's own, over HTTP on loopback, and connections that a test holds in its hands."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from fairlead.apiserver import app, assembly, auth
from fairlead.store.mvcc import Store
from fairlead.store.sqlite import SqliteStore

TOKEN = "test"


class Wire:
    """One connection. `ask` sends a request, `answer` reads a whole answer, `line` a line of a chunked one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def ask(self, method: str, target: str, body: Any = None, **headers: str) -> None:
        data = body if isinstance(body, bytes) else msgspec.json.encode(body) if body is not None else b""
        told = {"Host": "localhost", "Authorization": f"Bearer {TOKEN}", "Content-Length": str(len(data))}
        told |= {"Content-Type": "application/json"} if data else {}
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in told.items()) + "\r\n"
        self.writer.write(head.encode() + data)

    async def head(self) -> tuple[int, dict[str, str]]:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        return int(lines[0].split()[1]), {k.lower(): v for k, _, v in (x.partition(": ") for x in lines[1:-1])}

    async def answer(self) -> tuple[int, Any]:
        """Status and decoded body."""
        status, headers = await self.head()
        data = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return status, msgspec.json.decode(data) if data and "json" in headers.get("content-type", "") else data

    async def chunk(self) -> bytes:
        """One chunk; empty at the end."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def close(self) -> None:
        self.writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


class Served:
    """A running API server."""

    def __init__(self, server: assembly.Server, runner: web.ServerRunner) -> None:
        self.server, self.runner, self.store = server, runner, server.api.store
        self.port = app.bound_port(runner)
        self.wires: list[Wire] = []
        self.client = server.client()

    async def wire(self, **options: Any) -> Wire:
        self.wires.append(Wire(*await asyncio.open_connection("127.0.0.1", self.port, **options)))
        return self.wires[-1]

    async def once(self, method: str, target: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """One request on a connection of its own."""
        wire = await self.wire()
        wire.ask(method, target, body, **headers)
        try:
            return await asyncio.wait_for(wire.answer(), 30)
        finally:
            await wire.close()

    async def close(self) -> None:
        await self.server.close()
        await self.runner.cleanup()
        await self.store.close()
        for wire in self.wires:
            await wire.close()


Serve = Callable[..., Any]


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """`await serve()` starts a server; more settings of `assembly.Settings` and a store may be given."""
    started: list[Served] = []

    async def start(store: Store | None = None, **settings: Any) -> Served:
        kept = store if store is not None else SqliteStore.open(tmp_path / "store")
        made = assembly.assemble(kept, assembly.Settings(tokens={TOKEN: auth.ADMIN}, **settings))
        await made.start()
        started.append(Served(made, await app.serve(made.app, 0, None)))
        return started[-1]

    yield start
    for served in started:
        await served.close()


@pytest.fixture
async def served(serve: Serve) -> Served:
    return await serve()
