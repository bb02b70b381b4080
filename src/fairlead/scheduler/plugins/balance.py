"""NodeResourcesBalancedAllocation: nodes on which cpu and memory would be used in equal parts are better."""

from __future__ import annotations

import numpy as np

from fairlead.scheduler.classes import PodClass
from fairlead.scheduler.columns import CPU, MEMORY, Amounts, Columns, Selection
from fairlead.scheduler.plugin import Plugin


def _concerns(pod_class: PodClass) -> bool:
    """Pods without requests are left out, or all of them would go to one node."""
    return bool(pod_class.request("cpu") or pod_class.request("memory"))


def _score(columns: Columns, pod_class: PodClass, rows: Selection) -> Amounts:
    """100 × (1 − deviation); of two fractions the deviation is half of their distance."""
    both = columns.alive[rows].copy()
    fractions = []
    for index, name in ((CPU, "cpu"), (MEMORY, "memory")):
        capacity = columns.allocatable[index, rows]
        used = capacity - columns.free[index, rows] + pod_class.request(name)
        fractions.append(np.minimum(used / np.maximum(capacity, 1), 1.0))
        both &= capacity > 0
    deviation = np.abs(fractions[0] - fractions[1]) / 2
    return ((1 - np.where(both, deviation, 0.0)) * 100).astype(np.int64)


PLUGIN = Plugin("NodeResourcesBalancedAllocation", 60, dynamic=True, score=_score, weight=1, concerns=_concerns)
