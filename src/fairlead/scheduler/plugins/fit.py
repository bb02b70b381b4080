"""NodeResourcesFit: a node must have free what the Pod asks for; nodes with more left over are better."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fairlead.scheduler.classes import PodClass
from fairlead.scheduler.columns import CPU, MEMORY, Amounts, Columns, Mask, Selection
from fairlead.scheduler.plugin import Plugin


def _filter(columns: Columns, pod_class: PodClass, rows: Selection) -> Mask:
    mask = columns.alive[rows].copy()
    for name, wanted in pod_class.footprint.amounts:
        index = columns.resource(name)
        mask &= columns.free[index, rows] >= wanted
    return mask


def _score(columns: Columns, pod_class: PodClass, rows: Selection) -> Amounts:
    """LeastAllocated over cpu and memory, each 0 to 100; a resource that the node has none of does not count.

    The quotient is taken in float64: it is exact to the whole number for amounts below 10^13 (ten terabytes).
    """
    (cpu, has_cpu), (memory, has_memory) = (
        _left(columns.allocatable[index, rows], columns.weighed[index, rows] + wanted)
        for index, wanted in zip((CPU, MEMORY), pod_class.footprint.weighed, strict=True)
    )
    return (cpu + memory) >> (has_cpu & has_memory)


def _left(capacity: Amounts, used: Amounts) -> tuple[Amounts, Mask]:
    """What is left as a part of 100, and whether the node has any at all."""
    left = (capacity - used) * 100 / np.maximum(capacity, 1)
    return np.maximum(left, 0.0).astype(np.int64), capacity > 0


def _reasons(columns: Columns, pod_class: PodClass, rows: NDArray[np.intp]) -> dict[str, int]:
    """Each resource that is short, with the number of nodes; one node may be short of several."""
    found: dict[str, int] = {}
    for name, wanted in pod_class.footprint.amounts:
        index = columns.resource(name)
        short = int((columns.free[index, rows] < wanted).sum())
        if short:
            found["Too many pods" if name == "pods" else f"Insufficient {name}"] = short
    return found


def _remedy(columns: Columns, pod_class: PodClass) -> str:
    for name, wanted in pod_class.footprint.amounts:
        index = columns.resource(name)
        most = int(columns.allocatable[index].max())
        if most == 0:
            return f"No node offers {name}: remove the request or add a node that has it."
        if wanted > most:
            return (
                f"No node is large enough: the pod asks for {text(name, wanted)} {name}, the largest node has "
                f"{text(name, most)}. Ask for less per pod, split the work over more pods, or add a larger node."
            )
    return ""


def text(resource: str, amount: int) -> str:
    """An amount as people write it."""
    if resource == "cpu":
        return str(amount // 1000) if amount % 1000 == 0 else f"{amount}m"
    if resource in ("memory", "ephemeral-storage") or resource.startswith("hugepages-"):
        for power, unit in ((40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")):
            if amount >= 1 << power:
                return f"{amount / (1 << power):.4g}{unit}"
    return str(amount)


PLUGIN = Plugin(
    "NodeResourcesFit", 50, dynamic=True, filter=_filter, reasons=_reasons, remedy=_remedy, score=_score, weight=1
)
