"""Alarm: waits for a time on a clock or for somebody to ring, whichever is first."""

from __future__ import annotations

import asyncio

from fairlead.base.clock import Clock


class Alarm:
    """For one waiter. A ring while nobody waits is kept for the next `wait`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rung = asyncio.Event()

    @property
    def rung(self) -> bool:
        """Whether a ring is kept."""
        return self._rung.is_set()

    def ring(self) -> None:
        """End the wait."""
        self._rung.set()

    async def wait(self, until: float | None) -> None:
        """Return once rung or, with `until`, at that time of the clock."""
        if until is None or self._rung.is_set():
            await self._rung.wait()
        elif until > (now := self._clock.now()):
            await self._race(until - now)
        self._rung.clear()

    async def _race(self, seconds: float) -> None:
        ring = asyncio.ensure_future(self._rung.wait())
        sleep = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait((ring, sleep), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (ring, sleep):
                task.cancel()
            await asyncio.gather(ring, sleep, return_exceptions=True)
