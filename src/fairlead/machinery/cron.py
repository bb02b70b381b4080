"""Cron schedules: `*/5 8-18 * * mon-fri`, `@hourly`, `@every 90m`. Pure; a time zone is a value.

The five fields are minute, hour, day of month, month and day of week (0 is Sunday, 7 as well). When both days are
restricted, either is enough. A schedule is in local time: an hour that the clocks leave out has no times, one that they
repeat has its times twice (as robfig/cron, which Kubernetes uses).
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo

import msgspec

_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS = {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
_NAMED = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_YEARS = 5
"""How far ahead is looked: a schedule such as February 30th has no time at all."""


class Schedule(msgspec.Struct, frozen=True):
    """A parsed schedule; `every` stands alone."""

    minutes: frozenset[int] = frozenset()
    hours: frozenset[int] = frozenset()
    days: frozenset[int] = frozenset()
    months: frozenset[int] = frozenset()
    weekdays: frozenset[int] = frozenset()
    any_day: bool = False
    """Whether the day of month or the day of week is `*`: then both must fit."""
    every: float = 0.0

    def after(self, time: float, zone: tzinfo = UTC) -> float | None:
        """The first time after `time` (seconds since the epoch); None when there is none for years."""
        if self.every:
            return float(int(time)) + self.every
        stamp = float(int(time) // 60 * 60 + 60)
        end = datetime.fromtimestamp(time, zone).year + _YEARS
        while (moment := datetime.fromtimestamp(stamp, zone)).year <= end:
            step = self._step(moment, zone)
            if step is None:
                return stamp
            stamp = max(step, stamp + 60)
        return None

    def _step(self, moment: datetime, zone: tzinfo) -> float | None:
        """None for a moment that fits, else when the next unit that may fit begins."""
        if moment.month not in self.months:
            year, month = divmod(moment.year * 12 + moment.month, 12)
            return datetime(year, month + 1, 1, tzinfo=zone).timestamp()
        if not self._is_day(moment):
            midnight = datetime(moment.year, moment.month, moment.day, tzinfo=zone)
            return (midnight + timedelta(days=1)).timestamp()  # on the wall clock, however long the day is
        if moment.hour not in self.hours:
            return moment.timestamp() + 60 * (60 - moment.minute)
        return moment.timestamp() + 60 if moment.minute not in self.minutes else None

    def _is_day(self, moment: datetime) -> bool:
        of_month, of_week = moment.day in self.days, moment.isoweekday() % 7 in self.weekdays
        return (of_month and of_week) if self.any_day else (of_month or of_week)


def parse(text: str) -> Schedule:
    """A schedule. Raises ValueError saying what is wrong with it."""
    text = text.strip()
    if not text:
        raise ValueError("empty spec string")
    if text.startswith("@every "):
        return Schedule(every=_duration(text.removeprefix("@every ").strip()))
    if text.startswith("@"):
        if text not in _NAMED:
            raise ValueError(f"unrecognized descriptor: {text}")
        text = _NAMED[text]
    fields = text.split()
    if len(fields) != 5:
        raise ValueError(f"expected exactly 5 fields, found {len(fields)}: {fields}")
    minute, hour, day, month, weekday = fields
    days, weekdays = _field(day, 1, 31), _field(weekday, 0, 7, _DAYS)
    if 7 in weekdays:
        weekdays = weekdays - {7} | {0}
    every_day = any(f[0] in "*?" for f in (day, weekday))
    return Schedule(
        _field(minute, 0, 59), _field(hour, 0, 23), days, _field(month, 1, 12, _MONTHS), weekdays, every_day
    )  # fmt: skip


def _field(text: str, low: int, high: int, names: Mapping[str, int] | None = None) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        found |= _range(part, low, high, names or {})
    return frozenset(found)


def _range(text: str, low: int, high: int, names: Mapping[str, int]) -> set[int]:
    bounds, slash, step_text = text.partition("/")
    first_text, dash, last_text = bounds.partition("-")
    if first_text in ("*", "?"):
        if dash:
            raise ValueError(f"failed to parse range {text!r}")
        first, last = low, min(high, 6) if high == 7 else high
    else:
        first = _number(first_text, names)
        last = _number(last_text, names) if dash else high if slash else first
    step = _number(step_text, {}) if slash else 1
    if first < low:
        raise ValueError(f"beginning of range ({first}) below minimum ({low}): {text}")
    if last > high:
        raise ValueError(f"end of range ({last}) above maximum ({high}): {text}")
    if first > last:
        raise ValueError(f"beginning of range ({first}) beyond end of range ({last}): {text}")
    if step == 0:
        raise ValueError(f"step of range should be a positive number: {text}")
    return set(range(first, last + 1, step))


def _number(text: str, names: Mapping[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    if not text.isdigit():
        raise ValueError(f"failed to parse int from {text}")
    return int(text)


def _duration(text: str) -> float:
    """A Go duration, at least a second, whole seconds."""
    parts = _DURATION.findall(text)
    if not parts or "".join(a + b for a, b in parts) != text:
        raise ValueError(f"failed to parse duration @every {text}")
    return float(max(1, int(sum(float(a) * _UNITS[b] for a, b in parts))))
