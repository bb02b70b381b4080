"""Built-in kinds that are served in two versions, or in two groups, and stored once.

`autoscaling/v1 HorizontalPodAutoscaler` is stored as v2; what v1 has no field for travels in annotations.
`events.k8s.io/v1 Event` is the core one with other names for its fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from fairlead.api import autoscaling, core, events

Obj = dict[str, Any]
Convert = Callable[[Obj], Obj]


class Conversion(msgspec.Struct, frozen=True):
    """How a version shows what is stored, and stores what it is given. Both may take their argument apart."""

    shown: Convert
    stored: Convert
    prefix: str = ""
    """Where the objects are, if not at the place that the kind's own group has."""


# --- HorizontalPodAutoscaler ---------------------------------------------------------------------------------------

_NOTE = "autoscaling.alpha.kubernetes.io/"
_METRICS, _BEHAVIOR = _NOTE + "metrics", _NOTE + "behavior"
_CONDITIONS, _CURRENT = _NOTE + "conditions", _NOTE + "current-metrics"


def _autoscaler_shown(obj: Obj) -> Obj:
    spec, status, notes = dict(obj.get("spec") or {}), dict(obj.get("status") or {}), _notes(obj)
    metrics = spec.pop("metrics", None) or []
    cpu = next((m for m in metrics if _cpu_target(m) is not None), None)
    if cpu is not None:
        spec["targetCPUUtilizationPercentage"] = _cpu_target(cpu)
    others = [m for m in metrics if m is not cpu]
    current = status.pop("currentMetrics", None) or []
    used = next((u for m in current if (u := _cpu_now(m)) is not None), None)
    if used is not None:
        status["currentCPUUtilizationPercentage"] = used
    for name, value in (
        (_METRICS, others), (_BEHAVIOR, spec.pop("behavior", None)), (_CONDITIONS, status.pop("conditions", None)),
        (_CURRENT, current),
    ):  # fmt: skip
        if value:
            notes[name] = msgspec.json.encode(value).decode()
    status.setdefault("currentReplicas", 0)
    return _noted({**obj, "apiVersion": "autoscaling/v1", "spec": spec, "status": status}, notes)


def _autoscaler_stored(obj: Obj) -> Obj:
    spec, status, notes = dict(obj.get("spec") or {}), dict(obj.get("status") or {}), _notes(obj)
    target = spec.pop("targetCPUUtilizationPercentage", None)
    metrics = _taken(notes, _METRICS) or []
    if target is not None:
        goal = {"type": "Utilization", "averageUtilization": target}
        metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": goal}}, *metrics]
    metrics = metrics or default_metrics()
    behavior, conditions, current = (_taken(notes, n) for n in (_BEHAVIOR, _CONDITIONS, _CURRENT))
    status.pop("currentCPUUtilizationPercentage", None)
    for fields, name, value in (
        (spec, "metrics", metrics), (spec, "behavior", behavior), (status, "conditions", conditions),
        (status, "currentMetrics", current),
    ):  # fmt: skip
        if value:
            fields[name] = value
    return _noted({**obj, "apiVersion": "autoscaling/v2", "spec": spec, "status": status}, notes)


def default_metrics() -> list[Obj]:
    """What an autoscaler goes by that names no metric."""
    goal = {"type": "Utilization", "averageUtilization": 80}
    return [{"type": "Resource", "resource": {"name": "cpu", "target": goal}}]


def _cpu_target(metric: Mapping[str, Any]) -> int | None:
    resource = metric.get("resource") or {}
    found: int | None = (resource.get("target") or {}).get("averageUtilization")
    return found if metric.get("type") == "Resource" and resource.get("name") == "cpu" else None


def _cpu_now(metric: Mapping[str, Any]) -> int | None:
    resource = metric.get("resource") or {}
    found: int | None = (resource.get("current") or {}).get("averageUtilization")
    return found if metric.get("type") == "Resource" and resource.get("name") == "cpu" else None


def _notes(obj: Obj) -> dict[str, str]:
    return dict((obj.get("metadata") or {}).get("annotations") or {})


def _taken(notes: dict[str, str], name: str) -> Any:
    """What an annotation holds; a broken one is dropped."""
    try:
        return msgspec.json.decode(notes.pop(name, "null"))
    except msgspec.DecodeError:
        return None


def _noted(obj: Obj, notes: dict[str, str]) -> Obj:
    metadata = dict(obj.get("metadata") or {})
    metadata.pop("annotations", None)
    if notes:
        metadata["annotations"] = notes
    return {**obj, "metadata": metadata}


# --- Event ---------------------------------------------------------------------------------------------------------

_EVENT = {
    "involvedObject": "regarding", "message": "note", "reportingComponent": "reportingController",
    "source": "deprecatedSource", "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp", "count": "deprecatedCount",
}  # fmt: skip
"""Names of fields in core/v1 and in events.k8s.io/v1."""
_OF_EVENT = {new: old for old, new in _EVENT.items()}


def _event_shown(obj: Obj) -> Obj:
    shown = {_EVENT.get(name, name): value for name, value in obj.items()}
    return {**shown, "apiVersion": events.EVENTS.api_version}


def _event_stored(obj: Obj) -> Obj:
    return {**{_OF_EVENT.get(name, name): value for name, value in obj.items()}, "apiVersion": core.EVENTS.api_version}


CONVERSIONS: Mapping[tuple[str, str, str], Conversion] = {
    autoscaling.AUTOSCALERS_V1.gvr: Conversion(_autoscaler_shown, _autoscaler_stored),
    events.EVENTS.gvr: Conversion(_event_shown, _event_stored, "/registry/core/events/"),
}
