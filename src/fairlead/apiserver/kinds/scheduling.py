"""scheduling.k8s.io: PriorityClass, PodGroup, Workload."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.apiserver.kinds.ways import Obj, Ways, spec_of
from fairlead.base.errors import Cause
from fairlead.machinery import causes

HIGHEST = 1_000_000_000
SYSTEM = "system-"
_SYSTEM_CLASSES = frozenset({"system-cluster-critical", "system-node-critical"})
_POLICIES = ("basic", "gang")


def _default(priority: Obj) -> None:
    priority.setdefault("value", 0)
    priority.setdefault("preemptionPolicy", "PreemptLowerPriority")


def _rules(priority: Obj) -> Iterator[Cause]:
    name, value = priority["metadata"].get("name", ""), priority.get("value", 0)
    if name.startswith(SYSTEM):
        if name not in _SYSTEM_CLASSES:
            detail = f"priority class names with '{SYSTEM}' prefix are reserved for system use only. "
            detail += f"error: {name} is not a known system priority class"
            yield causes.forbidden("metadata.name", detail)
    elif value > HIGHEST:
        detail = f"maximum allowed value of a user defined priority is {HIGHEST}"
        yield causes.forbidden("value", detail)
    policy = priority.get("preemptionPolicy")
    if policy not in {"Never", "PreemptLowerPriority"}:
        yield causes.not_supported("preemptionPolicy", policy, ("Never", "PreemptLowerPriority"))


def _transitions(new: Obj, old: Obj) -> Iterator[Cause]:
    if new.get("value", 0) != old.get("value", 0):
        yield causes.forbidden("value", "may not be changed in an update.")
    yield from causes.immutable("preemptionPolicy", new.get("preemptionPolicy"), old.get("preemptionPolicy"))


def _group_rules(group: Obj) -> Iterator[Cause]:
    yield from _policy(spec_of(group).get("schedulingPolicy", {}), "spec.schedulingPolicy")


def _workload_rules(workload: Obj) -> Iterator[Cause]:
    templates = spec_of(workload).get("podGroupTemplates") or []
    if not templates:
        yield causes.required("spec.podGroupTemplates", "must have at least one item")
    for index, template in enumerate(templates):
        at = f"spec.podGroupTemplates[{index}]"
        if not template.get("name"):
            yield causes.required(f"{at}.name")
        yield from _policy(template.get("schedulingPolicy", {}), f"{at}.schedulingPolicy")


def _policy(policy: Obj, path: str) -> Iterator[Cause]:
    """Exactly one of the policies; a gang has at least one member."""
    given = [p for p in _POLICIES if p in policy]
    if len(given) != 1:
        detail = f"must specify exactly one of: `{'`, `'.join(_POLICIES)}`"
        yield causes.invalid(path, policy, detail)
    if "gang" in policy and policy["gang"].get("minCount", 0) < 1:
        yield causes.invalid(
            f"{path}.gang.minCount", policy["gang"].get("minCount", 0), "must be greater than or equal to 1"
        )


def _fixed_spec(new: Obj, old: Obj) -> Iterator[Cause]:
    yield from causes.immutable("spec", spec_of(new), spec_of(old))


WAYS = {
    ("scheduling.k8s.io", "priorityclasses"): Ways(_default, _rules, _transitions, generation=False),
    ("scheduling.k8s.io", "podgroups"): Ways(None, _group_rules, _fixed_spec),
    ("scheduling.k8s.io", "workloads"): Ways(None, _workload_rules, _fixed_spec),
}
