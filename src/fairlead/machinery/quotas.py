"""ResourceQuotas as arithmetic: what an object counts for, which quotas it concerns, what is too much. Pure.

Objects are plain. A Pod counts for what it asks for until it has ended (and, once its deletion was asked for and its
grace is over, not any more); anything else counts as one of its kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fairlead.machinery import demand, quantity
from fairlead.machinery.quantity import ZERO, Quantity

Amounts = Mapping[str, Quantity]
Obj = Mapping[str, Any]

_NATIVE = ("cpu", "memory", "ephemeral-storage")
_COUNTED = frozenset({
    "configmaps", "persistentvolumeclaims", "replicationcontrollers", "resourcequotas", "secrets", "services",
})  # fmt: skip
"""Core kinds that are also counted under their plain name."""
POD_SCOPES = ("BestEffort", "NotBestEffort", "NotTerminating", "PriorityClass", "Terminating")


def counts(group: str, plural: str, obj: Obj) -> dict[str, Quantity]:
    """What an object takes of a quota, by the names that quotas use."""
    one = quantity.parse(1)
    found = {f"count/{plural}.{group}" if group else f"count/{plural}": one}
    if group:
        return found
    if plural == "pods":
        return {**found, **_pod(obj)}
    if plural in _COUNTED:
        found[plural] = one
    if plural == "persistentvolumeclaims":
        found |= _claim(obj)
    if plural == "services":
        found |= _service(obj, one)
    return found


def _pod(pod: Obj) -> dict[str, Quantity]:
    if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return {}
    spec = pod.get("spec") or {}
    found = {"pods": quantity.parse(1)}
    for name, amount in demand.of_pod(spec).items():
        found[f"requests.{name}"] = amount
        if name in _NATIVE:
            found[name] = amount
    for name, amount in _limits(spec).items():
        found[f"limits.{name}"] = amount
    return found


def _limits(spec: Obj) -> Amounts:
    """The limits of a Pod, added up as its requests are."""

    def swapped(containers: Any) -> list[Obj]:
        limits = [(c, (c.get("resources") or {}).get("limits") or {}) for c in containers or ()]
        return [{**c, "resources": {"requests": given}} for c, given in limits]

    return demand.of_pod({f: swapped(spec.get(f)) for f in ("initContainers", "containers")})


def _claim(claim: Obj) -> dict[str, Quantity]:
    spec = claim.get("spec") or {}
    amount = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    found = {"requests.storage": quantity.parse(amount)} if amount is not None else {}
    class_ = spec.get("storageClassName")
    if class_:
        prefix = f"{class_}.storageclass.storage.k8s.io"
        found[f"{prefix}/persistentvolumeclaims"] = quantity.parse(1)
        if amount is not None:
            found[f"{prefix}/requests.storage"] = quantity.parse(amount)
    return found


def _service(service: Obj, one: Quantity) -> dict[str, Quantity]:
    spec = service.get("spec") or {}
    found: dict[str, Quantity] = {}
    if spec.get("type") in ("NodePort", "LoadBalancer"):
        found["services.nodeports"] = quantity.parse(len(spec.get("ports") or ()))
    if spec.get("type") == "LoadBalancer":
        found["services.loadbalancers"] = one
    return found


# --- quotas --------------------------------------------------------------------------------------------------------


def concerns(spec: Obj, group: str, plural: str, obj: Obj) -> bool:
    """Whether a quota (its spec) is about an object: its scopes all fit. Quotas with scopes are about Pods only."""
    scopes = list(spec.get("scopes") or ())
    expressions = (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    if not scopes and not expressions:
        return True
    if group or plural != "pods":
        return False
    wanted = [{"scopeName": s, "operator": "Exists"} for s in scopes] + list(expressions)
    return all(_fits(e, obj) for e in wanted)


def _fits(expression: Obj, pod: Obj) -> bool:
    spec = pod.get("spec") or {}
    match expression.get("scopeName"):
        case "Terminating":
            return (spec.get("activeDeadlineSeconds") or -1) >= 0
        case "NotTerminating":
            return spec.get("activeDeadlineSeconds") is None
        case "BestEffort":
            return _is_best_effort(spec)
        case "NotBestEffort":
            return not _is_best_effort(spec)
        case "PriorityClass":
            return _has(expression, spec.get("priorityClassName") or "")
        case "CrossNamespacePodAffinity":
            return _reaches(spec)
    return False


def _is_best_effort(spec: Obj) -> bool:
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    given = [r for c in containers for r in ((c.get("resources") or {}).values())]
    return not any(name in ("cpu", "memory") for amounts in given if isinstance(amounts, dict) for name in amounts)


def _has(expression: Obj, value: str) -> bool:
    values = expression.get("values") or ()
    match expression.get("operator"):
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return bool(value)
        case "DoesNotExist":
            return not value
    return False


def _reaches(spec: Obj) -> bool:
    """Whether a Pod's affinity names other namespaces."""
    for kind in ("podAffinity", "podAntiAffinity"):
        for way in ((spec.get("affinity") or {}).get(kind) or {}).values():
            for term in way or ():
                inner = term.get("podAffinityTerm", term)
                if inner.get("namespaces") or inner.get("namespaceSelector") is not None:
                    return True
    return False


def added(some: Amounts, more: Amounts) -> dict[str, Quantity]:
    """Both together."""
    return {name: some.get(name, ZERO) + more.get(name, ZERO) for name in {*some, *more}}


def only(amounts: Amounts, names: Iterable[str]) -> dict[str, Quantity]:
    """The amounts that a quota is about."""
    wanted = set(names)
    return {name: amount for name, amount in amounts.items() if name in wanted}


def unspecified(spec: Obj, pod: Obj) -> dict[str, list[str]]:
    """What a quota on resources wants every container to say and which ones do not: resource to containers."""
    missing: dict[str, list[str]] = {}
    hard = spec.get("hard") or {}
    for name in sorted(hard):
        way, _, resource = name.rpartition(".") if name.startswith(("requests.", "limits.")) else ("requests", "", name)
        if resource not in _NATIVE:
            continue
        for container in (pod.get("spec") or {}).get("containers") or ():
            amounts = container.get("resources") or {}
            given = amounts.get(way) or {}
            if resource not in given and not (way == "requests" and resource in (amounts.get("limits") or {})):
                missing.setdefault(name, []).append(container.get("name", ""))
    return missing
