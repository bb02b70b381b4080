"""Durable writes per second, against the limits of SQLite on the same disk in the same run.

    python bench/store_writes.py [--folder DIR] [--writes N]

Lower limit: one transaction per write, which is what a store without group commit does. Upper limit: all writes in one
transaction, which nobody can acknowledge one by one. Values have the size of a Pod.
"""

import argparse
import asyncio
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import machine

from fairlead.store import log
from fairlead.store.mvcc import Put
from fairlead.store.sqlite import SqliteStore

VALUE = os.urandom(1500)


class Figure(NamedTuple):
    what: str
    writes: int
    seconds: float
    latencies: list[float]

    @property
    def rate(self) -> float:
        return self.writes / self.seconds

    def quantile(self, share: float) -> str:
        return f"{machine.percentile(self.latencies, share) * 1000:.2f}" if self.latencies else ""


def raw(folder: Path, writes: int, at_once: bool) -> Figure:
    """SQLite itself, with the store's table and settings."""
    db = log.Log.open(folder / "raw.db")
    rows = [(i, f"/registry/core/pods/default/{i}", 0, i, 0, VALUE) for i in range(1, writes + 1)]
    start = time.perf_counter()
    for part in [rows] if at_once else [[row] for row in rows]:
        db.append(part)
    seconds = time.perf_counter() - start
    db.close()
    return Figure("SQLite, one transaction" if at_once else "SQLite, a transaction each", writes, seconds, [])


async def stored(folder: Path, writes: int, writers: int) -> Figure:
    """The store with that many concurrent writers, each waiting for its acknowledgement before it writes again."""
    store = SqliteStore.open(folder)
    latencies: list[float] = []

    async def write(writer: int) -> None:
        for number in range(writes // writers):
            start = time.perf_counter()
            await store.commit([Put(f"/registry/core/pods/default/{writer}-{number}", lambda revision: VALUE, 0)])
            latencies.append(time.perf_counter() - start)

    start = time.perf_counter()
    await asyncio.gather(*[write(n) for n in range(writers)])
    seconds = time.perf_counter() - start
    await store.close()
    return Figure(f"Store, {writers} writer{'s' * (writers > 1)}", len(latencies), seconds, latencies)


async def loaded(folder: Path, writes: int) -> Figure:
    """Opening a store of that many objects."""
    store = SqliteStore.open(folder, keep=writes)
    await store.commit([Put(f"/registry/core/pods/default/{n}", lambda revision: VALUE) for n in range(writes)])
    await store.close()
    start = time.perf_counter()
    reopened = SqliteStore.open(folder)
    seconds = time.perf_counter() - start
    await reopened.close()
    return Figure("Store, opening", writes, seconds, [])


def in_fresh_folder(parent: Path, measure: Callable[[Path], Figure | Awaitable[Figure]]) -> Figure:
    folder = Path(tempfile.mkdtemp(dir=parent))
    try:
        figure = measure(folder)
        return figure if isinstance(figure, Figure) else asyncio.run(_awaited(figure))
    finally:
        shutil.rmtree(folder)


async def _awaited(figure: Awaitable[Figure]) -> Figure:
    return await figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="a folder on the disk to measure")
    parser.add_argument("--writes", type=int, default=50_000)
    given = parser.parse_args()
    few = max(200, given.writes // 50)
    each = in_fresh_folder(given.folder, lambda f: raw(f, few, at_once=False))
    figures = [each]
    for writers in (1, 10, 100, 1000):
        count = few if writers == 1 else max(few, given.writes * writers // 1000)
        figures.append(in_fresh_folder(given.folder, lambda f, n=writers, c=count: stored(f, c, n)))  # type: ignore[misc]
    grouped = figures[-1]
    one = in_fresh_folder(given.folder, lambda f: raw(f, given.writes, at_once=True))
    figures += [one, in_fresh_folder(given.folder, lambda f: loaded(f, given.writes))]
    columns = ("", "writes", "per second", "× each", "of one", "p50 ms", "p99 ms")
    machine.show("Durable writes", columns, [cells(figure, each, one) for figure in figures])
    machine.console.print(
        f"group commit: {grouped.rate / each.rate:.1f} times a transaction each, "
        f"{grouped.rate / one.rate:.0%} of one transaction (SQLite {sqlite3.sqlite_version})"
    )


def cells(figure: Figure, each: Figure, one: Figure) -> tuple[str, ...]:
    return (
        figure.what, f"{figure.writes:,}", f"{figure.rate:,.0f}", f"{figure.rate / each.rate:.1f}",
        f"{figure.rate / one.rate:.0%}", figure.quantile(0.5), figure.quantile(0.99),
    )  # fmt: skip


if __name__ == "__main__":
    main()
