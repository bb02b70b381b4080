"""NodeAffinity: nodeSelector and required node affinity refuse a node, preferred terms make it better."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from fairlead.api.core import NodeAffinity, NodeSelector, NodeSelectorTerm, Requirement
from fairlead.scheduler.classes import PodClass
from fairlead.scheduler.columns import Amounts, Columns, Mask, Selection
from fairlead.scheduler.labels import LabelColumn, Table
from fairlead.scheduler.plugin import Plugin, Scale


def _node_affinity(pod_class: PodClass) -> NodeAffinity:
    return (pod_class.affinity.nodeAffinity if pod_class.affinity else None) or NodeAffinity()


def _concerns(pod_class: PodClass) -> bool:
    return bool(pod_class.node_selector or pod_class.affinity)


def _filter(columns: Columns, pod_class: PodClass, rows: Selection) -> Mask:
    mask = columns.alive[rows].copy()
    for key, value in pod_class.node_selector:
        mask &= _holds(columns, Requirement(key, "In", [value]), rows)
    required = _node_affinity(pod_class).requiredDuringSchedulingIgnoredDuringExecution
    if required is not None:
        mask &= selected(columns, required, rows)
    return mask


def selected(columns: Columns, required: NodeSelector, rows: Selection) -> Mask:
    """Whether one of the selector's terms selects the node."""
    terms = [_term(columns, term, rows) for term in required.nodeSelectorTerms]
    return np.asarray(np.logical_or.reduce(terms), np.bool_) if terms else np.zeros_like(columns.alive[rows])


def _score(columns: Columns, pod_class: PodClass, rows: Selection) -> Amounts:
    total = np.zeros(len(columns.alive[rows]), np.int64)
    for preferred in _node_affinity(pod_class).preferredDuringSchedulingIgnoredDuringExecution:
        total += preferred.weight * _preferred(columns, preferred.preference, rows)
    return total


def _preferred(columns: Columns, term: NodeSelectorTerm, rows: Selection) -> Mask:
    """An empty preference prefers every node (an empty required term matches none)."""
    if not term.matchExpressions and not term.matchFields:
        return columns.alive[rows]
    return _term(columns, term, rows)


def _term(columns: Columns, term: NodeSelectorTerm, rows: Selection) -> Mask:
    """All of a term's expressions and fields; an empty term matches no node."""
    mask = columns.alive[rows].copy()
    if not term.matchExpressions and not term.matchFields:
        mask[:] = False
    for requirement in term.matchExpressions:
        mask &= _holds(columns, requirement, rows)
    for requirement in term.matchFields:
        mask &= _named(columns, requirement, rows)
    return mask


def _holds(columns: Columns, requirement: Requirement, rows: Selection) -> Mask:
    """One expression, as a table over the key's values, gathered by each node's value."""
    column = columns.labels.get(requirement.key)
    if column is None:
        lacking = requirement.operator in ("NotIn", "DoesNotExist")
        return columns.alive[rows] if lacking else np.zeros_like(columns.alive[rows])
    return np.asarray(_table(column, requirement)[column.ids[rows]], np.bool_)


def _table(column: LabelColumn, requirement: Requirement) -> Table:
    match requirement.operator:
        case "In":
            return column.among(requirement.values)
        case "NotIn":
            return ~column.among(requirement.values)
        case "Exists":
            return column.present()
        case "DoesNotExist":
            return ~column.present()
        case "Gt":
            return column.where(_compare(requirement.values, lambda mine, bound: mine > bound))
        case "Lt":
            return column.where(_compare(requirement.values, lambda mine, bound: mine < bound))
    return column.where(lambda _: False)


def _compare(values: Iterable[str], holds: Callable[[int, int], bool]) -> Callable[[str], bool]:
    """A whole-number comparison that is false for labels that are no whole number."""

    def compare(value: str) -> bool:
        try:
            return holds(int(value), int(next(iter(values))))
        except (ValueError, StopIteration):
            return False

    return compare


def _named(columns: Columns, requirement: Requirement, rows: Selection) -> Mask:
    """A requirement on the field metadata.name, the only one that matchFields knows."""
    named = np.zeros(columns.capacity, np.bool_)
    named[[columns.rows[name] for name in requirement.values if name in columns.rows]] = True
    if requirement.key != "metadata.name" or requirement.operator not in ("In", "NotIn"):
        return np.zeros_like(named[rows])
    return named[rows] if requirement.operator == "In" else ~named[rows]


def _reasons(columns: Columns, pod_class: PodClass, rows: NDArray[np.intp]) -> dict[str, int]:
    return {"node(s) didn't match Pod's node affinity/selector": len(rows)}


def _remedy(columns: Columns, pod_class: PodClass) -> str:
    if _filter(columns, pod_class, np.flatnonzero(columns.alive)).any():
        return ""
    for key, value in pod_class.node_selector:
        column = columns.labels.get(key)
        known = column.values() if column is not None else []
        if value not in known:
            there = f"nodes have {_few(known)}" if known else "no node has the label"
            return f"No node has the label {key}={value} ({there}): change the pod's nodeSelector or label a node."
    return "No node matches the pod's node selector and affinity: change them or label a node."


def _few(values: list[str]) -> str:
    shown = ", ".join(values[:5])
    return f"{shown} and {len(values) - 5} more" if len(values) > 5 else shown


PLUGIN = Plugin(
    "NodeAffinity", 30, filter=_filter, reasons=_reasons, remedy=_remedy, score=_score, weight=2,
    scale=Scale.BY_MOST, concerns=_concerns,
)  # fmt: skip
