"""Preconditions: whether a write may be done on what is there. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.store.mvcc import Delete, Entry, Write


def holds(write: Write, current: Entry | None) -> bool:
    """Whether `write` may replace `current` (None: the key does not exist)."""
    if current is None and type(write) is Delete:
        return False
    return write.expected is None or write.expected == (current.revision if current is not None else 0)


def require_distinct(writes: Sequence[Write]) -> None:
    """A commit names a key once, so that each precondition is about the state before the commit."""
    if len(writes) > 1 and len({w.key for w in writes}) < len(writes):
        raise ValueError("a commit writes one key twice; make it one write, or two commits")
