"""A clock that is set is noticed; one that is steered is not."""

from __future__ import annotations

import asyncio

from fairlead.server import jumps
from fairlead.testing.clock import FakeClock


class Jumping(FakeClock):
    """A clock whose wall time can be set."""

    offset = 0.0

    def now(self) -> float:
        return super().now() + self.offset


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_jumps_are_told() -> None:
    clock, told = Jumping(), []
    watching = asyncio.create_task(jumps.watch(clock, lambda: told.append(clock.now())))
    await turn()
    for offset, expected in ((0.0, 0), (0.5, 0), (3600.5, 1), (3600.5, 1), (-3600.0, 2)):
        clock.offset = offset
        clock.advance(jumps.EVERY)
        await turn()
        assert len(told) == expected, offset
    watching.cancel()
