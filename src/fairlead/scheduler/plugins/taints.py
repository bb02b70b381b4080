"""TaintToleration: untolerated NoSchedule and NoExecute taints refuse a node, PreferNoSchedule ones make it worse."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from fairlead.scheduler import tolerance
from fairlead.scheduler.classes import PodClass
from fairlead.scheduler.columns import Amounts, Columns, Mask, Selection
from fairlead.scheduler.plugin import Plugin, Scale

_REFUSING = ("NoSchedule", "NoExecute")
_AVOIDED = ("PreferNoSchedule",)


def _untolerated(columns: Columns, pod_class: PodClass, effects: tuple[str, ...]) -> NDArray[np.uint64]:
    """The bits of the taints with such an effect that the class does not tolerate, as one word per 64 taints."""
    words = [0] * len(columns.taint_bits)
    for number, taint in enumerate(columns.taints):
        if taint.effect in effects and not tolerance.tolerates(pod_class.tolerations, taint):
            words[number // 64] |= 1 << (number % 64)
    return np.array(words, np.uint64)


def _filter(columns: Columns, pod_class: PodClass, rows: Selection) -> Mask:
    against = _untolerated(columns, pod_class, _REFUSING)
    bits = columns.taint_bits[:, rows]
    refused = bits[0] & against[0]
    for word in range(1, len(against)):
        refused = refused | (bits[word] & against[word])
    return np.asarray(refused == 0, np.bool_)


def _score(columns: Columns, pod_class: PodClass, rows: Selection) -> Amounts:
    against = _untolerated(columns, pod_class, _AVOIDED)
    hits = columns.taint_bits[:, rows] & against[:, None]
    return np.asarray(np.bitwise_count(hits).sum(axis=0), np.int64)


def _reasons(columns: Columns, pod_class: PodClass, rows: NDArray[np.intp]) -> dict[str, int]:
    """A node counts for its first untolerated taint, as upstream reports it."""
    found: Counter[str] = Counter()
    for row in rows.tolist():
        taint = next(
            t for t in columns.taints_of(row)
            if t.effect in _REFUSING and not tolerance.tolerates(pod_class.tolerations, t)
        )  # fmt: skip
        found[f"node(s) had untolerated taint {{{taint.key}: {taint.value}}}"] += 1
    return found


def _remedy(columns: Columns, pod_class: PodClass) -> str:
    if _filter(columns, pod_class, np.flatnonzero(columns.alive)).any():
        return ""
    return "Every node has a taint that the pod does not tolerate: add a toleration to the pod or remove a taint."


PLUGIN = Plugin(
    "TaintToleration", 20, filter=_filter, reasons=_reasons, remedy=_remedy, score=_score, weight=3,
    scale=Scale.REVERSED,
)  # fmt: skip
