"""Backoff: the kubelet's delay between restarts of a container that keeps ending.

The first restart is at once; then the delays are base, 2·base, 4·base, … up to the cap, counted from the end of the
attempt. An attempt that ended more than `reset` seconds after the last restart begins anew.
"""

from __future__ import annotations


class Backoff:
    """One container's delay."""

    __slots__ = ("_base", "_cap", "_delay", "_reset", "_updated")

    def __init__(self, base: float, cap: float, reset: float) -> None:
        self._base, self._cap, self._reset = base, cap, reset
        self._delay = 0.0
        self._updated = 0.0

    def after_end(self, ended: float, now: float) -> float:
        """The time at which an attempt that ended at `ended` may be followed by the next. Counts it as a restart."""
        if self._delay and ended - self._updated > self._reset:
            self._delay = 0.0
        due = max(now, ended + self._delay) if self._delay else now
        self._grow()
        self._updated = due
        return due

    def after(self, now: float) -> float:
        """How long to wait after a start that failed outright: never at once."""
        self._grow()
        self._updated = now
        return self._delay

    def restore(self, attempt: int, ended: float) -> None:
        """What the delay must be after `attempt` restarts, the last of them about `ended`."""
        self._delay = min(self._base * 2.0 ** (attempt - 1), self._cap) if attempt else 0.0
        self._updated = ended

    def _grow(self) -> None:
        self._delay = min(self._delay * 2, self._cap) if self._delay else self._base
