"""Queue: the Pods that wait for a node, in order, and which of them are to be looked at.

A Pod or a group is *active* when something happened that may help it. Single Pods stand in one line per class, so that
room for three of a class activates the first three of its line, however long it is. What a wake or a round costs is in
proportion to what it moves, not to what waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec
from sortedcontainers import SortedSet

from fairlead.api.meta import Key
from fairlead.scheduler.classes import PodClass
from fairlead.scheduler.cycle import Pending, Unit
from fairlead.scheduler.gangs import Group, Waiting


class Waiter(msgspec.Struct, frozen=True):
    """A Pod that waits, and the gang that it is of."""

    pending: Pending
    group: Group | None


class Place(NamedTuple):
    """Where a single Pod stands: by priority, then age, then name."""

    urgency: int
    created: float
    key: Key
    uid: str


class _Line(NamedTuple):
    pod_class: PodClass
    places: SortedSet[Place]


class Queue:
    """See the module's text."""

    def __init__(self) -> None:
        self._waiters: dict[str, Waiter] = {}
        self._lines: dict[int, _Line] = {}
        self._groups: dict[Group, set[str]] = {}
        self._active: SortedSet[Place] = SortedSet()
        self._stirred: set[Group] = set()

    def __len__(self) -> int:
        return len(self._waiters)

    @property
    def active(self) -> bool:
        """Whether anything is to be looked at."""
        return bool(self._active) or bool(self._stirred)

    def find(self, uid: str) -> Waiter | None:
        return self._waiters.get(uid)

    def members(self, group: Group) -> Sequence[Pending]:
        """The Pods of a group that wait."""
        return [self._waiters[uid].pending for uid in self._groups.get(group, ())]

    def enter(self, waiter: Waiter) -> None:
        """Add a Pod, active; its whole group with it."""
        pending = waiter.pending
        self._waiters[pending.uid] = waiter
        if waiter.group is not None:
            self._groups.setdefault(waiter.group, set()).add(pending.uid)
            self._stirred.add(waiter.group)
            return
        line = self._lines.get(id(pending.pod_class))
        if line is None:
            line = self._lines[id(pending.pod_class)] = _Line(pending.pod_class, SortedSet())
        line.places.add(_place(pending))
        self._active.add(_place(pending))

    def leave(self, uid: str) -> Waiter | None:
        """Take a Pod out."""
        waiter = self._waiters.pop(uid, None)
        if waiter is None:
            return None
        if waiter.group is not None:
            self._leave_group(waiter.group, uid)
            return waiter
        place, number = _place(waiter.pending), id(waiter.pending.pod_class)
        self._active.discard(place)
        self._lines[number].places.discard(place)
        if not self._lines[number].places:
            del self._lines[number]
        return waiter

    def _leave_group(self, group: Group, uid: str) -> None:
        members = self._groups[group]
        members.discard(uid)
        if not members:
            del self._groups[group]
            self._stirred.discard(group)

    # --- waking ----------------------------------------------------------------------------------------------------

    def wake_group(self, group: Group) -> None:
        if group in self._groups:
            self._stirred.add(group)

    def wake_all(self) -> None:
        for line in self._lines.values():
            self._active.update(line.places)
        self._stirred.update(self._groups)

    def wake_for_room(self, room: Callable[[PodClass, int], int]) -> None:
        """Activate as many of each line as `room(class, most)` says there may be room for, and all groups."""
        for line in self._lines.values():
            self._active.update(line.places[: room(line.pod_class, len(line.places))])
        self._stirred.update(self._groups)

    # --- taking ----------------------------------------------------------------------------------------------------

    def take(self, most: int, decided: Callable[[Group], Iterable[Unit | Waiting]]) -> tuple[list[Unit], list[Waiting]]:
        """The first active units, about `most` Pods, and the groups that cannot be decided; active no longer.

        `decided(group)` says how a group's Pods are decided. The Pods stay in the queue until they `leave`.
        """
        units = [Unit((self._waiters[place.uid].pending,)) for place in self._active[:most]]
        waiting: list[Waiting] = []
        for group in self._stirred:
            for found in decided(group):
                if isinstance(found, Unit):
                    units.append(found)
                else:
                    waiting.append(found)
        taken = _first(sorted(units, key=lambda unit: unit.rank), most)
        for unit in taken:
            self._active.discard(_place(unit.pods[0]))
        self._settle(taken, units)
        return taken, waiting

    def _settle(self, taken: Sequence[Unit], units: Sequence[Unit]) -> None:
        """Groups stay active that have a unit that was not taken."""
        left = {unit.pods[0].uid for unit in units} - {unit.pods[0].uid for unit in taken}
        groups = (self._waiters[uid].group for uid in left)
        self._stirred = {group for group in groups if group is not None}


def _place(pending: Pending) -> Place:
    return Place(-pending.pod_class.priority, pending.created, pending.key, pending.uid)


def _first(units: list[Unit], most: int) -> list[Unit]:
    """The leading units that hold `most` Pods together; at least one unit."""
    size = 0
    for number, unit in enumerate(units):
        size += len(unit.pods)
        if number and size > most:
            return units[:number]
    return units
