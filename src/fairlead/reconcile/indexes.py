"""Completion indexes of Indexed Jobs: as sets, as the text that statuses and policies hold, and on Pods. Pure.

The text is `1,3-5`: single indexes and runs of three or more, rising (KEP-2214).
"""

from __future__ import annotations

from collections.abc import Iterable

from fairlead.api.core import Pod

INDEX = "batch.kubernetes.io/job-completion-index"
FAILURES = "batch.kubernetes.io/job-index-failure-count"
IGNORED = "batch.kubernetes.io/job-index-ignored-failure-count"
"""On a Pod: how many Pods of its index failed before it, counted against backoffLimitPerIndex or not (KEP-3850)."""


def expand(text: str, completions: int | None = None) -> set[int]:
    """`1,3-5` to {1, 3, 4, 5}; without those that a Job with so many completions does not have."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        if not first.isdigit() or not (last or first).isdigit():
            continue
        end = int(last or first) + 1
        found.update(range(int(first), end if completions is None else min(end, completions)))
    return found


def compress(indexes: Iterable[int]) -> str:
    """{1, 3, 4, 5} to `1,3-5`."""
    runs: list[list[int]] = []
    for i in sorted(indexes):
        if runs and i == runs[-1][1] + 1:
            runs[-1][1] = i
        else:
            runs.append([i, i])
    return ",".join(str(a) if a == b else f"{a},{b}" if b == a + 1 else f"{a}-{b}" for a, b in runs)


def of(pod: Pod) -> int | None:
    """The index that the Pod works on."""
    text = pod.metadata.annotations.get(INDEX, "")
    return int(text) if text.isdigit() else None


def failures(pod: Pod) -> int:
    """How many Pods of its index failed before it, those not counted that a rule ignored."""
    return _number(pod, FAILURES)


def ignored(pod: Pod) -> int:
    """How many Pods of its index failed before it and were ignored."""
    return _number(pod, IGNORED)


def _number(pod: Pod, annotation: str) -> int:
    text = pod.metadata.annotations.get(annotation, "")
    return int(text) if text.isdigit() else 0
