"""The log on disk: one append-only SQLite table of writes; the row id is the revision.

It reads the log at start, appends groups, and removes what compaction made superfluous. Which rows those are, the
caller knows: the table has no index but its row ids, so that an append touches the last page only.

Rows after the meta value `compacted` are complete and without gaps. Of the older ones only the newest row of each live
key matters; others are rests of an interrupted compaction, which `load` reports. Because only rows up to `compacted`
are ever removed, max(`compacted`, newest row) is the highest revision ever acknowledged, whatever was removed.

Each row has a checksum over its key and value, so that what the disk changed behind our back is found at start and
not handed out. (SQLite has checksums in its write-ahead log only.)

Formats: 1 had no checksums. An older format is brought up to date when it is opened, in one transaction.

Every statement lets go of the interpreter lock, and a busy event loop gives it back milliseconds later. So a group is
written with as few statements as can be: up to `ROWS` rows in one.
"""

from __future__ import annotations

import functools
import json
import os
import sqlite3
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from fairlead.store import folder
from fairlead.store.mvcc import Entry, Event, StoreError
from fairlead.store.watchcache import Change

FORMAT = 2
ROWS = 64
_KINDS: tuple[Literal["create", "update", "delete"], ...] = ("create", "update", "delete")
_KIND_NUMBERS = {kind: number for number, kind in enumerate(_KINDS)}
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS log (
  revision INTEGER PRIMARY KEY,
  key TEXT NOT NULL,
  kind INTEGER NOT NULL,
  created INTEGER NOT NULL,
  previous INTEGER NOT NULL,
  value BLOB NOT NULL,
  checksum INTEGER NOT NULL
);
INSERT OR IGNORE INTO meta VALUES ('compacted', 0);
"""
_UPGRADES: Mapping[int, str] = {
    1: "ALTER TABLE log ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0; UPDATE log SET checksum = checksum(key, value);"
}
"""From each older format to the next one."""
_SELECT = "SELECT revision, key, kind, created, previous, value, checksum FROM log ORDER BY revision"
_INSERT = "INSERT INTO log (revision, key, kind, created, previous, value, checksum) VALUES "

Row = tuple[int, str, int, int, int, bytes, int]


class Damaged(StoreError):
    """What is on disk is no log that this version of Fairlead can read."""


class Loaded(NamedTuple):
    """The log's content. `rests` are the revisions of rows that an interrupted compaction left."""

    live: dict[str, Entry]
    window: list[Change]
    revision: int
    compacted: int
    rests: list[int]


class Log:
    """An open log. Its methods may be called from any thread, by one at a time."""

    def __init__(self, connection: sqlite3.Connection, file: Path) -> None:
        self._db, self.file = connection, file

    @classmethod
    def open(cls, file: Path) -> Log:
        """Open or create the log in `file`. Raises Damaged."""
        db = sqlite3.connect(file, isolation_level=None, check_same_thread=False, cached_statements=2 * ROWS)
        try:
            db.execute("PRAGMA journal_mode=WAL").fetchone()
            db.execute("PRAGMA synchronous=FULL")
            db.execute("PRAGMA temp_store=MEMORY")
            _prepare(db, file)
        except sqlite3.DatabaseError as error:
            db.close()
            raise Damaged(
                f"{file} cannot be opened as a store: {error}. Restore a backup, or move it out of the way"
            ) from error
        except Damaged:
            db.close()
            raise
        folder.sync(file.parent)
        return cls(db, file)

    def load(self) -> Loaded:
        """Read everything, oldest first. Raises Damaged."""
        compacted = cast(int, self._db.execute("SELECT value FROM meta WHERE name = 'compacted'").fetchone()[0])
        live: dict[str, Entry] = {}
        window: list[Change] = []
        rests: list[int] = []
        rows = self._db.execute(_SELECT)
        try:
            for row in rows:
                self._verify(row)
                if row[0] <= compacted:
                    _take_old(row, live, rests)
                else:
                    window.append(_take_new(row, live))
        except (sqlite3.DatabaseError, IndexError) as error:
            raise Damaged(f"{self.file} is damaged: {error}. Restore a backup") from error
        revision = window[-1].event.revision if window else compacted
        if revision - compacted != len(window):
            raise Damaged(f"{self.file} is damaged: it lacks revisions between {compacted} and {revision}")
        return Loaded(live, window, revision, compacted, rests)

    def append(self, rows: Sequence[Row]) -> None:
        """Write the rows durably, all or none. Raises sqlite3.Error."""
        if len(rows) <= ROWS:
            self._insert(rows)
            return
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for start in range(0, len(rows), ROWS):
                self._insert(rows[start : start + ROWS])
            self._db.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def mark_compacted(self, revision: int) -> None:
        """Note, durably, that history up to `revision` is gone. Rows may be removed after that, not before."""
        self._db.execute("UPDATE meta SET value = max(value, ?) WHERE name = 'compacted'", (revision,))

    def remove(self, revisions: Sequence[int]) -> None:
        """Remove rows. Raises sqlite3.Error."""
        listed = json.dumps(revisions)
        self._db.execute("DELETE FROM log WHERE revision IN (SELECT value FROM json_each(?))", (listed,))

    def close(self) -> None:
        """Idempotent. SQLite moves the write-ahead log into the file."""
        self._db.close()

    def _insert(self, rows: Sequence[Row]) -> None:
        values: list[Any] = []
        for row in rows:
            values += row
        self._db.execute(_insertion(len(rows)), values)

    def _verify(self, row: Row) -> None:
        revision, key, *_, value, told = row
        if checksum(key, value) != told:
            raise Damaged(
                f"{self.file} is damaged: revision {revision} ({key}) is not what was written. Restore a backup"
            )

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")


def row(change: Change) -> Row:
    """A change as it is on disk."""
    event, _, before = change
    created = before.created if before is not None else event.revision
    previous = before.revision if before is not None else 0
    checked = checksum(event.key, event.value)
    return (event.revision, event.key, _KIND_NUMBERS[event.type], created, previous, event.value, checked)


def checksum(key: str, value: bytes) -> int:
    """What a row's key and value are checked by."""
    return zlib.crc32(value, zlib.crc32(key.encode()))


def write_snapshot(file: Path, entries: Sequence[Entry], revision: int) -> None:
    """Write the live entries as they are at `revision` as a log of their own, whole or not at all.

    `file` can be opened as a store; its history begins after `revision`.
    """
    file = file.absolute()
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    try:
        db = sqlite3.connect(draft, isolation_level=None)
        try:
            db.execute("PRAGMA synchronous=FULL")
            _prepare(db, draft)
            db.execute("BEGIN")
            db.execute("UPDATE meta SET value = ? WHERE name = 'compacted'", (revision,))
            in_order = sorted(entries, key=lambda e: e.revision)
            db.executemany(
                _insertion(1),
                map(_as_snapshot, in_order),
            )
            db.execute("COMMIT")
        finally:
            db.close()
        draft.replace(file)
        folder.sync(file.parent)
    finally:
        draft.unlink(missing_ok=True)


@functools.cache
def _insertion(rows: int) -> str:
    return _INSERT + ",".join(["(?,?,?,?,?,?,?)"] * rows)


def _as_snapshot(entry: Entry) -> Row:
    kind, checked = int(entry.revision != entry.created), checksum(entry.key, entry.value)
    return (entry.revision, entry.key, kind, entry.created, 0, entry.value, checked)


def _prepare(db: sqlite3.Connection, file: Path) -> None:
    version = cast(int, db.execute("PRAGMA user_version").fetchone()[0])
    if version > FORMAT:
        raise Damaged(
            f"{file} has format {version}, and this version of Fairlead knows formats up to {FORMAT}. "
            "Upgrade Fairlead, or restore a backup that this version wrote"
        )
    if version < FORMAT:
        steps = [_UPGRADES[v] for v in range(version, FORMAT)] if version else [_SCHEMA]
        db.create_function("checksum", 2, checksum, deterministic=True)
        db.executescript(f"BEGIN IMMEDIATE; {' '.join(steps)} PRAGMA user_version = {FORMAT}; COMMIT;")


def _take_old(row: Row, live: dict[str, Entry], rests: list[int]) -> None:
    revision, key, kind, created, _, value, _ = row
    before = live.pop(key, None)
    if before is not None:
        rests.append(before.revision)
    if _KINDS[kind] == "delete":
        rests.append(revision)
    else:
        live[key] = Entry(key, value, revision, created)


def _take_new(row: Row, live: dict[str, Entry]) -> Change:
    revision, key, kind, created, _, value, _ = row
    before = live.get(key)
    event = Event(_KINDS[kind], key, value, before.value if before is not None else None, revision)
    if _KINDS[kind] == "delete":
        live.pop(key, None)
        return Change(event, None, before)
    entry = live[key] = Entry(key, value, revision, created)
    return Change(event, entry, before)
