"""sessions: those who come to a container: a command that is executed in it, or its own streams. `client.node.Duplex`.

An execution belongs to whoever asked for it: when they go, it is killed. An attachment does not: the container stays,
and only its input ends, if the container asks for that (`stdinOnce`).

The container's stdout and stderr are one file here, so that an attachment has all of it on one channel.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterable, Mapping

import msgspec

from fairlead.agent import console, pipes
from fairlead.agent.runtimes import Executed, Ref, Runtime, StartError
from fairlead.base import errors
from fairlead.client.node import AttachOptions, Channel, ExecOptions, Size

_LINGER = 2.0
"""Seconds for which output is awaited after the command's end, when something that it started still has its streams."""
_LET_GO = 5.0

Item = tuple[int, bytes]


def outcome(code: int) -> bytes:
    """The Status of an execution: clients read the exit code from its causes."""
    if code == 0:
        return succeeded()
    cause = errors.Cause("ExitCode", str(code), "")
    message = f"command terminated with non-zero exit code: exit status {code}"
    return msgspec.json.encode({
        "metadata": {}, "status": "Failure", "message": message, "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": cause.reason, "message": cause.message}]},
    })  # fmt: skip


def succeeded() -> bytes:
    return msgspec.json.encode({"metadata": {}, "status": "Success"})


async def execute(runtime: Runtime, ref: Ref, options: ExecOptions) -> Execution | Refusal:
    """Run a command. One that cannot be executed is an outcome, too."""
    opening = _open_terminal if options.tty else _open_pipes
    files, own, lent = opening(options)
    try:
        process = await runtime.execute(ref, options.command, files, terminal=options.tty)
    except StartError as e:
        _close(own.fds)
        return Refusal(errors.internal(f"error executing command in container: {e}"))
    except BaseException:
        _close(own.fds)
        raise
    finally:
        _close(lent)
    return Execution(process, own)


class _Streams(msgspec.Struct, frozen=True):
    """The agent's ends: where input goes, where output comes from (descriptor to channel)."""

    stdin: int | None
    outputs: Mapping[int, int]
    terminal: bool = False

    @property
    def fds(self) -> set[int]:
        return {*self.outputs, *((self.stdin,) if self.stdin is not None else ())}


Opened = tuple[tuple[int, int, int], _Streams, Iterable[int]]
"""The command's three files, the agent's ends, and what the agent closes once the command has its files."""


def _open_terminal(options: ExecOptions) -> Opened:
    controlling, terminal = os.openpty()
    os.set_blocking(controlling, False)
    own = _Streams(controlling if options.stdin else None, {controlling: Channel.STDOUT}, terminal=True)
    return (terminal, terminal, terminal), own, (terminal,)


def _open_pipes(options: ExecOptions) -> Opened:
    nothing = os.open(os.devnull, os.O_RDWR)
    files, lent, outputs, stdin = [nothing, nothing, nothing], [nothing], {}, None
    if options.stdin:
        files[0], stdin = os.pipe()
        lent.append(files[0])
    for i, (wanted, channel) in enumerate(((options.stdout, Channel.STDOUT), (options.stderr, Channel.STDERR)), 1):
        if wanted:
            end, files[i] = os.pipe()
            os.set_blocking(end, False)
            outputs[end] = int(channel)
            lent.append(files[i])
    return (files[0], files[1], files[2]), _Streams(stdin, outputs), lent


def _close(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)


class Refusal:
    """A session that came to nothing."""

    def __init__(self, error: errors.StatusError) -> None:
        self._error = error

    async def __aiter__(self) -> AsyncIterator[Item]:
        yield Channel.ERROR, msgspec.json.encode(self._error.as_status())

    async def send(self, channel: int, data: bytes) -> None:
        return None

    async def close(self) -> None:
        return None


class Execution:
    """A command that runs."""

    def __init__(self, process: Executed, streams: _Streams) -> None:
        self._process, self._outputs, self._terminal = process, streams.outputs, streams.terminal
        self._stdin = streams.stdin
        self._fds = streams.fds
        self._end = asyncio.ensure_future(process.wait())

    async def __aiter__(self) -> AsyncIterator[Item]:
        left = dict(self._outputs)
        while left:
            quiet = True
            for fd, channel in tuple(left.items()):
                data = pipes.read_now(fd)
                if data:
                    quiet = False
                    yield channel, data
                elif data is not None:
                    del left[fd]
            if quiet and left and not await self._more(left):
                break
        yield Channel.ERROR, outcome(await asyncio.shield(self._end))

    async def _more(self, fds: Iterable[int]) -> bool:
        """Wait for output, or for the end and then a little longer. False when there will be no more."""
        coming = asyncio.ensure_future(pipes.ready(fds))
        try:
            if not self._end.done():
                await asyncio.wait((coming, self._end), return_when=asyncio.FIRST_COMPLETED)
                return True
            done, _ = await asyncio.wait((coming,), timeout=_LINGER)
            return bool(done)
        finally:
            coming.cancel()
            await asyncio.wait((coming,))

    async def send(self, channel: int, data: bytes) -> None:
        if channel == Channel.RESIZE and self._terminal:
            size = _size(data)
            if size is not None:
                console.resize(next(iter(self._outputs)), size.height, size.width)
        elif channel == Channel.STDIN and self._stdin is not None:
            await self._feed(self._stdin, data)

    async def _feed(self, stdin: int, data: bytes) -> None:
        with contextlib.suppress(OSError):  # It does not read any more.
            if data:
                await pipes.write_all(stdin, data)
                return
        if not data and not self._terminal:  # A terminal has no end: there it is a character that is typed.
            self._stdin = None
            self._fds.discard(stdin)
            os.close(stdin)

    async def close(self) -> None:
        self._process.kill()
        _close(self._fds)
        self._fds.clear()
        self._stdin = None
        await asyncio.wait((self._end,))


class Attachment:
    """A container's own streams. `pipe` leads to its input (`console`); `output` is its log, followed to its end."""

    def __init__(self, options: AttachOptions, output: AsyncIterator[bytes], pipe: str, *, once: bool) -> None:
        self._output, self._once = output, once and options.stdin
        self._channel = Channel.STDOUT if options.stdout else Channel.STDERR if options.stderr else None
        self._takes = options.stdin
        self._input = _writer(pipe) if pipe and (options.stdin or options.tty) else None

    async def __aiter__(self) -> AsyncIterator[Item]:
        async for data in self._output:
            if self._channel is not None:
                yield self._channel, data
        yield Channel.ERROR, succeeded()

    async def send(self, channel: int, data: bytes) -> None:
        if channel == Channel.RESIZE:
            size = _size(data)
            if size is not None:
                await self._write(console.frame(console.RESIZE, console.size(size.height, size.width)))
        elif channel == Channel.STDIN and self._takes:
            for i in range(0, len(data), console.LARGEST):
                await self._write(console.frame(console.DATA, data[i : i + console.LARGEST]))
            if not data:
                await self._finish()

    async def _finish(self) -> None:
        if self._once:
            self._once = False
            await self._write(console.frame(console.END))

    async def _write(self, frame: bytes) -> None:
        if self._input is None:
            return
        try:
            await pipes.write_all(self._input, frame)
        except BrokenPipeError:  # The container has ended, or has closed its input.
            self._shut()

    def _shut(self) -> None:
        if self._input is not None:
            os.close(self._input)
            self._input = None

    async def close(self) -> None:
        """The container goes on; where it asks for it, its input ends now."""
        try:
            async with asyncio.timeout(_LET_GO):
                await self._finish()
        except TimeoutError:
            pass
        finally:
            self._shut()


def _writer(pipe: str) -> int | None:
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:  # Nobody is there any more.
        return None


def _size(data: bytes) -> Size | None:
    try:
        size = msgspec.json.decode(data, type=Size)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
    return size if 0 <= size.width <= 0xFFFF and 0 <= size.height <= 0xFFFF else None
