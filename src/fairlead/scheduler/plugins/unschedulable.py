"""NodeUnschedulable: cordoned nodes take no Pods but those that tolerate it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fairlead.scheduler import tolerance
from fairlead.scheduler.classes import PodClass
from fairlead.scheduler.columns import Columns, Mask, Selection, TaintKey
from fairlead.scheduler.plugin import Plugin

CORDON = TaintKey("node.kubernetes.io/unschedulable", "", "NoSchedule")


def _concerns(pod_class: PodClass) -> bool:
    return not tolerance.tolerates(pod_class.tolerations, CORDON)


def _filter(columns: Columns, pod_class: PodClass, rows: Selection) -> Mask:
    return ~columns.unschedulable[rows]


def _reasons(columns: Columns, pod_class: PodClass, rows: NDArray[np.intp]) -> dict[str, int]:
    return {"node(s) were unschedulable": len(rows)}


def _remedy(columns: Columns, pod_class: PodClass) -> str:
    if columns.unschedulable[columns.alive].all():
        return "Every node is cordoned: uncordon one (kubectl uncordon NODE)."
    return ""


PLUGIN = Plugin("NodeUnschedulable", 10, filter=_filter, reasons=_reasons, remedy=_remedy, concerns=_concerns)
