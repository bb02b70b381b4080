"""logs: containers' output, from the files that the containers write themselves.

Nobody stands between a container and its log, so lines carry no times of their own. The agent looks at the files' sizes
once a second while something runs and writes down (time, offset) when one has grown: `timestamps` and `since` are
right to about that second, and lines that came together have the same time.
"""

from __future__ import annotations

import asyncio
import bisect
import os
from collections.abc import AsyncIterator, Callable, Iterator
from typing import BinaryIO

from fairlead.base import timestamp
from fairlead.base.clock import Clock
from fairlead.client.node import LogOptions

CHUNK = 1 << 16
FOLLOW_SECONDS = 0.05
"""How often a file is looked at while somebody follows it."""


class Index:
    """The times of one log's offsets, kept in a file beside it. Offsets grow, and so do times."""

    def __init__(self, log: str, started: float = 0.0) -> None:
        self._log, self._file = log, log + ".index"
        self.times: list[float] = []
        self.offsets: list[int] = []
        try:
            with open(self._file) as f:
                for line in f:
                    time, _, offset = line.partition(" ")
                    self._add(float(time), int(offset))
        except (OSError, ValueError):
            pass
        self._started = started

    def _add(self, time: float, offset: int) -> None:
        self.times.append(time)
        self.offsets.append(offset)

    def look(self, now: float) -> None:
        """Write down how far the log has come, if it has."""
        try:
            size = os.stat(self._log).st_size
        except OSError:
            return
        if size <= (self.offsets[-1] if self.offsets else 0):
            return
        self._add(now, size)
        with open(self._file, "a") as f:
            f.write(f"{now:.3f} {size}\n")

    def time_at(self, offset: int) -> float:
        """When the byte at `offset` was there: the first look that saw it, else the file's last change."""
        i = bisect.bisect_right(self.offsets, offset)
        if i < len(self.times):
            return self.times[i]
        try:
            return os.stat(self._log).st_mtime
        except OSError:
            return self.times[-1] if self.times else self._started

    def offset_since(self, time: float) -> int:
        """An offset before which everything is older than `time`."""
        i = bisect.bisect_left(self.times, time)
        return self.offsets[i - 1] if i else 0


def tail_offset(path: str, lines: int, start: int = 0) -> int:
    """Where the last `lines` lines begin, but not before `start`. A last line without its end counts."""
    with _opened(path) as f:
        end = at = f.seek(0, os.SEEK_END)
        if lines <= 0:
            return end
        wanted = lines
        while at > start:
            size = min(CHUNK, at - start)
            at -= size
            f.seek(at)
            block = f.read(size)
            for i in _newlines_backwards(block):
                if at + i == end - 1:
                    continue  # The end of the last line.
                wanted -= 1
                if wanted == 0:
                    return at + i + 1
    return start


def _newlines_backwards(block: bytes) -> Iterator[int]:
    i = block.rfind(b"\n")
    while i >= 0:
        yield i
        i = block.rfind(b"\n", 0, i)


class Stamper:
    """Puts the time before every line of a stream that begins at `offset`."""

    def __init__(self, index: Index, offset: int) -> None:
        self._index, self._offset = index, offset
        self._fresh = True

    def stamp(self, data: bytes) -> bytes:
        out = []
        for line in data.splitlines(keepends=True):
            if self._fresh:
                out.append(timestamp.micro(self._index.time_at(self._offset)).encode() + b" ")
            out.append(line)
            self._fresh = line.endswith(b"\n")
            self._offset += len(line)
        return b"".join(out)


def beginning(path: str, index: Index, options: LogOptions) -> int:
    """The offset at which an answer starts."""
    start = 0 if options.since is None else index.offset_since(options.since)
    if options.tail_lines is not None:
        start = max(start, tail_offset(path, options.tail_lines, start))
    return start


def _opened(path: str) -> BinaryIO:
    """The log; made if it is missing, because an attempt that could not be executed has written none."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_CREAT, 0o640), "rb")


async def stream(
    path: str, index: Index, options: LogOptions, ended: Callable[[], bool], clock: Clock, *,
    pause: float = FOLLOW_SECONDS,
) -> AsyncIterator[bytes]:  # fmt: skip
    """The log's bytes; with `follow` until the container has ended and all that it wrote was sent."""
    index.look(clock.now())
    left = options.limit_bytes
    start = beginning(path, index, options)
    stamper = Stamper(index, start) if options.timestamps else None
    with _opened(path) as f:
        f.seek(start)
        last = not options.follow
        while left is None or left > 0:
            data = f.read(CHUNK)
            if not data:
                if last:
                    return
                last = ended()  # One more look: it may have written just before its end.
                if not last:
                    await asyncio.sleep(pause)
                continue
            if stamper is not None:
                index.look(clock.now())
                data = stamper.stamp(data)
            if left is not None:
                data = data[:left]
                left -= len(data)
            yield data
