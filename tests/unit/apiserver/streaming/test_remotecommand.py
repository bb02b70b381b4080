"""Sessions with a process over SPDY."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import pytest

from fairlead.apiserver.streaming import channels, remotecommand, spdy
from fairlead.client.node import AttachOptions, Channel, ExecOptions

PLAIN = ExecOptions("c", stdin=True, stdout=True, stderr=True, command=("sh",))
TERMINAL = ExecOptions("c", stdin=True, stdout=True, tty=True, command=("sh",))


def test_the_streams_that_a_client_opens() -> None:
    assert remotecommand.expected(PLAIN) == {Channel.ERROR, Channel.STDIN, Channel.STDOUT, Channel.STDERR}
    assert remotecommand.expected(TERMINAL) == {Channel.ERROR, Channel.STDIN, Channel.STDOUT, Channel.RESIZE}
    assert remotecommand.expected(AttachOptions("c", stdout=True)) == {Channel.ERROR, Channel.STDOUT}


async def session(wire: Any, pod: Any, options: AttachOptions) -> asyncio.Task[None]:
    async def serve() -> None:
        client = remotecommand.Streams(wire)
        await client.open(options)
        await channels.pump(client, pod)

    return asyncio.create_task(serve())


async def test_a_command_from_start_to_end(wire: Any, pod: Any) -> None:
    serving = await session(wire, pod, PLAIN)
    for stream, kind in ((1, "error"), (3, "stdin"), (5, "stdout"), (7, "stderr")):
        wire.open(stream, streamType=kind)
        await wire.sees(("reply", stream))
    wire.data(3, b"in")
    wire.data(3, end=True)
    await pod.hears((Channel.STDIN, b"in"), (Channel.STDIN, b""))
    pod.say((Channel.STDOUT, b"out"), (Channel.STDERR, b"err"), (Channel.ERROR, b"{}"), None)
    ends = [("end", s) for s in (1, 3, 5, 7)]
    await wire.sees(("data", 5, b"out"), ("data", 7, b"err"), ("data", 1, b"{}"), *ends)
    assert not serving.done()  # The client closes first.
    wire.leave()
    await serving
    assert pod.closed.is_set()


async def test_sizes_come_line_by_line_however_they_are_cut(wire: Any, pod: Any) -> None:
    serving = await session(wire, pod, TERMINAL)
    for stream, kind in ((1, "error"), (3, "stdin"), (5, "stdout"), (7, "resize")):
        wire.open(stream, streamType=kind)
    wire.data(7, b'{"Width":1,"Hei')
    wire.data(7, b'ght":2}\n{"Width":3')
    wire.data(7, b',"Height":4}\n')
    await pod.hears((Channel.RESIZE, b'{"Width":1,"Height":2}'), (Channel.RESIZE, b'{"Width":3,"Height":4}'))
    wire.leave()
    await serving


async def test_a_client_that_leaves_ends_the_session(wire: Any, pod: Any) -> None:
    serving = await session(wire, pod, AttachOptions("c", stdout=True))
    wire.open(1, streamType="error")
    wire.open(3, streamType="stdout")
    wire.leave()
    await serving
    assert pod.closed.is_set()


async def test_pings_are_answered_meanwhile(wire: Any, pod: Any) -> None:
    serving = await session(wire, pod, AttachOptions("c", stdout=True))
    wire.open(1, streamType="error")
    wire.open(3, streamType="stdout")
    await wire.sees(("reply", 1), ("reply", 3))
    wire.frame(spdy.PING, struct.pack(">I", 1))
    await wire.sees(("ping", 1))
    wire.leave()
    await serving


async def test_a_wire_that_breaks_ends_the_session(wire: Any, pod: Any) -> None:
    serving = await session(wire, pod, AttachOptions("c", stdout=True))
    wire.open(1, streamType="error")
    wire.open(3, streamType="stdout")
    await wire.sees(("reply", 1), ("reply", 3))
    wire.gone = True
    pod.say((Channel.STDOUT, b"x"))
    await serving
    assert pod.closed.is_set()


@pytest.mark.parametrize("second", ["error", "video"])
async def test_unknown_and_doubled_streams(wire: Any, pod: Any, second: str) -> None:
    serving = await session(wire, pod, AttachOptions("c", stdout=True))
    wire.open(1, streamType="error")
    wire.open(3, streamType=second)
    with pytest.raises(remotecommand.Incomplete, match=second):
        await serving
    await wire.sees(("reply", 1), ("reset", 3))


async def test_a_client_that_leaves_before_it_has_begun(wire: Any, pod: Any) -> None:
    serving = await session(wire, pod, PLAIN)
    wire.open(1, streamType="error")
    wire.leave()
    with pytest.raises(remotecommand.Incomplete, match="gone"):
        await serving
