"""Applier: carries out the `Change`s of one reconcile through a `Client`, in order, and says what came of them.

Each kind of change is safe to repeat, so a crash between any two of them is harmless: an apply states fields, a create
that finds its own object is done, deletes and patches carry the uid or the resourceVersion that they were decided on.
Neighbouring creates, patches or deletes of one kind (the Pods of a Job) are carried out together, `TOGETHER` at a time;
events are written when all else is done. The first failure ends the run; `Outcome.error` holds it, with what was
written before. When to try again, and when the caches have seen what was written, is left to `runner`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, assert_never

import msgspec

from fairlead.api import core
from fairlead.api.meta import Key, Object, Resource
from fairlead.base import telemetry
from fairlead.base.clock import Clock
from fairlead.base.errors import StatusError
from fairlead.client.protocol import Client, DeleteOptions, ListOptions, PatchType, WriteOptions
from fairlead.reconcile.events import Recorder
from fairlead.reconcile.reconciler import (
    Absent,
    Apply,
    Change,
    Create,
    Delete,
    Finalize,
    Patch,
    Record,
    SetStatus,
    WakeAt,
)  # fmt: skip

log = telemetry.logger("applier")

TOGETHER = 32


class Written(msgspec.Struct, frozen=True):
    """An object was written; a cache that has seen `revision` of its kind has seen this."""

    resource: Resource[Any]
    revision: int


class Deleted(msgspec.Struct, frozen=True):
    """An object was asked to go; a cache has seen it when it is gone, is another one, or has a deletionTimestamp."""

    resource: Resource[Any]
    key: Key
    uid: str


class Outcome(msgspec.Struct):
    """What came of a run: the writes, when to look again, and the failure that ended it, if any."""

    written: list[Written] = []
    deleted: list[Deleted] = []
    wake: float | None = None
    error: Exception | None = None


class NameTaken(Exception):
    """A name that a child needs is used by an object of another controller."""


class NotServed(Exception):
    """An object of a kind that the API server does not know was to be written."""


class NotEmpty(Exception):
    """A namespace that was to be finalized holds something still."""


class Applier:
    """See the module's text. `name` is the field manager and the source of the events."""

    def __init__(self, client: Client, name: str, clock: Clock) -> None:
        self._client, self._name, self._clock = client, name, clock
        self._recorder = Recorder(name)
        self._metadata: dict[Resource[Any], Resource[Object]] = {}

    async def apply(self, resource: Resource[Any], primary: Object | None, changes: Sequence[Change]) -> Outcome:
        """Carry out `changes`, which were decided for `primary`."""
        outcome = Outcome()
        try:
            for batch in _batches(changes):
                if len(batch) == 1:
                    await self._one(batch[0], outcome)
                else:
                    await self._together(batch, outcome)
            await self._together([change for change in changes if isinstance(change, Record)], outcome)
        except Exception as error:  # the run ends here; the caller decides what the failure means
            outcome.error = error
            if primary is not None and isinstance(error, StatusError | NameTaken | NotServed):
                await self._tell(resource, primary, error)
        return outcome

    async def _together(self, batch: Sequence[Change], outcome: Outcome) -> None:
        """Carry out independent changes, some at a time; none is begun after a failure."""
        left = iter(batch)
        failed: list[Exception] = []

        async def work() -> None:
            for change in left:
                if failed:
                    return
                try:
                    await self._one(change, outcome)
                except Exception as error:
                    failed.append(error)

        await asyncio.gather(*(work() for _ in range(min(TOGETHER, len(batch)))))
        if failed:
            raise failed[0]

    async def _one(self, change: Change, outcome: Outcome) -> None:
        match change:
            case Create():
                await self._create(change, outcome)
            case Apply():
                await self._apply(change, outcome)
            case Patch():
                await self._patch(change, outcome)
            case SetStatus():
                patch = {"metadata": {"resourceVersion": change.revision}, "status": change.status}
                await self._merge(change.resource, change.key, patch, outcome, "status")
            case Delete():
                await self._delete(change, outcome)
            case Finalize():
                await self._finalize(change, outcome)
            case Record():
                await self._record(change.resource, change.about, (change.type, change.reason, change.message))
            case WakeAt():
                outcome.wake = change.time if outcome.wake is None else min(outcome.wake, change.time)
            case _:  # pragma: no cover
                assert_never(change)

    async def _apply(self, change: Apply, outcome: Outcome) -> None:
        options = WriteOptions(manager=self._name, force=True)
        try:
            made = await self._client.apply(self._meta(change.resource), change.object, options)
        except StatusError as error:
            if error.code == 404 and not _is_gone(error):
                kind, name = change.resource, change.object["metadata"]["name"]
                raise NotServed(
                    f"{kind.kind} {name} cannot be made: the server does not serve {kind.qualified} ({kind.version}); "
                    "install its CustomResourceDefinition"
                ) from None
            raise
        self._note(change.resource, made, outcome)

    async def _create(self, change: Create, outcome: Outcome) -> None:
        options = WriteOptions(manager=self._name)
        try:
            made = await self._client.create(self._meta(change.resource), change.object, options)
        except StatusError as error:
            if error.reason != "AlreadyExists":
                raise
            await self._same(change)
            return
        self._note(change.resource, made, outcome)

    async def _same(self, change: Create) -> None:
        """The name is taken: by an earlier run of this reconcile (then all is done), or by somebody else's object?"""
        meta = change.object["metadata"]
        key = Key(meta.get("namespace", ""), meta["name"])
        found = await self._client.get(self._meta(change.resource), key)
        wanted = next((o["uid"] for o in meta.get("ownerReferences", ()) if o.get("controller")), "")
        owner = found.metadata.controller
        if (owner.uid if owner else "") != wanted:
            holder = f"{owner.kind} {owner.name} (uid {owner.uid})" if owner else "no controller"
            raise NameTaken(
                f"{change.resource.qualified} {key} exists and belongs to {holder}; it is made once that one is gone"
            )

    async def _patch(self, change: Patch, outcome: Outcome) -> None:
        if await self._any_exists(change.absent):
            return
        guards = {"uid": change.uid, "resourceVersion": change.revision}
        meta = {**change.patch.get("metadata", {}), **{k: v for k, v in guards.items() if v}}
        patch = {**change.patch, "metadata": meta} if meta else change.patch
        await self._merge(change.resource, change.key, patch, outcome)

    async def _merge(
        self, resource: Resource[Any], key: Key, patch: Mapping[str, Any], outcome: Outcome, subresource: str = ""
    ) -> None:
        """Merge-patch; an object that is gone needs none."""
        options = WriteOptions(manager=self._name, subresource=subresource)
        try:
            made = await self._client.patch(self._meta(resource), key, patch, PatchType.MERGE, options)
        except StatusError as error:
            if not _is_gone(error):
                raise
            return
        self._note(resource, made, outcome)

    async def _delete(self, change: Delete, outcome: Outcome) -> None:
        if await self._any_exists(change.absent):
            return
        options = DeleteOptions(grace_seconds=change.grace_seconds, propagation=change.propagation, uid=change.uid)
        try:
            await self._client.delete(change.resource, change.key, options)
        except StatusError as error:
            if not _is_gone(error) and error.reason != "Conflict":
                raise
        outcome.deleted.append(Deleted(change.resource, change.key, change.uid))

    async def _any_exists(self, absent: Sequence[Absent]) -> bool:
        """Whether one of the objects that must not exist does, by a fresh read."""
        for one in absent:
            try:
                found = await self._client.get(self._meta(one.resource), one.key)
            except StatusError as error:
                if not _is_gone(error):
                    raise
                continue
            if one.uid in ("", found.metadata.uid):
                log.debug("%s %s exists, contrary to the cache", one.resource.qualified, one.key)
                return True
        return False

    async def _finalize(self, change: Finalize, outcome: Outcome) -> None:
        for kind in await self._client.resources():
            if not kind.namespaced or "list" not in kind.verbs:
                continue
            page = await self._client.list(self._meta(kind), change.key.name, ListOptions(limit=1))
            if page.items:
                raise NotEmpty(f"namespace {change.key.name} holds {kind.qualified} still")
        patch = {"metadata": {"resourceVersion": change.revision}, "spec": {"finalizers": list(change.finalizers)}}
        await self._merge(change.resource, change.key, patch, outcome, "finalize")

    # --- events ----------------------------------------------------------------------------------------------------

    async def _tell(self, resource: Resource[Any], primary: Object, error: Exception) -> None:
        """Failures that need a person are told on the primary; conflicts and deletions in progress need none."""
        if isinstance(error, StatusError) and (error.code in (404, 409) or error.code >= 500 or _is_terminating(error)):
            return
        await self._record(resource, primary, ("Warning", "FailedReconcile", str(error)))

    async def _record(self, resource: Resource[Any], about: Object, says: tuple[str, str, str]) -> None:
        note = self._recorder.note(resource, about, says, self._clock.now())
        options = WriteOptions(manager=self._name)
        events = self._meta(core.EVENTS)
        try:
            if note.count == 1:
                await self._client.create(events, note.object, options)
            else:
                await self._client.patch(events, note.key, note.patch, PatchType.MERGE, options)
        except StatusError as error:
            self._recorder.forget(note.key)
            log.debug("event %s on %s was not written: %s", says[1], about.key, error)

    # --- what was written ------------------------------------------------------------------------------------------

    def _meta(self, resource: Resource[Any]) -> Resource[Object]:
        """The kind seen as metadata: no more of an answer is needed."""
        known = self._metadata.get(resource)
        if known is None:
            known = self._metadata[resource] = resource.seen_as(Object)
        return known

    def _note(self, resource: Resource[Any], made: Object, outcome: Outcome) -> None:
        revision = made.metadata.resourceVersion
        if revision.isdigit():
            outcome.written.append(Written(resource, int(revision)))


def _batches(changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
    """Neighbours of one class and kind that touch different objects together; anything else alone; no events."""
    batch: list[Change] = []
    known: tuple[Any, ...] = ()
    places: set[Any] = set()
    for change in changes:
        if isinstance(change, Record):
            continue
        kind, place = _kind_and_place(change)
        if batch and (kind != known or not kind or place in places):
            yield batch
            batch, places = [], set()
        batch.append(change)
        places.add(place)
        known = kind
    if batch:
        yield batch


def _kind_and_place(change: Change) -> tuple[tuple[Any, ...], Any]:
    """What makes changes alike (empty: nothing), and which object one is about."""
    match change:
        case Create():
            meta = change.object["metadata"]
            return (Create, change.resource), (meta.get("namespace", ""), meta.get("name") or id(change))
        case Delete() | Patch():
            return (type(change), change.resource), change.key
        case _:
            return (), None


def _is_gone(error: StatusError) -> bool:
    """That object does not exist; not: that kind is not served."""
    return error.code == 404 and bool(error.details.get("name"))


def _is_terminating(error: StatusError) -> bool:
    return any(cause.get("reason") == "NamespaceTerminating" for cause in error.details.get("causes", ()))
