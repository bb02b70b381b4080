"""SqliteStore does what MemoryStore does: the same writes, reads, watches, compactions, across close and open."""

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import Awaitable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fairlead.store.memory import MemoryStore
from fairlead.store.mvcc import Delete, Entry, Event, Put, Store, StoreError, Watch, Write
from fairlead.store.sqlite import SqliteStore

R = TypeVar("R")

KEYS = ["/a/1", "/a/10", "/a/2", "/b/1", "/b/é", "/c"]
PREFIXES = ["", "/", "/a", "/a/", "/a/1", "/b/", "/none/"]
FOREVER = 1_000_000

keys = st.sampled_from(KEYS)
prefixes = st.sampled_from(PREFIXES)
# A precondition is named by how it relates to the state, so that most of them mean something.
expectations = st.sampled_from(["any", "any", "absent", "current", "current", "wrong"])
writes = st.lists(
    st.tuples(st.sampled_from(["put", "put", "delete"]), keys, st.binary(max_size=6), expectations),
    min_size=1, max_size=3, unique_by=lambda w: w[1],
)  # fmt: skip


def value(text: bytes) -> Any:
    return lambda revision: b"%s@%d" % (text, revision)


def outcome(doing: Any) -> Any:
    try:
        return doing()
    except StoreError as error:
        return (type(error), str(error))


async def outcome_of(doing: Awaitable[R]) -> Any:
    try:
        return await doing
    except StoreError as error:
        return (type(error), str(error))


class Stores(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="fairlead-"))
        self.memory = MemoryStore()
        self.sqlite = self.open()
        self.watches: list[tuple[Watch, Watch]] = []

    def open(self) -> SqliteStore:
        return SqliteStore.open(self.folder, keep=FOREVER)

    def teardown(self) -> None:
        self.runner.run(self.sqlite.close())
        self.runner.close()
        shutil.rmtree(self.folder)

    def both(self, act: Any) -> None:
        async def act_on(store: Store) -> Any:
            return await outcome_of(act(store))

        assert self.runner.run(act_on(self.sqlite)) == self.runner.run(act_on(self.memory))

    def resolve(self, drawn: Any) -> list[Write]:
        made: list[Write] = []
        for kind, key, text, expectation in drawn:
            current = self.memory.get(key)
            revision = current.revision if current else 0
            expected = {"any": None, "absent": 0, "current": revision, "wrong": revision + 1}[expectation]
            made.append((Put if kind == "put" else Delete)(key, value(text), expected))
        return made

    @initialize(drawn=writes)
    def begin(self, drawn: Any) -> None:
        self.both(lambda store: store.commit([Put(key, value(text)) for _, key, text, _ in drawn]))

    @rule(drawn=writes)
    def commit(self, drawn: Any) -> None:
        resolved = self.resolve(drawn)
        self.both(lambda store: store.commit(resolved))

    @rule(drawn=st.lists(writes, min_size=2, max_size=5))
    def commit_at_once(self, drawn: Any) -> None:
        # Started together, they are staged in this order and go to disk in one group. One that must wait to see
        # whether it fails is judged later, so only commits that cannot fail are compared.
        async def run(store: Store) -> Any:
            commits = [[Put(key, value(text)) for _, key, text, _ in one] for one in drawn]
            return await asyncio.gather(*[store.commit(one) for one in commits])

        self.both(run)

    @rule(prefix=prefixes, limit=st.integers(0, 4), after=st.sampled_from(["", *KEYS]), back=st.integers(-1, 12))
    def list(self, prefix: str, limit: int, after: str, back: int) -> None:
        revision = max(0, self.memory.revision - back)
        pages = [
            outcome(lambda s=store: s.list(prefix, limit=limit, after=after, revision=revision))
            for store in (self.sqlite, self.memory)
        ]
        assert pages[0] == pages[1]

    @rule(prefix=prefixes, back=st.integers(-1, 12))
    def watch(self, prefix: str, back: int) -> None:
        after = max(0, self.memory.revision - back)
        one = outcome(lambda: self.sqlite.watch(prefix, after=after))
        two = outcome(lambda: self.memory.watch(prefix, after=after))
        if isinstance(one, tuple) or isinstance(two, tuple):
            assert one == two
        else:
            self.watches.append((one, two))

    @rule(back=st.integers(-1, 8))
    def compact(self, back: int) -> None:
        revision = max(0, self.memory.revision - back)
        self.both(lambda store: store.compact(revision))

    @rule()
    def reopen(self) -> None:
        for one, two in self.watches:
            two.close()
            one.close()
        self.watches = []
        self.runner.run(self.sqlite.close())
        self.sqlite = self.open()

    @rule()
    def read_watches(self) -> None:
        for one, two in self.watches:
            assert self.runner.run(drained(one)) == self.runner.run(drained(two))

    @invariant()
    def the_same_is_there(self) -> None:
        assert self.sqlite.list("") == self.memory.list("")
        assert (self.sqlite.revision, self.sqlite.compacted) == (self.memory.revision, self.memory.compacted)
        for key in KEYS:
            assert self.sqlite.get(key) == self.memory.get(key)

    @invariant()
    def rows_are_those_needed(self) -> None:
        # What is on disk: the history that is kept, and the newest row of everything alive before it.
        compacted = self.memory.compacted
        old = self.memory.list("", revision=compacted).entries if compacted else ()
        with closing(sqlite3.connect(self.folder / "store.db")) as db:
            rows = db.execute("SELECT count(*) FROM log").fetchone()[0]
        assert rows == len(old) + self.memory.revision - compacted


async def drained(watch: Watch) -> list[Event]:
    """What the watch has now; the next read would wait."""
    events: list[Event] = []
    reading = asyncio.ensure_future(collect(watch, events))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    return events


async def collect(watch: Watch, events: list[Event]) -> None:
    async for batch in watch:
        events.extend(batch)


TestStores = Stores.TestCase
TestStores.settings = settings(
    max_examples=100, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def test_a_bigger_history_survives_reopening(tmp_path: Path) -> None:
    """Groups larger than one statement, and compaction in several steps."""

    async def scenario() -> None:
        memory, sqlite = MemoryStore(), SqliteStore.open(tmp_path, keep=FOREVER)
        for store in (memory, sqlite):
            for round_ in range(3):
                await store.commit([Put(f"/{i:04}", value(b"%d" % round_)) for i in range(700)])
            await store.commit([Delete(f"/{i:04}", value(b"gone")) for i in range(0, 700, 2)])
            await store.compact(1500)
        await sqlite.close()
        reopened = SqliteStore.open(tmp_path, keep=FOREVER)
        for revision in (1500, 1800, 2100, 2450):
            assert reopened.list("/0", revision=revision) == memory.list("/0", revision=revision)
        entries: list[Entry] = list(reopened.list("/").entries)
        assert len(entries) == 350
        await reopened.close()

    asyncio.run(scenario())
