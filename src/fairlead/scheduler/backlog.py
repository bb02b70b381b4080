"""Backlog: what the scheduler knows and still has to decide. From watched objects to decisions, without I/O.

It keeps the columns, the Pods that wait and the groups that they are in. A Pod is *active* when it is new or something
happened that may help it, else it waits without cost. What helps: a node that is new or changed in shape (all Pods look
again, their messages count nodes), a Pod that went (those of classes that now fit somewhere, and gangs), a change of
its group. `decide` judges the active ones.

A placed Pod is *assumed*: it counts on its node from the decision on. The watch confirms it (`put_pod` with a node) or
`release` takes it back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import msgspec

from fairlead.api import coscheduling, scheduling
from fairlead.api.core import Node, Pod
from fairlead.base import timestamp
from fairlead.scheduler import cycle, gangs
from fairlead.scheduler.classes import Classes
from fairlead.scheduler.columns import Columns
from fairlead.scheduler.cycle import Decisions, Pending, Unit
from fairlead.scheduler.evaluation import Evaluations
from fairlead.scheduler.gangs import Group, Members, Waiting
from fairlead.scheduler.plugin import Plugin

SLICE = 256
"""Pods decided in one round at most, so that a burst does not keep the event loop from its other work."""
PROFILES = ("default-scheduler", "fairlead")


class Outcome(msgspec.Struct, frozen=True):
    """A round's decisions, and the groups that still wait for members."""

    decisions: Decisions
    waiting: tuple[Waiting, ...]


class _Known(msgspec.Struct, frozen=True):
    """A Pod of ours that waits."""

    pending: Pending
    group: Group | None


class Backlog:
    """See the module's text."""

    def __init__(self, plugins: Sequence[Plugin], profiles: Collection[str] = PROFILES, seed: int = 0) -> None:
        self.columns = Columns()
        self.classes = Classes()
        self.evaluations = Evaluations(self.columns, plugins)
        self.seed = seed
        self._profiles = frozenset(profiles)
        self._waiting: dict[str, _Known] = {}
        self._assumed: dict[str, _Known] = {}
        self._active: set[str] = set()
        self._groups: dict[Group, set[str]] = {}
        self._settled: dict[Group, set[str]] = {}
        self._minimums: dict[Group, int] = {}
        self._freed = False

    @property
    def active(self) -> bool:
        """Whether there is anything to decide."""
        return bool(self._active) or (self._freed and bool(self._waiting))

    def pending(self) -> int:
        """How many Pods wait for a node."""
        return len(self._waiting)

    # --- nodes and groups ------------------------------------------------------------------------------------------

    def put_node(self, node: Node) -> None:
        if self.columns.put_node(node):
            self._active.update(self._waiting)

    def drop_node(self, name: str) -> None:
        self.columns.drop_node(name)
        self._active.update(self._waiting)

    def put_group(self, group: scheduling.PodGroup | coscheduling.PodGroup) -> None:
        if isinstance(group, scheduling.PodGroup):
            self._set_minimum(Group(gangs.Form.NATIVE, group.key), gangs.native_minimum(group))
        else:
            self._set_minimum(Group(gangs.Form.COSCHEDULING, group.key), gangs.coscheduling_minimum(group))

    def drop_group(self, group: scheduling.PodGroup | coscheduling.PodGroup) -> None:
        native = isinstance(group, scheduling.PodGroup)
        identity = Group(gangs.Form.NATIVE if native else gangs.Form.COSCHEDULING, group.key)
        self._minimums.pop(identity, None)
        self._wake(identity)

    def _set_minimum(self, group: Group, minimum: int | None) -> None:
        if minimum is None:
            return
        if self._minimums.get(group) != minimum:
            self._minimums[group] = minimum
            self._wake(group)

    def _wake(self, group: Group) -> None:
        self._active.update(self._groups.get(group, ()))

    # --- Pods ------------------------------------------------------------------------------------------------------

    def put_pod(self, pod: Pod) -> None:
        """Take over a Pod as it is now."""
        uid = pod.metadata.uid
        group = gangs.group_of(pod)
        if group is not None:
            self._settle(group, pod)
            if group.form is gangs.Form.LABELS:
                self._set_minimum(group, gangs.labelled_minimum(pod))
        if pod.finished:
            self._forget(uid)
        elif pod.spec.nodeName:
            self._take_bound(pod)
        elif uid in self._assumed:
            return  # decided; the binding is under way
        elif self._waits(pod):
            self._take_pending(pod, group)
        else:
            self._leave(uid)

    def drop_pod(self, pod: Pod) -> None:
        """A Pod is gone."""
        uid = pod.metadata.uid
        group = gangs.group_of(pod)
        if group is not None and uid in self._settled.get(group, ()):
            self._settled[group].discard(uid)
            self._wake(group)
        self._forget(uid)

    def gated(self, pod: Pod) -> bool:
        """Whether the Pod is ours and held by scheduling gates."""
        return self._ours(pod) and bool(pod.spec.schedulingGates)

    def _ours(self, pod: Pod) -> bool:
        unbound = not pod.spec.nodeName and not pod.finished and not pod.metadata.deleting
        return unbound and pod.spec.schedulerName in self._profiles

    def _waits(self, pod: Pod) -> bool:
        return self._ours(pod) and not pod.spec.schedulingGates

    def _settle(self, group: Group, pod: Pod) -> None:
        """Note whether the Pod counts towards its group's minimum without being placed (again)."""
        if pod.metadata.uid in self._assumed and not pod.spec.nodeName:
            return
        settled = self._settled.setdefault(group, set())
        counts = (bool(pod.spec.nodeName) or pod.status.phase == "Succeeded") and pod.status.phase != "Failed"
        uid = pod.metadata.uid
        if counts == (uid in settled):
            return
        if counts:
            settled.add(uid)
        else:
            settled.discard(uid)
        self._wake(group)

    def _take_bound(self, pod: Pod) -> None:
        uid = pod.metadata.uid
        self._leave(uid)
        self._assumed.pop(uid, None)
        if self.columns.node_of(uid) != pod.spec.nodeName:
            self.columns.add_pod(uid, pod.spec.nodeName, self.classes.of(pod).footprint)

    def _take_pending(self, pod: Pod, group: Group | None) -> None:
        uid = pod.metadata.uid
        created = pod.metadata.creationTimestamp
        pending = Pending(pod.key, uid, self.classes.of(pod), timestamp.parse(created) if created else 0.0)
        known = _Known(pending, group)
        if self._waiting.get(uid) == known:
            return
        self._leave(uid)
        self._enter(known)
        self._active.add(uid)
        if group is not None:
            self._wake(group)

    def _enter(self, known: _Known) -> None:
        self._waiting[known.pending.uid] = known
        if known.group is not None:
            self._groups.setdefault(known.group, set()).add(known.pending.uid)

    def _leave(self, uid: str) -> None:
        """The Pod no longer waits."""
        known = self._waiting.pop(uid, None)
        self._active.discard(uid)
        if known is None or known.group is None:
            return
        members = self._groups[known.group]
        members.discard(uid)
        if not members:
            del self._groups[known.group]

    def _forget(self, uid: str) -> None:
        self._leave(uid)
        self._assumed.pop(uid, None)
        if self.columns.remove_pod(uid):
            self._freed = True

    # --- deciding --------------------------------------------------------------------------------------------------

    def decide(self, now: float) -> Outcome:
        """Judge what is active, the first `SLICE` Pods of it. Placed Pods are assumed afterwards."""
        self._wake_for_room()
        units, waiting = self._units()
        units, rest = _slice(units)
        self._active = {pod.uid for unit in rest for pod in unit.pods}
        decisions = cycle.schedule(self.columns, units, now, self.seed, self.evaluations)
        for placed in decisions.placed:
            for placement in placed.placements:
                self._assume(placement.pod.uid)
        return Outcome(decisions, tuple(waiting))

    def release(self, pods: Iterable[Pending]) -> None:
        """Take back assumed Pods whose binding failed: they wait again."""
        for pod in pods:
            known = self._assumed.pop(pod.uid, None)
            if known is None:
                continue
            self.columns.remove_pod(pod.uid)
            self._freed = True
            if known.group is not None:
                self._settled.get(known.group, set()).discard(pod.uid)
            self._enter(known)
            self._active.add(pod.uid)

    def discard(self, pod: Pending) -> None:
        """The Pod turned out to be gone."""
        self._forget(pod.uid)

    def _assume(self, uid: str) -> None:
        known = self._waiting[uid]
        self._leave(uid)
        self._assumed[uid] = known
        if known.group is not None:
            self._settled.setdefault(known.group, set()).add(uid)

    def _wake_for_room(self) -> None:
        """Something was freed: activate the Pods of classes that fit now, and all gangs."""
        if not self._freed:
            return
        self._freed = False
        for uid, known in self._waiting.items():
            if uid in self._active:
                continue
            if known.group is not None or self.evaluations.of(known.pending.pod_class).possible():
                self._active.add(uid)

    def _units(self) -> tuple[list[Unit], list[Waiting]]:
        units: list[Unit] = []
        waiting: list[Waiting] = []
        seen: set[Group] = set()
        for uid in self._active:
            known = self._waiting[uid]
            if known.group is None:
                units.append(Unit((known.pending,)))
            elif known.group not in seen:
                seen.add(known.group)
                for unit in self._group_units(known.group):
                    if isinstance(unit, Unit):
                        units.append(unit)
                    else:
                        waiting.append(unit)
        return units, waiting

    def _group_units(self, group: Group) -> Iterable[Unit | Waiting]:
        pending = [self._waiting[uid].pending for uid in self._groups.get(group, ())]
        members = Members(pending, len(self._settled.get(group, ())))
        return gangs.units(group, self._minimums.get(group), members)


def _slice(units: list[Unit]) -> tuple[list[Unit], list[Unit]]:
    """The units that are decided now (in order, at least one) and those that come next."""
    if sum(len(unit.pods) for unit in units) <= SLICE:
        return units, []
    ordered = sorted(units, key=lambda unit: unit.rank)
    size = 0
    for number, unit in enumerate(ordered):
        size += len(unit.pods)
        if number and size > SLICE:
            return ordered[:number], ordered[number:]
    return ordered, []
