"""autoscaling HorizontalPodAutoscaler, in both versions: the rules are read on the stored one."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.api import autoscaling
from fairlead.apiserver import versions
from fairlead.apiserver.kinds import apps, workloads
from fairlead.apiserver.kinds.ways import Obj, Ways, part, spec_of
from fairlead.base.errors import Cause
from fairlead.machinery import causes

_AT_LEAST_1 = "must be greater than or equal to 1"
_TYPES = ("ContainerResource", "External", "Object", "Pods", "Resource")
_SELECT = ("Disabled", "Max", "Min")
_HOUR = 3600
_HALF_HOUR = 1800


def _everything(percent: int = 100) -> Obj:
    return {"type": "Percent", "value": percent, "periodSeconds": 15}


def _default(obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("minReplicas", 1)
    if not spec.get("metrics"):
        spec["metrics"] = versions.default_metrics()
    if isinstance(spec.get("behavior"), dict):
        _behavior(spec["behavior"])
    status = obj.get("status")
    if isinstance(status, dict):
        status.setdefault("desiredReplicas", 0)
        status.setdefault("currentMetrics", None)


def _default_v1(obj: Obj) -> None:
    obj.setdefault("spec", {}).setdefault("minReplicas", 1)
    _counts(obj)


def _behavior(behavior: Obj) -> None:
    up, down = behavior.setdefault("scaleUp", {}), behavior.setdefault("scaleDown", {})
    up.setdefault("stabilizationWindowSeconds", 0)
    fast = {"type": "Pods", "value": 4, "periodSeconds": 15}
    for rules, policies in ((up, [fast, _everything()]), (down, [_everything()])):
        rules.setdefault("selectPolicy", "Max")
        if not rules.get("policies"):
            rules["policies"] = policies


def _create(obj: Obj) -> None:
    obj["status"] = {"currentMetrics": None, "desiredReplicas": 0}


_counts, _create_v1 = apps.zeros("currentReplicas", "desiredReplicas")


def _rules_v1(obj: Obj) -> Iterator[Cause]:
    return _rules(versions.CONVERSIONS[autoscaling.AUTOSCALERS_V1.gvr].stored(obj))


def _rules(obj: Obj) -> Iterator[Cause]:
    spec = spec_of(obj)
    target, least, most = part(spec, "scaleTargetRef"), spec.get("minReplicas"), spec.get("maxReplicas", 0)
    for field in ("kind", "name"):
        if not target.get(field):
            yield causes.required(f"spec.scaleTargetRef.{field}")
    if least is not None and least < 1:
        yield causes.invalid("spec.minReplicas", least, _AT_LEAST_1)
    if most < 1:
        yield causes.invalid("spec.maxReplicas", most, "must be greater than 0")
    if least is not None and most < least:
        yield causes.invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")
    for index, metric in enumerate(spec.get("metrics") or ()):
        yield from _metric(metric, f"spec.metrics[{index}]")
    for way, rules in part(spec, "behavior").items():
        yield from _scaling(rules, f"spec.behavior.{way}")


def _metric(metric: Obj, at: str) -> Iterator[Cause]:
    kind = metric.get("type", "")
    if not kind:
        yield causes.required(f"{at}.type", "must specify a metric source type")
        return
    if kind not in _TYPES:
        yield causes.not_supported(f"{at}.type", kind, _TYPES)
        return
    field = kind[0].lower() + kind[1:]
    if not metric.get(field):
        yield causes.required(f"{at}.{field}", f"must populate information for the given metric source (only {field})")
        return
    target = part(metric[field], "target")
    if not target.get("type"):
        yield causes.required(f"{at}.{field}.target.type", "must specify a metric target type")
    percent = target.get("averageUtilization")
    if percent is not None and percent < 1:
        yield causes.invalid(f"{at}.{field}.target.averageUtilization", percent, "must be greater than 0")
    if kind == "ContainerResource" and not metric[field].get("container"):
        yield causes.required(f"{at}.{field}.container", "must specify a container")


def _scaling(rules: Obj, at: str) -> Iterator[Cause]:
    window, select = rules.get("stabilizationWindowSeconds"), rules.get("selectPolicy")
    if window is not None and not 0 <= window <= _HOUR:
        detail = workloads.NEGATIVE if window < 0 else f"must be less than or equal to {_HOUR}"
        yield causes.invalid(f"{at}.stabilizationWindowSeconds", window, detail)
    if select is not None and select not in _SELECT:
        yield causes.not_supported(f"{at}.selectPolicy", select, _SELECT)
    for index, policy in enumerate(rules.get("policies") or ()):
        here, period = f"{at}.policies[{index}]", policy.get("periodSeconds", 0)
        if policy.get("type") not in {"Pods", "Percent"}:
            yield causes.not_supported(f"{here}.type", policy.get("type", ""), ("Percent", "Pods"))
        if policy.get("value", 0) <= 0:
            yield causes.invalid(f"{here}.value", policy.get("value", 0), "must be greater than zero")
        if not 0 < period <= _HALF_HOUR:
            detail = "must be greater than zero" if period <= 0 else f"must be less than or equal to {_HALF_HOUR}"
            yield causes.invalid(f"{here}.periodSeconds", period, detail)


_PLURAL = "horizontalpodautoscalers"
WAYS = {
    ("autoscaling", _PLURAL): Ways(_default, _rules, create=_create, generation=False),
    (autoscaling.AUTOSCALERS_V1.api_version, _PLURAL): Ways(
        _default_v1, _rules_v1, create=_create_v1, generation=False
    ),
}  # fmt: skip
