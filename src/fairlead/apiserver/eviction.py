"""Eviction: a delete that asks the Pod's disruption budget first (`POST pods/<name>/eviction`).

A granted eviction is written into the budget's status, on the revision that it was decided on, before the Pod is
deleted: of two evictions that meet, one sees what the other took. Pods that do not run need no grant.
"""

from __future__ import annotations

from fairlead.api.policy import BUDGETS
from fairlead.apiserver import deletes, deletion, encoding, writes
from fairlead.apiserver.state import Answer, Api, Call, Plain
from fairlead.base import errors, timestamp
from fairlead.machinery import selector
from fairlead.store.mvcc import Entry, Mismatch, Put

SUCCESS = encoding.encode({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})
_PREFIX = "/registry/policy/poddisruptionbudgets/"
_VIOLATES = "Cannot evict pod as it would violate the pod's disruption budget."
_MOST = 2000
"""Granted evictions that a budget may have at a time."""


async def evict(api: Api, call: Call, obj: Plain) -> Answer:
    """Delete the Pod with the eviction's options, if its budget allows it. 429 if not: try again later."""
    asked = deletion.options(obj.get("deleteOptions") or {}, {})
    dry_run = call.dry_run or asked.dry_run
    for _ in range(writes.ATTEMPTS):
        _, pod = api.live(call)
        found = _budget(api, call, pod)
        if found is None or not _needs_grant(pod, found[1]):
            break
        entry, budget = found
        _take(api, budget, pod["metadata"]["name"])
        if dry_run:
            break
        try:
            await api.commit_all([Put(entry.key, encoding.stamped(budget), entry.revision)])
            break
        except Mismatch:
            continue
    else:
        raise writes.conflict(call)
    target = Call(call.served, call.user, call.namespace, call.name, dry_run=dry_run)
    await deletes.delete(api, target, asked)
    return Answer(SUCCESS, created=True)


def _budget(api: Api, call: Call, pod: Plain) -> tuple[Entry, Plain] | None:
    """The Pod's budget. 500 when there are several, as upstream: nobody can say which counts."""
    if not _runs(pod):
        return None
    labels = pod["metadata"].get("labels") or {}
    found = []
    for entry in api.store.list(f"{_PREFIX}{call.namespace}/").entries:
        budget = encoding.decode(entry.value)
        wanted = budget.get("spec", {}).get("selector")
        if wanted is not None and selector.from_label_selector(wanted).matches(labels):
            found.append((entry, budget))
    if len(found) > 1:
        raise errors.internal(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )
    return found[0] if found else None


def _runs(pod: Plain) -> bool:
    phase = pod.get("status", {}).get("phase")
    return phase not in ("Succeeded", "Failed", "Pending") and "deletionTimestamp" not in pod["metadata"]


def _needs_grant(pod: Plain, budget: Plain) -> bool:
    """A Pod that is not ready disrupts nothing more, unless its budget is to be kept whole for it (KEP-3017)."""
    conditions = pod.get("status", {}).get("conditions") or ()
    if any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions):
        return True
    if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return False
    status = budget.get("status", {})
    desired = status.get("desiredHealthy", 0)
    return not (status.get("currentHealthy", 0) >= desired > 0)


def _take(api: Api, budget: Plain, pod: str) -> None:
    """Count one disruption, or refuse it."""
    name, status = budget["metadata"]["name"], budget.setdefault("status", {})
    if status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        raise _refusal(f"The disruption budget {name} is still being processed by the server.", 10)
    disrupted = status.get("disruptedPods") or {}
    if len(disrupted) > _MOST:
        why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise errors.forbidden(BUDGETS.plural, BUDGETS.group, name, why)
    if status.get("disruptionsAllowed", 0) <= 0:
        needs, has = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
        raise _refusal(f"The disruption budget {name} needs {needs} healthy pods and has {has} currently")
    status["disruptionsAllowed"] -= 1
    status["disruptedPods"] = {**disrupted, pod: timestamp.seconds(api.clock.now())}


def _refusal(why: str, retry: int = 0) -> errors.StatusError:
    error = errors.too_many_requests(_VIOLATES, retry)
    if not retry:
        del error.details["retryAfterSeconds"]
    error.details["causes"] = [{"reason": "DisruptionBudget", "message": why}]
    return error
