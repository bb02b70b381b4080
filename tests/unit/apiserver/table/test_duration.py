"""Durations as Kubernetes' tables spell them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.apiserver.table import duration

M, H, D, Y = 60, 3600, 86400, 365 * 86400


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-2, "<invalid>"), (-1, "0s"), (0, "0s"), (0.9, "0s"), (59, "59s"), (119, "119s"), (120, "2m"), (190, "3m10s"),
        (10 * M - 1, "9m59s"), (10 * M, "10m"), (3 * H - 1, "179m"), (3 * H, "3h"), (3 * H + M, "3h1m"), (8 * H, "8h"),
        (48 * H - 1, "47h"), (48 * H, "2d"), (49 * H, "2d1h"), (8 * D, "8d"), (2 * Y - 1, "729d"), (2 * Y, "2y"),
        (2 * Y + D, "2y1d"), (8 * Y, "8y"), (20 * Y + D, "20y"),
    ],
)  # fmt: skip
def test_human(seconds: float, text: str) -> None:
    assert duration.human(seconds) == text


@given(st.floats(0, 1e10))
def test_at_most_two_units(seconds: float) -> None:
    text = duration.human(seconds)

    assert 1 <= sum(c.isalpha() for c in text) <= 2


@pytest.mark.parametrize(
    ("text", "shown"),
    [(None, "<unknown>"), ("", "<unknown>"), ("soon", "<invalid>"), ("1970-01-01T00:00:30Z", "30s")],
)
def test_since(text: str | None, shown: str) -> None:
    assert duration.since(text, 60.0) == shown
