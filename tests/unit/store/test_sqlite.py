"""What only the durable store does: formats, locks, failing groups, bounded history, snapshots. (It uses the disk.)"""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fairlead.store.mvcc import Compacted, Encode, Entry, Put, Unavailable
from fairlead.store.sqlite import Damaged, Locked, SqliteStore


def text(value: str) -> Encode:
    return lambda revision: f"{value}@{revision}".encode()


def execute(folder: Path, *statements: str) -> list[tuple[int, ...]]:
    """Run statements behind the store's back; the rows of the last."""
    with closing(sqlite3.connect(folder / "store.db")) as db:
        rows: list[tuple[int, ...]] = []
        for statement in statements:
            rows = db.execute(statement).fetchall()
        db.commit()
        return rows


async def made(folder: Path, *keys: str) -> None:
    store = SqliteStore.open(folder)
    for key in keys:
        await store.commit([Put(key, text("x"))])
    await store.close()


async def test_the_folder_is_made_and_is_its_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    await made(folder, "/a")
    assert folder.stat().st_mode & 0o777 == 0o700


async def test_a_folder_belongs_to_one_store(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path)
    with pytest.raises(Locked, match="in use by process"):
        SqliteStore.open(tmp_path)
    await store.close()
    await SqliteStore.open(tmp_path).close()


async def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    await made(tmp_path, "/a")
    execute(tmp_path, "PRAGMA user_version = 3")
    with pytest.raises(Damaged, match=r"store\.db has format 3, .* knows formats up to 2\. Upgrade Fairlead"):
        SqliteStore.open(tmp_path)
    execute(tmp_path, "PRAGMA user_version = 2")
    await SqliteStore.open(tmp_path).close()


async def test_a_changed_value_is_found(tmp_path: Path) -> None:
    await made(tmp_path, "/a", "/b")
    execute(tmp_path, "UPDATE log SET value = CAST('x@3' AS BLOB) WHERE revision = 2")
    with pytest.raises(Damaged, match=r"store\.db is damaged: revision 2 \(/b\) is not what was written\. Restore"):
        SqliteStore.open(tmp_path)


async def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"something else " * 100)
    with pytest.raises(Damaged, match=r"store\.db cannot be opened as a store: file is not a database"):
        SqliteStore.open(tmp_path)
    assert (tmp_path / "store.db").read_bytes().startswith(b"something else")


async def test_a_gap_in_the_history_is_damage(tmp_path: Path) -> None:
    await made(tmp_path, "/a", "/b", "/c")
    execute(tmp_path, "DELETE FROM log WHERE revision = 2")
    with pytest.raises(Damaged, match="it lacks revisions between 0 and 3"):
        SqliteStore.open(tmp_path)


async def test_rests_of_an_interrupted_compaction_are_removed(tmp_path: Path) -> None:
    await made(tmp_path, "/a", "/a", "/b", "/a")
    execute(tmp_path, "UPDATE meta SET value = 4 WHERE name = 'compacted'")
    store = SqliteStore.open(tmp_path)
    assert store.list("/").entries == [Entry("/a", b"x@4", 4, 1), Entry("/b", b"x@3", 3, 3)]
    await store.commit([Put("/c", text("x"))])
    await store.close()
    assert execute(tmp_path, "SELECT revision FROM log") == [(3,), (4,), (5,)]


async def test_history_is_bounded_while_writing(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path, keep=20)
    for number in range(100):
        await store.commit([Put(f"/{number % 3}", text("x"))])
    await store.close()
    assert store.revision == 100
    assert 75 <= store.compacted <= 80
    rows = execute(tmp_path, "SELECT count(*) FROM log")[0][0]
    assert rows == 3 + store.revision - store.compacted


async def test_history_is_bounded_in_bytes(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path, keep_bytes=10_000)
    for _ in range(40):
        await store.commit([Put("/a", lambda revision: b"x" * 1000)])
    await store.close()
    assert 25 <= store.compacted <= 30


# --- writes that fail ------------------------------------------------------------------------------------------------

REFUSE_BAD = "CREATE TRIGGER t BEFORE INSERT ON log WHEN new.key = '/bad' BEGIN SELECT RAISE(ABORT, 'no room'); END"


async def test_a_group_that_fails_leaves_no_trace_and_the_next_goes_on(tmp_path: Path) -> None:
    await made(tmp_path, "/a")
    execute(tmp_path, REFUSE_BAD)
    store = SqliteStore.open(tmp_path)
    watch = store.watch("/", after=1)
    commits = [store.commit([Put(key, text("y"))]) for key in ("/a", "/bad", "/b")]
    answers = await asyncio.gather(*commits, return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unavailable] * 3
    assert str(answers[0]).startswith(f"{tmp_path}/store.db cannot be written: no room. Nothing of the write was kept")
    assert (store.revision, store.list("/").entries) == (1, [Entry("/a", b"x@1", 1, 1)])
    assert await store.commit([Put("/b", text("z"), 0)]) == [Entry("/b", b"z@2", 2, 2)]
    assert [e.key for e in await anext(aiter(watch))] == ["/b"]
    await store.close()
    reopened = SqliteStore.open(tmp_path)
    assert (reopened.revision, len(reopened.list("/").entries)) == (2, 2)
    await reopened.close()


async def test_a_precondition_is_judged_by_what_became_durable(tmp_path: Path) -> None:
    await made(tmp_path)
    execute(tmp_path, REFUSE_BAD)
    store = SqliteStore.open(tmp_path)
    # The second finds the first's /a staged. It waits; the first comes to nothing; so the second may create it.
    first = asyncio.ensure_future(store.commit([Put("/a", text("first"), 0), Put("/bad", text("x"))]))
    second = asyncio.ensure_future(store.commit([Put("/a", text("second"), 0)]))
    answers = await asyncio.gather(first, second, return_exceptions=True)
    assert isinstance(answers[0], Unavailable)
    assert answers[1] == [Entry("/a", b"second@1", 1, 1)]
    await store.close()


async def test_a_big_group_fails_as_a_whole(tmp_path: Path) -> None:
    await made(tmp_path)
    execute(tmp_path, REFUSE_BAD)
    store = SqliteStore.open(tmp_path)
    with pytest.raises(Unavailable):
        await store.commit([*[Put(f"/{i}", text("x")) for i in range(200)], Put("/bad", text("x"))])
    assert (await store.commit([Put(f"/{i}", text("x")) for i in range(200)]))[-1].revision == 200
    await store.close()
    assert execute(tmp_path, "SELECT count(*) FROM log") == [(200,)]


async def test_a_writer_that_gives_up_harms_nobody(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path)
    commits = [asyncio.ensure_future(store.commit([Put(f"/{i}", text("x"))])) for i in range(5)]
    await asyncio.sleep(0)
    commits[2].cancel()
    answers = await asyncio.gather(*commits, return_exceptions=True)
    assert [type(a) for a in answers] == [list, list, asyncio.CancelledError, list, list]
    assert store.revision == 5
    await store.close()


# --- snapshots -------------------------------------------------------------------------------------------------------


async def test_a_snapshot_is_a_store_at_one_revision(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "live")
    for number in range(200):
        await store.commit([Put(f"/{number % 50}", text("x"))])
    at = store.revision
    before = store.list("/")
    taking = asyncio.ensure_future(store.snapshot(tmp_path / "copy" / "store.db"))
    (tmp_path / "copy").mkdir()
    await asyncio.gather(*[store.commit([Put(f"/{i}", text("later"))]) for i in range(50)])
    assert await taking == at
    copy = SqliteStore.open(tmp_path / "copy")
    assert (copy.list("/"), copy.revision, copy.compacted) == (before, at, at)
    with pytest.raises(Compacted):
        copy.watch("/", after=at - 1)
    assert (await copy.commit([Put("/0", text("y"), store.list("/", revision=at).entries[0].revision)]))[
        0
    ].revision == at + 1
    for one in (store, copy):
        await one.close()
    assert sorted(p.name for p in (tmp_path / "copy").iterdir()) == ["lock", "store.db"]


async def test_an_empty_store_has_a_snapshot(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "live")
    (tmp_path / "copy").mkdir()
    assert await store.snapshot(tmp_path / "copy" / "store.db") == 0
    await store.close()
    await SqliteStore.open(tmp_path / "copy").close()
