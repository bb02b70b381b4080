"""Backup of a store's file: a copy of it at one revision, taken while a store may write, and made ready for restore.

A copy is taken through SQLite, in one read transaction: it has every write that was acknowledged before, whole groups
only, and the writer does not wait for it. It has been read and verified before anybody relies on it.

`advance` skips revisions: after the copy was taken the old store went on, and its clients have seen what it numbered.
A restored store that used those numbers again would let them miss changes in silence; skipped, they are too old, and
every watch and every paged list is told to begin anew (410).
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from fairlead.store import folder
from fairlead.store.log import Damaged, Log

FILE = "store.db"
"""The file of a store in its folder."""


class Copied(NamedTuple):
    """What a copy has."""

    revision: int
    objects: int


def copy(source: Path, target: Path) -> Copied:
    """Copy the store in the folder `source`, served or not, to the file `target`. Raises Damaged, OSError."""
    file = source / FILE
    if not file.is_file():
        raise FileNotFoundError(2, "there is no store", str(source))
    target.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(file)) as live, closing(sqlite3.connect(target)) as made:
            live.execute("PRAGMA query_only = 1")
            live.backup(made)
    except sqlite3.Error as error:
        raise Damaged(f"{file} cannot be copied to {target}: {error}") from error
    return _verified(target)


def advance(file: Path, by: int) -> int:
    """Skip that many revisions in a store's file that nobody serves; answers the newest one after that."""
    log = Log.open(file)
    try:
        revision = log.load().revision + by
        log.mark_compacted(revision)
    finally:
        log.close()
    folder.sync(file.parent)
    return revision


def _verified(file: Path) -> Copied:
    """Read all of it, in the newest format; one file is left."""
    log = Log.open(file)
    try:
        loaded = log.load()
    finally:
        log.close()
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
    return Copied(loaded.revision, len(loaded.live))
