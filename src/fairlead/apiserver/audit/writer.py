"""Writer: audit events go to a file in batches, off the event loop, and the file is put aside when it is full.

`write` never waits: what cannot be written is counted and said in the log, and requests go on. A file that is put
aside gets the time in its name (`audit-2026-01-01T00-00-00.000.log`); the oldest go when there are too many or they are
too old. What is queued when the server stops is written.
"""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from fairlead.base import telemetry
from fairlead.base.clock import Clock

_log = telemetry.logger("audit")
_QUEUED = 10_000
"""Events that may wait; more than that are dropped, and counted."""


class Rotation(msgspec.Struct, frozen=True):
    """When a file is full, and how many old ones are kept for how long (0: without limit)."""

    size: int = 100 * 1024 * 1024
    backups: int = 10
    days: int = 30


class Writer:
    """Writes lines to `path`."""

    def __init__(self, path: Path, clock: Clock, rotation: Rotation | None = None) -> None:
        self._path, self._clock = path, clock
        self._rotation = rotation or Rotation()
        self._waiting: list[bytes] = []
        self._some = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._writing: asyncio.Future[None] | None = None
        self.dropped = 0

    def start(self) -> None:
        """Begin to write. Raises OSError when the file cannot be opened."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._open().close()
        self._task = asyncio.create_task(self._run())

    def write(self, line: bytes) -> None:
        """Queue one line (without its end)."""
        if len(self._waiting) >= _QUEUED:
            self.dropped += 1
            return
        self._waiting.append(line)
        self._some.set()

    async def close(self) -> None:
        """Write what is queued, and stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        if self._writing is not None:
            await asyncio.wait([self._writing])
        self._append(self._taken())

    async def _run(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            batch = self._taken()
            # Cancelling this task does not stop the thread: `close` waits for it.
            self._writing = asyncio.ensure_future(asyncio.to_thread(self._append, batch))
            await asyncio.shield(self._writing)
            if self.dropped:
                _log.error("%d audit events were dropped: %s is too slow", self.dropped, self._path)
                self.dropped = 0

    def _taken(self) -> list[bytes]:
        batch, self._waiting = self._waiting, []
        return batch

    def _append(self, batch: list[bytes]) -> None:
        if not batch:
            return
        try:
            if self._full():
                self._put_aside()
            with self._open() as out:
                out.write(b"\n".join(batch) + b"\n")
        except OSError as error:
            _log.error("%d audit events are lost: %s: %s", len(batch), self._path, error)

    def _open(self) -> BinaryIO:
        return open(self._path, "ab", opener=lambda path, flags: os.open(path, flags, 0o600))

    def _full(self) -> bool:
        size = self._rotation.size
        return bool(size) and self._path.exists() and self._path.stat().st_size >= size

    def _put_aside(self) -> None:
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        stamp = now.strftime("%Y-%m-%dT%H-%M-%S.") + f"{now.microsecond // 1000:03}"
        self._path.rename(self._path.with_name(f"{self._path.stem}-{stamp}{self._path.suffix}"))
        old = sorted(self._path.parent.glob(f"{self._path.stem}-*{self._path.suffix}"), reverse=True)
        oldest = self._clock.now() - self._rotation.days * 86400
        for number, path in enumerate(old):
            many = self._rotation.backups and number >= self._rotation.backups
            if many or (self._rotation.days and path.stat().st_mtime < oldest):
                path.unlink(missing_ok=True)
