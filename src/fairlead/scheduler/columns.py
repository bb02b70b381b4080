"""Columns: the cluster's state as arrays with one row per node, changed by deltas.

    free[resource, row]         allocatable minus what the Pods on the node ask for (cpu in thousandths)
    allocatable[resource, row]
    weighed[2, row]             cpu and memory of the Pods on the node, where a missing request counts a little
    taint_bits[word, row]       one bit per interned taint
    labels[key]                 the id of the label's value on each node, 0 where the node lacks the key

Invariants: a row is alive exactly when a node has it; free + what its Pods ask for = allocatable; every change of a row
is in one of the two logs (`shape`: what a node is; `usage`: what is free on it). A row that a node left is zeroed and
given to the next new node. Pods may be told before their node: they count as soon as it is there.

Which Pod goes where is not decided here.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fairlead.api.core import Node
from fairlead.machinery import quantity
from fairlead.scheduler.changelog import ChangeLog
from fairlead.scheduler.labels import LabelColumn

Selection = slice | NDArray[np.intp]
"""Some rows, or `EVERY` one."""
Mask = NDArray[np.bool_]
Amounts = NDArray[np.int64]

EVERY = slice(None)
CPU, MEMORY, PODS = 0, 1, 2
_FIRST = ("cpu", "memory", "pods", "ephemeral-storage")
_MOST = 2**53
"""Amounts are cut here, so that sums and products with 100 stay within int64."""


class Footprint(NamedTuple):
    """What a Pod takes from its node. `amounts` includes one of `pods`; `weighed` is cpu and memory for scoring;
    `ports` are host ports as protocol/port."""

    amounts: tuple[tuple[str, int], ...]
    weighed: tuple[int, int] = (0, 0)
    ports: tuple[str, ...] = ()


class _Placed(NamedTuple):
    node: str
    footprint: Footprint


class TaintKey(NamedTuple):
    """What makes two taints the same one to a scheduler."""

    key: str
    value: str
    effect: str


class _Shape(NamedTuple):
    """What a Node says that a decision reads. Its other changes (heartbeats) are none of ours."""

    labels: Mapping[str, str]
    taints: tuple[TaintKey, ...]
    unschedulable: bool
    allocatable: Mapping[str, Any]


class Trial:
    """Placements that are undone when the trial ends, unless `commit` was called."""

    __slots__ = ("committed",)

    def __init__(self) -> None:
        self.committed = False

    def commit(self) -> None:
        self.committed = True


def amount(resource: str, value: str | int | float) -> int:
    """A quantity in the unit of its column: thousandths for cpu, whole units for everything else."""
    found = quantity.fast_milli(value) if resource == "cpu" else quantity.fast_value(value)
    return max(0, min(found, _MOST))


class Columns:
    """See the module's text."""

    def __init__(self, capacity: int = 16) -> None:
        self.capacity = capacity
        self.shape, self.usage = ChangeLog(), ChangeLog()
        self.resources: dict[str, int] = {name: i for i, name in enumerate(_FIRST)}
        self.free: Amounts = np.zeros((len(_FIRST), capacity), np.int64)
        self.allocatable: Amounts = np.zeros((len(_FIRST), capacity), np.int64)
        self.weighed: Amounts = np.zeros((2, capacity), np.int64)
        self.alive: Mask = np.zeros(capacity, np.bool_)
        self.unschedulable: Mask = np.zeros(capacity, np.bool_)
        self.salt: NDArray[np.uint32] = np.zeros(capacity, np.uint32)
        """A number of each node's name, for ties that do not depend on the order of rows."""
        self.labels: dict[str, LabelColumn] = {}
        self.taints: list[TaintKey] = []
        self.taint_bits: NDArray[np.uint64] = np.zeros((1, capacity), np.uint64)
        self.ports: dict[str, NDArray[np.int32]] = {}
        self.names: list[str] = [""] * capacity
        self.rows: dict[str, int] = {}
        self._taint_ids: dict[TaintKey, int] = {}
        self._shapes: dict[str, _Shape] = {}
        self._unused: list[int] = list(range(capacity - 1, -1, -1))
        self._pods: dict[str, _Placed] = {}
        self._residents: dict[str, set[str]] = {}
        self._undo: list[tuple[str, _Placed | None]] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    # --- nodes -----------------------------------------------------------------------------------------------------

    def put_node(self, node: Node) -> bool:
        """Add a node or take over its changes. False when nothing changed that a decision reads."""
        name = node.metadata.name
        shape = _Shape(
            node.metadata.labels,
            tuple(TaintKey(t.key, t.value, t.effect) for t in node.spec.taints),
            node.spec.unschedulable,
            node.status.allocatable or node.status.capacity,
        )
        if self._shapes.get(name) == shape:
            return False
        row = self.rows.get(name)
        if row is None:
            row = self._settle(name)
        self._shape_row(row, self._shapes.get(name), shape)
        self._shapes[name] = shape
        self.shape.add(row)
        self.usage.add(row)
        return True

    def drop_node(self, name: str) -> None:
        """Forget a node. Its Pods stay known: they count again if the node comes back."""
        row = self.rows.pop(name, None)
        if row is None:
            return
        for key, value in self._shapes.pop(name).labels.items():
            self.labels[key].clear(row, value)
        self.free[:, row] = self.allocatable[:, row] = self.weighed[:, row] = 0
        self.taint_bits[:, row] = 0
        for held in self.ports.values():
            held[row] = 0
        self.alive[row] = self.unschedulable[row] = False
        self.names[row] = ""
        self._unused.append(row)
        self.shape.add(row)
        self.usage.add(row)

    def taints_of(self, row: int) -> tuple[TaintKey, ...]:
        """A node's taints in its own order."""
        return self._shapes[self.names[row]].taints

    def labels_of(self, row: int) -> Mapping[str, str]:
        return self._shapes[self.names[row]].labels

    def _settle(self, name: str) -> int:
        """Give a new node a row, with the Pods that are already known to be on it."""
        if not self._unused:
            self._grow()
        row = self._unused.pop()
        self.rows[name], self.names[row] = row, name
        self.alive[row] = True
        self.salt[row] = zlib.crc32(name.encode())
        for uid in self._residents.get(name, ()):
            self._count(row, self._pods[uid].footprint, 1)
        return row

    def _shape_row(self, row: int, old: _Shape | None, new: _Shape) -> None:
        self.unschedulable[row] = new.unschedulable
        for key, value in old.labels.items() if old is not None else ():
            if new.labels.get(key) != value:
                self.labels[key].clear(row, value)
        for key, value in new.labels.items():
            if key not in self.labels:
                self.labels[key] = LabelColumn(self.capacity)
            self.labels[key].put(row, value)
        self._taint_row(row, new.taints)
        wanted = {self.resource(name): amount(name, value) for name, value in new.allocatable.items()}
        for index in range(len(self.resources)):
            more = wanted.get(index, 0) - int(self.allocatable[index, row])
            if more:
                self.allocatable[index, row] += more
                self.free[index, row] += more

    def _taint_row(self, row: int, taints: tuple[TaintKey, ...]) -> None:
        self.taint_bits[:, row] = 0
        for taint in taints:
            word, bit = divmod(self._taint(taint), 64)
            self.taint_bits[word, row] |= np.uint64(1 << bit)

    def _taint(self, taint: TaintKey) -> int:
        """The taint's number; a new one if it is new."""
        found = self._taint_ids.get(taint)
        if found is None:
            found = self._taint_ids[taint] = len(self.taints)
            self.taints.append(taint)
            if found // 64 >= len(self.taint_bits):
                self.taint_bits = np.vstack([self.taint_bits, np.zeros((1, self.capacity), np.uint64)])
        return found

    def resource(self, name: str) -> int:
        """The index of a resource; a new one (of which no node has any yet) if it is new."""
        found = self.resources.get(name)
        if found is None:
            found = self.resources[name] = len(self.resources)
            none = np.zeros((1, self.capacity), np.int64)
            self.free, self.allocatable = np.vstack([self.free, none]), np.vstack([self.allocatable, none])
        return found

    def _grow(self) -> None:
        """Twice as many rows."""
        old, self.capacity = self.capacity, 2 * self.capacity
        wide = ((0, 0), (0, old))
        self.free, self.allocatable = np.pad(self.free, wide), np.pad(self.allocatable, wide)
        self.weighed, self.taint_bits = np.pad(self.weighed, wide), np.pad(self.taint_bits, wide)
        self.alive, self.unschedulable = np.pad(self.alive, (0, old)), np.pad(self.unschedulable, (0, old))
        self.salt = np.pad(self.salt, (0, old))
        self.ports = {port: np.pad(held, (0, old)) for port, held in self.ports.items()}
        for column in self.labels.values():
            column.grow(self.capacity)
        self.names.extend([""] * old)
        self._unused.extend(range(self.capacity - 1, old - 1, -1))

    # --- Pods ------------------------------------------------------------------------------------------------------

    def add_pod(self, uid: str, node: str, footprint: Footprint) -> bool:
        """Count a Pod on a node. One that is counted already is moved, or resized. False when nothing changed."""
        if self._pods.get(uid) == (node, footprint):
            return False
        self._log(uid)
        self._remove(uid)
        self._pods[uid] = _Placed(node, footprint)
        self._residents.setdefault(node, set()).add(uid)
        row = self.rows.get(node)
        if row is not None:
            self._count(row, footprint, 1)
            self.usage.add(row)
        return True

    def remove_pod(self, uid: str) -> bool:
        """No longer count a Pod. False when it was not counted."""
        if uid not in self._pods:
            return False
        self._log(uid)
        self._remove(uid)
        return True

    def node_of(self, uid: str) -> str | None:
        """Where a Pod is counted."""
        placed = self._pods.get(uid)
        return placed.node if placed is not None else None

    def _remove(self, uid: str) -> None:
        placed = self._pods.pop(uid, None)
        if placed is None:
            return
        residents = self._residents[placed.node]
        residents.discard(uid)
        if not residents:
            del self._residents[placed.node]
        row = self.rows.get(placed.node)
        if row is not None:
            self._count(row, placed.footprint, -1)
            self.usage.add(row)

    def _count(self, row: int, footprint: Footprint, sign: int) -> None:
        for name, taken in footprint.amounts:
            index = self.resource(name)  # first: a new resource makes new arrays
            self.free[index, row] -= sign * taken
        self.weighed[0, row] += sign * footprint.weighed[0]
        self.weighed[1, row] += sign * footprint.weighed[1]
        for port in footprint.ports:
            held = self.ports.get(port)
            if held is None:
                held = self.ports[port] = np.zeros(self.capacity, np.int32)
            held[row] += sign

    # --- trials ----------------------------------------------------------------------------------------------------

    @contextmanager
    def trial(self) -> Iterator[Trial]:
        """Place and remove Pods inside; they are undone at the end unless the trial was committed. Not nested."""
        if self._undo is not None:
            raise RuntimeError("a trial is already under way; finish it before another")
        trial, self._undo = Trial(), []
        try:
            yield trial
        finally:
            steps, self._undo = self._undo, None
            if not trial.committed:
                for uid, before in reversed(steps):
                    if before is None:
                        self.remove_pod(uid)
                    else:
                        self.add_pod(uid, before.node, before.footprint)

    def _log(self, uid: str) -> None:
        if self._undo is not None:
            self._undo.append((uid, self._pods.get(uid)))

    # --- as values -------------------------------------------------------------------------------------------------

    def as_values(self) -> dict[str, dict[str, Any]]:
        """The state by node name, free of row numbers and interned ids: two equal clusters give equal values."""
        return {name: self._values(row) for name, row in sorted(self.rows.items())}

    def _values(self, row: int) -> dict[str, Any]:
        bits = [t for i, t in enumerate(self.taints) if int(self.taint_bits[i // 64, row]) >> (i % 64) & 1]
        return {
            "free": {n: int(self.free[i, row]) for n, i in self.resources.items() if self.free[i, row]},
            "allocatable": {n: int(v) for n, i in self.resources.items() if (v := self.allocatable[i, row])},
            "weighed": (int(self.weighed[0, row]), int(self.weighed[1, row])),
            "labels": {key: value for key, column in self.labels.items() if (value := column.get(row)) is not None},
            "taints": sorted(bits),
            "unschedulable": bool(self.unschedulable[row]),
            "ports": {port: int(held[row]) for port, held in self.ports.items() if held[row]},
        }
