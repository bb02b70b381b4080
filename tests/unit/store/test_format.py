"""A folder that an older version wrote is opened as it was, and brought up to date. (It uses the disk.)

The folders in tests/golden/store/<format> were written by the version that had that format; each has the rest of an
interrupted compaction in it, too.
"""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fairlead.store import backup, log
from fairlead.store.mvcc import Compacted, Put
from fairlead.store.sqlite import SqliteStore

GOLDEN = Path(__file__).parents[2] / "golden" / "store"


def recorded(number: str, folder: Path) -> dict:
    shutil.copy(GOLDEN / number / "store.db", folder / "store.db")
    return json.loads((GOLDEN / number / "expected.json").read_text())


def version(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "store.db")) as db:
        return db.execute("PRAGMA user_version").fetchone()[0]


async def content(store: SqliteStore, after: int) -> tuple[list, list]:
    live = [[e.key, e.value.decode(), e.revision, e.created] for e in store.list("/").entries]
    events = await anext(aiter(store.watch("/", after=after)))
    history = [[e.type, e.key, e.value.decode(), e.previous and e.previous.decode(), e.revision] for e in events]
    return live, history


@pytest.mark.parametrize("number", sorted(p.name for p in GOLDEN.iterdir()))
async def test_an_older_folder_is_upgraded_with_all_that_is_in_it(number: str, tmp_path: Path) -> None:
    expected = recorded(number, tmp_path)
    for _ in range(2):  # as it was written, and as the upgrade left it
        store = SqliteStore.open(tmp_path)
        assert (store.revision, store.compacted) == (expected["revision"], expected["compacted"])
        assert await content(store, store.compacted) == (expected["live"], expected["history"])
        await store.close()
        assert version(tmp_path) == log.FORMAT
    store = SqliteStore.open(tmp_path)
    (entry,) = await store.commit([Put("/registry/core/configmaps/default/new", lambda r: b"%d" % r, 0)])
    assert entry.revision == expected["revision"] + 1
    await store.close()


def test_every_older_format_has_a_step_and_a_recorded_folder() -> None:
    assert sorted(log._UPGRADES) == list(range(1, log.FORMAT))
    assert {p.name for p in GOLDEN.iterdir()} == {str(n) for n in range(1, log.FORMAT)}


async def test_an_upgrade_that_fails_leaves_the_old_folder(tmp_path: Path) -> None:
    expected = recorded("1", tmp_path)
    with closing(sqlite3.connect(tmp_path / "store.db")) as db:
        db.execute("ALTER TABLE log ADD COLUMN checksum TEXT")  # what the step adds is there: it fails
    with pytest.raises(log.Damaged, match="duplicate column name: checksum"):
        SqliteStore.open(tmp_path)
    assert version(tmp_path) == 1
    with closing(sqlite3.connect(tmp_path / "store.db")) as db:
        db.execute("ALTER TABLE log DROP COLUMN checksum")
        db.commit()
    store = SqliteStore.open(tmp_path)
    assert store.revision == expected["revision"]
    await store.close()


async def test_a_copy_of_a_served_store_is_what_it_was_at_one_revision(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "store")
    for number in range(20):
        await store.commit([Put(f"/{number % 7}", lambda r: b"%d" % r)])
    copied = backup.copy(tmp_path / "store", tmp_path / "copy.db")
    before = store.list("/")
    await store.commit([Put("/later", lambda r: b"%d" % r)])
    await store.close()
    assert copied == (before.revision, 7)
    (tmp_path / "restored").mkdir()
    shutil.copy(tmp_path / "copy.db", tmp_path / "restored" / "store.db")
    assert backup.advance(tmp_path / "restored" / "store.db", 1000) == before.revision + 1000
    restored = SqliteStore.open(tmp_path / "restored")
    assert restored.list("/").entries == before.entries
    with pytest.raises(Compacted):
        restored.watch("/", after=before.revision + 1)
    (entry,) = await restored.commit([Put("/new", lambda r: b"%d" % r)])
    assert entry.revision == before.revision + 1001
    await restored.close()


def test_there_is_nothing_to_copy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no store"):
        backup.copy(tmp_path, tmp_path / "copy.db")
