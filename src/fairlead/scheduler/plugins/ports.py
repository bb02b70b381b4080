"""NodePorts: one host port is given once per node."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fairlead.scheduler.classes import PodClass
from fairlead.scheduler.columns import Columns, Mask, Selection
from fairlead.scheduler.plugin import Plugin


def _concerns(pod_class: PodClass) -> bool:
    return bool(pod_class.footprint.ports)


def _filter(columns: Columns, pod_class: PodClass, rows: Selection) -> Mask:
    mask = columns.alive[rows].copy()
    for port in pod_class.footprint.ports:
        held = columns.ports.get(port)
        if held is not None:
            mask &= held[rows] == 0
    return mask


def _reasons(columns: Columns, pod_class: PodClass, rows: NDArray[np.intp]) -> dict[str, int]:
    return {"node(s) didn't have free ports for the requested pod ports": len(rows)}


PLUGIN = Plugin("NodePorts", 40, dynamic=True, filter=_filter, reasons=_reasons, concerns=_concerns)
