"""Jumps: notices when the wall clock was set, or the machine slept, and tells whoever waits for a time of day.

Both show in the same way: the wall clock and the monotonic one went on by different amounts.
"""

from __future__ import annotations

from collections.abc import Callable

from fairlead.base import telemetry
from fairlead.base.clock import Clock

EVERY = 5.0
"""Seconds between two looks."""
ALLOWED = 2.0
"""Seconds of difference that are no jump: clocks are steered all the time."""
_log = telemetry.logger("server")


async def watch(clock: Clock, jumped: Callable[[], None]) -> None:
    """Call `jumped` after each jump, until cancelled."""
    ahead = clock.now() - clock.monotonic()
    while True:
        await clock.sleep(EVERY)
        before, ahead = ahead, clock.now() - clock.monotonic()
        if abs(ahead - before) > ALLOWED:
            _log.warning("the clock was set by %+.0f s, or the machine slept", ahead - before)
            jumped()
