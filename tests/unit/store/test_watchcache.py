import pytest

from fairlead.store.mvcc import Entry, Event, Page
from fairlead.store.watchcache import Change, WatchCache


def created(key: str, revision: int, size: int = 1) -> Change:
    value = b"x" * size
    return Change(Event("create", key, value, None, revision), Entry(key, value, revision, revision), None)


def cache(*changes: Change) -> WatchCache:
    made = WatchCache({}, [], 0, 0)
    if changes:
        made.publish(changes)
    return made


def test_history_is_bounded_by_events_and_by_bytes() -> None:
    held = cache(*[created(f"/{i}", i, 10) for i in range(1, 11)])
    assert (held.window_length, held.window_bytes) == (10, 100)
    assert held.oldest_within(10, 100) == 0
    assert held.oldest_within(4, 100) == 6
    assert held.oldest_within(10, 35) == 7
    assert held.oldest_within(0, 0) == 10


def test_forgetting_keeps_the_count() -> None:
    held = cache(*[created(f"/{i}", i, i) for i in range(1, 5)])
    held.forget(3)
    assert (held.compacted, held.window_length, held.window_bytes, len(held)) == (3, 1, 4, 4)
    held.forget(2)
    assert (held.compacted, held.window_length, held.window_bytes) == (3, 1, 4)
    assert [c.event.revision for c in held.history(4)] == [4]


def test_prefixes_at_the_end_of_the_alphabet() -> None:
    last = "\U0010ffff"
    held = cache(created("/a", 1), created(last, 2), created(last + "b", 3))
    assert [e.key for e in held.list(last, 0, "", 0).entries] == [last, last + "b"]
    assert [e.key for e in held.list("/" + last, 0, "", 0).entries] == []
    assert [e.key for e in held.list("", 0, "", 0).entries] == ["/a", last, last + "b"]


def test_a_page_counts_what_is_left_out_of_the_prefix_only() -> None:
    held = cache(*[created(key, i) for i, key in enumerate(["/a/1", "/a/2", "/a/3", "/b/1"], 1)])
    assert held.list("/a/", 2, "", 0).more == 1
    assert held.list("/a/", 3, "", 0).more == 0
    assert held.list("/a/", 2, "/a/2", 0).more == 0


@pytest.mark.parametrize("prefix", ["", "/", "/reg", "/registry/", "/registry/core", "/registry/core/po"])
def test_prefixes_that_are_no_kinds_list_too(prefix: str) -> None:
    live = {key: Entry(key, b"", at, at) for at, key in enumerate(("/registry/core/pods/a/b", "/other"), 1)}
    found = {e.key for e in WatchCache(live, [], 2, 2).list(prefix, 0, "", 0).entries}
    assert found == {k for k in live if k.startswith(prefix)}


def test_a_kind_that_is_gone_and_comes_again() -> None:
    kind, key, held = "/registry/core/pods/", "/registry/core/pods/a/b", cache()
    entry = Entry(key, b"", 1, 1)
    assert held.list(kind, 0, "", 0) == Page((), 0, 0)
    held.publish([Change(Event("create", key, b"", None, 1), entry, None)])
    held.publish([Change(Event("update", key, b"", b"", 2), entry, entry)])
    assert [e.key for e in held.list(kind, 0, "", 0).entries] == [key]
    held.publish([Change(Event("delete", key, b"", b"", 3), None, entry)])
    assert held.list(kind, 0, "", 0) == Page((), 3, 0)
