"""The balancer that is a process: real connections on loopback."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from fairlead.agent.balancers.proxy import Proxy
from fairlead.agent.services import Backend, Frontend
from fairlead.api.meta import Key

SERVICES = ipaddress.IPv4Network("127.180.0.0/16")
AT = "127.180.77.1"


async def echo(name: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads all, then answers with a name and how much there was."""
    size = 0
    while data := await reader.read(1 << 16):
        size += len(data)
    writer.write(name + b" %d" % size)
    writer.close()


@asynccontextmanager
async def backends(*names: str) -> AsyncIterator[list[Backend]]:
    servers = [await asyncio.start_server(partial(echo, name.encode()), "127.0.0.1", 0) for name in names]
    yield [Backend("127.0.0.1", s.sockets[0].getsockname()[1]) for s in servers]
    for server in servers:
        server.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    made = Proxy(SERVICES, alone=True)
    yield made
    made.close(keep=False)
    for _ in range(3):
        await asyncio.sleep(0)  # what was aborted is closed in the loop's next turns


def frontend(port: int, *found: Backend, sticky: bool = False) -> Frontend:
    return Frontend(Key("ns", "s"), AT, port, "TCP", tuple(found), sticky)


async def ask(port: int, data: bytes = b"x") -> str:
    reader, writer = await asyncio.open_connection(AT, port)
    writer.write(data)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer.decode()


async def opened(port: int) -> None:
    for _ in range(1000):
        try:
            _, writer = await asyncio.open_connection(AT, port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.005)
        else:
            writer.close()
            return
    raise AssertionError("never opened")


async def test_connections_are_spread_over_all_backends(proxy: Proxy) -> None:
    async with backends("a", "b", "c") as found:
        proxy.put([frontend(8001, *found)])
        await opened(8001)
        seen = Counter([(await ask(8001)).split()[0] for _ in range(60)])
    assert set(seen) == {"a", "b", "c"}


async def test_every_byte_passes_and_an_end_is_passed_on(proxy: Proxy) -> None:
    async with backends("a") as found:
        proxy.put([frontend(8002, *found)])
        await opened(8002)
        assert await ask(8002, b"x" * 5_000_000) == "a 5000000"


async def test_a_client_may_stay_with_its_backend(proxy: Proxy) -> None:
    async with backends("a", "b", "c") as found:
        proxy.put([frontend(8003, *found, sticky=True)])
        await opened(8003)
        assert len({await ask(8003) for _ in range(20)}) == 1


async def test_a_backend_that_does_not_answer_is_passed_over(proxy: Proxy) -> None:
    async with backends("a", "gone") as found:
        pass
    async with backends("a") as living:
        proxy.put([frontend(8004, found[1], *living)])
        await opened(8004)
        assert {await ask(8004) for _ in range(10)} == {"a 1"}


async def test_without_backends_it_refuses(proxy: Proxy) -> None:
    async with backends("a") as found:
        proxy.put([frontend(8005, *found)])
        await opened(8005)
        proxy.put([frontend(8005)])
        with pytest.raises(ConnectionRefusedError):
            await ask(8005)


async def test_backends_change_under_an_open_door(proxy: Proxy) -> None:
    async with backends("a", "b") as found:
        proxy.put([frontend(8006, found[0])])
        await opened(8006)
        assert await ask(8006) == "a 1"
        proxy.put([frontend(8006, found[1])])
        assert await ask(8006) == "b 1"


async def test_a_server_on_all_addresses_is_not_kept_from_its_port(proxy: Proxy) -> None:
    """The frontend's port is the backend's: it must not be taken before the server has it."""
    proxy.put([frontend(8007, Backend("127.0.0.1", 8007))])
    await asyncio.sleep(0.05)
    server = await asyncio.start_server(lambda r, w: echo(b"all", r, w), "0.0.0.0", 8007)
    await opened(8007)
    assert await ask(8007) == "all 1"
    server.close()
