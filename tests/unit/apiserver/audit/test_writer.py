"""The audit log's file."""

from __future__ import annotations

import asyncio
import contextlib
import os

from fairlead.apiserver.audit.writer import Rotation, Writer
from fairlead.testing.clock import FakeClock


async def written(path, text):
    """Wait until the file says so."""
    for _ in range(100_000):
        with contextlib.suppress(FileNotFoundError):  # it is being put aside
            if text in path.read_text():
                return
        await asyncio.sleep(0)
    raise AssertionError(f"{path} never said {text}")


async def test_lines_are_written_and_none_is_lost_at_the_end(tmp_path):
    path = tmp_path / "sub" / "audit.log"
    writer = Writer(path, FakeClock())
    writer.start()
    writer.write(b"one")
    writer.write(b"two")
    await written(path, "two")
    for number in range(100):
        writer.write(b"%d" % number)
    await writer.close()
    assert path.read_text().split() == ["one", "two", *map(str, range(100))]
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_full_file_is_put_aside_and_the_oldest_go(tmp_path):
    path, clock = tmp_path / "audit.log", FakeClock()
    writer = Writer(path, clock, Rotation(size=10, backups=2, days=0))
    writer.start()
    for number in range(5):
        writer.write(b"%d" % number * 10)
        await written(path, str(number) * 10)
        clock.advance(1)
    await writer.close()
    assert path.read_text() == "4444444444\n"
    old = sorted(p for p in tmp_path.iterdir() if p != path)
    assert [p.read_text()[0] for p in old] == ["2", "3"]
    assert old[0].name.startswith("audit-20")


async def test_old_files_go(tmp_path):
    path, clock = tmp_path / "audit.log", FakeClock()
    old = tmp_path / "audit-2020-01-01T00-00-00.000.log"
    old.write_text("x")
    os.utime(old, (1.6e9, 1.6e9))
    writer = Writer(path, clock, Rotation(size=1, backups=0, days=30))
    path.write_text("full")
    writer.start()
    writer.write(b"next")
    await writer.close()
    assert not old.exists()
    assert path.read_text() == "next\n"


async def test_a_file_that_cannot_be_written_costs_events_and_nothing_else(tmp_path):
    path = tmp_path / "audit.log"
    writer = Writer(path, FakeClock())
    writer.start()
    path.unlink()
    path.mkdir()
    writer.write(b"lost")
    await writer.close()
