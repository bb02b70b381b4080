"""A queue of keys to reconcile: which key is next, and when a key that failed is tried again. Pure.

Invariants: a key that waits is in the queue once, however often it is added; a key that is being worked on (`get` gave
it out and neither `done` nor `fail` took it back) is not given out again, and an `add` meanwhile makes it wait again
as soon as it is done. `add_at` keeps the earliest time; giving a key out forgets its time.

After the n-th failure in a row a key waits `base * 2**n` seconds, `cap` at most, whatever was added while it was worked
on; an `add` after that wakes it at once. Who works on the keys, and what time it is, is left to `manager`.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Workqueue(Generic[K]):
    """See the module's text. Times are seconds on one clock, whichever the caller takes."""

    def __init__(self, base: float = 0.005, cap: float = 60.0) -> None:
        self._base, self._cap = base, cap
        self._ready: dict[K, None] = {}  # a dict keeps the order of insertion: first in, first out
        self._flight: set[K] = set()
        self._again: set[K] = set()
        self._times: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._count = 0
        self._failures: dict[K, int] = {}

    def add(self, key: K) -> None:
        """Work on `key` as soon as possible."""
        if key in self._flight:
            self._again.add(key)
        else:
            self._ready.setdefault(key)

    def add_at(self, key: K, time: float) -> None:
        """Work on `key` at `time`, unless it is worked on before."""
        known = self._times.get(key)
        if known is not None and known <= time:
            return
        self._times[key] = time
        self._count += 1
        heapq.heappush(self._heap, (time, self._count, key))

    def get(self, now: float) -> K | None:
        """The next key to work on; None when none is due."""
        self._ripen(now)
        if not self._ready:
            return None
        key = next(iter(self._ready))
        del self._ready[key]
        self._times.pop(key, None)
        self._flight.add(key)
        return key

    def done(self, key: K) -> None:
        """The work on `key` succeeded."""
        self._failures.pop(key, None)
        self._land(key)
        if key in self._again:
            self._again.discard(key)
            self._ready.setdefault(key)

    def fail(self, key: K, now: float) -> float:
        """The work on `key` failed; answers when it is tried again."""
        self._land(key)
        self._again.discard(key)
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        time = now + min(self._cap, self._base * 2.0 ** min(failures, 64))
        self.add_at(key, time)
        return self._times[key]

    def next_time(self) -> float | None:
        """When the next key falls due that waits for a time; None when no key does."""
        while self._heap and self._times.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def hasten(self) -> None:
        """Whatever waits for a time is worked on now: the clock that the times are of was set."""
        for key in self._times:
            self.add(key)
        self._times.clear()
        self._heap.clear()

    def failures(self, key: K) -> int:
        """How often the work on `key` has failed in a row."""
        return self._failures.get(key, 0)

    @property
    def ready(self) -> int:
        """How many keys could be worked on now (those whose time has come since the last `get` not counted)."""
        return len(self._ready)

    @property
    def in_flight(self) -> int:
        """How many keys are worked on."""
        return len(self._flight)

    def _land(self, key: K) -> None:
        if key not in self._flight:
            raise ValueError(f"{key} is not being worked on; only a key that get() gave out can be done or fail")
        self._flight.discard(key)

    def _ripen(self, now: float) -> None:
        while (time := self.next_time()) is not None and time <= now:
            key = heapq.heappop(self._heap)[2]
            del self._times[key]
            self.add(key)
