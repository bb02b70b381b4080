"""Informer: keeps a `Cache` of one kind up to date by list and watch.

`Informer.step(event) -> instructions` is the core and does no I/O: it is told what happened (a page was listed, a watch
event came, a request failed) and answers what to do next (list, watch, sleep) and what changed. `run` is the shell
that carries the instructions out through a `Client` and hands the changes to handlers.

What it keeps: handlers see every object's changes in order, each with the state before; after a gap (410, a broken
connection whose revision is gone) the next list is compared with the cache, so a missed delete is still told. A kind
that is not served (404) is no error: it counts as empty, and is asked for again with the same back-off.
A kind without the verb watch (metrics) is listed again and again.
A watch that ends is resumed from the last revision at once if it brought anything, else after the back-off.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, NoReturn, TypeVar, assert_never

import msgspec

from fairlead.api.meta import Object, Resource
from fairlead.base import telemetry
from fairlead.base.clock import Clock
from fairlead.base.errors import StatusError
from fairlead.client.cache import Cache
from fairlead.client.protocol import Client, Listing, ListOptions, WatchEvent

log = telemetry.logger("informer")

ObjectT = TypeVar("ObjectT", bound=Object)

PAGE = 1000
BACKOFF_BASE, BACKOFF_CAP = 0.2, 30.0
POLL = 15.0
"""Seconds between two lists of a kind that cannot be watched."""

# --- what happens --------------------------------------------------------------------------------------------------


class Started(msgspec.Struct, frozen=True):
    """The informer is asked to begin."""


class Listed(msgspec.Struct, frozen=True):
    """A page of the list came."""

    listing: Listing[Any]


class Watched(msgspec.Struct, frozen=True):
    """A watch event came."""

    event: WatchEvent[Any]


class Ended(msgspec.Struct, frozen=True):
    """The watch ended without an error (servers end them after some minutes)."""


class Failed(msgspec.Struct, frozen=True):
    """A list or a watch failed. `chance` (0 to 1) spreads the retries of many informers."""

    error: Exception
    chance: float = 1.0


class Slept(msgspec.Struct, frozen=True):
    """The time asked for by `Sleep` is over."""


Happening = Started | Listed | Watched | Ended | Failed | Slept

# --- what to do ----------------------------------------------------------------------------------------------------


class DoList(msgspec.Struct, frozen=True):
    """Ask for the next page; an empty token asks for the first."""

    continues: str = ""


class DoWatch(msgspec.Struct, frozen=True):
    """Watch from after `revision`."""

    revision: str


class DoSleep(msgspec.Struct, frozen=True):
    """Do nothing for that long."""

    seconds: float


class Changed(msgspec.Struct, Generic[ObjectT], frozen=True):
    """Tell the handlers. `old` is None for a new object, `new` for one that is gone. The cache has it already."""

    old: ObjectT | None
    new: ObjectT | None


class Synced(msgspec.Struct, frozen=True):
    """The cache is complete for the first time (or the kind turned out not to be served)."""


Instruction = DoList | DoWatch | DoSleep | Changed[Any] | Synced


class Informer(Generic[ObjectT]):
    """See the module's text. `synced`: the cache has been complete once. `served`: the last list was not a 404."""

    def __init__(
        self, resource: Resource[ObjectT], namespace: str = "", *, labels: str = "", fields: str = "", page: int = PAGE
    ) -> None:
        self.resource, self.namespace = resource, namespace
        self.labels, self.fields, self.page = labels, fields, page
        self.cache: Cache[ObjectT] = Cache(resource)
        self.synced = False
        self.served = False
        self._pages: list[ObjectT] = []
        self._revision = ""
        self._failures = 0
        self._fruitful = False

    def step(self, event: Happening) -> Sequence[Instruction]:
        """What to do, now that this happened. The last instruction is the next request or a sleep, if any."""
        match event:
            case Watched():
                return self._watched(event.event)
            case Listed():
                return self._listed(event.listing)
            case Started():
                return (DoList(),)
            case Slept():
                return (self._resume(),)
            case Ended():
                return (self._resume(),) if self._fruitful else (self._back_off(1.0),)
            case Failed():
                return self._failed(event)
            case _:  # pragma: no cover
                assert_never(event)

    def _watched(self, event: WatchEvent[ObjectT]) -> Sequence[Instruction]:
        self._fruitful, self._failures = True, 0
        self._revision = event.revision
        self.cache.saw(event.revision)
        obj = event.object
        if obj is None:
            return ()
        if event.type == "DELETED":
            old = self.cache.drop(obj.key)
            return (Changed(old or obj, None),)
        return (Changed(self.cache.put(obj), obj),)

    def _listed(self, listing: Listing[ObjectT]) -> Sequence[Instruction]:
        self._pages.extend(listing.items)
        if listing.continues:
            return (DoList(listing.continues),)
        items, self._pages = self._pages, []
        self._failures, self._fruitful = 0, True
        self.cache.saw(listing.revision)
        self.served = True
        if "watch" not in self.resource.verbs:
            return (*self._replace(items), *self._sync(), DoSleep(POLL))
        self._revision = listing.revision
        return (*self._replace(items), *self._sync(), DoWatch(listing.revision))

    def _replace(self, items: Iterable[ObjectT]) -> list[Instruction]:
        """Make the cache hold exactly `items`."""
        told: list[Instruction] = []
        seen = set()
        for obj in items:
            seen.add(obj.key)
            known = self.cache.get(obj.key)
            if known is not None and known.metadata.uid != obj.metadata.uid:
                self.cache.drop(obj.key)
                told.append(Changed(known, None))
                known = None
            if known is None or _differ(known, obj):
                self.cache.put(obj)
                told.append(Changed(known, obj))
        for key in self.cache.known():
            if key not in seen:
                told.append(Changed(self.cache.drop(key), None))
        return told

    def _failed(self, event: Failed) -> Sequence[Instruction]:
        self._pages = []
        error = event.error
        if isinstance(error, StatusError) and error.code == 410:
            self._revision = ""
            if self._failures:
                return (self._back_off(event.chance),)
            self._failures = 1
            return (DoList(),)
        if isinstance(error, StatusError) and error.code == 404:
            self._revision, self.served = "", False
            return (*self._replace(()), *self._sync(), self._back_off(event.chance))
        return (self._back_off(event.chance),)

    def _sync(self) -> Sequence[Instruction]:
        if self.synced:
            return ()
        self.synced = True
        return (Synced(),)

    def _resume(self) -> Instruction:
        self._fruitful = False
        return DoWatch(self._revision) if self._revision else DoList()

    def _back_off(self, chance: float) -> DoSleep:
        """Half of the back-off is fixed and half is left to chance."""
        longest = min(BACKOFF_CAP, BACKOFF_BASE * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return DoSleep(longest * (0.5 + 0.5 * chance))


def _differ(known: Object, obj: Object) -> bool:
    """Whether an object has changed. Those that are not stored (metrics) have no resourceVersion to tell it."""
    if not obj.metadata.resourceVersion:
        return known != obj
    return known.metadata.resourceVersion != obj.metadata.resourceVersion


class Handlers(msgspec.Struct, Generic[ObjectT], frozen=True):
    """Whom `run` tells: `changed(old, new)` per change, `synced()` once. Both must return at once and not raise."""

    changed: Callable[[Any, Any], None]
    synced: Callable[[], None] = lambda: None


async def run(
    client: Client,
    informer: Informer[ObjectT],
    clock: Clock,
    handlers: Handlers[ObjectT],
    chance: Callable[[], float] = random.random,
) -> NoReturn:
    """Keep the informer's cache up to date until cancelled."""
    pending: Sequence[Instruction] = informer.step(Started())
    while True:
        request = _tell(pending, handlers)
        match request:
            case DoList():
                pending = informer.step(await _list(client, informer, request, chance))
            case DoWatch():
                pending = informer.step(await _watch(client, informer, request, handlers, chance))
            case DoSleep():
                await clock.sleep(request.seconds)
                pending = informer.step(Slept())
            case None:
                raise RuntimeError(f"informer of {informer.resource.qualified} has nothing to do")
            case _:  # pragma: no cover
                assert_never(request)


def _tell(instructions: Sequence[Instruction], handlers: Handlers[ObjectT]) -> DoList | DoWatch | DoSleep | None:
    """Hand changes to the handlers; answers the request among the instructions."""
    request: DoList | DoWatch | DoSleep | None = None
    for instruction in instructions:
        match instruction:
            case Changed():
                handlers.changed(instruction.old, instruction.new)
            case Synced():
                handlers.synced()
            case _:
                request = instruction
    return request


async def _list(
    client: Client, informer: Informer[ObjectT], request: DoList, chance: Callable[[], float]
) -> Listed | Failed:
    options = ListOptions(
        labels=informer.labels, fields=informer.fields, limit=informer.page, continues=request.continues
    )
    try:
        return Listed(await client.list(informer.resource, informer.namespace, options))
    except Exception as error:
        return _failure(informer, "list", error, chance)


async def _watch(
    client: Client,
    informer: Informer[ObjectT],
    request: DoWatch,
    handlers: Handlers[ObjectT],
    chance: Callable[[], float],
) -> Ended | Failed:
    options = ListOptions(labels=informer.labels, fields=informer.fields, revision=request.revision)
    try:
        async for event in client.watch(informer.resource, informer.namespace, options):
            _tell(informer.step(Watched(event)), handlers)
    except Exception as error:
        return _failure(informer, "watch", error, chance)
    return Ended()


def _failure(informer: Informer[Any], verb: str, error: Exception, chance: Callable[[], float]) -> Failed:
    expected = isinstance(error, StatusError) and error.code in (404, 410)
    log.log(10 if expected else 30, "%s %s: %s", verb, informer.resource.qualified, error)
    return Failed(error, chance())
