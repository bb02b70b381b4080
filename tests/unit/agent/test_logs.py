from __future__ import annotations

from pathlib import Path

import pytest

from fairlead.agent import logs
from fairlead.agent.logs import Index
from fairlead.base.clock import SYSTEM
from fairlead.client.node import LogOptions


@pytest.mark.parametrize(
    ("text", "lines", "expected"),
    [("a\nb\nc\n", 2, "b\nc\n"), ("a\nb\nc", 2, "b\nc"), ("a\n", 5, "a\n"), ("", 1, ""), ("a\nb\n", 0, "")],
)
def test_tail(tmp_path: Path, text: str, lines: int, expected: str) -> None:
    path = tmp_path / "log"
    path.write_text(text)
    assert text[logs.tail_offset(str(path), lines) :] == expected


def test_tail_of_a_long_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    text = "".join(f"line {i}\n" for i in range(30000))
    path.write_text(text)
    assert text[logs.tail_offset(str(path), 20000) :].startswith("line 10000\n")


def test_index_tells_times_and_survives(tmp_path: Path) -> None:
    path = tmp_path / "log"
    index = Index(str(path))
    for now, text in ((10.0, "a\nb\n"), (20.0, "c\n")):
        with path.open("a") as f:
            f.write(text)
        index.look(now)
        index.look(now + 1)
    again = Index(str(path))
    assert [again.time_at(o) for o in (0, 2, 4)] == [10.0, 10.0, 20.0]
    assert (again.offset_since(5.0), again.offset_since(15.0), again.offset_since(25.0)) == (0, 4, 6)


async def read(path: Path, options: LogOptions, ended: bool = True) -> bytes:
    parts = logs.stream(str(path), Index(str(path)), options, lambda: ended, SYSTEM)
    return b"".join([part async for part in parts])


async def test_stream_options(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("one\ntwo\n")
    Index(str(path)).look(0.0)
    assert await read(path, LogOptions("c")) == b"one\ntwo\n"
    assert await read(path, LogOptions("c", tail_lines=1, limit_bytes=2)) == b"tw"
    stamped = await read(path, LogOptions("c", timestamps=True))
    assert stamped == b"1970-01-01T00:00:00.000000Z one\n1970-01-01T00:00:00.000000Z two\n"
    assert await read(path, LogOptions("c", follow=True)) == b"one\ntwo\n"
    assert await read(tmp_path / "none", LogOptions("c")) == b""
