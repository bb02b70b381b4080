"""Manager: runs controllers against one API server.

One informer per kind, shared by all controllers that read it (of several views of a kind the widest is kept; views that
do not include each other are refused); one queue and one `Runner` per controller. A controller begins once all
informers that it reads are complete. A kind that is not served (its CustomResourceDefinition comes later, or never)
counts as empty and is asked for again and again; it stops nothing.

Controllers with links across kinds also get a metadata-only informer for every other kind that the server lists, and
the set follows the CustomResourceDefinitions. A kind is shown to them only when its cache is complete: a missing object
of a kind that is half listed proves nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Iterable, Sequence
from typing import Any

from fairlead.api import apiextensions
from fairlead.api.meta import Key, Object, Resource
from fairlead.base import telemetry
from fairlead.base.clock import Clock
from fairlead.base.errors import StatusError
from fairlead.client import informer as informers
from fairlead.client.informer import Handlers, Informer
from fairlead.client.protocol import Client
from fairlead.reconcile.alarm import Alarm
from fairlead.reconcile.lease import Elector
from fairlead.reconcile.reconciler import Controller
from fairlead.reconcile.runner import WORKERS, Runner
from fairlead.reconcile.views import Caches, Item, declared

log = telemetry.logger("manager")

REDISCOVER = 60.0
"""Kinds are looked up again that often, besides whenever a CustomResourceDefinition changes."""
RETRY = 1.0
"""Seconds until the next try when kinds could not be looked up."""


class Feed:
    """One informer and the runners that it feeds. `shown`: its cache is offered to links across kinds."""

    def __init__(self, resource: Resource[Any]) -> None:
        self.informer: Informer[Any] = Informer(resource)
        self.runners: list[Runner] = []
        self.shown = False
        self.task: asyncio.Task[None] | None = None


class Manager:
    """See the module's text."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        controllers: Iterable[Controller[Any]],
        *,
        elector: Elector | None = None,
        workers: int = WORKERS,
        rediscover: float | None = REDISCOVER,
    ) -> None:
        self._rediscover = rediscover
        self._client, self._clock, self._elector = client, clock, elector
        self._caches = Caches()
        self._feeds: dict[Resource[Any], Feed] = {}
        controllers = list(controllers)
        for resource in _widest(controllers):
            self._feeds[resource] = Feed(resource)
            self._caches.declare(self._feeds[resource].informer.cache)
        self.runners = [Runner(c, self._caches, client, clock, workers) for c in controllers]
        self._across = [r for r in self.runners if r.links.across]
        for runner in self.runners:
            for resource in set(runner.links.kinds()) | (set(self._feeds) if runner.links.across else set()):
                self._feeds[resource].runners.append(runner)
        self._stop = asyncio.Event()
        self._synced = asyncio.Event()
        self._discover = Alarm(clock)
        self._discovered = not self._across
        self._tasks: set[asyncio.Task[None]] = set()
        self._error: BaseException | None = None

    # --- from outside ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until `stop`. With an elector only while leading: raises LeaseLost when that ends."""
        if self._elector is not None:
            leading = asyncio.ensure_future(self._elector.lead(self._work))
            stopping = asyncio.ensure_future(self._stop.wait())
            try:
                await asyncio.wait((leading, stopping), return_when=asyncio.FIRST_COMPLETED)
            finally:
                stopping.cancel()
                if not leading.done():
                    leading.cancel()
                await asyncio.gather(leading, stopping, return_exceptions=True)
            if not leading.cancelled():
                leading.result()
        else:
            await self._work()

    def stop(self) -> None:
        """Make `run` return."""
        self._stop.set()

    @property
    def synced(self) -> bool:
        """Every informer is complete and kinds have been discovered."""
        return self._discovered and all(feed.informer.synced for feed in self._feeds.values())

    @property
    def settled(self) -> bool:
        """Nothing to do before some later time, as far as the informers have told."""
        return self.synced and all(runner.settled for runner in self.runners)

    @property
    def reconciles(self) -> int:
        """How many reconciles there have been, of all controllers."""
        return sum(runner.reconciles for runner in self.runners)

    def busy(self) -> Sequence[str]:
        """The names of the controllers that have something to do."""
        return [runner.controller.name for runner in self.runners if not runner.settled]

    def clock_jumped(self) -> None:
        """Tell every controller that the clock was set."""
        for runner in self.runners:
            runner.clock_jumped()

    def wake(self, controller: str, resource: Resource[Any], key: Key) -> None:
        """Have a controller look at an object, though nothing in the API has changed."""
        for runner in self.runners:
            if runner.controller.name == controller:
                runner.wake(Item(resource, key))

    # --- inside ----------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        try:
            for feed in list(self._feeds.values()):
                self._start(feed)
            if self._across:
                self._spawn(self._follow_kinds())
            for runner in self.runners:
                self._spawn(self._run(runner))
            await self._stop.wait()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._error is not None:
            raise self._error

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Tasks end only by being cancelled; one that fails is a defect and takes the manager with it."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._error = self._error or error
            self._stop.set()

    async def _run(self, runner: Runner) -> None:
        """Run a controller once all that it reads is known."""
        while not self._is_ready(runner):
            await self._synced.wait()
        await runner.run()

    def _is_ready(self, runner: Runner) -> bool:
        if runner.links.across and not self.synced:
            return False
        feeds = [self._feeds[resource] for resource in runner.links.kinds()]
        return all(feed.informer.synced for feed in feeds)

    def _start(self, feed: Feed) -> None:
        handlers: Handlers[Any] = Handlers(lambda old, new: self._changed(feed, old, new), lambda: self._complete(feed))
        feed.task = self._spawn(informers.run(self._client, feed.informer, self._clock, handlers))

    def _changed(self, feed: Feed, old: Object | None, new: Object | None) -> None:
        resource = feed.informer.resource
        if not feed.shown and feed.informer.synced and feed.informer.served:
            self._show(feed)
        for runner in feed.runners:
            if feed.shown or not runner.links.across:
                runner.changed(resource, old, new)
        if resource == apiextensions.CRDS:
            self._discover.ring()

    def _complete(self, feed: Feed) -> None:
        if feed.informer.served and not feed.shown:
            self._show(feed)
        self._wake_runners()

    def _show(self, feed: Feed) -> None:
        """A cache is complete: show it to links across kinds, which have not been told of its objects so far."""
        feed.shown = True
        self._caches.show(feed.informer.cache)
        across = [runner for runner in feed.runners if runner.links.across]
        for obj in feed.informer.cache:
            for runner in across:
                runner.changed(feed.informer.resource, None, obj)

    def _wake_runners(self) -> None:
        waiting, self._synced = self._synced, asyncio.Event()
        waiting.set()

    async def _follow_kinds(self) -> None:
        """Keep an informer for every kind that the server lists."""
        if apiextensions.CRDS not in self._feeds:
            self._add(apiextensions.CRDS.seen_as(Object))
        while True:
            try:
                self._adjust(await self._client.resources())
                self._discovered = True
                self._wake_runners()
            except (StatusError, OSError, TimeoutError) as error:
                log.warning("kinds could not be discovered: %s", error)
            pause = self._rediscover if self._discovered else RETRY
            await self._discover.wait(None if pause is None else self._clock.now() + pause)

    def _adjust(self, served: Sequence[Resource[Any]]) -> None:
        kinds = {r for r in served if "list" in r.verbs and "watch" in r.verbs}
        known = {(r.group, r.kind) for r in self._feeds}
        for resource in served:
            if resource in kinds and (resource.group, resource.kind) not in known:
                self._add(resource.seen_as(Object))
        names = {(r.group, r.kind) for r in kinds}
        for resource, feed in list(self._feeds.items()):
            named = any(not r.links.across or resource in r.links.kinds() for r in feed.runners)
            if (resource.group, resource.kind) not in names and not named and resource != apiextensions.CRDS:
                self._remove(resource, feed)

    def _add(self, resource: Resource[Any]) -> None:
        feed = self._feeds[resource] = Feed(resource)
        feed.runners.extend(self._across)
        self._start(feed)

    def _remove(self, resource: Resource[Any], feed: Feed) -> None:
        del self._feeds[resource]
        self._caches.hide(resource)
        if feed.task is not None:
            feed.task.cancel()


def _widest(controllers: Iterable[Controller[Any]]) -> Sequence[Resource[Any]]:
    """The kinds that controllers declare, each with the view that includes the others."""
    chosen: dict[Resource[Any], Resource[Any]] = {}
    for controller in controllers:
        for resource in declared(controller):
            known = chosen.get(resource)
            if known is None or issubclass(resource.view, known.view):
                chosen[resource] = resource
            elif not issubclass(known.view, resource.view):
                raise TypeError(
                    f"{resource.qualified} is seen as {known.view.__name__} and as {resource.view.__name__}, and "
                    f"neither includes the other; let controller {controller.name} use one that does"
                )
    return list(chosen.values())


def select(
    controllers: Iterable[Controller[Any]], *, embedded: bool, names: Collection[str] = ("*",)
) -> Sequence[Controller[Any]]:
    """Those to run: `*` is all that belong here, `name` one more, `-name` one fewer (as kube-controller-manager's).

    Controllers that real Kubernetes brings itself belong to the embedded server only.
    """
    known = list(controllers)
    unknown = {name.removeprefix("-") for name in names} - {c.name for c in known} - {"*"}
    if unknown:
        raise ValueError(
            f"no controller is named {', '.join(sorted(unknown))}; there are {', '.join(sorted(c.name for c in known))}"
        )
    return [
        c
        for c in known
        if f"-{c.name}" not in names and (c.name in names or ("*" in names and (embedded or not c.embedded)))
    ]
