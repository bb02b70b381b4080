"""What keeps Pods running (apps, cron jobs, replication controllers) and what watches over it (budgets, quotas)."""

from __future__ import annotations

from typing import Any

from fairlead.apiserver.table import duration, printer
from fairlead.apiserver.table.printer import AGE, NAME, NONE, Column, Plain, Printer, part, parts

UNKNOWN = "<unknown>"
_MOST_METRICS = 2
"""How many metrics of an autoscaler a cell lists."""


def _images(template: Plain) -> list[str]:
    containers = parts(part(template, "spec"), "containers")
    return [
        printer.joined(c.get("name", "") for c in containers),
        printer.joined(c.get("image", "") for c in containers),
    ]


def _deployment(obj: Plain, now: float) -> list[Any]:
    spec, status = part(obj, "spec"), part(obj, "status")
    return [
        printer.name(obj), f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        str(status.get("updatedReplicas", 0)), str(status.get("availableReplicas", 0)), printer.age(obj, now),
        *_images(part(spec, "template")), printer.selector(spec.get("selector")),
    ]  # fmt: skip


def _replica_set(obj: Plain, now: float) -> list[Any]:
    spec, status = part(obj, "spec"), part(obj, "status")
    chosen = spec.get("selector") or {}
    plain = obj.get("kind") == "ReplicationController" or not ({"matchLabels", "matchExpressions"} & chosen.keys())
    return [
        printer.name(obj), spec.get("replicas", 0), status.get("replicas", 0), status.get("readyReplicas", 0),
        printer.age(obj, now), *_images(part(spec, "template")),
        printer.labels(chosen) if plain else printer.selector(chosen),
    ]  # fmt: skip


def _stateful_set(obj: Plain, now: float) -> list[Any]:
    spec, status = part(obj, "spec"), part(obj, "status")
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    return [printer.name(obj), ready, printer.age(obj, now), *_images(part(spec, "template"))]


def _daemon_set(obj: Plain, now: float) -> list[Any]:
    spec, status = part(obj, "spec"), part(obj, "status")
    fields = ("desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled",
              "numberAvailable")  # fmt: skip
    pod = part(part(spec, "template"), "spec")
    return [
        printer.name(obj), *(status.get(f, 0) for f in fields), printer.labels(pod.get("nodeSelector")),
        printer.age(obj, now), *_images(part(spec, "template")), printer.selector(spec.get("selector")),
    ]  # fmt: skip


def _revision(obj: Plain, now: float) -> list[Any]:
    owner = next((o for o in parts(obj["metadata"], "ownerReferences") if o.get("controller")), None)
    of = NONE
    if owner is not None:
        group = owner.get("apiVersion", "").rpartition("/")[0]
        of = f"{owner['kind'].lower()}.{group}/{owner['name']}" if group else f"{owner['kind'].lower()}/{owner['name']}"
    return [printer.name(obj), of, str(obj.get("revision", 0)), printer.age(obj, now)]


def _cron_job(obj: Plain, now: float) -> list[Any]:
    spec, status = part(obj, "spec"), part(obj, "status")
    job = part(part(spec, "jobTemplate"), "spec")
    last = status.get("lastScheduleTime")
    return [
        printer.name(obj), spec.get("schedule", ""), spec.get("timeZone") or NONE, bool(spec.get("suspend")),
        len(parts(status, "active")), duration.since(last, now) if last else NONE, printer.age(obj, now),
        *_images(part(job, "template")), printer.selector(job.get("selector")),
    ]  # fmt: skip


def _template(obj: Plain, _now: float) -> list[Any]:
    template = part(obj, "template")
    return [printer.name(obj), *_images(template), printer.labels(part(template, "metadata").get("labels"))]


def _budget(obj: Plain, now: float) -> list[Any]:
    spec = part(obj, "spec")
    return [
        printer.name(obj), *(str(spec[f]) if spec.get(f) is not None else "N/A"
                             for f in ("minAvailable", "maxUnavailable")),
        part(obj, "status").get("disruptionsAllowed", 0), printer.age(obj, now),
    ]  # fmt: skip


# --- autoscalers ---------------------------------------------------------------------------------------------------


def _autoscaler(obj: Plain, now: float) -> list[Any]:
    spec, status = part(obj, "spec"), part(obj, "status")
    target = part(spec, "scaleTargetRef")
    least = spec.get("minReplicas")
    return [
        printer.name(obj), f"{target.get('kind', '')}/{target.get('name', '')}",
        _targets(parts(spec, "metrics"), parts(status, "currentMetrics")),
        "<unset>" if least is None else str(least), str(spec.get("maxReplicas", 0)),
        str(status.get("currentReplicas", 0)), printer.age(obj, now),
    ]  # fmt: skip


def _targets(wanted: Any, found: Any) -> str:
    if not wanted:
        return NONE
    shown = [_target(w, found[i] if i < len(found) else {}) for i, w in enumerate(wanted[:_MOST_METRICS])]
    more = len(wanted) - len(shown)
    return ", ".join(shown) + (f" + {more} more..." if more else "")


def _target(wanted: Plain, found: Plain) -> str:
    kind = wanted.get("type", "")
    field = kind[:1].lower() + kind[1:]
    goal, now = part(part(wanted, field), "target"), part(part(found, field), "current")
    prefix = f"{part(wanted, field)['name']}: " if kind in ("Resource", "ContainerResource") else ""
    if goal.get("averageUtilization") is not None:
        seen = now.get("averageUtilization")
        return f"{prefix}{UNKNOWN if seen is None else f'{seen}%'}/{goal['averageUtilization']}%"
    averaged = goal.get("averageValue") is not None
    value = "averageValue" if averaged else "value"
    seen = now.get(value)
    tail = " (avg)" if averaged and kind in ("Object", "External") else ""
    return f"{prefix}{UNKNOWN if seen is None else seen}/{goal.get(value)}{tail}"


# --- quotas --------------------------------------------------------------------------------------------------------


def _quota(obj: Plain, now: float) -> list[Any]:
    status = part(obj, "status")
    used = part(status, "used")
    requests: list[str] = []
    limits: list[str] = []
    for name, most in sorted(part(status, "hard").items()):
        text = f"{name}: {used.get(name, 0)}/{most}"
        (limits if name.startswith("limits") else requests).append(text)
    return [printer.name(obj), ", ".join(requests), ", ".join(limits), printer.age(obj, now)]


def _created(obj: Plain, _now: float) -> list[Any]:
    return [printer.name(obj), obj["metadata"].get("creationTimestamp")]


_text, _wide = printer.texts, printer.wide
_IMAGES = _wide("Containers", "Images")
_SELECTOR = _wide("Selector")


def _numbers(*names: str) -> tuple[Column, ...]:
    return tuple(Column(n, "integer") for n in names)


_REPLICAS = Printer((NAME, *_numbers("Desired", "Current", "Ready"), AGE, *_IMAGES, *_SELECTOR), _replica_set)

PRINTERS: dict[tuple[str, str], Printer] = {
    ("apps", "deployments"): Printer(
        (NAME, *_text("Ready", "Up-to-date", "Available"), AGE, *_IMAGES, *_SELECTOR), _deployment),
    ("apps", "replicasets"): _REPLICAS,
    ("", "replicationcontrollers"): _REPLICAS,
    ("apps", "statefulsets"): Printer((NAME, *_text("Ready"), AGE, *_IMAGES), _stateful_set),
    ("apps", "daemonsets"): Printer(
        (NAME, *_numbers("Desired", "Current", "Ready", "Up-to-date", "Available"), *_text("Node Selector"), AGE,
         *_IMAGES, *_SELECTOR), _daemon_set),
    ("apps", "controllerrevisions"): Printer((NAME, *_text("Controller", "Revision"), AGE), _revision),
    ("batch", "cronjobs"): Printer(
        (NAME, *_text("Schedule", "Timezone"), Column("Suspend", "boolean"), *_numbers("Active"),
         *_text("Last Schedule"), AGE, *_IMAGES, *_SELECTOR), _cron_job),
    ("", "podtemplates"): Printer((NAME, *_text("Containers", "Images", "Pod Labels")), _template),
    ("policy", "poddisruptionbudgets"): Printer(
        (NAME, *_text("Min Available", "Max Unavailable"), *_numbers("Allowed Disruptions"), AGE), _budget),
    ("autoscaling", "horizontalpodautoscalers"): Printer(
        (NAME, *_text("Reference", "Targets", "MinPods", "MaxPods", "Replicas"), AGE), _autoscaler),
    ("", "resourcequotas"): Printer((NAME, *_text("Request", "Limit"), AGE), _quota),
    ("", "limitranges"): Printer((NAME, Column("Created At", "date")), _created),
}  # fmt: skip
