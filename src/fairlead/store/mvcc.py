"""The protocol of a store, and its rules.

Keys are texts (`/registry/pods/default/a`), values are bytes. Every write gets the next revision; revisions start at 1,
never repeat and never go back. The rules that every implementation keeps (`store.memory` is their specification):

- A write is acknowledged when it is durable, never before; a read or a watch sees acknowledged writes only.
- `commit` is all or nothing: its writes get consecutive revisions, and one failed precondition fails them all.
- A value is made by an `Encode`, called once with the revision it is stored under, so that a value can carry its own
  revision and be sent to every reader as it stands.
- A watch yields every event after its start revision, in order, once; a watcher that does not keep up gets
  `SlowWatcher` and must list again. It is never waited for.
- History older than `compacted` is gone: listing at or watching from there raises `Compacted`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Literal, NamedTuple, Protocol

Encode = Callable[[int], bytes]


class Entry(NamedTuple):
    """A live key: its value, the revision of its last write, and that of its creation."""

    key: str
    value: bytes
    revision: int
    created: int


class Event(NamedTuple):
    """One write. `previous` is the value before it (None when the key was created).

    For a delete, `value` is the final state that the deleter gave (it carries the delete's own revision).
    """

    type: Literal["create", "update", "delete"]
    key: str
    value: bytes
    previous: bytes | None
    revision: int


class Put(NamedTuple):
    """Write `key`. `expected`: 0 = must not exist; n = its last write must be n; None = whatever is there."""

    key: str
    encode: Encode
    expected: int | None = None


class Delete(NamedTuple):
    """Remove `key`, which must exist. `encode` makes its final state; `expected` as in `Put` (never 0)."""

    key: str
    encode: Encode
    expected: int | None = None


Write = Put | Delete


class Page(NamedTuple):
    """A range of entries in key order, as they were at `revision`. `more` counts those left out by the limit."""

    entries: Sequence[Entry]
    revision: int
    more: int


class StoreError(Exception):
    """Base of what a store raises."""


class Mismatch(StoreError):
    """A precondition does not hold. `current` is what is there (None: the key does not exist)."""

    def __init__(self, key: str, current: Entry | None) -> None:
        super().__init__(f"{key}: precondition failed (at {current.revision if current else 'nothing'})")
        self.key, self.current = key, current


class Compacted(StoreError):
    """The revision asked for is older than what is kept, which starts after `compacted`."""

    def __init__(self, asked: int, compacted: int) -> None:
        super().__init__(f"revision {asked} is compacted (kept: after {compacted})")
        self.asked, self.compacted = asked, compacted


class FutureRevision(StoreError):
    """The revision asked for has not happened yet."""


class SlowWatcher(StoreError):
    """The watcher fell behind by more than its buffer; it has to list again."""


class Unavailable(StoreError):
    """The write could not be made durable (disk full, store closed); nothing of it is visible."""


class Watch(Protocol):
    """A subscription. Iterate it for batches of events (never empty); `close` ends the iteration."""

    def __aiter__(self) -> AsyncIterator[Sequence[Event]]:
        """Batches of events in order of revision. Raises SlowWatcher when the buffer overflowed."""

    @property
    def ready(self) -> bool:
        """Whether there is a batch, so that the next one need not be waited for."""

    def close(self) -> None:
        """Stop. Idempotent."""


class Store(Protocol):
    """See the module's rules. Reads are synchronous: the live entries are in memory."""

    @property
    def revision(self) -> int:
        """The newest acknowledged revision; 0 for an empty store."""

    @property
    def compacted(self) -> int:
        """History up to and including this revision is gone."""

    def get(self, key: str) -> Entry | None:
        """The live entry."""

    def list(self, prefix: str, *, limit: int = 0, after: str = "", revision: int = 0) -> Page:
        """Entries whose key starts with `prefix` and is greater than `after`, as of `revision` (0: the newest).

        Raises Compacted or FutureRevision for a revision that cannot be shown.
        """

    async def commit(self, writes: Sequence[Write]) -> Sequence[Entry]:
        """Do all writes or none; answers their entries (a Delete's final state). Raises Mismatch, Unavailable."""

    def watch(self, prefix: str, *, after: int) -> Watch:
        """Events on keys with `prefix`, from revision `after + 1` on. Raises Compacted or FutureRevision at once."""

    async def compact(self, revision: int) -> None:
        """Forget history up to `revision` (live entries stay). A revision already compacted is no error."""

    async def close(self) -> None:
        """Finish what was accepted, end all watches. Idempotent."""
