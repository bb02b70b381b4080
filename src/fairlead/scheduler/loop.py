"""Loop: the scheduler's shell. Watches, lets `Backlog` decide, binds, and writes down why not.

It acts when something changed, at once on an idle machine; while a binding is under way, changes gather. It never
polls. A gang is bound in one call; single Pods that were decided meanwhile share a call. A binding that fails is taken
back and its Pods are read again, because one by one (real Kubernetes) some may have been bound.

Conditions are patched only when their text changes, and events are recorded once per text, both behind the bindings:
telling is never in the way of placing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from fairlead.api import coscheduling, scheduling
from fairlead.api.core import NODES, PODS, Node, Pod
from fairlead.api.meta import Key
from fairlead.base import telemetry
from fairlead.base.clock import SYSTEM, Clock
from fairlead.base.errors import StatusError
from fairlead.client import informer
from fairlead.client.informer import Handlers, Informer
from fairlead.client.protocol import Binding, Client
from fairlead.scheduler import gangs, plugins
from fairlead.scheduler.backlog import PROFILES, Backlog
from fairlead.scheduler.cycle import Decisions, Pending, Placed, Placement
from fairlead.scheduler.herald import Herald

log = telemetry.logger("scheduler")

GATHER = 0.002
"""How long changes may gather after a round, in seconds, so that a burst is not decided Pod by Pod."""
TOGETHER = 256
"""Single Pods bound in one call at most."""
RETRY = 0.05
"""How long after a failed binding its Pods are looked at again, in seconds."""
GATED = "Scheduling is blocked due to non-empty scheduling gates"


class Scheduler:
    """`run` schedules until cancelled or `stop`ped."""

    def __init__(
        self, client: Client, clock: Clock = SYSTEM, profiles: Collection[str] = PROFILES, *, seed: int = 0
    ) -> None:
        self._client, self._clock = client, clock
        self.backlog = Backlog(plugins.load(), profiles, seed)
        self._herald = Herald(client, clock)
        self._pods: Informer[Pod] = Informer(PODS)
        self._nodes: Informer[Node] = Informer(NODES)
        self._native: Informer[scheduling.PodGroup] = Informer(scheduling.POD_GROUPS)
        self._groups = (self._native, Informer(coscheduling.POD_GROUPS))
        self._changed = asyncio.Event()
        self._stopped = asyncio.Event()
        self._to_bind: asyncio.Queue[Placed] = asyncio.Queue()
        self._unsynced = 4

    async def run(self) -> None:
        """Schedule until cancelled or stopped. All state is made anew from lists."""
        tasks = [
            asyncio.create_task(self._follow(self._pods, self._pod_changed), name="scheduler pods"),
            asyncio.create_task(self._follow(self._nodes, self._node_changed), name="scheduler nodes"),
            *(asyncio.create_task(self._follow(g, self._group_changed), name="scheduler groups") for g in self._groups),
            asyncio.create_task(self._decide(), name="scheduler cycle"),
            asyncio.create_task(self._bind(), name="scheduler bind"),
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
            await asyncio.gather(*tasks, return_exceptions=True)

    def stop(self) -> None:
        """Let `run` return."""
        self._stopped.set()

    # --- what changes ----------------------------------------------------------------------------------------------

    async def _follow(self, followed: Informer[Any], changed: Any) -> None:
        await informer.run(self._client, followed, self._clock, Handlers(changed, self._synced))

    def _synced(self) -> None:
        self._unsynced -= 1
        self._changed.set()

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if new is None:
            if old is not None:
                self.backlog.drop_pod(old)
                self._herald.forget(old.metadata.uid)
        else:
            self.backlog.put_pod(new)
            if self.backlog.gated(new):
                self._herald.hold(new, GATED)
        self._wake()

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
            self._to_bind.put_nowait(placed)
        self._refuse(outcome.decisions)
        for waiting in outcome.waiting:
            self._tell(waiting.pods, waiting.message, patient=True)
            self._tell_group(waiting.pods, "Unschedulable", waiting.message, patient=True)

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

    # --- binding ---------------------------------------------------------------------------------------------------

    async def _bind(self) -> None:
        while True:
            for batch in _batches(await self._gathered()):
                await self._bind_batch(batch)

    async def _gathered(self) -> list[Placed]:
        """All that wait to be bound; at least one."""
        found = [await self._to_bind.get()]
        while not self._to_bind.empty():
            found.append(self._to_bind.get_nowait())
        return found

    async def _bind_batch(self, batch: Sequence[Placed]) -> None:
        """One call; if single Pods that only shared it fail, each is tried by itself."""
        placements = [placement for placed in batch for placement in placed.placements]
        try:
            await self._client.bind([Binding(p.pod.key, p.node, p.pod.uid) for p in placements])
        except StatusError as error:
            if len(batch) > 1:
                for placed in batch:
                    await self._bind_batch([placed])
                return
            await self._take_back(placements, error)
        else:
            for placement in placements:
                pod = self._current(placement.pod)
                if pod is not None:
                    self._herald.assigned(pod, placement.node)
            for placed in batch:
                if placed.unit.group:
                    self._tell_group(placed.unit.pods, "Scheduled")

    async def _take_back(self, placements: Sequence[Placement], error: StatusError) -> None:
        """Learn which Pods were bound nevertheless; the others wait again, as they are now."""
        log.warning("binding %s: %s", ", ".join(str(p.pod.key) for p in placements), error)
        await self._clock.sleep(RETRY)
        for placement in placements:
            pod = await self._read(placement.pod.key)
            cached = self._current(placement.pod)
            if cached is None:
                self.backlog.discard(placement.pod)  # the watch has seen it go
            elif pod is not None and pod.metadata.uid == placement.pod.uid and pod.spec.nodeName:
                self.backlog.put_pod(pod)
            else:
                self.backlog.release([placement.pod])
                self.backlog.put_pod(cached)
        self._wake()

    async def _read(self, key: Key) -> Pod | None:
        """The Pod as the server has it; as the cache has it if the server does not answer."""
        try:
            return await self._client.get(PODS, key)
        except StatusError as error:
            return None if error.code == 404 else self._pods.cache.get(key)


def _batches(found: Sequence[Placed]) -> list[list[Placed]]:
    """A gang by itself; single Pods together."""
    groups = [[placed] for placed in found if placed.unit.group]
    singles = [placed for placed in found if not placed.unit.group]
    return groups + [singles[i : i + TOGETHER] for i in range(0, len(singles), TOGETHER)]
