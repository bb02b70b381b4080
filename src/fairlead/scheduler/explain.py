"""Why a Pod is not placed, in kube-scheduler's words, from the plugins that decided.

    0/3 nodes are available: 1 Insufficient nvidia.com/gpu, 2 node(s) had untolerated taint {team: a}.

Every node counts for exactly one plugin, the first whose filter refuses it; that plugin may give several reasons for
one node. When no node could run the Pod even if it were empty, what to do about it follows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import msgspec
import numpy as np

from fairlead.scheduler.columns import Columns
from fairlead.scheduler.evaluation import Evaluation
from fairlead.scheduler.plugin import Plugin


class Diagnosis(msgspec.Struct, frozen=True):
    """`refused`: nodes by the plugin that refuses them; `reasons`: nodes by reason; `fitting`: nodes that fit."""

    nodes: int
    fitting: int
    refused: Mapping[str, int]
    reasons: Mapping[str, int]
    remedy: str = ""

    def message(self) -> str:
        """The text of the condition and of the event."""
        if not self.nodes:
            return "no nodes available to schedule pods"
        counted = ", ".join(sorted(f"{count} {reason}" for reason, count in self.reasons.items()))
        text = f"0/{self.nodes} nodes are available: {counted}."
        return f"{text} {self.remedy}" if self.remedy else text


def diagnose(columns: Columns, evaluation: Evaluation) -> Diagnosis:
    """Judge every node once more, plugin by plugin."""
    left = np.flatnonzero(columns.alive)
    refused: dict[str, int] = {}
    reasons: Counter[str] = Counter()
    for plugin in evaluation.filters:
        if plugin.filter is None or not len(left):
            continue
        against = left[~plugin.filter(columns, evaluation.pod_class, left)]
        if not len(against):
            continue
        refused[plugin.name] = len(against)
        reasons.update(_reasons(plugin, columns, evaluation, against))
        left = np.setdiff1d(left, against, assume_unique=True)
    remedy = "" if len(left) else _remedy(columns, evaluation)
    return Diagnosis(len(columns), len(left), refused, reasons, remedy)


def _reasons(
    plugin: Plugin, columns: Columns, evaluation: Evaluation, rows: np.ndarray[tuple[int], np.dtype[np.intp]]
) -> Mapping[str, int]:
    if plugin.reasons is None:
        return {f"node(s) were refused by {plugin.name}": len(rows)}
    return plugin.reasons(columns, evaluation.pod_class, rows)


def _remedy(columns: Columns, evaluation: Evaluation) -> str:
    """The first plugin's remedy that has one: only what no node could ever run has any."""
    if not len(columns):
        return ""
    found = (p.remedy(columns, evaluation.pod_class) for p in evaluation.filters if p.remedy is not None)
    return next((text for text in found if text), "")


def gang(name: str, needed: int, room: int, diagnosis: Diagnosis) -> str:
    """Why a gang is not placed: how many fit, and what stops the next one."""
    return f'pod group "{name}" needs {_pods(needed)} at once; room for {room}. {diagnosis.message()}'


def waiting(name: str, needed: int, there: int) -> str:
    """A gang whose Pods are not all made yet."""
    exist = "exists" if there == 1 else "exist"
    return f'pod group "{name}" needs {_pods(needed)} at once; {there} {exist} so far'


def _pods(count: int) -> str:
    return "1 pod" if count == 1 else f"{count} pods"
