"""What every store must do: the rules of `store.mvcc` as checks, each a function of a fresh, empty store.

@pytest.mark.parametrize("check", store.CHECKS, ids=store.name)
async def test_conforms(check, open_store):
    await check(open_store())
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from fairlead.store.mvcc import (
    Compacted,
    Delete,
    Encode,
    Entry,
    Event,
    FutureRevision,
    Mismatch,
    Put,
    Store,
    StoreError,
    Unavailable,
    Watch,
)

Check = Callable[[Store], Awaitable[None]]
CHECKS: list[Check] = []
SECONDS = 10.0
"""How long a check waits for what must happen at once."""


def name(check: Check) -> str:
    """A check's name, for reports."""
    return str(getattr(check, "__name__", check))


def _check(function: Check) -> Check:
    CHECKS.append(function)
    return function


def text(value: str) -> Encode:
    """A value that carries its own revision."""
    return lambda revision: f"{value}@{revision}".encode()


async def put(store: Store, key: str, value: str, expected: int | None = None) -> Entry:
    return (await store.commit([Put(key, text(value), expected)]))[0]


async def delete(store: Store, key: str, expected: int | None = None) -> Entry:
    return (await store.commit([Delete(key, text("gone"), expected)]))[0]


async def take(watch: Watch, count: int) -> list[Event]:
    """The next `count` events, or fewer where the watch ends before."""
    events: list[Event] = []

    async def read() -> None:
        async for batch in watch:
            assert batch, "a batch is never empty"
            events.extend(batch)
            if len(events) >= count:
                return

    await asyncio.wait_for(read(), SECONDS)
    return events


async def refusal(kind: type[StoreError], doing: Awaitable[object]) -> StoreError:
    """The error of that kind which `doing` raises."""
    try:
        await doing
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def refused(kind: type[StoreError], doing: Callable[[], object]) -> bool:
    """Whether `doing` raises an error of that kind."""
    try:
        doing()
    except kind:
        return True
    return False


def keys(entries: Sequence[Entry]) -> list[str]:
    return [entry.key for entry in entries]


# --- writes ----------------------------------------------------------------------------------------------------------


@_check
async def an_empty_store_is_at_revision_zero(store: Store) -> None:
    assert (store.revision, store.compacted, store.get("/a")) == (0, 0, None)
    assert store.list("/") == ([], 0, 0)


@_check
async def a_write_gets_the_next_revision_and_its_value_carries_it(store: Store) -> None:
    assert await put(store, "/a", "one") == Entry("/a", b"one@1", 1, 1)
    assert await put(store, "/a", "two") == Entry("/a", b"two@2", 2, 1)
    assert store.get("/a") == Entry("/a", b"two@2", 2, 1)
    assert store.revision == 2


@_check
async def a_delete_answers_the_final_state(store: Store) -> None:
    await put(store, "/a", "one")
    assert await delete(store, "/a") == Entry("/a", b"gone@2", 2, 1)
    assert store.get("/a") is None
    assert await put(store, "/a", "again", 0) == Entry("/a", b"again@3", 3, 3)


@_check
async def preconditions_are_kept(store: Store) -> None:
    first = await put(store, "/a", "one", 0)
    error = await refusal(Mismatch, put(store, "/a", "two", 0))
    assert isinstance(error, Mismatch)
    assert (error.key, error.current) == ("/a", first)
    await refusal(Mismatch, put(store, "/a", "two", 7))
    await refusal(Mismatch, put(store, "/b", "two", 1))
    await refusal(Mismatch, delete(store, "/a", 7))
    await refusal(Mismatch, delete(store, "/b"))
    assert store.revision == 1
    await put(store, "/a", "two", first.revision)
    await delete(store, "/a", 2)
    assert store.revision == 3


@_check
async def a_commit_is_all_or_nothing(store: Store) -> None:
    made = await store.commit([Put("/b", text("b")), Put("/a", text("a"))])
    assert [(e.key, e.revision, e.value) for e in made] == [("/b", 1, b"b@1"), ("/a", 2, b"a@2")]
    called: list[int] = []

    def encode(revision: int) -> bytes:
        called.append(revision)
        return b""

    await refusal(Mismatch, store.commit([Put("/c", encode), Delete("/b", encode, 1), Put("/a", encode, 0)]))
    assert (store.revision, keys(store.list("/").entries), called) == (2, ["/a", "/b"], [])
    assert await store.commit([]) == []


@_check
async def a_failed_encode_leaves_no_trace(store: Store) -> None:
    def fail(revision: int) -> bytes:
        raise LookupError(revision)

    try:
        await store.commit([Put("/a", text("a")), Put("/b", fail)])
    except LookupError:
        assert (store.revision, store.get("/a")) == (0, None)
        assert (await put(store, "/c", "c", 0)).revision == 1
    else:
        raise AssertionError("the encoder's error is lost")


@_check
async def a_commit_names_a_key_once(store: Store) -> None:
    try:
        await store.commit([Put("/a", text("a")), Put("/a", text("b"))])
    except ValueError:
        assert store.revision == 0
    else:
        raise AssertionError("a key was written twice in one commit")


@_check
async def of_concurrent_writers_with_one_precondition_one_wins(store: Store) -> None:
    answers = await asyncio.gather(*[put(store, "/a", str(i), 0) for i in range(20)], return_exceptions=True)
    won = [a for a in answers if isinstance(a, Entry)]
    lost = [a for a in answers if isinstance(a, Mismatch)]
    assert (len(won), len(lost), store.get("/a")) == (1, 19, won[0])
    assert {error.current for error in lost} == {won[0]}


@_check
async def concurrent_writes_are_read_when_acknowledged(store: Store) -> None:
    async def write(place: int) -> int:
        entry = await put(store, f"/{place % 7}/{place}", "x", 0)
        assert store.get(entry.key) == entry
        assert store.revision >= entry.revision
        return entry.revision

    revisions = await asyncio.gather(*[write(i) for i in range(200)])
    assert sorted(revisions) == list(range(1, 201))


# --- lists -----------------------------------------------------------------------------------------------------------


@_check
async def a_list_has_the_prefix_in_key_order(store: Store) -> None:
    for key in ("/pods/b/1", "/pods/a/2", "/pods/a/1", "/podsets/a/1", "/nodes/n"):
        await put(store, key, "x")
    assert keys(store.list("/pods/").entries) == ["/pods/a/1", "/pods/a/2", "/pods/b/1"]
    assert keys(store.list("/pods/a/").entries) == ["/pods/a/1", "/pods/a/2"]
    assert len(store.list("").entries) == 5
    assert store.list("/none/") == ([], 5, 0)


@_check
async def pages_add_up_to_the_list_at_one_revision(store: Store) -> None:
    for i in range(10):
        await put(store, f"/a/{i}", "old")
    await put(store, "/b/0", "other")
    whole = store.list("/a/")
    first = store.list("/a/", limit=4)
    assert (keys(first.entries), first.more, first.revision) == ([f"/a/{i}" for i in range(4)], 6, 11)
    await put(store, "/a/5", "new")
    await delete(store, "/a/6")
    await put(store, "/a/55", "new")
    second = store.list("/a/", limit=4, after="/a/3", revision=first.revision)
    third = store.list("/a/", limit=4, after="/a/7", revision=first.revision)
    assert (second.more, third.more, second.revision) == (2, 0, first.revision)
    assert [*first.entries, *second.entries, *third.entries] == whole.entries
    assert store.list("/a/", after="/a/9").entries == []
    assert store.list("/a/", after="/b").entries == []


@_check
async def a_list_at_an_older_revision_is_what_was(store: Store) -> None:
    seen = [store.list("/")]
    for step in range(30):
        key = f"/{step % 5}"
        await (delete(store, key) if step % 3 == 2 and store.get(key) else put(store, key, str(step)))
        seen.append(store.list("/"))
    for page in seen[1:]:
        assert store.list("/", revision=page.revision) == page
    assert refused(FutureRevision, lambda: store.list("/", revision=31))


# --- watches ---------------------------------------------------------------------------------------------------------


@_check
async def a_watch_has_every_event_once_in_order(store: Store) -> None:
    await put(store, "/a/1", "one")
    await put(store, "/b/1", "other")
    await put(store, "/a/1", "two")
    watch = store.watch("/a/", after=1)
    await delete(store, "/a/1")
    await put(store, "/a/2", "three")
    assert await take(watch, 3) == [
        Event("update", "/a/1", b"two@3", b"one@1", 3),
        Event("delete", "/a/1", b"gone@4", b"two@3", 4),
        Event("create", "/a/2", b"three@5", None, 5),
    ]
    watch.close()


@_check
async def watches_of_different_prefixes_get_their_own(store: Store) -> None:
    prefixes = ["", "/", "/a/", "/a/1", "/a/10", "/b/", "/a/1"]
    watches = [store.watch(prefix, after=0) for prefix in prefixes]
    written = ["/a/1", "/a/10", "/b/1", "/a/1"]
    await asyncio.gather(*[put(store, key, "x") for key in written])
    for prefix, watch in zip(prefixes, watches, strict=True):
        expected = [key for key in written if key.startswith(prefix)]
        assert [e.key for e in await take(watch, len(expected))] == expected
        watch.close()


@_check
async def a_watch_wakes_its_reader(store: Store) -> None:
    watch = store.watch("/", after=0)
    reader = asyncio.ensure_future(take(watch, 1))
    await asyncio.sleep(0)
    entry = await put(store, "/a", "x")
    assert [e.value for e in await reader] == [entry.value]
    assert store.revision >= 1
    watch.close()


@_check
async def list_then_watch_misses_nothing(store: Store) -> None:
    writes = [asyncio.ensure_future(put(store, f"/{i}", "x")) for i in range(50)]
    await writes[20]
    page = store.list("/")
    watch = store.watch("/", after=page.revision)
    await asyncio.gather(*writes)
    rest = await take(watch, 50 - len(page.entries)) if len(page.entries) < 50 else []
    assert sorted([*keys(page.entries), *(e.key for e in rest)]) == sorted(f"/{i}" for i in range(50))
    watch.close()


@_check
async def a_closed_watch_ends(store: Store) -> None:
    watch = store.watch("/", after=0)
    reader = asyncio.ensure_future(take(watch, 1))
    await asyncio.sleep(0)
    watch.close()
    watch.close()
    assert await reader == []
    await put(store, "/a", "x")
    assert await take(watch, 1) == []


@_check
async def a_watch_from_the_future_is_refused(store: Store) -> None:
    await put(store, "/a", "x")
    assert refused(FutureRevision, lambda: store.watch("/", after=2))


# --- compaction and closing ------------------------------------------------------------------------------------------


@_check
async def compaction_forgets_history_and_keeps_the_living(store: Store) -> None:
    for value in ("one", "two"):
        await put(store, "/a", value)
    await put(store, "/b", "b")
    await delete(store, "/b")
    at_four = store.list("/")
    await put(store, "/a", "three")
    await store.compact(4)
    await store.compact(2)
    assert (store.compacted, store.revision, store.get("/a")) == (4, 5, Entry("/a", b"three@5", 5, 1))
    assert store.list("/", revision=4) == at_four
    assert refused(Compacted, lambda: store.list("/", revision=3))
    assert refused(Compacted, lambda: store.watch("/", after=3))
    watch = store.watch("/", after=4)
    assert await take(watch, 1) == [Event("update", "/a", b"three@5", b"two@2", 5)]
    watch.close()
    await refusal(FutureRevision, store.compact(6))


@_check
async def compaction_to_the_newest_leaves_the_revision(store: Store) -> None:
    await put(store, "/a", "a")
    await delete(store, "/a")
    await store.compact(2)
    assert (store.revision, store.compacted) == (2, 2)
    assert (await put(store, "/a", "b", 0)).revision == 3
    watch = store.watch("/", after=2)
    assert [e.revision for e in await take(watch, 1)] == [3]
    watch.close()


@_check
async def a_running_watch_outlives_compaction(store: Store) -> None:
    watch = store.watch("/", after=0)
    await put(store, "/a", "a")
    await put(store, "/a", "b")
    await store.compact(2)
    await put(store, "/a", "c")
    assert [e.revision for e in await take(watch, 3)] == [1, 2, 3]
    watch.close()


@_check
async def closing_ends_watches_after_what_was_accepted(store: Store) -> None:
    watch = store.watch("/", after=0)
    writes = [asyncio.ensure_future(put(store, f"/{i}", "x")) for i in range(20)]
    await asyncio.sleep(0)
    await store.close()
    await store.close()
    assert sorted(e.revision for e in await asyncio.gather(*writes)) == list(range(1, 21))
    assert [e.revision for e in await take(watch, 21)] == list(range(1, 21))
    await refusal(Unavailable, put(store, "/late", "x"))
    assert (store.get("/late"), store.revision) == (None, 20)
