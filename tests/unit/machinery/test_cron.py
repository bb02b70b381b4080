"""Cron schedules: fields, names, days, time zones."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from fairlead.machinery import cron

BERLIN = ZoneInfo("Europe/Berlin")


def after(text: str, start: str, zone: ZoneInfo | None = None) -> str | None:
    here = zone or UTC
    time = cron.parse(text).after(datetime.fromisoformat(start).timestamp(), here)
    return datetime.fromtimestamp(time, here).isoformat() if time is not None else None


@pytest.mark.parametrize(
    ("text", "start", "expected"),
    [
        ("* * * * *", "2026-01-01T00:00:00+00:00", "2026-01-01T00:01:00+00:00"),
        ("* * * * *", "2026-01-01T00:00:59+00:00", "2026-01-01T00:01:00+00:00"),
        ("*/15 * * * *", "2026-01-01T00:03:00+00:00", "2026-01-01T00:15:00+00:00"),
        ("5/20 * * * *", "2026-01-01T00:06:00+00:00", "2026-01-01T00:25:00+00:00"),
        ("0 8-10 * * mon-fri", "2026-01-02T10:30:00+00:00", "2026-01-05T08:00:00+00:00"),
        ("0 0 1 jan,JUL *", "2026-02-01T00:00:00+00:00", "2026-07-01T00:00:00+00:00"),
        ("0 9 13 * fri", "2026-01-01T00:00:00+00:00", "2026-01-02T09:00:00+00:00"),
        ("0 9 ? * 7", "2026-01-01T00:00:00+00:00", "2026-01-04T09:00:00+00:00"),
        ("0 0 29 2 *", "2026-01-01T00:00:00+00:00", "2028-02-29T00:00:00+00:00"),
        ("0 0 30 2 *", "2026-01-01T00:00:00+00:00", None),
        ("@hourly", "2026-12-31T23:10:00+00:00", "2027-01-01T00:00:00+00:00"),
        ("@every 1h30m", "2026-01-01T00:00:10+00:00", "2026-01-01T01:30:10+00:00"),
    ],
)
def test_the_next_time(text: str, start: str, expected: str | None) -> None:
    assert after(text, start) == expected


@pytest.mark.parametrize(
    ("text", "start", "expected"),
    [
        ("30 2 * * *", "2026-03-28T12:00:00+00:00", "2026-03-30T02:30:00+02:00"),  # 02:30 is left out on the 29th
        ("30 2 * * *", "2026-10-24T12:00:00+00:00", "2026-10-25T02:30:00+02:00"),
        ("* * * * *", "2026-10-25T00:59:00+00:00", "2026-10-25T02:00:00+01:00"),
        ("0 0 * * *", "2026-10-24T23:00:00+00:00", "2026-10-26T00:00:00+01:00"),
    ],
)
def test_schedules_are_in_local_time(text: str, start: str, expected: str) -> None:
    assert after(text, start, BERLIN) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "empty"),
        ("* * * *", "expected exactly 5 fields, found 4"),
        ("60 * * * *", r"end of range \(60\) above maximum \(59\)"),
        ("* * 0 * *", r"beginning of range \(0\) below minimum \(1\)"),
        ("5-1 * * * *", "beyond end of range"),
        ("*/0 * * * *", "step of range should be a positive number"),
        ("x * * * *", "failed to parse int from x"),
        ("@never", "unrecognized descriptor"),
        ("@every soon", "failed to parse duration"),
    ],
)
def test_what_is_wrong_is_said(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        cron.parse(text)
