"""ChangeLog: which rows changed, in order, so that a reader applies only its own backlog.

Each reader keeps a position. The log forgets its older half when it grows too long; a reader that is further behind
than that is told so (None) and looks at every row.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]


class ChangeLog:
    """Rows in the order in which they changed; `head` is the position after the newest."""

    __slots__ = ("_base", "_limit", "_rows")

    def __init__(self, limit: int = 8192) -> None:
        self._rows: list[int] = []
        self._base = 0
        self._limit = limit

    @property
    def head(self) -> int:
        return self._base + len(self._rows)

    def add(self, row: int) -> None:
        """Note that `row` changed."""
        self._rows.append(row)
        if len(self._rows) > self._limit:
            cut = self._limit // 2
            del self._rows[:cut]
            self._base += cut

    def since(self, position: int) -> Rows | None:
        """The rows that changed after `position`, each once; None when that is no longer known."""
        if position < self._base:
            return None
        fresh = self._rows[position - self._base :]
        return np.fromiter(set(fresh), np.intp) if fresh else _NONE


_NONE: Rows = np.empty(0, np.intp)
