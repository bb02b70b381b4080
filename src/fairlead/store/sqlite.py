"""SqliteStore: the durable store. It decides what may be written and when a write is acknowledged.

A write goes through three states:

1. *staged*: checked against what is acknowledged and what is staged before it; it has its revision and its value.
2. *on its way*: in the group that one worker thread writes to `store.log`, one transaction for the whole group. While
   it does, the next group gathers.
3. *published*: on disk, visible in `store.watchcache`, sent to the watchers, acknowledged.

If a group cannot be written, it and everything staged after it fails with `Unavailable` and leaves no trace: the next
write continues after the newest published revision. Reads never wait for any of this.

Compaction runs on the same worker between groups, in small steps. Everything else happens in the event loop's thread.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from fairlead.base import telemetry
from fairlead.store import folder, log
from fairlead.store.folder import Locked
from fairlead.store.log import Damaged
from fairlead.store.mvcc import Delete, Entry, Event, FutureRevision, Mismatch, Page, Unavailable, Watch, Write
from fairlead.store.precondition import holds, require_distinct
from fairlead.store.subscription import BUFFER
from fairlead.store.watchcache import Change, WatchCache

__all__ = ["Damaged", "Locked", "SqliteStore"]

KEEP = 10_000
"""Events kept for watches that resume and for lists at older revisions."""
KEEP_BYTES = 64 << 20
"""The size of those events' values; whichever of the two is reached first bounds the history."""
_GROUP = 4096
"""Writes in a group at most, so that the first of them is not kept waiting."""
_STEP = 500
"""Rows that one step of a compaction removes: some milliseconds."""

_SWITCH_SECONDS = 0.0001
"""How soon the worker thread may interrupt a busy event loop. At CPython's default (5 ms), a loop whose rounds are
shorter takes the interpreter lock back before the worker wakes, and a write of 1 ms was seen to take seconds."""

_log = telemetry.logger("store")
R = TypeVar("R")


class _Staged(NamedTuple):
    """The newest staged write of a key, and when it is settled."""

    entry: Entry | None
    revision: int
    settled: asyncio.Future[None]


class _Commit(NamedTuple):
    changes: Sequence[Change]
    settled: asyncio.Future[None]


class SqliteStore:
    """A `Store` in a folder. Make one with `open`."""

    def __init__(self, disk: log.Log, lock: folder.FolderLock, cache: WatchCache, keep: tuple[int, int]) -> None:
        self._disk, self._lock, self._cache, self._keep = disk, lock, cache, keep
        self._staged: dict[str, _Staged] = {}
        self._newest = cache.revision
        """The newest staged revision."""
        self._queue: list[_Commit] = []
        self._writing: asyncio.Task[None] | None = None
        self._tidying: asyncio.Task[None] | None = None
        self._compacting = asyncio.Lock()
        self._rests: list[int] = []
        """Revisions of superfluous rows that are still on disk."""
        self._worker = ThreadPoolExecutor(1, "fairlead-store")
        self._closed = False

    @classmethod
    def open(
        cls, path: str | Path, *, keep: int = KEEP, keep_bytes: int = KEEP_BYTES, buffer: int = BUFFER
    ) -> SqliteStore:
        """Open the store in the folder `path`, or begin one there. Raises Locked, Damaged.

        `keep` and `keep_bytes` bound the history; `buffer` is how many events a watcher may be behind.
        """
        sys.setswitchinterval(min(sys.getswitchinterval(), _SWITCH_SECONDS))
        place = Path(path).absolute()
        folder.prepare(place)
        lock = folder.FolderLock(place)
        try:
            disk = log.Log.open(place / "store.db")
            loaded = disk.load()
        except BaseException:
            lock.release()
            raise
        cache = WatchCache(loaded.live, loaded.window, loaded.revision, loaded.compacted, buffer=buffer)
        store = cls(disk, lock, cache, (keep, keep_bytes))
        store._rests = loaded.rests
        return store

    @property
    def revision(self) -> int:
        return self._cache.revision

    @property
    def compacted(self) -> int:
        return self._cache.compacted

    def get(self, key: str) -> Entry | None:
        return self._cache.get(key)

    def list(self, prefix: str, *, limit: int = 0, after: str = "", revision: int = 0) -> Page:
        return self._cache.list(prefix, limit, after, revision)

    def watch(self, prefix: str, *, after: int) -> Watch:
        watch = self._cache.watch(prefix, after)
        if self._closed:
            watch.end()
        return watch

    async def commit(self, writes: Sequence[Write]) -> Sequence[Entry]:
        require_distinct(writes)
        while (ahead := self._blocked(writes)) is not None:
            await asyncio.wait([ahead])
        if not writes:
            return []
        commit = self._stage(writes)
        await commit.settled
        return [change.entry if change.entry is not None else _final(change) for change in commit.changes]

    async def compact(self, revision: int) -> None:
        if revision > self.revision:
            raise FutureRevision(f"revision {revision} has not happened yet (newest: {self.revision})")
        async with self._compacting:
            if revision > self.compacted:
                await self._on_disk(partial(self._disk.mark_compacted, revision))
                self._rests += _superfluous(self._cache.history(revision))
                self._cache.forget(revision)
            while self._rests:
                step = self._rests[:_STEP]
                await self._on_disk(partial(self._disk.remove, step))
                del self._rests[: len(step)]

    async def snapshot(self, path: str | Path) -> int:
        """Write a copy of the live entries to the file `path` while writes go on; answers its revision.

        The copy is consistent at that revision and is itself a store's file (`<folder>/store.db`) without history.
        """
        entries, revision = self._cache.entries(), self.revision
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, log.write_snapshot, Path(path), entries, revision)
        return revision

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for task in (self._writing, self._tidying):
            if task is not None:
                await task
        async with self._compacting:
            self._cache.subscriptions.end()
            await asyncio.get_running_loop().run_in_executor(self._worker, self._disk.close)
            self._worker.shutdown()
            self._lock.release()

    # --- staging -----------------------------------------------------------------------------------------------

    def _blocked(self, writes: Sequence[Write]) -> asyncio.Future[None] | None:
        """What to wait for before the preconditions can be judged; None when all of them hold. Raises Mismatch.

        A precondition that fails only because of a write that is not on disk yet must not fail visibly: nobody could
        read what it failed on, and that write may still come to nothing.
        """
        if self._closed:
            raise Unavailable(f"the store in {self._disk.file.parent} is closed")
        ahead = None
        for write in writes:
            staged, durable = self._staged.get(write.key), self._cache.get(write.key)
            if holds(write, staged.entry if staged is not None else durable):
                continue
            if staged is None or not holds(write, durable):
                raise Mismatch(write.key, durable)
            ahead = staged.settled
        return ahead

    def _stage(self, writes: Sequence[Write]) -> _Commit:
        loop = asyncio.get_running_loop()
        values = [write.encode(self._newest + place) for place, write in enumerate(writes, 1)]
        changes = []
        settled = loop.create_future()
        for write, value in zip(writes, values, strict=True):
            staged = self._staged.get(write.key)
            before = staged.entry if staged is not None else self._cache.get(write.key)
            self._newest += 1
            change = _change(write, value, before, self._newest)
            self._staged[write.key] = _Staged(change.entry, self._newest, settled)
            changes.append(change)
        commit = _Commit(changes, settled)
        self._queue.append(commit)
        if self._writing is None:
            # A task starts in the loop's next round: what is staged in this round is one group.
            self._writing = loop.create_task(self._write())
        return commit

    # --- writing -----------------------------------------------------------------------------------------------

    async def _write(self) -> None:
        try:
            while self._queue:
                group = self._next_group()
                try:
                    await self._on_disk(partial(self._disk.append, [log.row(c) for k in group for c in k.changes]))
                except Unavailable as error:
                    self._fail(group, error)
                else:
                    self._publish(group)
        finally:
            self._writing = None
        self._bound_history()

    def _next_group(self) -> Sequence[_Commit]:
        size = 0
        for count, commit in enumerate(self._queue):
            size += len(commit.changes)
            if count and size > _GROUP:
                group, self._queue = self._queue[:count], self._queue[count:]
                return group
        group, self._queue = self._queue, []
        return group

    def _publish(self, group: Sequence[_Commit]) -> None:
        changes = [change for commit in group for change in commit.changes]
        for change in changes:
            key = change.event.key
            if self._staged[key].revision == change.event.revision:
                del self._staged[key]
        self._cache.publish(changes)
        for commit in group:
            if not commit.settled.done():
                commit.settled.set_result(None)

    def _fail(self, group: Sequence[_Commit], error: Unavailable) -> None:
        failed = [*group, *self._queue]
        self._queue = []
        self._staged.clear()
        self._newest = self._cache.revision
        _log.error("%s", error)
        for commit in failed:
            if not commit.settled.done():
                commit.settled.set_exception(Unavailable(str(error)))

    async def _on_disk(self, job: Callable[[], R]) -> R:
        """Run a job of the log on the worker. Raises Unavailable for whatever goes wrong there."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, job)
        except Exception as error:
            raise Unavailable(
                f"{self._disk.file} cannot be written: {error}. Nothing of the write was kept; "
                "check the disk's free space and health, then write again"
            ) from error

    # --- history -----------------------------------------------------------------------------------------------

    def _bound_history(self) -> None:
        """Compact when there is a quarter more history than to be kept, so that it happens seldom."""
        events, size = self._keep
        over = self._cache.window_length > events * 1.25 or self._cache.window_bytes > size * 1.25
        if (over or self._rests) and self._tidying is None and not self._closed:
            self._tidying = asyncio.get_running_loop().create_task(self._tidy())

    async def _tidy(self) -> None:
        try:
            await self.compact(self._cache.oldest_within(*self._keep))
        except Unavailable as error:
            _log.warning("history is not compacted: %s", error)
        finally:
            self._tidying = None


def _change(write: Write, value: bytes, before: Entry | None, revision: int) -> Change:
    if type(write) is Delete:
        assert before is not None
        return Change(Event("delete", write.key, value, before.value, revision), None, before)
    if before is None:
        entry = Entry(write.key, value, revision, revision)
        return Change(Event("create", write.key, value, None, revision), entry, None)
    entry = Entry(write.key, value, revision, before.created)
    return Change(Event("update", write.key, value, before.value, revision), entry, before)


def _final(change: Change) -> Entry:
    assert change.before is not None
    return Entry(change.event.key, change.event.value, change.event.revision, change.before.created)


def _superfluous(history: Sequence[Change]) -> list[int]:
    """The rows that nobody needs once this history is gone: superseded ones, and those that say "deleted"."""
    rows = [c.before.revision for c in history if c.before is not None]
    return rows + [c.event.revision for c in history if c.entry is None]
