"""A clock that stands still until it is told to move."""

from __future__ import annotations

import asyncio
import heapq

START = 1_767_225_600.0
"""2026-01-01T00:00:00Z."""


class FakeClock:
    """A `base.clock.Clock`: `advance` moves it and wakes those whose sleep is over, in the order of their times."""

    def __init__(self, start: float = START) -> None:
        self._now = start
        self._start = start
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now - self._start

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._now + seconds, self._count, woken))
        await woken

    def next_due(self) -> float | None:
        """When the next sleep ends; None when nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def advance_to(self, time: float) -> None:
        """Move to `time` (never back) and wake those who slept until then."""
        self._now = max(self._now, time)
        while (due := self.next_due()) is not None and due <= self._now:
            heapq.heappop(self._sleepers)[2].set_result(None)

    def advance(self, seconds: float) -> None:
        """Move on by that long."""
        self.advance_to(self._now + seconds)
