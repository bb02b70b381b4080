"""Backlog: what the scheduler knows and still has to decide. From watched objects to decisions, without I/O.

It keeps the columns, the queue of Pods that wait, and what their groups ask for. A waiting Pod is looked at again when
something happened that may help it: a node is new or changed in shape (all look again, their messages count nodes), a
Pod went (as many of each class as there may be room for, and gangs), its group changed.

A placed Pod is *assumed*: it counts on its node from the decision on. The watch confirms it (`put_pod` with a node) or
`release` takes it back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import msgspec

from fairlead.api import coscheduling, scheduling
from fairlead.api.core import Node, NodeSelector, Pod
from fairlead.base import timestamp
from fairlead.scheduler import cycle, gangs
from fairlead.scheduler.classes import Classes
from fairlead.scheduler.columns import Columns
from fairlead.scheduler.cycle import Decisions, Pending, Unit
from fairlead.scheduler.evaluation import Evaluations
from fairlead.scheduler.gangs import Group, Members, Waiting
from fairlead.scheduler.plugin import Plugin
from fairlead.scheduler.queue import Queue, Waiter
from fairlead.scheduler.volumes import FREE, Verdict, Volumes

SLICE = 256
"""Pods decided in one round at most, so that a burst does not keep the event loop from its other work."""
PROFILES = ("default-scheduler", "fairlead")


class Outcome(msgspec.Struct, frozen=True):
    """A round's decisions, and the groups that still wait for members."""

    decisions: Decisions
    waiting: tuple[Waiting, ...]


class Backlog:
    """See the module's text."""

    def __init__(self, plugins: Sequence[Plugin], profiles: Collection[str] = PROFILES, seed: int = 0) -> None:
        self.columns = Columns()
        self.classes = Classes()
        self.volumes = Volumes()
        self.evaluations = Evaluations(self.columns, plugins)
        self.seed = seed
        self._profiles = frozenset(profiles)
        self._queue = Queue()
        self._assumed: dict[str, Waiter] = {}
        self._settled: dict[Group, set[str]] = {}
        self._minimums: dict[Group, int] = {}
        self._freed = False

    @property
    def active(self) -> bool:
        """Whether there is anything to decide."""
        return self._queue.active or (self._freed and len(self._queue) > 0)

    def pending(self) -> int:
        """How many Pods wait for a node."""
        return len(self._queue)

    # --- nodes and groups ------------------------------------------------------------------------------------------

    def put_node(self, node: Node) -> None:
        if self.columns.put_node(node):
            self._queue.wake_all()

    def drop_node(self, name: str) -> None:
        self.columns.drop_node(name)
        self._queue.wake_all()

    def put_group(self, group: scheduling.PodGroup | coscheduling.PodGroup) -> None:
        if isinstance(group, scheduling.PodGroup):
            self._set_minimum(Group(gangs.Form.NATIVE, group.key), gangs.native_minimum(group))
        else:
            self._set_minimum(Group(gangs.Form.COSCHEDULING, group.key), gangs.coscheduling_minimum(group))

    def drop_group(self, group: scheduling.PodGroup | coscheduling.PodGroup) -> None:
        native = isinstance(group, scheduling.PodGroup)
        identity = Group(gangs.Form.NATIVE if native else gangs.Form.COSCHEDULING, group.key)
        self._minimums.pop(identity, None)
        self._queue.wake_group(identity)

    def _set_minimum(self, group: Group, minimum: int | None) -> None:
        if minimum is None:
            return
        if self._minimums.get(group) != minimum:
            self._minimums[group] = minimum
            self._queue.wake_group(group)

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
        elif self._waits(pod) and not (verdict := self._verdict(pod)).blocked:
            self._take_pending(pod, group, verdict.nodes)
        else:
            self._queue.leave(uid)

    def drop_pod(self, pod: Pod) -> None:
        """A Pod is gone."""
        uid = pod.metadata.uid
        self._forget(uid)
        group = gangs.group_of(pod)
        if group is not None and uid in self._settled.get(group, ()):
            self._settled[group].discard(uid)
            self._queue.wake_group(group)
        if group is not None and not self._settled.get(group) and not self._queue.members(group):
            self._settled.pop(group, None)
            if group.form is gangs.Form.LABELS:
                self._minimums.pop(group, None)

    def gated(self, pod: Pod) -> bool:
        """Whether the Pod is ours and held by scheduling gates."""
        return self._ours(pod) and bool(pod.spec.schedulingGates)

    def blocked(self, pod: Pod) -> str:
        """Why the Pod cannot be placed until its claims are different; empty if they do not hold it back."""
        why = self._verdict(pod).blocked if self._waits(pod) and pod.metadata.uid not in self._assumed else ""
        return f"0/{len(self.columns)} nodes are available: {why}." if why else ""

    def _verdict(self, pod: Pod) -> Verdict:
        return self.volumes.judge(pod, len(self.columns)) if pod.spec.volumes else FREE

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
        self._queue.wake_group(group)

    def _take_bound(self, pod: Pod) -> None:
        uid = pod.metadata.uid
        self._queue.leave(uid)
        self._assumed.pop(uid, None)
        known = self.columns.node_of(uid) is not None
        if self.columns.add_pod(uid, pod.spec.nodeName, self.classes.of(pod).footprint) and known:
            self._freed = True  # resized in place, or bound elsewhere than was assumed

    def _take_pending(self, pod: Pod, group: Group | None, volumes: tuple[NodeSelector, ...]) -> None:
        uid = pod.metadata.uid
        created = pod.metadata.creationTimestamp
        pending = Pending(pod.key, uid, self.classes.of(pod, volumes), timestamp.parse(created) if created else 0.0)
        waiter = Waiter(pending, group)
        if self._queue.find(uid) != waiter:
            self._queue.leave(uid)
            self._queue.enter(waiter)

    def _forget(self, uid: str) -> None:
        self._queue.leave(uid)
        self._assumed.pop(uid, None)
        if self.columns.remove_pod(uid):
            self._freed = True

    # --- deciding --------------------------------------------------------------------------------------------------

    def decide(self, now: float) -> Outcome:
        """Judge what is active, about the first `SLICE` Pods of it. Placed Pods are assumed afterwards."""
        if self._freed:
            self._freed = False
            self._queue.wake_for_room(lambda pod_class, most: self.evaluations.of(pod_class).room(most))
        units, waiting = self._queue.take(SLICE, self._group_units)
        decisions = cycle.schedule(self.columns, units, now, self.seed, self.evaluations)
        for placed in decisions.placed:
            for placement in placed.placements:
                self._assume(placement.pod.uid)
        return Outcome(decisions, tuple(waiting))

    def release(self, pods: Iterable[Pending]) -> None:
        """Take back assumed Pods whose binding failed: they wait again."""
        for pod in pods:
            waiter = self._assumed.pop(pod.uid, None)
            if waiter is None:
                continue
            self.columns.remove_pod(pod.uid)
            self._freed = True
            if waiter.group is not None:
                self._settled.get(waiter.group, set()).discard(pod.uid)
            self._queue.enter(waiter)

    def discard(self, pod: Pending) -> None:
        """The Pod turned out to be gone."""
        self._forget(pod.uid)

    def _assume(self, uid: str) -> None:
        waiter = self._queue.leave(uid)
        if waiter is None:
            raise RuntimeError(f"placed a pod that does not wait (uid {uid})")
        self._assumed[uid] = waiter
        if waiter.group is not None:
            self._settled.setdefault(waiter.group, set()).add(uid)

    def _group_units(self, group: Group) -> Iterable[Unit | Waiting]:
        members = Members(self._queue.members(group), len(self._settled.get(group, ())))
        return gangs.units(group, self._minimums.get(group), members)
