"""The rules of a Job's status (KEP-4368): whoever writes it, what it says holds together and never goes back.

A rule about fields is asked when one of them changes, so that an object from before the rule can still be written.
"""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.apiserver.kinds import jobpolicies
from fairlead.apiserver.kinds.ways import Obj, part, parts, spec_of
from fairlead.base.errors import Cause
from fairlead.machinery import causes

_COUNTS = ("active", "succeeded", "failed", "ready", "terminating")
_LASTING = ("Failed", "Complete", "FailureTarget")
_CONDITIONS = "status.conditions"


def validate(new: Obj, old: Obj) -> Iterator[Cause]:
    """The rules of `new`'s status, which replaces `old`'s."""
    status, before = part(new, "status"), part(old, "status")
    changed = {f for f in status.keys() | before.keys() if status.get(f) != before.get(f)}
    yield from _counts(status)
    ends, ended = _true(status), _true(before)
    moved = ends ^ ended
    yield from _together(ends, moved)
    yield from _times(new, status, before, ends, changed, moved)
    yield from _finished(new, status, ends, changed, moved)
    yield from _indexes(spec_of(new), status, changed)
    ready = status.get("ready")
    if changed & {"ready", "active"} and ready is not None and ready > status.get("active", 0):
        yield causes.invalid("status.ready", ready, "cannot set more ready pods than active")
    yield from _lasting(spec_of(new), status, before, ends, ended)


def _true(status: Obj) -> set[str]:
    return {c.get("type", "") for c in parts(status, "conditions") if c.get("status") == "True"}


def _counts(status: Obj) -> Iterator[Cause]:
    for field in _COUNTS:
        if status.get(field, 0) < 0:
            yield causes.invalid(f"status.{field}", status[field], jobpolicies.NEGATIVE)
    seen: set[str] = set()
    for field in ("succeeded", "failed"):
        for index, uid in enumerate(part(status, "uncountedTerminatedPods").get(field) or ()):
            at = f"status.uncountedTerminatedPods.{field}[{index}]"
            if not uid:
                yield causes.invalid(at, uid, "must not be empty")
            elif uid in seen:
                yield causes.duplicate(at, uid)
            seen.add(uid)


def _wrong(detail: str) -> Cause:
    return causes.invalid(_CONDITIONS, causes.UNTOLD, detail)


def _together(ends: set[str], moved: set[str]) -> Iterator[Cause]:
    """Conditions that exclude or need each other."""
    if moved & {"Complete", "Failed"} and {"Complete", "Failed"} <= ends:
        yield _wrong("cannot set Complete=True and Failed=true conditions")
    if moved & {"Complete", "FailureTarget"} and {"Complete", "FailureTarget"} <= ends:
        yield _wrong("cannot set Complete=True and FailureTarget=true conditions")
    if "Failed" in moved and "Failed" in ends and "FailureTarget" not in ends:
        yield _wrong("cannot set Failed=True condition without the FailureTarget=true condition")
    if moved & {"Complete", "SuccessCriteriaMet"} and "Complete" in ends and "SuccessCriteriaMet" not in ends:
        yield _wrong("cannot set Complete=True condition without the SuccessCriteriaMet=true condition")
    for other in ("Failed", "FailureTarget"):
        if {"SuccessCriteriaMet", other} <= ends:
            yield _wrong(f"cannot set SuccessCriteriaMet=True and {other}=true conditions")


def _times(new: Obj, status: Obj, before: Obj, ends: set[str], changed: set[str], moved: set[str]) -> Iterator[Cause]:
    start, end = status.get("startTime"), status.get("completionTime")
    if "Complete" in moved or "completionTime" in changed:
        if end is not None and "Complete" not in ends:
            detail = "cannot set completionTime when there is no Complete=True condition"
            yield causes.invalid("status.completionTime", end, detail)
        if end is None and "Complete" in ends:
            yield causes.required("status.completionTime", "completionTime is required for Complete jobs")
    if changed & {"startTime", "completionTime"} and start is not None and end is not None and end < start:
        yield causes.invalid("status.completionTime", end, "must be equal to or after `startTime`")
    if end is not None and before.get("completionTime") not in (None, end):
        yield causes.invalid("status.completionTime", end, causes.IMMUTABLE)
    resuming = "Suspended" in _true(before) and any(
        (c.get("type"), c.get("status")) == ("Suspended", "False") for c in parts(status, "conditions")
    )
    if before.get("startTime") not in (None, start) and not spec_of(new).get("suspend") and not resuming:
        yield causes.invalid("status.startTime", start, "field is immutable for unsuspended job once set")


def _finished(new: Obj, status: Obj, ends: set[str], changed: set[str], moved: set[str]) -> Iterator[Cause]:
    """What must be over when a Job is."""
    if not ends & {"Complete", "Failed"}:
        return
    now = bool(moved & {"Complete", "Failed"})
    if (now or "active" in changed) and status.get("active", 0) > 0:
        yield causes.invalid("status.active", status["active"], "active>0 is invalid for finished job")
    nothing_to_do = spec_of(new).get("suspend") is True and spec_of(new).get("completions") == 0
    if (now or "startTime" in changed) and status.get("startTime") is None and not nothing_to_do:
        yield causes.required("status.startTime", "startTime is required for finished job")
    uncounted = part(status, "uncountedTerminatedPods")
    if (now or "uncountedTerminatedPods" in changed) and any(uncounted.values()):
        yield causes.invalid("status.uncountedTerminatedPods", uncounted, "must be empty for finished job")
    if (now or "terminating" in changed) and (status.get("terminating") or 0) > 0:
        detail = "terminating>0 is invalid for finished job"
        yield causes.invalid("status.terminating", status["terminating"], detail)


def _indexes(spec: Obj, status: Obj, changed: set[str]) -> Iterator[Cause]:
    completions, limit = spec.get("completions"), spec.get("backoffLimitPerIndex")
    done, lost = status.get("completedIndexes") or "", status.get("failedIndexes")
    if "completedIndexes" in changed:
        yield from _text("completedIndexes", done, completions)
        if done and spec.get("completionMode") != "Indexed":
            detail = "cannot set non-empty completedIndexes when non-indexed completion mode"
            yield causes.invalid("status.completedIndexes", done, detail)
    if "failedIndexes" in changed and lost is not None:
        yield from _text("failedIndexes", lost, completions if limit is not None else None)
        if limit is None:
            detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
            yield causes.invalid("status.failedIndexes", lost, detail)
    if changed & {"completedIndexes", "failedIndexes"} and done and lost and completions is not None:
        both = _overlap(done, lost, completions)
        if both is not None:
            detail = f"failedIndexes and completedIndexes overlap at index: {both}"
            yield causes.invalid("status.failedIndexes", lost, detail)


def _text(field: str, text: str, completions: int | None) -> Iterator[Cause]:
    try:
        jobpolicies.total(text, completions if completions is not None else 1 << 31)
    except ValueError as wrong:
        if completions is not None:
            yield causes.invalid(f"status.{field}", text, f"error parsing {field}: {wrong}")


def _overlap(done: str, lost: str, completions: int) -> int | None:
    """The first index in both; None also for a list that cannot be read, which is told of elsewhere."""
    try:
        first, second = (list(jobpolicies.intervals(text, completions)) for text in (done, lost))
    except ValueError:
        return None
    found = [max(a, c) for a, b in first for c, d in second if a <= d and c <= b]
    return min(found, default=None)


def _lasting(spec: Obj, status: Obj, before: Obj, ends: set[str], ended: set[str]) -> Iterator[Cause]:
    """What never goes back."""
    if "successPolicy" in spec and "Complete" in ends and "SuccessCriteriaMet" not in ends:
        yield _wrong("cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True")
    for type_ in _LASTING:
        if type_ in ended - ends:
            yield _wrong(f"cannot disable the terminal {type_}=True condition")
    elastic = spec.get("completionMode") == "Indexed" and spec.get("completions") == spec.get("parallelism")
    for field in ("failed",) if elastic else ("failed", "succeeded"):
        if status.get(field, 0) < before.get(field, 0):
            yield causes.invalid(f"status.{field}", status.get(field, 0), f"cannot decrease the {field} counter")
    if "SuccessCriteriaMet" in ended - ends:
        yield _wrong("cannot disable the SuccessCriteriaMet=True condition")
    if "Complete" in ended and "SuccessCriteriaMet" in ends - ended:
        yield _wrong("cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions")
