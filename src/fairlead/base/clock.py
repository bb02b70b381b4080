"""The only place that reads the time.

Pure cores take `now` (seconds since the epoch, UTC, as float) as a value; shells read it from a `Clock`.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """A source of time. `testing.clock.FakeClock` is the other implementation."""

    def now(self) -> float:
        """Wall time in seconds since the epoch (UTC)."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back; only differences mean anything."""

    async def sleep(self, seconds: float) -> None:
        """Return after that long on this clock. Shells sleep by it, so that a fake clock moves them too."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


SYSTEM = SystemClock()
