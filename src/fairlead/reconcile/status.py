"""Statuses as values: conditions, and the merge patch from one status to the next.

Pure. A controller computes the whole status it wants; `patch` says what to write, or that nothing is to be written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from fairlead.api.meta import Condition, View
from fairlead.base import timestamp


def patch(old: View, new: View) -> dict[str, Any]:
    """The JSON merge patch (RFC 7386) from `old` to `new`; empty when they are equal."""
    return _difference(msgspec.to_builtins(old), msgspec.to_builtins(new))


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    changes: dict[str, Any] = {name: None for name in old if name not in new}
    for name, value in new.items():
        before = old.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            deeper = _difference(before, value)
            if deeper:
                changes[name] = deeper
        elif name not in old or value != before:
            changes[name] = value
    return changes


def find(conditions: Sequence[Condition], type_: str) -> Condition | None:
    """The condition of that type, whatever its status."""
    return next((c for c in conditions if c.type == type_), None)


def is_true(conditions: Sequence[Condition], type_: str) -> bool:
    """Whether there is such a condition with status True."""
    found = find(conditions, type_)
    return found is not None and found.status == "True"


def put(conditions: Sequence[Condition], condition: Condition, now: float) -> list[Condition]:
    """The conditions with this one added or replaced; lastTransitionTime moves only when its status changes."""
    before = find(conditions, condition.type)
    unmoved = before is not None and before.status == condition.status
    since = before.lastTransitionTime if before is not None and unmoved else timestamp.seconds(now)
    placed = msgspec.structs.replace(condition, lastTransitionTime=since)
    if before is None:
        return [*conditions, placed]
    return [placed if c.type == condition.type else c for c in conditions]
