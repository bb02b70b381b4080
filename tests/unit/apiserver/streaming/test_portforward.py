"""Many connections to a Pod's ports over one wire."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fairlead.apiserver.streaming import portforward, spdy
from fairlead.base import errors
from fairlead.client.node import Forward


class Ports:
    """A Pod with servers on some ports."""

    def __init__(self, **servers: Any) -> None:
        self.servers = servers
        self.asked: list[int] = []

    async def connect(self, port: int) -> Any:
        self.asked.append(port)
        if f"p{port}" not in self.servers:
            raise errors.StatusError(500, "InternalError", "connection refused")
        return self.servers[f"p{port}"]


async def forwarder(wire: Any, ports: Ports) -> asyncio.Task[None]:
    return asyncio.create_task(portforward.Forwarder(wire, ports.connect, "web").run())


def pair(wire: Any, number: int, request: str, port: str = "80") -> tuple[int, int]:
    wire.open(number, streamType="error", port=port, requestID=request)
    wire.open(number + 2, streamType="data", port=port, requestID=request)
    return number, number + 2


async def test_a_connection_from_start_to_end(wire: Any, pod: Any) -> None:
    serving = await forwarder(wire, Ports(p80=pod))
    pair(wire, 1, "0")
    wire.data(3, b"request")
    wire.data(3, end=True)
    await pod.hears((Forward.DATA, b"request"), (Forward.DATA, b""))
    pod.say((Forward.DATA, b"answer"), None)
    await wire.sees(("reply", 1), ("reply", 3), ("data", 3, b"answer"), ("end", 1), ("end", 3))
    assert pod.closed.is_set()
    wire.leave()
    await serving
    assert wire.closed


async def test_connections_side_by_side(wire: Any, pod: Any) -> None:
    other = type(pod)()
    ports = Ports(p80=pod, p81=other)
    serving = await forwarder(wire, ports)
    pair(wire, 1, "0", "80")
    pair(wire, 5, "1", "81")
    wire.data(7, b"b")
    wire.data(3, b"a")
    await pod.hears((Forward.DATA, b"a"))
    await other.hears((Forward.DATA, b"b"))
    other.say(None)
    await wire.sees(*(("reply", s) for s in (1, 3, 5, 7)), ("end", 5), ("end", 7))
    pod.say((Forward.DATA, b"still"))
    await wire.sees(("data", 3, b"still"))
    assert ports.asked == [80, 81]
    wire.leave()
    await serving
    assert pod.closed.is_set()


async def test_a_refused_connection_is_told_on_its_error_stream(wire: Any) -> None:
    serving = await forwarder(wire, Ports())
    pair(wire, 1, "0")
    told = b"error forwarding port 80 to pod web: connection refused"
    await wire.sees(("reply", 1), ("reply", 3), ("data", 1, told), ("end", 1), ("end", 3))
    wire.leave()
    await serving


async def test_a_connection_that_is_given_up(wire: Any, pod: Any) -> None:
    serving = await forwarder(wire, Ports(p80=pod))
    pair(wire, 1, "0")
    wire.data(3, b"x")
    await pod.hears((Forward.DATA, b"x"))
    wire.frame(spdy.RST_STREAM, struct.pack(">II", 3, spdy.CANCEL))
    await wire.sees(("reply", 1), ("reply", 3), ("end", 1))
    await pod.closed.wait()
    wire.leave()
    await serving


@pytest.mark.parametrize(
    "headers",
    [
        {"streamType": "data", "port": "0", "requestID": "0"},
        {"streamType": "data", "port": "65536", "requestID": "0"},
        {"streamType": "data", "port": "http", "requestID": "0"},
        {"streamType": "data", "port": "80"},
        {"streamType": "stdin", "port": "80", "requestID": "0"},
    ],
)
async def test_streams_that_make_no_sense(wire: Any, headers: dict[str, str]) -> None:
    serving = await forwarder(wire, Ports())
    wire.open(1, **headers)
    await wire.sees(("reset", 1))
    wire.leave()
    await serving


async def test_rubbish_ends_it(wire: Any, pod: Any) -> None:
    serving = await forwarder(wire, Ports(p80=pod))
    pair(wire, 1, "0")
    wire.raw(b"\xff" * 8)
    await serving
    assert wire.closed


class Channels:
    """A `websocket.Channels` that a test drives."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, bytes]] = []
        self.ended: list[int] = []
        self.finished = False
        self.inbox: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue()

    async def __aiter__(self) -> AsyncIterator[tuple[int, bytes]]:
        while (item := await self.inbox.get()) is not None:
            yield item

    async def send(self, channel: int, data: bytes) -> None:
        self.sent.append((channel, data))

    async def end(self, channel: int) -> None:
        self.ended.append(channel)

    async def finish(self) -> None:
        self.finished = True


async def test_ports_in_channels(pod: Any) -> None:
    client, ports = Channels(), Ports(p8080=pod)
    serving = asyncio.create_task(portforward.forward_channels(client, (8080, 9), ports.connect, "web"))  # type: ignore[arg-type]
    client.inbox.put_nowait((0, b"request"))
    client.inbox.put_nowait((1, b"ignored"))
    client.inbox.put_nowait((8, b"ignored"))
    await pod.hears((Forward.DATA, b"request"))
    pod.say((Forward.DATA, b"answer"), None)
    await serving
    assert client.sent[:4] == [(0, b"\x90\x1f"), (1, b"\x90\x1f"), (2, b"\x09\x00"), (3, b"\x09\x00")]
    assert sorted(client.sent[4:]) == [
        (0, b"answer"), (3, b"error forwarding port 9 to pod web: connection refused"),
    ]  # fmt: skip
    assert sorted(client.ended) == [0, 1, 2, 3]
    assert client.finished


async def test_a_pod_that_takes_nothing_does_not_hold_up_the_others(pod: Any) -> None:
    link = portforward.Link(Ports(p80=pod).connect, 80, _nowhere)
    waiting = asyncio.create_task(_give_many(link))
    await asyncio.sleep(0)
    assert not waiting.done()
    link.drop()
    async with asyncio.timeout(5):
        await waiting
    await link.give(b"more")


async def _nowhere(channel: int, data: bytes) -> None:
    return None


async def _give_many(link: portforward.Link) -> None:
    for _ in range(40):
        await link.give(b"x")
