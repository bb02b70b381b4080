"""Durations for people, as every Kubernetes table spells them: two units at most, coarser the longer it is."""

from __future__ import annotations

from typing import Any

from fairlead.base import timestamp

UNKNOWN = "<unknown>"
_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400
_SCALE = (
    (2 * _MINUTE, 1, "s", 0, ""),
    (10 * _MINUTE, _MINUTE, "m", 1, "s"),
    (3 * _HOUR, _MINUTE, "m", 0, ""),
    (8 * _HOUR, _HOUR, "h", _MINUTE, "m"),
    (2 * _DAY, _HOUR, "h", 0, ""),
    (8 * _DAY, _DAY, "d", _HOUR, "h"),
    (2 * _YEAR, _DAY, "d", 0, ""),
    (8 * _YEAR, _YEAR, "y", _DAY, "d"),
)
"""Below each limit: the unit, and the smaller one whose count follows (0: none)."""


def human(seconds: float) -> str:
    """`45s`, `3m10s`, `47m`, `5h3m`, `30h`, `6d2h`, `40d`, `2y10d`. A little less than zero is `0s`: clocks differ."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    whole = max(whole, 0)
    for limit, unit, name, rest, rest_name in _SCALE:
        if whole < limit:
            less = whole % unit // rest if rest else 0
            return f"{whole // unit}{name}{less}{rest_name}" if less else f"{whole // unit}{name}"
    return f"{whole // _YEAR}y"


def since(text: Any, now: float) -> str:
    """How long ago an RFC 3339 time was; `<unknown>` without one, `<invalid>` for another text."""
    if not text:
        return UNKNOWN
    try:
        return human(now - timestamp.parse(text))
    except (ValueError, TypeError, AttributeError):
        return "<invalid>"


def moment(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time."""
    return timestamp.parse(text)
