"""Watch: what happens to the objects of a kind, as a sequence of batches of `Change`.

A watch begins after a revision, or (revision "" or "0", or `sendInitialEvents`) with the current state as ADDED. An
update that takes an object out of the selection is DELETED, one that brings it in is ADDED; the value of a DELETED
change is the object's last state, with the revision of the change. Bookmarks carry only a revision; one comes when
nothing happened for a while, and one when the watch's time is up. (Who did not ask for bookmarks is not sent them, but
they come here all the same: they are the moments to find out that the client has gone.)

`changes` ends when `seconds` are over or the store closes. It raises `StatusError` 410 when the start is compacted or
the watcher fell behind; over HTTP that becomes an ERROR event.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from fairlead.apiserver import reads, requestinfo
from fairlead.apiserver.selection import Selection
from fairlead.apiserver.state import Api, Call
from fairlead.base import errors
from fairlead.base.errors import Cause
from fairlead.store import mvcc

BOOKMARK_SECONDS = 30.0


class Change(NamedTuple):
    """One event. `value` is empty for BOOKMARK and INITIAL_END (the bookmark that ends the initial events)."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "INITIAL_END"]
    value: bytes
    revision: int


class Query(msgspec.Struct, frozen=True):
    """What of `metav1.ListOptions` a watch reads. `seconds` 0 is without end."""

    labels: str = ""
    fields: str = ""
    revision: str = ""
    bookmarks: bool = False
    initial: bool | None = None
    seconds: float = 0.0


def query(parameters: Mapping[str, str]) -> Query:
    """From a request's query; 400 or 422 for what makes no sense together."""
    seconds = parameters.get("timeoutSeconds", "")
    if seconds and not seconds.lstrip("-").isdigit():
        raise errors.bad_request(f'timeoutSeconds: "{seconds}" is not a whole number')
    initial = requestinfo.boolean(parameters, "sendInitialEvents") if "sendInitialEvents" in parameters else None
    bookmarks = requestinfo.boolean(parameters, "allowWatchBookmarks")
    _check_initial(initial, parameters.get("resourceVersionMatch", ""))
    return Query(
        parameters.get("labelSelector", ""), parameters.get("fieldSelector", ""),
        parameters.get("resourceVersion", ""), bookmarks, initial, max(float(seconds or 0), 0.0),
    )  # fmt: skip


def _check_initial(initial: bool | None, match: str) -> None:
    if initial is None:
        why = "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        wrong = bool(match)
    else:
        why = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        wrong = match != "NotOlderThan"
    if wrong:
        cause = Cause("FieldValueForbidden", why, "resourceVersionMatch")
        raise errors.invalid("ListOptions", "meta.k8s.io", "", [cause])


def changes(api: Api, call: Call, asked: Query) -> AsyncGenerator[Sequence[Change], None]:
    """See the module's text. Batches are never empty. A selector that makes no sense is refused here and now."""
    selection = Selection(api, call.served, asked.labels, asked.fields)
    start, initial = _start(api, call, asked, selection)
    return _changes(api, call, (asked, selection), start, initial)


async def _changes(
    api: Api, call: Call, what: tuple[Query, Selection], start: int, initial: list[Change]
) -> AsyncGenerator[Sequence[Change], None]:
    try:
        subscription = api.store.watch(reads.prefix_of(call), after=start)
    except mvcc.Compacted:
        raise errors.expired(f"too old resource version: {start} ({api.store.compacted + 1})") from None
    try:
        if initial:
            yield initial
        async for batch in _follow(api, subscription, what, start):
            yield batch
    except mvcc.SlowWatcher:
        raise errors.expired("too old resource version: this watcher did not keep up; list again") from None
    finally:
        subscription.close()


def _start(api: Api, call: Call, asked: Query, selection: Selection) -> tuple[int, list[Change]]:
    """The revision to watch after, and the current state as changes where it is asked for."""
    revision = reads.number(asked.revision)
    reads.reachable(api, revision)
    if revision and not asked.initial:
        return revision, []
    now = api.store.revision
    if asked.initial is False:
        return revision or now, []
    page = api.store.list(reads.prefix_of(call))
    found = [Change("ADDED", e.value, e.revision) for e in page.entries if selection.matches(e.key, e.value)]
    if asked.initial and asked.bookmarks:
        found.append(Change("INITIAL_END", b"", now))
    return now, found


async def _follow(
    api: Api, subscription: mvcc.Watch, what: tuple[Query, Selection], revision: int
) -> AsyncIterator[list[Change]]:
    asked, selection = what
    batches = aiter(subscription)
    now = api.clock.monotonic
    end = now() + asked.seconds if asked.seconds else float("inf")
    while (left := end - now()) > 0:
        # Nothing is buffered when the wait ends without a batch, so everything up to `seen` has been delivered.
        seen = api.store.revision
        try:
            if subscription.ready:
                events = await anext(batches)
            else:
                async with asyncio.timeout(min(left, BOOKMARK_SECONDS)):
                    events = await anext(batches)
        except TimeoutError:
            revision = max(revision, seen)
            yield [Change("BOOKMARK", b"", revision)]
            continue
        except StopAsyncIteration:
            return
        revision = events[-1].revision
        found = list(select(events, selection))
        if found:
            yield found


def select(events: Sequence[mvcc.Event], selection: Selection) -> Iterator[Change]:
    """The changes that the selection sees in a batch of the store's events."""
    if selection.everything:
        for event in events:
            yield Change(_TYPES[event.type], event.value, event.revision)
        return
    for event in events:
        was = event.previous is not None and selection.matches(event.key, event.previous)
        if event.type == "delete":
            if was:
                yield Change("DELETED", event.value, event.revision)
        elif selection.matches(event.key, event.value):
            yield Change("MODIFIED" if was else "ADDED", event.value, event.revision)
        elif was:
            yield Change("DELETED", event.value, event.revision)


_TYPES: dict[str, Literal["ADDED", "MODIFIED", "DELETED"]] = {
    "create": "ADDED", "update": "MODIFIED", "delete": "DELETED",
}  # fmt: skip
