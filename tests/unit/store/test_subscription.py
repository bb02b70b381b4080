import asyncio

import pytest

from fairlead.store.mvcc import Event, SlowWatcher
from fairlead.store.subscription import Subscriptions


def event(key: str, revision: int) -> Event:
    return Event("create", key, b"", None, revision)


async def test_what_came_in_between_is_one_batch() -> None:
    subscriptions = Subscriptions()
    watch = subscriptions.add("/a/", [event("/a/0", 1)], 100)
    subscriptions.deliver([event("/a/1", 2), event("/b/1", 3)])
    subscriptions.deliver([event("/a/2", 4)])
    assert [e.revision for e in await anext(watch)] == [1, 2, 4]


async def test_watchers_of_one_prefix_share_a_batch() -> None:
    subscriptions = Subscriptions()
    one, two = subscriptions.add("/a/", [], 100), subscriptions.add("/a/", [], 100)
    subscriptions.deliver([event("/a/1", 1)])
    assert await anext(one) is await anext(two)


async def test_those_who_left_get_nothing_and_cost_nothing() -> None:
    subscriptions = Subscriptions()
    watches = [subscriptions.add(prefix, [], 100) for prefix in ("/a/", "/a/", "/b/")]
    assert len(subscriptions) == 3
    for watch in watches:
        watch.close()
    assert len(subscriptions) == 0
    subscriptions.deliver([event("/a/1", 1)])
    assert [e async for e in watches[0]] == []


async def test_an_overflow_is_told_once_the_reader_comes() -> None:
    subscriptions = Subscriptions()
    watch = subscriptions.add("/", [], 3)
    subscriptions.deliver([event("/1", 1), event("/2", 2)])
    subscriptions.deliver([event("/3", 3), event("/4", 4)])
    assert len(subscriptions) == 0
    with pytest.raises(SlowWatcher, match="watch of /: more than 3 events behind"):
        await anext(watch)


async def test_a_big_batch_fits_into_an_empty_buffer() -> None:
    subscriptions = Subscriptions()
    watch = subscriptions.add("/", [], 3)
    subscriptions.deliver([event(f"/{i}", i) for i in range(10)])
    assert len(await anext(watch)) == 10


async def test_the_end_comes_after_what_is_buffered() -> None:
    subscriptions = Subscriptions()
    watch = subscriptions.add("/", [event("/1", 1)], 3)
    waiting = subscriptions.add("/", [], 3)
    reader = asyncio.ensure_future(anext(waiting, None))
    await asyncio.sleep(0)
    subscriptions.end()
    assert [len(batch) async for batch in watch] == [1]
    assert await reader is None
