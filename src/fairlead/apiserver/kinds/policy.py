"""policy/v1 PodDisruptionBudget."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.apiserver.kinds import apps, workloads
from fairlead.apiserver.kinds.ways import Obj, Ways, spec_of
from fairlead.base.errors import Cause
from fairlead.machinery import causes

_zeros, _create = apps.zeros("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
_POLICIES = ("AlwaysAllow", "IfHealthyBudget")


def _rules(obj: Obj) -> Iterator[Cause]:
    spec = spec_of(obj)
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    if least is not None and most is not None:
        yield causes.invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set")
    yield from workloads.share(least, "spec.minAvailable", at_most_all=True)
    yield from workloads.share(most, "spec.maxUnavailable", at_most_all=True)
    if found := spec.get("selector"):
        yield from workloads.label_selector(found, "spec.selector")
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy is not None and policy not in _POLICIES:
        yield causes.not_supported("spec.unhealthyPodEvictionPolicy", policy, _POLICIES)


WAYS = {("policy", "poddisruptionbudgets"): Ways(_zeros, _rules, create=_create)}
