"""Objects to bytes and back: the only place that knows how a stored object is spelled.

An object is encoded once, when the store has given it its revision (`metadata.resourceVersion`); the same bytes are
the stored value, the answer to the writer and the line of every watcher.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from fairlead.store.mvcc import Encode

Plain = dict[str, Any]

_encoder = msgspec.json.Encoder()
_objects: msgspec.json.Decoder[Plain] = msgspec.json.Decoder(Plain)

_PIECE = 100
"""Items in a piece of a list."""

encode = _encoder.encode


def decode(data: bytes) -> Plain:
    """A stored JSON object. (What clients send is read by `bodies`.)"""
    return _objects.decode(data)


def copied(value: Any) -> Any:
    """A deep copy of JSON, Structs as dicts: what a caller in this process hands over stays its own."""
    return msgspec.json.decode(_encoder.encode(value))


def stamped(obj: Plain) -> Encode:
    """How `obj` is stored: with the revision of its write as resourceVersion."""
    metadata = obj["metadata"]

    def encode_at(revision: int) -> bytes:
        metadata["resourceVersion"] = str(revision)
        return _encoder.encode(obj)

    return encode_at


def listing(api_version: str, kind: str, metadata: Plain, items: list[bytes]) -> bytes:
    """A list's bytes from the bytes of its items."""
    return b"".join((_opening(api_version, kind, metadata), b",".join(items), b"]}"))


def listing_pieces(api_version: str, kind: str, metadata: Plain, items: list[bytes]) -> tuple[int, Iterator[bytes]]:
    """The same in pieces, and the length of the whole."""
    head = _opening(api_version, kind, metadata)
    size = len(head) + sum(map(len, items)) + max(0, len(items) - 1) + 2
    return size, _pieces(head, items)


def _pieces(head: bytes, items: list[bytes]) -> Iterator[bytes]:
    yield head
    for start in range(0, len(items), _PIECE):
        yield (b"," if start else b"") + b",".join(items[start : start + _PIECE])
    yield b"]}"


def _opening(api_version: str, kind: str, metadata: Plain) -> bytes:
    return _encoder.encode({"kind": kind, "apiVersion": api_version, "metadata": metadata})[:-1] + b',"items":['


def event(type_: bytes, value: bytes) -> bytes:
    """One line of a watch."""
    return b"".join((b'{"type":"', type_, b'","object":', value, b"}\n"))
