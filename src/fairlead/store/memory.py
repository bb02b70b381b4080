"""MemoryStore: the rules of `store.mvcc` in the fewest words, nothing on disk, nothing fast.

It is the specification that `store.sqlite` is held to, and the store of tests. It remembers everything until it is
compacted, finds keys by looking at all of them, and shares no code with the watch cache beyond the watchers' buffers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from fairlead.store.mvcc import (
    Compacted,
    Delete,
    Entry,
    Event,
    FutureRevision,
    Mismatch,
    Page,
    Unavailable,
    Watch,
    Write,
)
from fairlead.store.precondition import holds, require_distinct
from fairlead.store.subscription import BUFFER, Subscription


class MemoryStore:
    """A `Store` in memory."""

    def __init__(self, *, buffer: int = BUFFER) -> None:
        self._live: dict[str, Entry] = {}
        self._history: list[tuple[Event, Entry | None]] = []
        """Every event after `compacted`, and the entry that its key had before."""
        self._revision = self._compacted = 0
        self._watches: list[Subscription] = []
        self._buffer = buffer
        self._closed = False

    @property
    def revision(self) -> int:
        return self._revision

    @property
    def compacted(self) -> int:
        return self._compacted

    def get(self, key: str) -> Entry | None:
        return self._live.get(key)

    def list(self, prefix: str, *, limit: int = 0, after: str = "", revision: int = 0) -> Page:
        then = self._as_of(revision or self._revision)
        found = [then[key] for key in sorted(then) if key.startswith(prefix) and key > after]
        shown = found[:limit] if limit else found
        return Page(shown, revision or self._revision, len(found) - len(shown))

    async def commit(self, writes: Sequence[Write]) -> Sequence[Entry]:
        if self._closed:
            raise Unavailable("the store is closed")
        require_distinct(writes)
        for write in writes:
            if not holds(write, self._live.get(write.key)):
                raise Mismatch(write.key, self._live.get(write.key))
        values = [write.encode(self._revision + place) for place, write in enumerate(writes, 1)]
        return [self._write(write, value) for write, value in zip(writes, values, strict=True)]

    def watch(self, prefix: str, *, after: int) -> Watch:
        self._require_kept(after)
        backlog = [e for e, _ in self._history if e.revision > after and e.key.startswith(prefix)]
        watch = Subscription(prefix, backlog, self._buffer, self._leave)
        self._watches.append(watch)
        if self._closed:
            watch.end()
        return watch

    async def compact(self, revision: int) -> None:
        if revision > self._revision:
            raise FutureRevision(f"revision {revision} has not happened yet (newest: {self._revision})")
        self._compacted = max(self._compacted, revision)
        self._history = [(e, before) for e, before in self._history if e.revision > self._compacted]

    async def close(self) -> None:
        self._closed = True
        for watch in tuple(self._watches):
            watch.end()

    def _write(self, write: Write, value: bytes) -> Entry:
        before = self._live.get(write.key)
        self._revision += 1
        entry = Entry(write.key, value, self._revision, before.created if before else self._revision)
        if isinstance(write, Delete):
            del self._live[write.key]
        else:
            self._live[write.key] = entry
        event = Event(_kind(write, before), write.key, value, before.value if before else None, self._revision)
        self._history.append((event, before))
        for watch in tuple(self._watches):
            if write.key.startswith(watch.prefix):
                watch.offer([event])
        return entry

    def _as_of(self, revision: int) -> dict[str, Entry]:
        self._require_kept(revision)
        then = dict(self._live)
        for event, before in reversed(self._history):
            if event.revision <= revision:
                break
            if before is None:
                del then[event.key]
            else:
                then[event.key] = before
        return then

    def _require_kept(self, revision: int) -> None:
        if revision < self._compacted:
            raise Compacted(revision, self._compacted)
        if revision > self._revision:
            raise FutureRevision(f"revision {revision} has not happened yet (newest: {self._revision})")

    def _leave(self, watch: Subscription) -> None:
        if watch in self._watches:
            self._watches.remove(watch)


def _kind(write: Write, before: Entry | None) -> Literal["create", "update", "delete"]:
    if isinstance(write, Delete):
        return "delete"
    return "update" if before else "create"
