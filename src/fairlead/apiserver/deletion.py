"""The life of an object after someone asked for its deletion, as a pure function of the object and the request.

    delete -> removed at once                       (nothing holds it)
           -> marked: deletionTimestamp is set      (finalizers, or a Pod's grace period)
           -> left as it is                         (it is being deleted already, and nothing new was asked)

Invariants: a deletionTimestamp never goes away and never moves into the future; an object with finalizers is never
removed; the last finalizer's removal (see `released`) removes it. Who runs the finalizers is others' business: the
garbage collector (`foregroundDeletion`, `orphan`), the namespace controller (`spec.finalizers` of a Namespace), users.
Only Pods have a grace period: their node's agent ends it with a delete of grace 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from fairlead.base import errors, timestamp
from fairlead.base.errors import Cause
from fairlead.machinery import causes

Plain = dict[str, Any]
Propagation = Literal["Background", "Foreground", "Orphan"]

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
CRD_CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
_POLICIES = ("Background", "Foreground", "Orphan")


class Options(msgspec.Struct, frozen=True):
    """`metav1.DeleteOptions`."""

    grace_seconds: int | None = None
    propagation: str = ""
    uid: str = ""
    revision: str = ""
    dry_run: bool = False


class Remove(msgspec.Struct, frozen=True):
    """The object goes now; `final` is its last state."""

    final: Plain


class Mark(msgspec.Struct, frozen=True):
    """The object stays and is stored as `marked`."""

    marked: Plain


class Leave(msgspec.Struct, frozen=True):
    """Nothing changes."""


Verdict = Remove | Mark | Leave


def options(body: Mapping[str, Any], query: Mapping[str, str]) -> Options:
    """DeleteOptions from the body where there is one, else from the query."""
    source: Mapping[str, Any] = body or query
    grace, policy = source.get("gracePeriodSeconds"), source.get("propagationPolicy") or ""
    if policy and policy not in _POLICIES:
        rule = f'Unsupported value: "{policy}": supported values: "Foreground", "Background", "Orphan", "nil"'
        raise _invalid("propagationPolicy", "FieldValueNotSupported", rule)
    if not policy and source.get("orphanDependents") in (True, "true"):
        policy = "Orphan"
    try:
        seconds = None if grace is None or grace == "" else int(grace)
    except (TypeError, ValueError):
        raise errors.bad_request(f"gracePeriodSeconds: {grace!r} is not a whole number") from None
    guard = source.get("preconditions") if body else None
    guard = guard if isinstance(guard, dict) else {}
    dry = body.get("dryRun") or ([query["dryRun"]] if query.get("dryRun") else [])
    if dry and dry != ["All"]:
        raise _invalid(
            "dryRun", "FieldValueNotSupported", f'Unsupported value: {causes.spelled(dry)}: supported values: "All"'
        )
    return Options(seconds, policy, guard.get("uid") or "", guard.get("resourceVersion") or "", bool(dry))


def check(obj: Plain, asked: Options, kind: str, group: str) -> None:
    """409 when a precondition does not hold."""
    metadata = obj["metadata"]
    for what, want, field, then in (
        ("UID", asked.uid, "uid", "deleted and then recreated"),
        ("ResourceVersion", asked.revision, "resourceVersion", "modified"),
    ):
        have = metadata.get(field)
        if want and want != have:
            why = f"the {what} in the precondition ({want}) does not match the {what} in record ({have}). "
            raise errors.conflict(kind, group, metadata["name"], f"{why}The object might have been {then}")


def decide(obj: Plain, asked: Options, kind: str, now: float) -> Verdict:
    """What a delete does to `obj`. `kind` is the qualified resource (`pods`, `jobs.batch`). `obj` is not changed."""
    metadata = dict(obj["metadata"])
    changed = {**obj, "metadata": metadata}
    if kind == "pods":
        verdict = _graceful(changed, metadata, asked, now)
        if verdict is not None:
            return verdict
    finalizers = _finalizers(metadata, asked, kind)
    held = finalizers or (kind == "namespaces" and obj.get("spec", {}).get("finalizers"))
    if not held:
        if kind == "pods":
            _mark(changed, metadata, kind, now)  # as upstream: what is graceful elsewhere says so when it goes at once
        return Remove(changed)
    if "deletionTimestamp" in metadata and (kind == "namespaces" or metadata.get("deletionGracePeriodSeconds") == 0):
        same = finalizers == (metadata.get("finalizers") or [])
        if same:
            return Leave()
    if finalizers:
        metadata["finalizers"] = finalizers
    _mark(changed, metadata, kind, now)
    return Mark(changed)


def released(obj: Plain, kind: str) -> bool:
    """Whether an update leaves nothing that holds an object whose deletion was asked for."""
    metadata = obj["metadata"]
    if "deletionTimestamp" not in metadata or metadata.get("finalizers"):
        return False
    if kind == "namespaces":
        return not obj.get("spec", {}).get("finalizers")
    return not metadata.get("deletionGracePeriodSeconds")


def _mark(changed: Plain, metadata: Plain, kind: str, now: float) -> None:
    if "deletionTimestamp" not in metadata:
        if metadata.get("generation"):
            metadata["generation"] += 1
        metadata["deletionTimestamp"] = timestamp.seconds(now)
    elif timestamp.parse(metadata["deletionTimestamp"]) > now:
        metadata["deletionTimestamp"] = timestamp.seconds(now)
    if kind == "namespaces":
        changed["status"] = {**changed.get("status", {}), "phase": "Terminating"}
    else:
        metadata["deletionGracePeriodSeconds"] = 0


def _graceful(changed: Plain, metadata: Plain, asked: Options, now: float) -> Verdict | None:
    """A Pod's grace period: the verdict while it runs, None when it is over (or never was)."""
    period = _grace(changed, asked)
    if "deletionTimestamp" not in metadata:
        if period == 0:
            return None
        metadata["deletionTimestamp"] = timestamp.seconds(now + period)
        metadata["deletionGracePeriodSeconds"] = period
        if metadata.get("generation"):
            metadata["generation"] += 1
        finalizers = _finalizers(metadata, asked, "pods")
        if finalizers:
            metadata["finalizers"] = finalizers
        return Mark(changed)
    before = metadata.get("deletionGracePeriodSeconds") or 0
    if before == 0 or (asked.grace_seconds is not None and period == 0):
        return None
    if asked.grace_seconds is None or period >= before:
        return Leave()
    due = timestamp.parse(metadata["deletionTimestamp"]) - before + period
    metadata["deletionTimestamp"] = timestamp.seconds(due)
    metadata["deletionGracePeriodSeconds"] = period
    return Mark(changed)


def _grace(pod: Plain, asked: Options) -> int:
    spec, phase = pod.get("spec", {}), pod.get("status", {}).get("phase")
    if not spec.get("nodeName") or phase in ("Succeeded", "Failed"):
        return 0
    period = asked.grace_seconds
    if period is None:
        period = spec.get("terminationGracePeriodSeconds")
    if period is None:
        return 30
    return int(period) if period >= 0 else 1


def _finalizers(metadata: Plain, asked: Options, kind: str) -> list[str]:
    """The finalizers with those that the propagation policy asks of the garbage collector."""
    present: list[str] = metadata.get("finalizers") or []
    policy = asked.propagation
    if not policy:
        policy = "Orphan" if ORPHAN in present else "Foreground" if FOREGROUND in present else "Background"
    kept = [f for f in present if f not in (FOREGROUND, ORPHAN)]
    if policy == "Orphan":
        kept.append(ORPHAN)
    elif policy == "Foreground":
        kept.append(FOREGROUND)
    first = "deletionTimestamp" not in metadata
    if first and kind == "customresourcedefinitions.apiextensions.k8s.io" and CRD_CLEANUP not in kept:
        kept.append(CRD_CLEANUP)
    return present if set(kept) == set(present) else kept


def _invalid(field: str, reason: str, message: str) -> errors.StatusError:
    return errors.invalid("DeleteOptions", "meta.k8s.io", "", [Cause(reason, message, field)])
