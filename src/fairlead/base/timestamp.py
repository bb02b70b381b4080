"""Kubernetes' time formats, as pure functions of seconds since the epoch.

`metav1.Time` has whole seconds (`2026-01-02T03:04:05Z`), `metav1.MicroTime` six digits.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache


def seconds(now: float) -> str:
    """`metav1.Time`: RFC 3339 in UTC with whole seconds (rounded down)."""
    return _seconds(int(now))


@lru_cache(maxsize=64)
def _seconds(whole: int) -> str:
    """Many writes happen in one second."""
    return datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro(now: float) -> str:
    """`metav1.MicroTime`: RFC 3339 in UTC with six fractional digits."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 text. Raises ValueError for anything else."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; RFC 3339 needs one, for instance a final Z")
    return moment.timestamp()
