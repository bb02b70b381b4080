"""Whether a Pod of a template may be on a node, as far as labels and taints say: what DaemonSets need to know.

Pure. Room is the scheduler's question, not asked here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fairlead.api.core import Node, Taint
from fairlead.machinery import selector

_NAME = "metadata.name"

DAEMON_TOLERATIONS: tuple[tuple[str, str], ...] = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)
"""What a DaemonSet's Pods bear: they belong to the node, whatever its condition."""


def selects(spec: Mapping[str, Any], node: Node) -> bool:
    """Whether nodeName, nodeSelector and required node affinity of a Pod's spec allow the node."""
    if spec.get("nodeName") not in (None, "", node.metadata.name):
        return False
    labels = node.metadata.labels
    if any(labels.get(k) != v for k, v in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = ((spec.get("affinity") or {}).get("nodeAffinity")) or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or any(_fits(term, node) for term in required.get("nodeSelectorTerms") or ())


def _fits(term: Mapping[str, Any], node: Node) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    return _meets(expressions, node.metadata.labels) and _meets(fields, {_NAME: node.metadata.name})


def _meets(expressions: Iterable[Mapping[str, Any]], labels: Mapping[str, str]) -> bool:
    return all(_meets_one(e, labels) for e in expressions)


def _meets_one(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    if expression.get("operator") not in ("Gt", "Lt"):
        return selector.from_requirements([expression]).matches(labels)
    try:
        have, limit = int(labels.get(expression["key"], "")), int(expression["values"][0])
    except (ValueError, LookupError):
        return False
    return have > limit if expression["operator"] == "Gt" else have < limit


def bears(tolerations: Sequence[Mapping[str, Any]], taints: Iterable[Taint], effects: Iterable[str]) -> bool:
    """Whether every taint with one of the effects is tolerated."""
    asked = set(effects)
    return all(any(_covers(t, taint) for t in tolerations) for taint in taints if taint.effect in asked)


def _covers(toleration: Mapping[str, Any], taint: Taint) -> bool:
    """An empty key or effect covers every one; an empty operator is Equal."""
    if toleration.get("effect") not in (None, "", taint.effect) or toleration.get("key") not in (None, "", taint.key):
        return False
    return toleration.get("operator") == "Exists" or (toleration.get("value") or "") == taint.value


def daemon_tolerations(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A template's tolerations with those that every DaemonSet's Pods have."""
    found: list[dict[str, Any]] = [dict(t) for t in spec.get("tolerations") or ()]
    further = DAEMON_TOLERATIONS
    if spec.get("hostNetwork"):
        further = (*further, ("node.kubernetes.io/network-unavailable", "NoSchedule"))
    for key, effect in further:
        if not any(t.get("key") == key and t.get("effect") == effect for t in found):
            found.append({"key": key, "operator": "Exists", "effect": effect})
    return found


def pinned(spec: Mapping[str, Any], node: str) -> dict[str, Any]:
    """The spec with an affinity to one node in the place of whatever nodes it required."""
    affinity = dict(spec.get("affinity") or {})
    term = {"matchFields": [{"key": _NAME, "operator": "In", "values": [node]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    affinity["nodeAffinity"] = {**(affinity.get("nodeAffinity") or {}), **required}
    return {**spec, "affinity": affinity}
