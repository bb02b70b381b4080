"""What every runtime must do for those who come to a running container: `Runtime.execute` and `Runtime.input`.

The same kind of suite as `runtime`, over the same bench.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any

from fairlead.agent import console, pipes
from fairlead.agent.runtimes import Ref, StartError
from fairlead.testing.conformance.runtime import SECONDS, Bench, Check, until

CHECKS: list[Check] = []


def _check(function: Check) -> Check:
    CHECKS.append(function)
    return function


async def _run(bench: Bench, ref: Ref, *command: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    """Exit code, stdout and stderr of a command that is executed."""
    pairs = [os.pipe() for _ in range(3)]
    (input_out, input_in), (out, out_in), (err, err_in) = pairs
    try:
        running = await bench.runtime.execute(ref, command, (input_out, out_in, err_in))
    finally:
        for fd in (input_out, out_in, err_in):
            os.close(fd)
    try:
        async with asyncio.timeout(SECONDS):
            _, *texts = await asyncio.gather(_feed(input_in, stdin), _all_of(out), _all_of(err))
            return await running.wait(), texts[0] or b"", texts[1] or b""
    finally:
        running.kill()
        for fd in (out, err):
            os.close(fd)


async def _feed(fd: int, data: bytes) -> None:
    await pipes.write_all(fd, data)
    os.close(fd)


async def _all_of(fd: int) -> bytes:
    os.set_blocking(fd, False)
    data = b""
    while (part := pipes.read_now(fd)) != b"":
        if part is None:
            await pipes.ready((fd,))
        else:
            data += part
    return data


async def _refusal(bench: Bench, ref: Ref, *command: str) -> str:
    try:
        await _run(bench, ref, *command)
    except StartError as error:
        return str(error)
    raise AssertionError("it was not refused")


async def _sleeping(bench: Bench, **more: Any) -> Ref:
    return await bench.start("sleep", "300", **more)


@_check
async def executes_with_the_containers_environment_and_directory(bench: Bench) -> None:
    env = {"PATH": os.environ.get("PATH", os.defpath), "COLOUR": "red"}
    ref = await _sleeping(bench, env=env, cwd=bench.scratch)
    code, out, err = await _run(bench, ref, "sh", "-c", "echo $COLOUR; pwd; echo oops >&2; exit 3")
    assert (code, out, err) == (3, f"red\n{bench.scratch}\n".encode(), b"oops\n")


@_check
async def executes_in_a_container_that_was_adopted(bench: Bench) -> None:
    env = {"PATH": os.environ.get("PATH", os.defpath), "COLOUR": "blue"}
    ref = await _sleeping(bench, env=env, cwd=bench.scratch)
    bench.reopen()
    code, out, _ = await _run(bench, ref, "sh", "-c", "echo $COLOUR; pwd")
    assert (code, out) == (0, f"blue\n{bench.scratch}\n".encode())


@_check
async def executes_with_input(bench: Bench) -> None:
    text = os.urandom(300_000)
    assert await _run(bench, await _sleeping(bench), "cat", stdin=text) == (0, text, b"")


@_check
async def sees_what_the_container_sees(bench: Bench) -> None:
    ref = await bench.start("sh", "-c", "echo $$ >here; exec sleep 300")
    await until(lambda: os.path.exists(os.path.join(os.path.dirname(bench.runtime.log(ref)), "work/here")))
    own = "readlink /proc/self/ns/mnt /proc/self/ns/pid /proc/self/ns/net"
    other = "readlink /proc/$(cat here)/ns/mnt /proc/$(cat here)/ns/pid /proc/$(cat here)/ns/net"
    code, out, err = await _run(bench, ref, "sh", "-c", f'[ "$({own})" = "$({other})" ] && echo same')
    assert (code, out, err) == (0, b"same\n", b"")


@_check
async def reports_a_signal(bench: Bench) -> None:
    assert (await _run(bench, await _sleeping(bench), "sh", "-c", "kill -9 $$"))[0] == 137


@_check
async def refuses_a_command_that_is_not_there(bench: Bench) -> None:
    ref = await _sleeping(bench)
    assert "'no-such-command': No such file or directory" in await _refusal(bench, ref, "no-such-command")


@_check
async def refuses_a_container_that_has_ended(bench: Bench) -> None:
    ref = await bench.start("true")
    await bench.end(ref)
    assert "is not running" in await _refusal(bench, ref, "true")


@_check
async def kill_ends_the_command_and_what_it_started(bench: Bench) -> None:
    ref = await _sleeping(bench)
    marks = [os.path.join(bench.scratch, name) for name in ("a", "b")]
    script = f"(setsid sh -c 'while :; do date >{marks[0]}; sleep 0.02; done') & echo $$ >{marks[1]}; wait"
    null = os.open("/dev/null", os.O_RDWR)
    running = await bench.runtime.execute(ref, ("sh", "-c", script), (null, null, null))
    os.close(null)
    await until(lambda: all(map(os.path.exists, marks)))
    running.kill()
    async with asyncio.timeout(SECONDS):
        assert await running.wait() == 137
    await asyncio.sleep(0.1)
    before = os.stat(marks[0]).st_mtime_ns
    await asyncio.sleep(0.2)
    assert os.stat(marks[0]).st_mtime_ns == before
    running.kill()
    assert (await _run(bench, ref, "true"))[0] == 0


@_check
async def the_end_of_the_container_ends_what_was_executed(bench: Bench) -> None:
    ref = await _sleeping(bench)
    null = os.open("/dev/null", os.O_RDWR)
    running = await bench.runtime.execute(ref, ("sleep", "300"), (null, null, null))
    os.close(null)
    bench.runtime.kill(ref)
    await bench.end(ref)
    if bench.abilities.mounts:  # Without a sandbox and groups nothing ties them together.
        async with asyncio.timeout(SECONDS):
            assert await running.wait() == 137
    running.kill()


@_check
async def a_terminal_becomes_the_commands_own(bench: Bench) -> None:
    ref = await _sleeping(bench)
    controlling, terminal = os.openpty()
    console.resize(controlling, 33, 77)
    script = ("sh", "-c", "stty size; test -t 0 && test -t 2 && cat >/dev/null </dev/tty; echo over")
    running = await bench.runtime.execute(ref, script, (terminal, terminal, terminal), terminal=True)
    os.close(terminal)
    await pipes.write_all(controlling, b"x\n\x04")
    out = await _all_of(controlling)
    assert b"33 77\r\n" in out
    assert out.endswith(b"over\r\n")
    assert await running.wait() == 0
    os.close(controlling)


# --- the container's own input ------------------------------------------------------------------------------------


async def _put(bench: Bench, ref: Ref, *frames: bytes) -> None:
    fd = os.open(bench.runtime.input(ref), os.O_WRONLY | os.O_NONBLOCK)
    for each in frames:
        await pipes.write_all(fd, each)
    os.close(fd)


def _lines(bench: Bench, ref: Ref) -> Sequence[str]:
    return bench.log(ref).splitlines()


@_check
async def a_container_without_input_has_none(bench: Bench) -> None:
    ref = await bench.start("cat")
    assert (await bench.end(ref)).code == 0
    assert bench.runtime.input(ref) == ""


@_check
async def input_stays_open_over_a_restart_of_the_agent(bench: Bench) -> None:
    ref = await bench.start("cat", stdin=True)
    await _put(bench, ref, console.frame(console.DATA, b"one\n"), console.frame(console.END))
    await bench.said(ref, "one\n")
    bench.reopen()
    await _put(bench, ref, console.frame(console.DATA, b"two\n"))
    await bench.said(ref, "two\n")
    bench.runtime.kill(ref)
    await bench.end(ref)
    await until(lambda: not bench.runtime.input(ref))


@_check
async def input_may_end_once(bench: Bench) -> None:
    ref = await bench.start("sh", "-c", "wc -c", stdin=True, stdin_once=True)
    block = console.frame(console.DATA, b"x" * 4000)
    await _put(bench, ref, *(100 * [block]), console.frame(console.END))
    assert (await bench.end(ref)).code == 0
    assert bench.log(ref).strip() == "400000"


@_check
async def a_terminal_is_logged_to_its_end(bench: Bench) -> None:
    script = "stty size; read line; stty size; echo got $line; seq 5000; exit 6"
    ref = await bench.start("sh", "-c", script, tty=True, stdin=True)
    await bench.said(ref, "0 0")
    await _put(bench, ref, console.frame(console.RESIZE, console.size(40, 90)), console.frame(console.DATA, b"hi\n"))
    assert (await bench.end(ref)).code == 6
    lines = _lines(bench, ref)
    assert [line for line in lines if not line.isdigit()] == ["0 0", "hi", "40 90", "got hi"]
    assert lines[-1] == "5000"
