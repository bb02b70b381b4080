"""SPDY: whatever arrives, in whatever pieces, is read the same way or refused, and never held without bounds."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.apiserver.streaming import spdy
from fairlead.apiserver.streaming.spdy import Broken, Connection, Data, Event

RECORDED = [p.read_bytes() for p in sorted((Path(__file__).parents[3] / "golden" / "spdy").glob("*.bin"))]


def joined(events: list[Event]) -> list[Event]:
    """Pieces of data that follow each other are one."""
    found: list[Event] = []
    for event in events:
        last = found[-1] if found else None
        if isinstance(event, Data) and isinstance(last, Data) and last.stream == event.stream:
            found[-1] = Data(event.stream, last.data + event.data)
        else:
            found.append(event)
    return found


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(RECORDED), st.lists(st.integers(1, 60), min_size=1))
def test_pieces_mean_what_the_whole_means(recorded: bytes, sizes: list[int]) -> None:
    connection, events, at, i = Connection(), [], 0, 0
    while at < len(recorded):
        size = sizes[i % len(sizes)]
        events += connection.receive(recorded[at : at + size])
        at, i = at + size, i + 1
    assert joined(events) == joined(Connection().receive(recorded))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=8))
def test_rubbish_is_refused_or_waited_for(pieces: list[bytes]) -> None:
    feed(Connection(), pieces)


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from(RECORDED))
def test_damaged_recordings_are_refused_or_read(data: st.DataObject, recorded: bytes) -> None:
    at = data.draw(st.integers(0, len(recorded) - 1))
    damaged = recorded[:at] + data.draw(st.binary(max_size=4)) + recorded[at + data.draw(st.integers(0, 4)) :]
    feed(Connection(), [damaged])


def feed(connection: Connection, pieces: list[bytes]) -> None:
    for piece in pieces:
        try:
            events = connection.receive(piece)
        except Broken:
            return
        assert len(connection.take()) <= 16 * (len(piece) + 1)
        assert sum(len(e.data) for e in events if isinstance(e, Data)) <= len(piece) + spdy.LARGEST_CONTROL
        assert len(connection._buffer) <= spdy.LARGEST_CONTROL + 8


if not RECORDED:
    pytest.fail("tests/golden/spdy is empty")
