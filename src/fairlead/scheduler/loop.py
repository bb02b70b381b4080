"""Loop: the scheduler's shell. Watches, lets `Backlog` decide, hands placements to `Binder` and refusals to `Herald`.

It acts when something changed, at once on an idle machine; after a round, changes may gather for a moment. It never
polls. Telling is never in the way of placing: conditions and events are written behind the bindings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from fairlead.api import coscheduling, scheduling
from fairlead.api.core import (
    CLAIMS,
    NODES,
    PERSISTENT_VOLUMES,
    PODS,
    Node,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
)
from fairlead.api.meta import Key
from fairlead.api.storage import STORAGE_CLASSES
from fairlead.base.clock import SYSTEM, Clock
from fairlead.base.errors import StatusError
from fairlead.client import informer
from fairlead.client.informer import Handlers, Informer
from fairlead.client.protocol import Client
from fairlead.scheduler import gangs, plugins
from fairlead.scheduler.backlog import PROFILES, Backlog
from fairlead.scheduler.binder import Binder, Truth
from fairlead.scheduler.claims import Claims
from fairlead.scheduler.cycle import Decisions, Pending, Placed
from fairlead.scheduler.herald import Herald
from fairlead.scheduler.volumes import claims_of

GATHER = 0.002
"""How long changes may gather after a round, in seconds, so that a burst is not decided Pod by Pod."""
GATED = "Scheduling is blocked due to non-empty scheduling gates"
_CLAIMS, _ANY = "claims", "any"
"""The index of waiting Pods by their claims, and the term that all of these have."""


def _claims(pod: Pod) -> list[Any]:
    found: list[Any] = [] if pod.spec.nodeName or pod.finished else list(claims_of(pod))
    return [*found, _ANY] if found else []


def _keep(known: dict[Any, Any], key: Any, new: Any) -> None:
    if new is None:
        known.pop(key, None)
    else:
        known[key] = new


class Scheduler:
    """`run` schedules until cancelled or `stop`ped."""

    def __init__(
        self, client: Client, clock: Clock = SYSTEM, profiles: Collection[str] = PROFILES, *, seed: int = 0
    ) -> None:
        self._client, self._clock = client, clock
        self.backlog = Backlog(plugins.load(), profiles, seed)
        self._herald = Herald(client, clock)
        self._binder = Binder(client, clock, self._bound, self._failed)
        self._pods: Informer[Pod] = Informer(PODS)
        self._nodes: Informer[Node] = Informer(NODES)
        self._native: Informer[scheduling.PodGroup] = Informer(scheduling.POD_GROUPS)
        self._groups = (self._native, Informer(coscheduling.POD_GROUPS))
        self._storage = (Informer(CLAIMS), Informer(PERSISTENT_VOLUMES), Informer(STORAGE_CLASSES))
        self._claims = Claims(client, clock, self.backlog.volumes.claims, self._binder.put, self._unprepared)
        self._pods.cache.index(_CLAIMS, _claims)
        self._changed = asyncio.Event()
        self._stopped = asyncio.Event()
        self._unsynced = 7

    async def run(self) -> None:
        """Schedule until cancelled or stopped. All state is made anew from lists."""
        tasks = [
            asyncio.create_task(self._follow(self._pods, self._pod_changed), name="scheduler pods"),
            asyncio.create_task(self._follow(self._nodes, self._node_changed), name="scheduler nodes"),
            *(asyncio.create_task(self._follow(g, self._group_changed), name="scheduler groups") for g in self._groups),
            *(asyncio.create_task(self._follow(s, self._storage_changed)) for s in self._storage),
            asyncio.create_task(self._decide(), name="scheduler cycle"),
            asyncio.create_task(self._binder.run(), name="scheduler bind"),
            asyncio.create_task(self._herald.run(), name="scheduler herald"),
            asyncio.create_task(self._stopped.wait(), name="scheduler stop"),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            self._claims.close()
            await asyncio.gather(*tasks, return_exceptions=True)

    def stop(self) -> None:
        """Let `run` return."""
        self._stopped.set()

    # --- what changes ----------------------------------------------------------------------------------------------

    async def _follow(self, followed: Informer[Any], changed: Any) -> None:
        await informer.run(self._client, followed, self._clock, Handlers(changed, self._synced))

    def _synced(self) -> None:
        self._unsynced -= 1
        if not self._unsynced:
            self._look_again(self._pods.cache.by(_CLAIMS, _ANY))
        self._changed.set()

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if new is None:
            if old is not None:
                self.backlog.drop_pod(old)
                self._herald.forget(old.metadata.uid)
                self._binder.forget(old.metadata.uid)
        else:
            self.backlog.put_pod(new)
            if self.backlog.gated(new):
                self._herald.hold(new, GATED)
            elif new.spec.volumes:
                self._tell_blocked(new)
        self._wake()

    def _tell_blocked(self, pod: Pod) -> None:
        why = "" if self._unsynced else self.backlog.blocked(pod)
        if why:
            self._herald.refuse(pod, why, patient=True)

    def _storage_changed(self, old: Any, new: Any) -> None:
        """A claim, a volume or a class is another: the Pods that it may concern are judged again."""
        found, volumes = new if new is not None else old, self.backlog.volumes
        term: Any = _ANY
        match found:
            case PersistentVolumeClaim():
                _keep(volumes.claims, found.key, new)
                self._claims.moved()
                term = found.key
            case PersistentVolume():
                _keep(volumes.volumes, found.metadata.name, new)
                reference = found.spec.claimRef
                term = Key(reference.namespace, reference.name) if reference is not None else _ANY
            case _:
                _keep(volumes.classes, found.metadata.name, new)
        if not self._unsynced:
            self._look_again(self._pods.cache.by(_CLAIMS, term))
            self._wake()

    def _look_again(self, pods: Sequence[Pod]) -> None:
        for pod in pods:
            self.backlog.put_pod(pod)
            self._tell_blocked(pod)

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if new is not None:
            self.backlog.put_node(new)
        elif old is not None:
            self.backlog.drop_node(old.metadata.name)
        self._wake()

    def _group_changed(self, old: Any, new: Any) -> None:
        if new is not None:
            self.backlog.put_group(new)
        else:
            self.backlog.drop_group(old)
        self._wake()

    def _wake(self) -> None:
        if not self._unsynced and self.backlog.active:
            self._changed.set()

    # --- deciding --------------------------------------------------------------------------------------------------

    async def _decide(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._unsynced or not self.backlog.active:
                continue
            self._round()
            await self._clock.sleep(GATHER)
            self._wake()  # what the round left for the next

    def _round(self) -> None:
        """One round: decide, hand placements to the binder and refusals to the herald."""
        outcome = self.backlog.decide(self._clock.now())
        for placed in outcome.decisions.placed:
            self._carry_out(placed)
        self._refuse(outcome.decisions)
        for waiting in outcome.waiting:
            self._tell(waiting.pods, waiting.message, patient=True)
            self._tell_group(waiting.pods, "Unschedulable", waiting.message, patient=True)

    def _carry_out(self, placed: Placed) -> None:
        """Bind the Pods, after the claims that wait for a node have been told it."""
        pods = [(self._current(p.pod), p.node) for p in placed.placements]
        judge = self.backlog.volumes.judge
        wanted = {key: node for pod, node in pods if pod is not None and pod.spec.volumes for key in judge(pod).selects}
        if wanted:
            self._claims.settle(placed, wanted)
        else:
            self._binder.put(placed)

    def _unprepared(self, placed: Placed, error: StatusError) -> None:
        """The volumes of a placement could not be had."""
        self._failed(placed, {p.pod.uid: self._current(p.pod) for p in placed.placements}, error)

    def _refuse(self, decisions: Decisions) -> None:
        for refusal in decisions.refused:
            self._tell(refusal.pods, refusal.message)
            if refusal.unit.group and refusal.pods == refusal.unit.pods:
                self._tell_group(refusal.pods, "Unschedulable", refusal.message)

    def _tell(self, pods: Sequence[Pending], message: str, *, patient: bool = False) -> None:
        for pending in pods:
            pod = self._current(pending)
            if pod is not None:
                self._herald.refuse(pod, message, patient=patient)

    def _tell_group(self, pods: Sequence[Pending], reason: str, message: str = "", *, patient: bool = False) -> None:
        """Set the condition of a native PodGroup; the other forms of gangs have none."""
        pod = self._current(pods[0])
        group = gangs.group_of(pod) if pod is not None else None
        if group is None or group.form is not gangs.Form.NATIVE:
            return
        found = self._native.cache.get(group.key)
        if found is not None:
            self._herald.group(found, reason, message, patient=patient)

    def _current(self, pending: Pending) -> Pod | None:
        """The Pod as last watched; None when it is gone."""
        pod = self._pods.cache.get(pending.key)
        return pod if pod is not None and pod.metadata.uid == pending.uid else None

    # --- what became of it -----------------------------------------------------------------------------------------

    def _bound(self, placed: Placed) -> None:
        for placement in placed.placements:
            pod = self._current(placement.pod)
            if pod is not None:
                self._herald.assigned(pod, placement.node)
        if placed.unit.group:
            self._tell_group(placed.unit.pods, "Scheduled")

    def _failed(self, placed: Placed, truth: Truth, error: StatusError) -> None:
        """Take back what is not bound, all at once; those Pods wait again, as they are now."""
        for placement in placed.placements:
            pending = placement.pod
            there, cached = truth[pending.uid], self._current(pending)
            if cached is None:
                self.backlog.discard(pending)  # the watch has seen it go
            elif there is not None and there.spec.nodeName:
                self.backlog.put_pod(there)
            elif not cached.spec.nodeName:
                self.backlog.release([pending])
                self.backlog.put_pod(cached)
                self._herald.refuse(cached, f"binding to {placement.node} failed: {error}", patient=True)
        self._wake()
