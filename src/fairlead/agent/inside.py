"""inside: the agent's side of the two processes that stand beside a container: `enter` and `console`.

Both are Python files of this package that need the standard library alone, started without the rest of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from fairlead.agent import pipes, processes
from fairlead.agent.runtimes import ContainerSpec, StartError

_BOOT = "import sys; sys.path.append(sys.argv[1]); from fairlead.agent import {0}; {0}.main()"
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_KILLED = 137
ENVIRONMENT = {"LC_ALL": "C.UTF-8"} | {k: v for k, v in os.environ.items() if k == "LD_LIBRARY_PATH"}
"""Of what stands beside containers. The path is there for Pythons that find their own library by it."""


class _Answer(msgspec.Struct, frozen=True):
    """A line of `enter`: that it has started, how it ended, or why it did not start."""

    pid: int = 0
    code: int = _KILLED
    error: str = ""


class Process:
    """A command that runs inside a container. Implements `runtimes.Executed`."""

    def __init__(self, pid: int, answer: int, rest: bytes) -> None:
        self._pid, self._answer, self._rest = pid, answer, rest
        self._end = asyncio.get_running_loop().create_task(self._follow())

    async def wait(self) -> int:
        return await asyncio.shield(self._end)

    def kill(self) -> None:
        """`enter` itself stays, to bury its child: nobody else in a pid namespace that is not the agent's would."""
        if not self._end.done():
            processes.kill_descendants(self._pid)

    async def _follow(self) -> int:
        line = self._rest or await pipes.read_line(self._answer)
        os.close(self._answer)
        bury(self._pid)
        return msgspec.json.decode(line, type=_Answer).code if line else _KILLED


async def execute(order: Mapping[str, Any], files: tuple[int, int, int]) -> Process:
    """Run what the order says; returns once the command was executed. Raises StartError."""
    order_out, order_in = os.pipe()
    answer, answer_in = os.pipe()
    try:
        pid = spawn("enter", (str(order_out), str(answer_in)), files, (order_out, answer_in))
    finally:
        os.close(order_out)
        os.close(answer_in)
    try:
        await _give(order_in, msgspec.json.encode(order))
        line, _, rest = (await pipes.read_line(answer)).partition(b"\n")
    except BaseException:
        processes.kill_descendants(pid)
        os.kill(pid, signal.SIGKILL)
        bury(pid)
        os.close(answer)
        raise
    said = msgspec.json.decode(line, type=_Answer) if line else _Answer(error="it ended without an answer")
    if said.error:
        bury(pid)
        os.close(answer)
        raise StartError("ExecFailed", said.error)
    return Process(pid, answer, rest)


async def _give(fd: int, data: bytes) -> None:
    """Write all and close."""
    try:
        await pipes.write_all(fd, data)
    except BrokenPipeError:
        pass  # It is gone; its answer, or the lack of one, says so.
    finally:
        os.close(fd)


class Console(msgspec.Struct, frozen=True):
    """Descriptors for the shim: what becomes the container's input, and what ends when all output is written."""

    stdin: int
    drained: int

    def close(self) -> None:
        os.close(self.stdin)
        os.close(self.drained)


async def open_console(spec: ContainerSpec, pipe: str, log: str) -> Console:
    """Start the console of a container that asks for one. Raises OSError."""
    target, stdin = _terminal(spec) if spec.tty else reversed(os.pipe())
    drained, held = os.pipe()
    answer, answer_in = os.pipe()
    arguments = (pipe, log, str(target), str(answer_in), "1" if spec.tty else "0", "1" if spec.stdin_once else "0")
    try:
        pid = spawn("console", arguments, None, (target, held, answer_in))
    finally:
        for fd in (target, held, answer_in):
            os.close(fd)
    _bury_later(pid)
    try:
        said = await pipes.read_line(answer)
    finally:
        os.close(answer)
    if said != b"\n":
        os.close(stdin)
        os.close(drained)
        raise OSError(f"no console: {said.decode() or 'it ended without an answer'}")
    return Console(stdin, drained)


def _terminal(spec: ContainerSpec) -> tuple[int, int]:
    controlling, stdin = os.openpty()
    if spec.user.uid is not None:
        os.fchown(stdin, spec.user.uid, -1)
    return controlling, stdin


def spawn(module: str, arguments: Sequence[str], files: tuple[int, int, int] | None, inherited: Sequence[int]) -> int:
    """Start `fairlead.agent.<module>` with these standard streams (None: none) and further descriptors."""
    actions: list[Any] = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)]
    if files is not None:
        actions = [(os.POSIX_SPAWN_DUP2, fd, i) for i, fd in enumerate(files)]
    command = [sys.executable, "-I", "-S", "-E", "-c", _BOOT.format(module), _ROOT, *arguments]
    for fd in inherited:
        os.set_inheritable(fd, True)
    try:
        return os.posix_spawn(sys.executable, command, ENVIRONMENT, file_actions=actions)
    finally:
        for fd in inherited:
            os.set_inheritable(fd, False)


def bury(pid: int) -> None:
    """Collect an ended process if it is our own child; one that was adopted is somebody else's."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _bury_later(pid: int) -> None:
    fd = os.pidfd_open(pid)
    loop = asyncio.get_running_loop()

    def ended() -> None:
        loop.remove_reader(fd)
        os.close(fd)
        bury(pid)

    loop.add_reader(fd, ended)
