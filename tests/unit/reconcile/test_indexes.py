"""Completion indexes as text."""

from __future__ import annotations

import pytest

from fairlead.reconcile import indexes
from fairlead.testing import builders


def test_indexes_are_written_in_runs() -> None:
    assert indexes.compress({1, 3, 4, 5, 7, 8}) == "1,3-5,7,8"
    assert indexes.compress(()) == ""


@pytest.mark.parametrize(
    ("text", "completions", "found"),
    [
        ("1,3-5,7,8", None, {1, 3, 4, 5, 7, 8}),
        ("", None, set()),
        ("0-9", 3, {0, 1, 2}),
        ("5", 3, set()),
        ("x,1-y,2", None, {2}),
    ],
)
def test_what_cannot_be_an_index_is_left_out(text: str, completions: int | None, found: set[int]) -> None:
    assert indexes.expand(text, completions) == found


def test_a_pod_knows_its_index_and_what_failed_before() -> None:
    marks = {indexes.INDEX: "3", indexes.FAILURES: "2", indexes.IGNORED: "no number"}
    pod = builders.pod("a").annotations(marks).view()
    assert (indexes.of(pod), indexes.failures(pod), indexes.ignored(pod)) == (3, 2, 0)
    assert indexes.of(builders.pod("b").view()) is None
