"""The half of a durable store that is in memory: live entries, a window of history, and the watchers.

It holds acknowledged writes only; the store publishes a group to it once the group is on disk. Invariants:

- The window has every change after `compacted` and up to `revision`, without gaps, so that a revision is an index.
- `list` at an older revision is the live entries with the newer changes undone.
- It belongs to the event loop's thread; it has no locks, no I/O and no clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import NamedTuple

from sortedcontainers import SortedDict

from fairlead.store.mvcc import Compacted, Entry, Event, FutureRevision, Page
from fairlead.store.subscription import BUFFER, Subscription, Subscriptions

_ROOT = "/registry/"


class Change(NamedTuple):
    """A write: its event, what the key holds after it (None: deleted), and what it held before."""

    event: Event
    entry: Entry | None
    before: Entry | None


class WatchCache:
    """See the module's text."""

    def __init__(
        self, live: dict[str, Entry], window: list[Change], revision: int, compacted: int, *, buffer: int = BUFFER
    ) -> None:
        self._live: SortedDict[str, Entry] = SortedDict(live)
        self._kinds = Counter(map(_kind, live))
        """How many live keys there are of each kind: what is asked for most often is not there at all."""
        self._window = window
        self.revision, self.compacted = revision, compacted
        self.window_bytes = sum(map(_size, window))
        self.subscriptions = Subscriptions()
        self._buffer = buffer

    def __len__(self) -> int:
        return len(self._live)

    @property
    def window_length(self) -> int:
        return len(self._window)

    def get(self, key: str) -> Entry | None:
        entry: Entry | None = self._live.get(key)
        return entry

    def entries(self) -> list[Entry]:
        """All live entries in key order."""
        return list(self._live.values())

    def list(self, prefix: str, limit: int, after: str, revision: int) -> Page:
        """See `Store.list`."""
        if revision:
            self._require_kept(revision)
        if not revision and (kind := _kind(prefix)) and not self._kinds[kind]:
            return Page((), self.revision, 0)
        undone = self._undone(prefix, revision) if revision else {}
        live, (low, high) = self._live, _bounds(prefix, after)
        keys: Iterator[str] = live.irange(low, high, inclusive=(low != after, False))
        if undone:
            # Every page is made anew, so a page costs what it shows and what was undone, not the whole range.
            undone = {k: before for k, before in undone.items() if k > after}
            back = sorted(k for k, before in undone.items() if before is not None)
            keys = merge((k for k in keys if k not in undone), back)
        shown = [undone.get(k) or live[k] for k in (islice(keys, limit) if limit else keys)]
        more = 0
        if limit and len(shown) == limit:
            start = live.bisect_right(after) if low == after else live.bisect_left(low) if low else 0
            there = (live.bisect_left(high) if high is not None else len(live)) - start
            more = there + sum((before is not None) - (k in live) for k, before in undone.items()) - limit
        return Page(shown, revision or self.revision, more)

    def watch(self, prefix: str, after: int) -> Subscription:
        """See `Store.watch`."""
        self._require_kept(after)
        backlog = [c.event for c in self._window[after - self.compacted :] if c.event.key.startswith(prefix)]
        return self.subscriptions.add(prefix, backlog, self._buffer)

    def publish(self, changes: Sequence[Change]) -> None:
        """Make durable changes visible, in order of revision."""
        for change in changes:
            if change.entry is None:
                del self._live[change.event.key]
                self._kinds[_kind(change.event.key)] -= 1
            else:
                self._live[change.entry.key] = change.entry
                self._kinds[_kind(change.entry.key)] += change.before is None
            self.window_bytes += _size(change)
        self._window.extend(changes)
        self.revision = changes[-1].event.revision
        self.subscriptions.deliver([c.event for c in changes])

    def history(self, revision: int) -> Sequence[Change]:
        """The changes after `compacted`, up to `revision`."""
        return self._window[: max(0, revision - self.compacted)]

    def forget(self, revision: int) -> None:
        """Drop history up to `revision`."""
        dropped = self.history(revision)
        self.window_bytes -= sum(map(_size, dropped))
        del self._window[: len(dropped)]
        self.compacted = max(self.compacted, revision)

    def oldest_within(self, events: int, size: int) -> int:
        """The revision to compact to, so that at most `events` changes and `size` bytes of values remain."""
        drop, left = max(0, len(self._window) - events), self.window_bytes
        left -= sum(map(_size, self._window[:drop]))
        while left > size:
            left -= _size(self._window[drop])
            drop += 1
        return self.compacted + drop

    def _require_kept(self, revision: int) -> None:
        if revision < self.compacted:
            raise Compacted(revision, self.compacted)
        if revision > self.revision:
            raise FutureRevision(f"revision {revision} has not happened yet (newest: {self.revision})")

    def _undone(self, prefix: str, revision: int) -> dict[str, Entry | None]:
        """What the keys written since `revision` held then: what they held before the first write after it."""
        then: dict[str, Entry | None] = {}
        for change in self._window[revision - self.compacted :]:
            if change.event.key.startswith(prefix):
                then.setdefault(change.event.key, change.before)
        return then


def _kind(key: str) -> str:
    """The beginning of the keys of one kind, `/registry/<group>/<plural>/`; "" for keys of another form."""
    if not key.startswith(_ROOT):
        return ""
    group = key.find("/", len(_ROOT)) + 1
    return key[: key.find("/", group) + 1] if group else ""


def _size(change: Change) -> int:
    return len(change.event.value)


def _bounds(prefix: str, after: str) -> tuple[str | None, str | None]:
    """The half-open range of keys that begin with `prefix` and are not below `after`."""
    stem = prefix.rstrip("\U0010ffff")
    high = stem[:-1] + chr(ord(stem[-1]) + 1) if stem else None
    return (after if after > prefix else prefix) or None, high
