"""Evaluation: which nodes fit a class and how good each is, kept up to date from the change logs.

What reads only a node's shape (static filters, raw static scores) is computed again for rows whose shape changed; what
reads what is free, for rows whose use changed. A backlog of more than a quarter of the rows is a full pass. The result
is the same as that of a full pass over the columns as they are (a property test holds this).

Scores are whole numbers: per plugin 0 to 100, times its weight, summed. Those that are scaled by the most over the
nodes that fit are summed apart, because one full node may change the scale for all.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fairlead.scheduler.changelog import Rows
from fairlead.scheduler.classes import PodClass
from fairlead.scheduler.columns import EVERY, Amounts, Columns, Mask, Selection
from fairlead.scheduler.plugin import Plugin, Scale

UNFIT = -1
_KEPT = 1024


class Evaluation:
    """One class against every node. `total[row]` is the score, `UNFIT` where the class does not fit."""

    def __init__(self, columns: Columns, pod_class: PodClass, plugins: Sequence[Plugin]) -> None:
        self.pod_class = pod_class
        self.filters = [p for p in plugins if p.filter is not None and p.concerns(pod_class)]
        scores = [p for p in plugins if p.score is not None and p.weight and p.concerns(pod_class)]
        self._plain = [p for p in scores if p.scale is Scale.AS_IS]
        self._scaled = [p for p in scores if p.scale is not Scale.AS_IS]
        self._columns = columns
        self._shape_at = self._usage_at = -1
        self._size = 0
        self.static: Mask = np.zeros(0, np.bool_)
        self.fits: Mask = np.zeros(0, np.bool_)
        self.total: Amounts = np.zeros(0, np.int64)
        self._base: Amounts = np.zeros(0, np.int64)
        self._raw: Amounts = np.zeros((0, 0), np.int64)
        self._peaks: tuple[int, ...] = ()

    def refresh(self) -> None:
        """Apply what changed since the last time."""
        columns = self._columns
        if self._usage_at == columns.usage.head and self._size == columns.capacity:
            return  # every change of shape is in the usage log too
        shaped, used = self._backlog()
        self._shape_at, self._usage_at = columns.shape.head, columns.usage.head
        if shaped is None:
            self._size = columns.capacity
            self.static = np.zeros(self._size, np.bool_)
            self.fits = np.zeros(self._size, np.bool_)
            self._base, self.total = np.zeros(self._size, np.int64), np.zeros(self._size, np.int64)
            self._raw = np.zeros((len(self._scaled), self._size), np.int64)
            shaped = used = EVERY
        if isinstance(shaped, slice) or len(shaped):
            self._judge_shape(shaped)
        self._judge_usage(used)
        self._sum_up(used)

    def _backlog(self) -> tuple[Selection | None, Selection]:
        """The rows to do again, by shape and by usage; None for the first when everything is."""
        columns = self._columns
        if self._size != columns.capacity:
            return None, EVERY
        shaped, used = columns.shape.since(self._shape_at), columns.usage.since(self._usage_at)
        if shaped is None or used is None or len(used) > max(32, self._size // 4):
            return None, EVERY
        return _narrow(shaped), _narrow(used)

    def _judge_shape(self, rows: Selection) -> None:
        mask = self._columns.alive[rows].copy()
        for plugin in self.filters:
            if not plugin.dynamic and plugin.filter is not None:
                mask &= plugin.filter(self._columns, self.pod_class, rows)
        self.static[rows] = mask
        for number, plugin in enumerate(self._scaled):
            if not plugin.dynamic and plugin.score is not None:
                self._raw[number, rows] = plugin.score(self._columns, self.pod_class, rows)

    def _judge_usage(self, rows: Selection) -> None:
        fits = self.static[rows].copy()
        for plugin in self.filters:
            if plugin.dynamic and plugin.filter is not None:
                fits &= plugin.filter(self._columns, self.pod_class, rows)
        self.fits[rows] = fits
        base = np.zeros(len(fits), np.int64)
        for plugin in self._plain:
            if plugin.score is not None:
                base += plugin.weight * plugin.score(self._columns, self.pod_class, rows)
        self._base[rows] = base
        for number, plugin in enumerate(self._scaled):
            if plugin.dynamic and plugin.score is not None:
                self._raw[number, rows] = plugin.score(self._columns, self.pod_class, rows)

    def _sum_up(self, rows: Selection) -> None:
        peaks = tuple(int(raw.max(initial=0, where=self.fits)) if raw.any() else 0 for raw in self._raw)
        if peaks != self._peaks:
            self._peaks, rows = peaks, EVERY
        total = self._base[rows]
        if any(peaks):
            total = total.copy()
            for plugin, raw, peak in zip(self._scaled, self._raw, peaks, strict=True):
                total += plugin.weight * _scale(plugin.scale, raw[rows], peak)
        self.total[rows] = np.where(self.fits[rows], total, UNFIT)

    # --- answers ---------------------------------------------------------------------------------------------------

    def best(self, lot: int) -> int:
        """The row to take: of the best nodes the one that `lot` falls on; -1 when none fits."""
        top = int(self.total.argmax())
        highest = self.total[top]
        if highest == UNFIT:
            return -1
        equal = np.flatnonzero(self.total == highest)
        if len(equal) == 1:
            return top
        return int(equal[draw(self._columns.salt[equal], lot).argmin()])

    def tightest(self, lot: int) -> int:
        """The row of those that fit with least left over of what the class asks for; -1 when none fits."""
        rows = np.flatnonzero(self.fits)
        if not len(rows):
            return -1
        left = np.zeros(len(rows))
        for name, wanted in self.pod_class.footprint.amounts:
            index = self._columns.resource(name)
            left += (self._columns.free[index, rows] - wanted) / self._columns.allocatable[index, rows]
        equal = rows[left == left.min()]
        return int(equal[draw(self._columns.salt[equal], lot).argmin()])

    def possible(self) -> bool:
        """Whether any node fits now."""
        return bool(self.fits.any())

    def room(self, most: int) -> int:
        """How many Pods of the class fit now, counted up to `most`; resources and host ports are what limits."""
        rows = np.flatnonzero(self.fits)
        if self.pod_class.footprint.ports:
            return min(most, len(rows))
        per_node = np.full(len(rows), most, np.int64)
        for name, wanted in self.pod_class.footprint.amounts:
            index = self._columns.resource(name)
            np.minimum(per_node, self._columns.free[index, rows] // wanted, out=per_node)
        return min(most, int(per_node.sum()))


def _narrow(rows: Rows) -> Selection:
    """One row as a slice: arrays are then viewed and not copied, and one changed row is what a placement leaves."""
    return slice(int(rows[0]), int(rows[0]) + 1) if len(rows) == 1 else rows


def draw(salt: NDArray[np.uint32], lot: int) -> NDArray[np.uint32]:
    """A number per node that depends on node and lot only: the same for any order of rows."""
    mixed = (salt ^ np.uint32(lot)) * np.uint32(0x9E3779B1)
    return np.asarray(mixed ^ (mixed >> np.uint32(15)), np.uint32)


def lot_of(uid: str, seed: int) -> int:
    """The lot that a Pod draws."""
    return zlib.crc32(uid.encode(), seed & 0xFFFFFFFF)


def _scale(scale: Scale, raw: Amounts, peak: int) -> Amounts:
    """Raw scores as 0 to 100, the way upstream normalises them. Without a peak they are equal, and so left out."""
    if not peak:
        return np.zeros_like(raw)
    scaled = np.minimum(raw * 100 // peak, 100)
    return 100 - scaled if scale is Scale.REVERSED else scaled


class Evaluations:
    """The evaluations of the classes seen last. With `cached=False` every one is made anew (the reference)."""

    def __init__(self, columns: Columns, plugins: Sequence[Plugin], *, cached: bool = True) -> None:
        self.columns, self.plugins, self.cached = columns, tuple(plugins), cached
        self._known: dict[int, Evaluation] = {}

    def of(self, pod_class: PodClass) -> Evaluation:
        """The class against every node, as of now."""
        found = self._known.get(id(pod_class)) if self.cached else None
        if found is None:
            found = Evaluation(self.columns, pod_class, self.plugins)
            if self.cached:
                while len(self._known) >= _KEPT:
                    del self._known[next(iter(self._known))]
                self._known[id(pod_class)] = found
        found.refresh()
        return found
