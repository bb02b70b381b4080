"""policy/v1 PodDisruptionBudget: how many of its Pods may be evicted right now.

Decides only the status. Evictions themselves are granted by the API server, which counts `disruptionsAllowed` down and
notes the Pod in `disruptedPods`, so that a stale count grants nothing twice; such a Pod counts as disrupted until it is
seen to go, or two minutes have passed. How many Pods are expected is asked of what made them (a Deployment's size and
not how many there happen to be), unless `minAvailable` is a plain number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from fairlead.api import apps, core, policy
from fairlead.api.core import Pod
from fairlead.api.meta import Condition, Resource
from fairlead.api.policy import BudgetStatus, PodDisruptionBudget
from fairlead.base import timestamp
from fairlead.machinery import selector, share
from fairlead.reconcile import pods as claims
from fairlead.reconcile import status as statuses
from fairlead.reconcile.reconciler import Change, Controller, Selected, SetStatus, View, WakeAt

GRACE = 120.0
"""Seconds within which an evicted Pod must be seen to go."""
ALLOWED = "DisruptionAllowed"

_SIZED: tuple[Resource[Any], ...] = (
    apps.REPLICA_SETS,
    apps.DEPLOYMENTS,
    apps.STATEFUL_SETS,
    core.REPLICATION_CONTROLLERS,
)


class Unknown(Exception):
    """It cannot be said how many Pods are expected."""


def reconcile(view: View[PodDisruptionBudget]) -> Sequence[Change]:
    """See the module's text."""
    budget = view.object
    if budget is None or budget.metadata.deleting:
        return []
    pods: Sequence[Pod] = [p for p in view.all(core.PODS) if not p.finished]
    disrupted = _disrupted(budget, pods, view.now)
    status = _status(budget, pods, disrupted, view)
    written = statuses.patch(budget.status, status)
    changes: list[Change] = []
    if written:
        changes.append(SetStatus(policy.BUDGETS, budget.key, written, budget.metadata.resourceVersion))
    due = min((timestamp.parse(t) + GRACE for t in disrupted.values()), default=None)
    return [*changes, *([WakeAt(due)] if due is not None else ())]


def _status(
    budget: PodDisruptionBudget, pods: Sequence[Pod], disrupted: Mapping[str, str], view: View[Any]
) -> BudgetStatus:
    generation = budget.metadata.generation
    before = budget.status.conditions
    try:
        expected, desired = _figures(budget, pods, view)
    except Unknown as why:
        failed = Condition(ALLOWED, "False", "SyncFailed", str(why), observedGeneration=generation)
        conditions = statuses.put(before, failed, view.now)
        return msgspec.structs.replace(budget.status, disruptionsAllowed=0, conditions=conditions)
    healthy = sum(1 for p in pods if _is_healthy(p) and p.metadata.name not in disrupted)
    allowed = max(0, healthy - desired) if expected > 0 else 0
    says = ("True", "SufficientPods") if allowed > 0 else ("False", "InsufficientPods")
    condition = Condition(ALLOWED, *says, observedGeneration=generation)
    return msgspec.structs.replace(
        budget.status,
        observedGeneration=generation,
        disruptedPods=dict(disrupted),
        disruptionsAllowed=allowed,
        currentHealthy=healthy,
        desiredHealthy=desired,
        expectedPods=expected,
        conditions=statuses.put(before, condition, view.now),
    )


def _is_healthy(pod: Pod) -> bool:
    return not pod.metadata.deleting and claims.ready_since(pod) is not None


def _disrupted(budget: PodDisruptionBudget, pods: Sequence[Pod], now: float) -> dict[str, str]:
    """The granted evictions that have not been seen yet."""
    staying = {p.metadata.name for p in pods if not p.metadata.deleting}
    granted = budget.status.disruptedPods.items()
    return {name: since for name, since in granted if name in staying and timestamp.parse(since) + GRACE > now}


def _figures(budget: PodDisruptionBudget, pods: Sequence[Pod], view: View[Any]) -> tuple[int, int]:
    """How many Pods there should be, and how many of them must be healthy."""
    least, most = budget.spec.minAvailable, budget.spec.maxUnavailable
    if most is not None:
        expected = _expected(pods, view)
        return expected, max(0, expected - share.of(most, expected, up=True))
    if isinstance(least, str):
        expected = _expected(pods, view)
        return expected, share.of(least, expected, up=True)
    return len(pods), least if least is not None else 0


def _expected(pods: Iterable[Pod], view: View[Any]) -> int:
    """The sizes of all that made the Pods. Raises Unknown for a Pod that nothing sized has made."""
    sized = {o.metadata.uid: o for kind in _SIZED for o in view.all(kind)}
    sizes: dict[str, int] = {}
    for pod in pods:
        owner = pod.metadata.controller
        if owner is None:
            raise Unknown(f"found no controller ref for pod {pod.metadata.name!r}")
        found = sized.get(owner.uid)
        if found is None:
            raise Unknown(f"{owner.kind} {owner.name!r} has no scale that is known here")
        above = sized.get(found.metadata.controller.uid) if found.metadata.controller is not None else None
        top = above if above is not None else found
        sizes[top.metadata.uid] = top.spec.replicas
    return sum(sizes.values())


def _protects(budget: PodDisruptionBudget, pod: Pod) -> bool:
    return _selects(budget, pod.metadata.labels)


def _sizes(budget: PodDisruptionBudget, found: Any) -> bool:
    """Whether the Pods that something makes are the budget's."""
    return _selects(budget, (found.spec.template.get("metadata") or {}).get("labels") or {})


def _selects(budget: PodDisruptionBudget, labels: Mapping[str, str]) -> bool:
    wanted = budget.spec.selector
    return wanted is not None and selector.from_label_selector(wanted).matches(labels)


CONTROLLER = Controller(
    name="disruption-controller",
    primary=policy.BUDGETS,
    reconcile=reconcile,
    links=(Selected(core.PODS, _protects), *(Selected(kind, _sizes) for kind in _SIZED)),
    embedded=True,
)
