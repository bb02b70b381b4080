"""VolumeBinding: a Pod runs where its persistent volumes are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fairlead.scheduler.classes import PodClass
from fairlead.scheduler.columns import Columns, Mask, Selection
from fairlead.scheduler.plugin import Plugin
from fairlead.scheduler.plugins import affinity


def _concerns(pod_class: PodClass) -> bool:
    return bool(pod_class.volumes)


def _filter(columns: Columns, pod_class: PodClass, rows: Selection) -> Mask:
    mask = columns.alive[rows].copy()
    for required in pod_class.volumes:
        mask &= affinity.selected(columns, required, rows)
    return mask


def _reasons(columns: Columns, pod_class: PodClass, rows: NDArray[np.intp]) -> dict[str, int]:
    return {"node(s) didn't match PersistentVolume's node affinity": len(rows)}


def _remedy(columns: Columns, pod_class: PodClass) -> str:
    if _filter(columns, pod_class, np.flatnonzero(columns.alive)).any():
        return ""
    return "No node reaches the pod's persistent volumes: bring their node back, or use other claims."


PLUGIN = Plugin("VolumeBinding", 35, filter=_filter, reasons=_reasons, remedy=_remedy, concerns=_concerns)
