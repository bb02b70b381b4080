"""Subscriptions: who gets which events, and how far a watcher may fall behind.

A `Subscription` is one watcher's bounded buffer. `Subscriptions` finds the watchers of a key by the prefixes that it
has, so that a write costs one look-up per distinct length of prefix, however many watchers there are; the watchers of
one prefix share one batch.

Both belong to the event loop's thread and have no locks. Nobody waits for a watcher: a full buffer is thrown away and
the watcher is told (`SlowWatcher`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from itertools import chain

from fairlead.store.mvcc import Event, SlowWatcher

BUFFER = 10_000
"""Events that a watcher may be behind. They are shared between watchers, so that a buffer costs a pointer per event."""


class Subscription:
    """A `Watch`. `backlog` is history that it begins with; it does not count against the buffer."""

    def __init__(
        self, prefix: str, backlog: Sequence[Event], buffer: int, leave: Callable[[Subscription], None]
    ) -> None:
        self.prefix = prefix
        self._batches: list[Sequence[Event]] = [backlog] if backlog else []
        self._behind = 0
        self._buffer = buffer
        self._leave = leave
        self._slow = self._closed = False
        self._waiter: asyncio.Future[None] | None = None

    def offer(self, batch: Sequence[Event]) -> None:
        """Take a batch of this prefix's events; never blocks. A batch always fits into an empty buffer."""
        if self._behind and self._behind + len(batch) > self._buffer:
            self._slow = True
            self._batches = []
            self._leave(self)
        else:
            self._behind += len(batch)
            self._batches.append(batch)
        self._wake()

    @property
    def ready(self) -> bool:
        """See `Watch.ready`."""
        return bool(self._batches)

    def close(self) -> None:
        """Stop now: what is buffered is dropped."""
        self._batches = []
        self.end()

    def end(self) -> None:
        """No more events will come; what is buffered is still handed out."""
        if not self._closed:
            self._closed = True
            self._leave(self)
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> AsyncIterator[Sequence[Event]]:
        return self

    async def __anext__(self) -> Sequence[Event]:
        while not self._batches:
            if self._slow:
                raise SlowWatcher(f"watch of {self.prefix}: more than {self._buffer} events behind; list again")
            if self._closed:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        batches, self._batches, self._behind = self._batches, [], 0
        return batches[0] if len(batches) == 1 else list(chain.from_iterable(batches))


class Subscriptions:
    """All subscriptions of a store, by prefix."""

    def __init__(self) -> None:
        self._by_prefix: dict[str, dict[Subscription, None]] = {}
        self._lengths: list[int] = []

    def __len__(self) -> int:
        return sum(map(len, self._by_prefix.values()))

    def add(self, prefix: str, backlog: Sequence[Event], buffer: int) -> Subscription:
        """A new subscription: first `backlog`, then whatever `deliver` brings."""
        subscription = Subscription(prefix, backlog, buffer, self._drop)
        if prefix not in self._by_prefix:
            self._by_prefix[prefix] = {}
            self._measure()
        self._by_prefix[prefix][subscription] = None
        return subscription

    def deliver(self, events: Iterable[Event]) -> None:
        """Hand events, in order of revision, to everybody who watches a prefix of their keys."""
        if not self._by_prefix:
            return
        for prefix, batch in self._sorted_out(events).items():
            for subscription in tuple(self._by_prefix.get(prefix, ())):
                subscription.offer(batch)

    def end(self) -> None:
        """End every subscription, after what it has buffered."""
        for subscription in [s for many in self._by_prefix.values() for s in many]:
            subscription.end()

    def _sorted_out(self, events: Iterable[Event]) -> dict[str, list[Event]]:
        batches: dict[str, list[Event]] = {}
        for event in events:
            key = event.key
            for length in self._lengths:
                if length > len(key):
                    break
                prefix = key[:length]
                if prefix in self._by_prefix:
                    batches.setdefault(prefix, []).append(event)
        return batches

    def _drop(self, subscription: Subscription) -> None:
        many = self._by_prefix.get(subscription.prefix)
        if many is None:
            return
        many.pop(subscription, None)
        if not many:
            del self._by_prefix[subscription.prefix]
            self._measure()

    def _measure(self) -> None:
        self._lengths = sorted({len(prefix) for prefix in self._by_prefix})
