"""Log streams over real connections: what a client sees, and what happens when it leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from fairlead.apiserver import streams
from fairlead.base import errors
from fairlead.client.node import LogOptions, NodeConnection

POD: dict[str, Any] = {
    "metadata": {"name": "p", "namespace": "default"},
    "spec": {"nodeName": "n", "containers": [{"name": "c"}]},
    "status": {"containerStatuses": [{"name": "c", "state": {"running": {}}}]},
}


class Agent:
    """A node's agent whose log says what the test puts into `lines`: bytes, an error, or None for its end."""

    def __init__(self) -> None:
        self.lines: asyncio.Queue[bytes | errors.StatusError | None] = asyncio.Queue()
        self.closed = asyncio.Event()

    async def logs(self, namespace: str, pod: str, options: LogOptions) -> AsyncIterator[bytes]:
        return self._read()

    async def _read(self) -> AsyncIterator[bytes]:
        try:
            while (line := await self.lines.get()) is not None:
                if isinstance(line, errors.StatusError):
                    raise line
                yield line
        finally:
            self.closed.set()

    def connection(self, node: str) -> NodeConnection | None:
        return self if node == "n" else None


@pytest.fixture
async def agent() -> Agent:
    return Agent()


@pytest.fixture
async def url(agent: Agent) -> AsyncIterator[str]:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await streams.logs(request, agent, POD, now=0.0)
        except errors.StatusError as error:
            return web.json_response(error.as_status(), status=error.code)

    runner = web.ServerRunner(web.Server(handle), shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


async def test_each_piece_is_sent_at_once(agent: Agent, url: str) -> None:
    async with aiohttp.ClientSession() as session:
        agent.lines.put_nowait(b"one\n")
        async with session.get(url, params={"follow": "True"}, headers={"Accept": "application/json"}) as answer:
            assert answer.content_type == "text/plain"
            assert await answer.content.readany() == b"one\n"
            agent.lines.put_nowait(b"two\n")
            assert await answer.content.readany() == b"two\n"
            agent.lines.put_nowait(None)
            assert await answer.content.read() == b""
    await asyncio.wait_for(agent.closed.wait(), 5)


async def test_an_empty_log(agent: Agent, url: str) -> None:
    agent.lines.put_nowait(None)
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert (answer.status, await answer.read()) == (200, b"")


async def test_reading_stops_when_a_silent_logs_client_leaves(agent: Agent, url: str) -> None:
    async with aiohttp.ClientSession() as session:
        agent.lines.put_nowait(b"one\n")
        async with session.get(url, params={"follow": "1"}) as answer:
            await answer.content.readany()

    await asyncio.wait_for(agent.closed.wait(), 10)


async def test_reading_stops_when_a_busy_logs_client_leaves(agent: Agent, url: str) -> None:
    async def talk() -> None:
        while not agent.closed.is_set():
            agent.lines.put_nowait(b"x" * 10_000)
            await asyncio.sleep(0)

    talking = asyncio.ensure_future(talk())
    async with aiohttp.ClientSession() as session, session.get(url, params={"follow": "1"}) as answer:
        await answer.content.readany()

    await asyncio.wait_for(talking, 10)


async def test_an_error_before_the_log_is_a_status(agent: Agent, url: str) -> None:
    agent.lines.put_nowait(errors.not_found("pods", "", "p"))
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert (answer.status, (await answer.json())["reason"]) == (404, "NotFound")


async def test_an_error_within_the_log_cuts_the_connection(agent: Agent, url: str) -> None:
    async with aiohttp.ClientSession() as session:
        agent.lines.put_nowait(b"one\n")
        async with session.get(url) as answer:
            assert await answer.content.readany() == b"one\n"
            agent.lines.put_nowait(errors.internal("the file is gone"))
            with pytest.raises(aiohttp.ClientError):
                await answer.content.read()


async def test_a_node_that_is_not_connected(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(POD, "spec", POD["spec"] | {"nodeName": "elsewhere"})
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        status = await answer.json()
    assert (status["code"], status["message"]) == (503, 'node "elsewhere" is not connected; its agent has the pod')


async def test_a_pod_without_a_node(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(POD, "spec", {"containers": [{"name": "c"}]})
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        status = await answer.json()
    assert (status["code"], status["message"]) == (400, "pod p does not have a host assigned")
