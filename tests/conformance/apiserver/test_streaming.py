"""Sessions with Pods over real HTTP: websockets as clients of today open them, SPDY on a connection taken over."""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from fairlead.api.core import NAMESPACES, PODS
from fairlead.api.meta import Key
from fairlead.apiserver import app, assembly
from fairlead.apiserver.auth import ADMIN
from fairlead.apiserver.identity import User
from fairlead.apiserver.streaming import headerblock, spdy
from fairlead.base import errors
from fairlead.client.node import AttachOptions, Channel, ExecOptions, Forward
from fairlead.client.protocol import Binding
from fairlead.store.memory import MemoryStore
from fairlead.testing.conformance.runtime import until
from fairlead.testing.sessions import Session

POD = "/api/v1/namespaces/default/pods/p"
EXEC = f"{POD}/exec?command=sh&command=-c&command=x&stdin=true&stdout=1&stderr=True"
CONTAINER = {"name": "main", "image": "i"}


class Agent:
    """The agent of node `n`: hands out the session that the test drives."""

    def __init__(self) -> None:
        self.session = Session()
        self.asked: list[Any] = []

    def connection(self, node: str) -> Any:
        return self if node == "n" else None

    async def exec(self, namespace: str, pod: str, options: ExecOptions) -> Any:
        self.asked.append(options)
        return self.session

    async def attach(self, namespace: str, pod: str, options: AttachOptions) -> Any:
        self.asked.append(options)
        raise errors.bad_request("it is not running")

    async def port_forward(self, namespace: str, pod: str, port: int) -> Any:
        self.asked.append(port)
        return self.session


@pytest.fixture
def agent() -> Agent:
    return Agent()


@pytest.fixture
async def server(agent: Agent) -> AsyncIterator[assembly.Server]:
    tokens = {"secret": ADMIN, "other": User("other", "other", ())}
    made = assembly.assemble(MemoryStore(), assembly.Settings(tokens=tokens, nodes=agent))
    made.definitions.start()
    client = made.client()
    await client.create(NAMESPACES, {"metadata": {"name": "default"}})
    pod = await client.create(
        PODS, {"metadata": {"name": "p", "namespace": "default"}, "spec": {"containers": [CONTAINER]}}
    )
    await client.bind([Binding(Key("default", "p"), "n", pod.metadata.uid)])
    yield made
    await made.close()


@pytest.fixture
async def runner(server: assembly.Server) -> AsyncIterator[web.ServerRunner]:
    made = await app.serve(server.app, 0, None)
    yield made
    await server.close()
    await made.cleanup()


@pytest.fixture
async def http(runner: web.ServerRunner) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": "Bearer secret"}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{app.bound_port(runner)}", headers=headers) as session:
        yield session


async def unconnected(runner: web.ServerRunner) -> None:
    """Return once the server has no connection left in its books."""
    await until(lambda: runner.server is not None and not runner.server.connections)


# --- websockets ----------------------------------------------------------------------------------------------------


async def test_exec_in_v5(http: aiohttp.ClientSession, agent: Agent) -> None:
    async with http.ws_connect(EXEC, protocols=("v5.channel.k8s.io", "v4.channel.k8s.io")) as socket:
        assert socket.protocol == "v5.channel.k8s.io"
        await socket.send_bytes(b"\x00in")
        await socket.send_bytes(b"\xff\x00")
        await agent.session.hears((Channel.STDIN, b"in"), (Channel.STDIN, b""))
        agent.session.say((Channel.STDOUT, b"out"), (Channel.ERROR, b"{}"), None)
        assert [await socket.receive_bytes() for _ in range(2)] == [b"\x01out", b"\x03{}"]
        assert (await socket.receive()).type == WSMsgType.CLOSE
    options = ExecOptions("main", stdin=True, stdout=True, stderr=True, command=("sh", "-c", "x"))
    assert agent.asked == [options]
    assert agent.session.closed.is_set()


async def test_v4_knows_no_end_and_takes_text(http: aiohttp.ClientSession, agent: Agent) -> None:
    async with http.ws_connect(EXEC, protocols=("v4.channel.k8s.io",)) as socket:
        await socket.send_str("\x00häh")
        await socket.send_bytes(b"\x00")
        await socket.send_bytes(b"\x04{}")
        await agent.session.hears((Channel.STDIN, "häh".encode()), (Channel.RESIZE, b"{}"))
    await agent.session.closed.wait()


async def test_base64(http: aiohttp.ClientSession, agent: Agent) -> None:
    async with http.ws_connect(EXEC, protocols=("v4.base64.channel.k8s.io",)) as socket:
        await socket.send_str("0" + base64.b64encode(b"in").decode())
        await socket.send_str("rubbish!")
        await agent.session.hears((Channel.STDIN, b"in"))
        agent.session.say((Channel.STDOUT, b"\xffout"))
        assert await socket.receive_str() == "1" + base64.b64encode(b"\xffout").decode()


async def test_a_client_that_names_no_protocol(http: aiohttp.ClientSession, agent: Agent) -> None:
    async with http.ws_connect(EXEC) as socket:
        agent.session.say((Channel.STDOUT, b"out"))
        assert await socket.receive_bytes() == b"\x01out"


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        (f"{POD}/exec?stdout=1", 400, "at least one command"),
        (f"{POD}/exec?command=x", 400, "at least 1 of stdin, stdout, stderr"),
        (f"{POD}/exec?command=x&stdout=1&container=z", 400, "container z is not valid for pod p"),
        (f"{POD}x/exec?command=x&stdout=1", 404, 'pods "px" not found'),
        (f"{POD}/attach?stdout=1", 400, "it is not running"),
        (f"{POD}/portforward", 400, "'ports' is required"),
        (f"{POD}/portforward?ports=80,0", 400, "no number from 1 to 65535"),
        (f"{POD}/proxy", 501, "pods/proxy is not served"),
    ],
)
async def test_what_is_refused_before_the_switch(
    http: aiohttp.ClientSession, path: str, status: int, said: str
) -> None:
    headers = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
    }  # fmt: skip
    async with http.get(path, headers=headers) as answer:
        assert answer.status == status
        assert said in (await answer.json())["message"]


async def test_protocols_that_are_not_spoken(http: aiohttp.ClientSession) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await http.ws_connect(EXEC, protocols=("v9.channel.k8s.io",))
    assert refused.value.status == 400
    async with http.post(EXEC) as answer:
        assert (answer.status, (await answer.json())["reason"]) == (400, "BadRequest")
    spdy_of_old = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": "channel.k8s.io"}
    async with http.post(EXEC, headers=spdy_of_old) as answer:
        assert "unable to negotiate protocol" in (await answer.json())["message"]
    async with http.delete(EXEC) as answer:
        assert answer.status == 405


async def test_reading_pods_is_no_licence_to_run_things_in_them(
    http: aiohttp.ClientSession, server: assembly.Server
) -> None:
    rules = [{"apiGroups": [""], "resources": ["pods", "pods/exec"], "verbs": ["get"]}]
    group = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
    async with http.post(f"{group}/roles", json={"metadata": {"name": "r"}, "rules": rules}) as answer:
        assert answer.status == 201
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}
    who = [{"kind": "User", "name": "other", "apiGroup": "rbac.authorization.k8s.io"}]
    body = {"metadata": {"name": "r"}, "roleRef": reference, "subjects": who}
    async with http.post(f"{group}/rolebindings", json=body) as answer:
        assert answer.status == 201
    headers = {"Authorization": "Bearer other"}
    async with http.get(POD, headers=headers) as answer:
        assert answer.status == 200
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await http.ws_connect(EXEC, headers=headers)
    assert refused.value.status == 403


async def test_ports_in_channels(http: aiohttp.ClientSession, agent: Agent) -> None:
    async with http.ws_connect(f"{POD}/portforward?ports=8080") as socket:
        assert [await socket.receive_bytes() for _ in range(2)] == [b"\x00\x90\x1f", b"\x01\x90\x1f"]
        await socket.send_bytes(b"\x00request")
        await agent.session.hears((Forward.DATA, b"request"))
        agent.session.say((Forward.DATA, b"answer"), None)
        assert await socket.receive_bytes() == b"\x00answer"
        assert (await socket.receive()).type == WSMsgType.CLOSE
    assert agent.asked == [8080]


async def test_spdy_in_a_websocket(http: aiohttp.ClientSession, agent: Agent) -> None:
    recorded = (Path(__file__).parents[2] / "golden/spdy/kubectl-1.33-port-forward-tunnel.bin").read_bytes()
    async with http.ws_connect(f"{POD}/portforward", protocols=("SPDY/3.1+portforward.k8s.io",)) as socket:
        for i in range(0, len(recorded), 50):
            await socket.send_bytes(recorded[i : i + 50])
        await agent.session.listens(lambda heard: len(heard) >= 2)
        assert agent.session.heard[0][1].startswith(b"GET /w.yaml")
        assert agent.session.heard[-1] == (Forward.DATA, b"")
        agent.session.say((Forward.DATA, b"answer"), None)
        answer = b"".join([await socket.receive_bytes() for _ in range(4)])
    assert struct.pack(">II", 3, 6) + b"answer" in answer


# --- connections that are taken over -------------------------------------------------------------------------------


class Raw:
    """A client of old: one connection, one request to upgrade it, then frames."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer, self._blocks = reader, writer, headerblock.Writer()

    @classmethod
    async def upgraded(cls, runner: web.ServerRunner, path: str, protocol: str) -> Raw:
        raw = cls(*await asyncio.open_connection("127.0.0.1", app.bound_port(runner)))
        raw.writer.write(
            f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\nConnection: Upgrade\r\n"
            f"Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: {protocol}\r\nContent-Length: 0\r\n\r\n".encode()
        )
        head = await raw.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert f"X-Stream-Protocol-Version: {protocol}".encode() in head
        return raw

    def open(self, stream: int, **headers: str) -> None:
        body = struct.pack(">IIH", stream, 0, 0) + self._blocks.write(headers)
        self.writer.write(struct.pack(">II", 0x80030000 | spdy.SYN_STREAM, len(body)) + body)

    def data(self, stream: int, data: bytes = b"", *, end: bool = False) -> None:
        self.writer.write(struct.pack(">II", stream, end << 24 | len(data)) + data)

    async def frame(self) -> tuple[int, int, bytes]:
        """(stream, or the control frame's head; flags; payload)."""
        async with asyncio.timeout(5):
            first, second = struct.unpack(">II", await self.reader.readexactly(8))
            return first, second >> 24, await self.reader.readexactly(second & 0xFFFFFF)


async def test_exec_in_spdy(runner: web.ServerRunner, agent: Agent) -> None:
    raw = await Raw.upgraded(runner, EXEC, "v4.channel.k8s.io")
    for stream, kind in ((1, "error"), (3, "stdin"), (5, "stdout"), (7, "stderr")):
        raw.open(stream, streamType=kind)
        assert (await raw.frame())[0] == 0x80030000 | spdy.SYN_REPLY
    block = bytes(range(256)) * 1024
    for _ in range(8):
        raw.data(3, block)
    raw.data(3, end=True)
    await agent.session.listens(lambda heard: bool(heard) and heard[-1] == (Channel.STDIN, b""))
    assert b"".join(data for _, data in agent.session.heard) == 8 * block
    agent.session.say((Channel.STDOUT, b"out"), (Channel.ERROR, b"{}"), None)
    assert [await raw.frame() for _ in range(2)] == [(5, 0, b"out"), (1, 0, b"{}")]
    assert sorted([(await raw.frame())[:2] for _ in range(4)]) == [(s, spdy.FIN) for s in (1, 3, 5, 7)]
    raw.writer.close()
    await raw.writer.wait_closed()
    await unconnected(runner)


async def test_a_client_that_is_cut_off_ends_its_session(runner: web.ServerRunner, agent: Agent) -> None:
    raw = await Raw.upgraded(runner, f"{POD}/exec?command=x&stdout=1", "v4.channel.k8s.io")
    raw.open(1, streamType="error")
    raw.open(3, streamType="stdout")
    await raw.frame()
    raw.writer.transport.abort()
    async with asyncio.timeout(5):
        await agent.session.closed.wait()
    await unconnected(runner)


async def test_a_client_that_does_not_speak_spdy_after_all(runner: web.ServerRunner, agent: Agent) -> None:
    raw = await Raw.upgraded(runner, f"{POD}/exec?command=x&stdout=1", "v4.channel.k8s.io")
    raw.writer.write(b"\xff" * 64)
    assert await raw.reader.read() == b""
    assert agent.session.closed.is_set()
    raw.writer.close()
    await unconnected(runner)


async def test_many_connections_through_one(runner: web.ServerRunner, agent: Agent) -> None:
    raw = await Raw.upgraded(runner, f"{POD}/portforward", "portforward.k8s.io")
    for i, kind in ((1, "error"), (3, "data")):
        raw.open(i, streamType=kind, port="80", requestID="a")
        await raw.frame()
    raw.data(3, b"x")
    await agent.session.hears((Forward.DATA, b"x"))
    agent.session.say((Forward.DATA, b"y"))
    assert await raw.frame() == (3, 0, b"y")
    raw.writer.close()
    await agent.session.closed.wait()
    await unconnected(runner)


async def test_the_servers_end_ends_sessions(runner: web.ServerRunner, server: assembly.Server, agent: Agent) -> None:
    raw = await Raw.upgraded(runner, f"{POD}/exec?command=x&stdout=1", "v4.channel.k8s.io")
    raw.open(1, streamType="error")
    raw.open(3, streamType="stdout")
    await raw.frame()
    await server.close()
    assert agent.session.closed.is_set()
    await raw.reader.read()
    raw.writer.close()
