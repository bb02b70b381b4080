"""Unmodelled: a Pod that asks for something that no plugin decides yet is placed nowhere, and told so.

To place it anyway would break what it asks for without a word.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fairlead.scheduler.classes import PodClass
from fairlead.scheduler.columns import EVERY, Columns, Mask, Selection
from fairlead.scheduler.plugin import Plugin


def _concerns(pod_class: PodClass) -> bool:
    return bool(pod_class.unmodelled)


def _filter(columns: Columns, pod_class: PodClass, rows: Selection) -> Mask:
    count = columns.capacity if rows is EVERY else len(columns.alive[rows])
    return np.zeros(count, np.bool_)


def _reasons(columns: Columns, pod_class: PodClass, rows: NDArray[np.intp]) -> dict[str, int]:
    return {"node(s) could not be judged for what the pod asks": len(rows)}


def _remedy(columns: Columns, pod_class: PodClass) -> str:
    return (
        f"This scheduler does not decide {', '.join(pod_class.unmodelled)} yet: "
        "remove it from the pod, or name a scheduler that does in spec.schedulerName."
    )


PLUGIN = Plugin("Unmodelled", 5, filter=_filter, reasons=_reasons, remedy=_remedy, concerns=_concerns)
