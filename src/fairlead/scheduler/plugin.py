"""Plugin: one thing that decides where a Pod may and should run, over all nodes at once.

A plugin is a value with plain functions. Each is given the columns, the Pod's class and the rows to judge, and answers
with one entry per row, so the same function serves a full pass and a pass over the few rows that changed.

The functions that decide are the ones that explain: a node is refused by the first filter (by `order`) that is false
for it, and that plugin's `reasons` says why, in kube-scheduler's words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum

import msgspec
import numpy as np
from numpy.typing import NDArray

from fairlead.scheduler.classes import PodClass
from fairlead.scheduler.columns import Amounts, Columns, Mask, Selection

Filter = Callable[[Columns, PodClass, Selection], Mask]
Score = Callable[[Columns, PodClass, Selection], Amounts]
Reasons = Callable[[Columns, PodClass, NDArray[np.intp]], Mapping[str, int]]
Remedy = Callable[[Columns, PodClass], str]


class Scale(Enum):
    """How raw scores become 0 to 100: as they are, by their maximum over the nodes that fit, or the reverse of it."""

    AS_IS = "as is"
    BY_MOST = "by most"
    REVERSED = "reversed"


class Plugin(msgspec.Struct, frozen=True):
    """`order` is the filter's turn, `weight` the score's. `dynamic`: reads what is free on a node, not just its shape.

    `remedy` answers, for a Pod that no node of the cluster could run even if it were empty, what to do about it; the
    empty text when this plugin has nothing against every node.
    """

    name: str
    order: int
    dynamic: bool = False
    filter: Filter | None = None
    reasons: Reasons | None = None
    remedy: Remedy | None = None
    score: Score | None = None
    weight: int = 0
    scale: Scale = Scale.AS_IS
    concerns: Callable[[PodClass], bool] = lambda _: True
    """Whether the plugin has anything to say about Pods of this class; those that have not cost nothing."""
