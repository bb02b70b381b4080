"""Runner: one controller at work. Takes keys from its queue, reconciles them, has the changes applied.

A reconcile is a plain call; only applying awaits, for many keys at a time. A key stays in flight until its changes are
applied *and* the caches have seen them (`expectations`), so a controller never decides on a world older than its own
writes. A failure, in the reconcile or in applying, puts the key back with its back-off; a conflict is the usual case of
a cache that is behind and is not worth a warning.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from fairlead.api.meta import Object, Resource
from fairlead.base import telemetry
from fairlead.base.clock import Clock
from fairlead.base.errors import StatusError
from fairlead.client.cache import Cache
from fairlead.client.protocol import Client
from fairlead.reconcile.alarm import Alarm
from fairlead.reconcile.applier import Applier, NotEmpty, NotServed, Outcome
from fairlead.reconcile.expectations import Expectations
from fairlead.reconcile.reconciler import Change, Controller, WakeAt
from fairlead.reconcile.views import Caches, Item, Links
from fairlead.reconcile.workqueue import Workqueue

WORKERS = 64
TURN = 32
"""Keys reconciled before others on the event loop get a turn."""


class Runner:
    """See the module's text. `changed` is fed by informers from the start; work begins with `run`."""

    def __init__(
        self, controller: Controller[Any], caches: Caches, client: Client, clock: Clock, workers: int = WORKERS
    ) -> None:
        self.controller = controller
        self.links: Links[Any] = Links(controller, caches)
        self.queue: Workqueue[Item] = Workqueue()
        self.reconciles = 0
        self._read = frozenset(self.links.kinds())
        self._applier = Applier(client, controller.name, clock)
        self._expectations: Expectations[Item] = Expectations(self._cache)
        self._failed: set[Item] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._clock, self._workers, self._started = clock, workers, clock.now()
        self._alarm = Alarm(clock)
        self._log = telemetry.logger(f"controller.{controller.name}")

    def changed(self, resource: Resource[Any], old: Object | None, new: Object | None) -> None:
        """A cache took a change in."""
        for item in self.links.concerned(resource, old, new):
            self.queue.add(item)
        state = new if new is not None else old
        if len(self._expectations) and state is not None:
            for item in self._expectations.saw(resource, state.key, new):
                self._land(item)
        if self.queue.ready:
            self._alarm.ring()

    def wake(self, item: Item) -> None:
        """Reconcile `item`, for a reason that is not in the API."""
        self.queue.add(item)
        self._alarm.ring()

    def clock_jumped(self) -> None:
        """The clock was set, or the machine slept: times that were told by it before mean nothing now.

        Whatever waits is looked at again. Silence counts from now: who is to report could not do so meanwhile.
        """
        self._started = self._clock.now()
        for item in self._expectations.overdue(float("inf")):
            self._land(item)
        self.queue.hasten()
        self._alarm.ring()

    @property
    def settled(self) -> bool:
        """Nothing to do before some later time."""
        due = self.queue.next_time()
        idle = not self.queue.ready and not self.queue.in_flight and not self._alarm.rung
        return idle and (due is None or due > self._clock.now())

    async def run(self) -> None:
        """Work until cancelled."""
        self._started = self._clock.now()
        try:
            while True:
                await self._work()
                times = [t for t in (self.queue.next_time(), self._expectations.next_time()) if t is not None]
                busy = len(self._tasks) >= self._workers
                await self._alarm.wait(None if busy else min(times, default=None))
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self) -> None:
        """Begin whatever is due and has room."""
        for late in self._expectations.overdue(self._clock.now()):
            self._log.debug("%s %s: what was written has not been seen; going on", late.resource.qualified, late.key)
            self._land(late)
        turn = 0
        while len(self._tasks) < self._workers and (item := self.queue.get(self._clock.now())) is not None:
            self._begin(item)
            turn += 1
            if turn % TURN == 0:
                await asyncio.sleep(0)

    def _begin(self, item: Item) -> None:
        self.reconciles += 1
        try:
            view = self.links.view(item, self._clock.now(), self._started)
            changes = self.controller.reconcile(view)
        except Exception:
            retry = self.queue.fail(item, self._clock.now())
            self._log.exception("reconciling %s %s failed; again at %.3f", item.resource.qualified, item.key, retry)
            return
        if all(isinstance(change, WakeAt) for change in changes):
            self._wake(item, changes)
            self.queue.done(item)
            return
        task = asyncio.create_task(self._carry_out(item, view.object, changes))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _wake(self, item: Item, changes: Sequence[Change]) -> None:
        for change in changes:
            if isinstance(change, WakeAt):
                self.queue.add_at(item, change.time)

    async def _carry_out(self, item: Item, primary: Object | None, changes: Sequence[Change]) -> None:
        outcome = await self._applier.apply(item.resource, primary, changes)
        if outcome.error is not None:
            self._failed.add(item)
            self._explain(item, outcome.error)
        elif outcome.wake is not None:
            self.queue.add_at(item, outcome.wake)
        if not self._hold(item, outcome):
            self._land(item)
        self._alarm.ring()

    def _hold(self, item: Item, outcome: Outcome) -> bool:
        return self._expectations.expect(item, outcome, self._clock.now())

    def _land(self, item: Item) -> None:
        """The work on a key is over, and its writes are seen."""
        if item in self._failed:
            self._failed.discard(item)
            self.queue.fail(item, self._clock.now())
        else:
            self.queue.done(item)
        self._alarm.ring()

    def _explain(self, item: Item, error: Exception) -> None:
        what = (item.resource.qualified, item.key)
        match error:
            case NotEmpty():
                self._log.debug("%s %s: %s", *what, error)
            case StatusError() if error.code == 409:
                self._log.debug("%s %s: %s", *what, error)
            case StatusError() | NotServed():
                self._log.warning("%s %s: %s", *what, error)
            case _:
                self._log.error("%s %s: %s", *what, error, exc_info=error)

    def _cache(self, resource: Resource[Any]) -> Cache[Any] | None:
        if resource in self._read or self.links.across:
            return self.links.caches.at(resource)
        return None
