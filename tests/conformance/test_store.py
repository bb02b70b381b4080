from collections.abc import Callable
from pathlib import Path

import pytest

from fairlead.store.memory import MemoryStore
from fairlead.store.mvcc import SlowWatcher, Store
from fairlead.store.sqlite import SqliteStore
from fairlead.testing.conformance import store as suite

Open = Callable[[int], Store]


@pytest.fixture(params=["memory", "sqlite"])
async def open_store(request: pytest.FixtureRequest, tmp_path: Path):
    opened: list[Store] = []

    def open_one(buffer: int) -> Store:
        opened.append(
            MemoryStore(buffer=buffer) if request.param == "memory" else SqliteStore.open(tmp_path, buffer=buffer)
        )
        return opened[-1]

    yield open_one
    for store in opened:
        await store.close()


@pytest.mark.parametrize("check", suite.CHECKS, ids=suite.name)
async def test_conforms(check: suite.Check, open_store: Open) -> None:
    await check(open_store(1000))


async def test_a_slow_watcher_is_dropped_and_told(open_store: Open) -> None:
    store = open_store(5)
    slow, other = store.watch("/a/", after=0), store.watch("/", after=0)
    for i in range(6):
        await suite.put(store, f"/a/{i}", "x")
        assert len(await suite.take(other, 1)) == 1
    with pytest.raises(SlowWatcher, match="list again"):
        await suite.take(slow, 6)
    await suite.put(store, "/a/7", "x")
    assert len(await suite.take(other, 1)) == 1


async def test_history_to_begin_with_does_not_count_against_the_buffer(open_store: Open) -> None:
    store = open_store(5)
    for i in range(20):
        await suite.put(store, f"/{i}", "x")
    watch = store.watch("/", after=0)
    await suite.put(store, "/21", "x")
    assert [e.revision for e in await suite.take(watch, 21)] == list(range(1, 22))
