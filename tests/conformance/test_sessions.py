"""Sessions of the agent with real processes and real ports: what comes, what goes, and what is left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from fairlead.agent import capabilities, forward, limits, logs, network, sessions
from fairlead.agent.runtimes import ContainerSpec, Exited, Ref
from fairlead.agent.runtimes.process import ProcessRuntime
from fairlead.base import clock
from fairlead.base.errors import StatusError
from fairlead.client.node import AttachOptions, Channel, Duplex, ExecOptions, Forward, LogOptions
from fairlead.testing.conformance.runtime import until

PATH = {"PATH": os.environ.get("PATH", os.defpath)}
ALL = {"stdin": True, "stdout": True, "stderr": True}


class Bench:
    """A runtime with one container."""

    def __init__(self, state: Path) -> None:
        box, _ = capabilities.detect_sandbox(str(state.parent))
        self.runtime = ProcessRuntime(str(state), limits.Rlimits(), box)
        self.ends: dict[Ref, Exited] = {}
        self.runtime.open(self.ends.__setitem__)
        self.ref = Ref("pod", "main", 0)

    async def start(self, *command: str, **more: Any) -> None:
        await self.runtime.start(ContainerSpec(self.ref, command, PATH, **more))

    async def exec(self, *command: str, **options: Any) -> Duplex:
        return await sessions.execute(self.runtime, self.ref, ExecOptions("main", command=command, **options))

    def attach(self, *, once: bool = False, **options: Any) -> sessions.Attachment:
        path = self.runtime.log(self.ref)
        output = logs.stream(
            path, logs.Index(path), LogOptions("main", follow=True), lambda: self.ref in self.ends, clock.SYSTEM
        )
        return sessions.Attachment(AttachOptions("main", **options), output, self.runtime.input(self.ref), once=once)

    @property
    def log(self) -> str:
        return Path(self.runtime.log(self.ref)).read_text()

    async def close(self) -> None:
        if self.ref not in self.ends:
            self.runtime.kill(self.ref)
            await until(lambda: self.ref in self.ends)
        self.runtime.close()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path / "state")
    yield made
    await made.close()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def heard(session: Duplex, *sent: tuple[int, bytes]) -> dict[int, bytes]:
    """Send, and collect everything that comes, by channel; then close."""
    found: dict[int, bytes] = {}

    async def listen() -> None:
        async for channel, data in session:
            found[channel] = found.get(channel, b"") + data

    async def speak() -> None:
        for channel, data in sent:
            await session.send(channel, data)

    async with asyncio.timeout(20):
        await asyncio.gather(listen(), speak())
    await session.close()
    return found


def status(found: dict[int, bytes]) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(found[Channel.ERROR])
    return decoded


# --- executions ----------------------------------------------------------------------------------------------------


async def test_a_command_with_everything(bench: Bench) -> None:
    await bench.start("sleep", "300")
    before = descriptors()
    session = await bench.exec("sh", "-c", "cat; echo oops >&2; exit 3", **ALL)
    found = await heard(session, (Channel.STDIN, b"hello"), (Channel.STDIN, b""))
    assert (found[Channel.STDOUT], found[Channel.STDERR]) == (b"hello", b"oops\n")
    assert status(found) == {
        "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
        "message": "command terminated with non-zero exit code: exit status 3",
        "details": {"causes": [{"reason": "ExitCode", "message": "3"}]},
    }  # fmt: skip
    assert descriptors() == before


async def test_success_and_streams_that_nobody_wants(bench: Bench) -> None:
    await bench.start("sleep", "300")
    found = await heard(await bench.exec("sh", "-c", "echo out; echo err >&2; cat", stdout=True))
    assert found == {Channel.STDOUT: b"out\n", Channel.ERROR: b'{"metadata":{},"status":"Success"}'}


async def test_ten_megabytes_there_and_back(bench: Bench) -> None:
    await bench.start("sleep", "300")
    data = os.urandom(10 << 20)
    pieces = [(int(Channel.STDIN), data[i : i + 60_000]) for i in range(0, len(data), 60_000)]
    session = await bench.exec("cat", stdin=True, stdout=True)
    found = await heard(session, *pieces, (Channel.STDIN, b""))
    assert found[Channel.STDOUT] == data


async def test_a_command_that_is_not_there(bench: Bench) -> None:
    await bench.start("sleep", "300")
    before = descriptors()
    found = await heard(await bench.exec("no-such-command", **ALL), (Channel.STDIN, b"x"))
    told = status(found)
    assert (told["reason"], told["code"]) == ("InternalError", 500)
    assert "error executing command in container: command 'no-such-command'" in told["message"]
    assert descriptors() == before


async def test_input_that_nobody_reads(bench: Bench) -> None:
    await bench.start("sleep", "300")
    session = await bench.exec("true", stdin=True, stdout=True)
    pieces = 50 * [(int(Channel.STDIN), bytes(60_000))]
    assert status(await heard(session, *pieces))["status"] == "Success"


@pytest.mark.parametrize("tty", [False, True])
async def test_who_goes_takes_the_command_along(bench: Bench, tmp_path: Path, tty: bool) -> None:
    await bench.start("sleep", "300")
    mark, before = tmp_path / "pid", descriptors()
    session = await bench.exec("sh", "-c", f"(sleep 301; :) & echo $! >{mark}; sleep 302; :", stdout=True, tty=tty)
    await until(lambda: mark.exists() and bool(mark.read_text()))
    await session.close()
    assert not _running("sleep 301", "sleep 302")
    assert descriptors() == before


def _running(*commands: str) -> list[int]:
    """The processes on this machine that are these commands."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except OSError:
            continue
        if line in commands:
            found.append(int(pid))
    return found


async def test_what_a_command_leaves_running_stays(bench: Bench) -> None:
    await bench.start("sleep", "300")
    script = "sleep 3033 >/dev/null 2>&1 & echo started"
    found = await heard(await bench.exec("sh", "-c", script, stdout=True, stderr=True))
    assert found[Channel.STDOUT] == b"started\n"
    (left,) = _running("sleep 3033")
    os.kill(left, signal.SIGKILL)


async def test_a_terminal(bench: Bench) -> None:
    await bench.start("sleep", "300")
    session = await bench.exec("sh", stdin=True, stdout=True, stderr=True, tty=True)
    found = await heard(
        session, (Channel.RESIZE, b'{"Width":101,"Height":31}'), (Channel.RESIZE, b"rubbish"), (Channel.STDIN, b""),
        (Channel.STDIN, b"stty size; echo $TERM; exit 9\n"),
    )  # fmt: skip
    assert b"31 101\r\nxterm\r\n" in found[Channel.STDOUT]
    assert Channel.STDERR not in found
    assert status(found)["details"]["causes"] == [{"reason": "ExitCode", "message": "9"}]


async def test_a_background_process_that_holds_the_output_is_not_waited_for_long(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_LINGER", 0.1)
    await bench.start("sleep", "300")
    found = await heard(await bench.exec("sh", "-c", "sleep 30 & echo out", stdout=True, stderr=True))
    assert found[Channel.STDOUT] == b"out\n"
    assert status(found)["status"] == "Success"


# --- attachments ---------------------------------------------------------------------------------------------------


async def test_two_attach_one_after_the_other(bench: Bench) -> None:
    await bench.start("sh", "-c", "echo prompt; while read line; do echo got $line; done", stdin=True)
    first = bench.attach(stdin=True, stdout=True)
    await first.send(Channel.STDIN, b"one\n")
    await until(lambda: "got one" in bench.log)
    await first.close()
    second = bench.attach(stdin=True, stdout=True)
    listening = asyncio.create_task(heard(second, (Channel.STDIN, b"two\n"), (Channel.STDIN, b"")))
    await until(lambda: "got two" in bench.log)
    bench.runtime.kill(bench.ref)
    found = await listening
    assert found == {Channel.STDOUT: b"prompt\ngot one\ngot two\n", Channel.ERROR: sessions.succeeded()}


@pytest.mark.parametrize("parting", ["end", "close"])
async def test_input_once_ends_with_the_first_who_attached(bench: Bench, parting: str) -> None:
    await bench.start("wc", "-c", stdin=True, stdin_once=True)
    session = bench.attach(once=True, stdin=True, stdout=True)
    await session.send(Channel.STDIN, bytes(200_000))
    if parting == "end":
        await session.send(Channel.STDIN, b"")
    await session.close()
    await until(lambda: bench.ref in bench.ends)
    assert bench.log.strip() == "200000"


async def test_who_only_looks_ends_nothing(bench: Bench) -> None:
    await bench.start("cat", stdin=True, stdin_once=True)
    looking = bench.attach(once=True, stdout=True)
    await looking.send(Channel.STDIN, b"no\n")
    await looking.close()
    await asyncio.sleep(0.1)
    assert bench.ref not in bench.ends
    assert bench.log == ""


async def test_attaching_to_a_terminal_and_resizing_it(bench: Bench) -> None:
    await bench.start("sh", "-c", "read line; stty size; exit 2", stdin=True, tty=True)
    session = bench.attach(stdin=True, stdout=True, tty=True)
    found = await heard(session, (Channel.RESIZE, b'{"Width":77,"Height":22}'), (Channel.STDIN, b"go\n"))
    assert found[Channel.STDOUT].endswith(b"22 77\r\n")
    assert bench.ends[bench.ref].code == 2


# --- ports ---------------------------------------------------------------------------------------------------------


async def echo(address: str) -> tuple[asyncio.Server, int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"got " + await reader.read())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, address, 0)
    return server, server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("address", ["127.0.0.1", "127.77.0.9"])
async def test_a_port_of_a_pod(address: str) -> None:
    server, port = await echo(address)
    async with server:
        session = await forward.connect(network.Attachment("127.77.0.9"), port)
        found = await heard(session, (Forward.DATA, bytes(300_000)), (Forward.DATA, b""))
    assert found == {Forward.DATA: b"got " + bytes(300_000)}


async def test_a_port_that_nobody_listens_on() -> None:
    server, port = await echo("127.0.0.1")
    server.close()
    await server.wait_closed()
    with pytest.raises(StatusError) as caught:
        await forward.connect(network.Attachment("127.77.0.9"), port)
    said = (
        f"failed to connect to port {port} of the pod (127.77.0.9: Connection refused, 127.0.0.1: Connection refused)"
    )
    assert caught.value.message == said


def test_where_a_pods_server_is_looked_for() -> None:
    cases: Sequence[tuple[network.Attachment, tuple[str, ...]]] = (
        (network.Attachment("10.0.0.2", "/run/netns/x"), ("127.0.0.1", "10.0.0.2", "::1")),
        (network.Attachment("127.64.0.2"), ("127.64.0.2", "127.0.0.1")),
        (network.Attachment("127.0.0.1"), ("127.0.0.1",)),
    )
    for place, addresses in cases:
        assert tuple(forward.addresses(place)) == addresses
