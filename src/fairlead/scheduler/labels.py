"""LabelColumn: one label key over all nodes, as small numbers.

Value ids start at 1; 0 means that the node lacks the key. A value that no node has any more gives its id back, so that
nodes that come and go (each with its own hostname) do not make the column grow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.bool_]
"""One truth per value id: `table[column.ids]` is the truth for each node."""


class LabelColumn:
    """`ids[row]` is the id of the node's value. Only `put` and `clear` change it."""

    __slots__ = ("_counts", "_index", "_spare", "_values", "ids")

    def __init__(self, capacity: int) -> None:
        self.ids: NDArray[np.int32] = np.zeros(capacity, np.int32)
        self._values: list[str | None] = [None]
        self._counts: list[int] = [0]
        self._index: dict[str, int] = {}
        self._spare: list[int] = []

    def grow(self, capacity: int) -> None:
        self.ids = np.pad(self.ids, (0, capacity - len(self.ids)))

    def put(self, row: int, value: str) -> None:
        """The node at `row` has that value (it had none, or the same)."""
        if self._values[int(self.ids[row])] == value:
            return
        number = self._index.get(value)
        if number is None:
            number = self._intern(value)
        self._counts[number] += 1
        self.ids[row] = number

    def clear(self, row: int, value: str) -> None:
        """The node at `row` no longer has that value."""
        number = self._index[value]
        self._counts[number] -= 1
        self.ids[row] = 0
        if not self._counts[number]:
            del self._index[value]
            self._values[number] = None
            self._spare.append(number)

    def get(self, row: int) -> str | None:
        return self._values[int(self.ids[row])]

    def values(self) -> list[str]:
        """The values that nodes have now."""
        return sorted(self._index)

    def among(self, values: Iterable[str]) -> Table:
        """True for these values."""
        table = np.zeros(len(self._values), np.bool_)
        table[[number for value in values if (number := self._index.get(value))]] = True
        return table

    def where(self, holds: Callable[[str], bool]) -> Table:
        """True for the values of which `holds` is."""
        return np.array([value is not None and holds(value) for value in self._values], np.bool_)

    def present(self) -> Table:
        """True for every value: the node has the key."""
        table = np.ones(len(self._values), np.bool_)
        table[0] = False
        return table

    def _intern(self, value: str) -> int:
        if self._spare:
            number = self._spare.pop()
            self._values[number] = value
        else:
            number = len(self._values)
            self._values.append(value)
            self._counts.append(0)
        self._index[value] = number
        return number
