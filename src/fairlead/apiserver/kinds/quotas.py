"""core/v1 ResourceQuota and LimitRange."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.apiserver.kinds import naming
from fairlead.apiserver.kinds.ways import Obj, Ways, parts, spec_of
from fairlead.base.errors import Cause
from fairlead.machinery import causes, quantity

SCOPES = ("BestEffort", "CrossNamespacePodAffinity", "NotBestEffort", "NotTerminating", "PriorityClass", "Terminating")
_OPERATORS = ("DoesNotExist", "Exists", "In", "NotIn")
_TYPES = ("Container", "PersistentVolumeClaim", "Pod")


def _quota_rules(obj: Obj) -> Iterator[Cause]:
    spec = spec_of(obj)
    for name, amount in (spec.get("hard") or {}).items():
        at = f"spec.hard[{name}]"
        for complaint in naming.qualified(name):
            yield causes.invalid(at, name, complaint)
        if quantity.parse(amount).nanos < 0:
            yield causes.invalid(at, amount, "must be greater than or equal to 0")
    for scope in spec.get("scopes") or ():
        if scope not in SCOPES:
            yield causes.invalid("spec.scopes", spec["scopes"], "unsupported scope")
    for index, expression in enumerate((spec.get("scopeSelector") or {}).get("matchExpressions") or ()):
        at = f"spec.scopeSelector.matchExpressions[{index}]"
        if expression.get("scopeName") not in SCOPES:
            yield causes.invalid(f"{at}.scopeName", expression.get("scopeName", ""), "unsupported scope")
        if expression.get("operator") not in _OPERATORS:
            yield causes.invalid(f"{at}.operator", expression.get("operator", ""), "not a valid selector operator")


def _quota_transitions(new: Obj, old: Obj) -> Iterator[Cause]:
    after, before = spec_of(new).get("scopes") or [], spec_of(old).get("scopes") or []
    if set(after) != set(before):
        yield causes.invalid("spec.scopes", after, causes.IMMUTABLE)


def _quota_create(obj: Obj) -> None:
    obj["status"] = {}


def _range_default(obj: Obj) -> None:
    """A container's default limit is the most there may be; its default request that limit, or else the least."""
    for item in parts(spec_of(obj), "limits"):
        if item.get("type") != "Container":
            continue
        default = {**(item.get("max") or {}), **(item.get("default") or {})}
        request = {**(item.get("min") or {}), **default, **(item.get("defaultRequest") or {})}
        for field, amounts in (("default", default), ("defaultRequest", request)):
            if amounts:
                item[field] = amounts


def _range_rules(obj: Obj) -> Iterator[Cause]:
    seen = set()
    for index, item in enumerate(spec_of(obj).get("limits") or ()):
        at, kind = f"spec.limits[{index}]", item.get("type", "")
        if kind not in _TYPES and "/" not in kind:
            yield causes.invalid(f"{at}.type", kind, "must be a standard limit type or fully qualified")
        if kind in seen:
            yield causes.duplicate(f"{at}.type", kind)
        seen.add(kind)
        if kind == "Pod":
            for field in ("default", "defaultRequest"):
                if item.get(field):
                    yield causes.forbidden(f"{at}.{field}", "may not be specified when `type` is 'Pod'")
        yield from _in_order(item, at)


def _in_order(item: Obj, at: str) -> Iterator[Cause]:
    ways = (
        ("min", "max", "min", "min value", "max value"), ("min", "defaultRequest", "defaultRequest", "min value",
        "default request value"), ("defaultRequest", "max", "defaultRequest", "default request value", "max value"),
        ("defaultRequest", "default", "defaultRequest", "default request value", "default limit value"),
        ("default", "max", "default", "default value", "max value"),
    )  # fmt: skip
    for low, high, field, one, other in ways:
        for name, amount in (item.get(low) or {}).items():
            most = (item.get(high) or {}).get(name)
            if most is not None and quantity.parse(amount).nanos > quantity.parse(most).nanos:
                detail = f"{one} {amount} is greater than {other} {most}"
                yield causes.invalid(f"{at}.{field}[{name}]", amount, detail)


WAYS = {
    ("", "resourcequotas"): Ways(None, _quota_rules, _quota_transitions, create=_quota_create, generation=False),
    ("", "limitranges"): Ways(_range_default, _range_rules, generation=False),
}
