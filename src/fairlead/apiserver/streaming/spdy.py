"""SPDY/3.1 as servers of Kubernetes speak it: `receive(bytes) -> events`, and bytes to send. No I/O.

    connection.receive(data)  ->  [Opened(1, {"streamtype": "stdin"}), Data(1, b"..."), ...]
    connection.reply(1), .data(1, b"..."), .end(1), .reset(1), .close()  ->  bytes for the other side
    connection.take()  ->  bytes that `receive` made necessary (answers to pings, refusals of streams)

Only the client opens streams. There is no flow control: clients (moby/spdystream) send no WINDOW_UPDATE and heed none,
so TCP's own is all there is. A data frame's payload is told piece by piece as it arrives. Whatever breaks the protocol
raises `Broken`; the connection is then useless.
"""

from __future__ import annotations

import struct

import msgspec

from fairlead.apiserver.streaming import headerblock

VERSION = 3
LARGEST_CONTROL = 64 * 1024
"""Bytes of the largest control frame that is read."""
MOST_STREAMS = 1000
"""Streams that may be open at a time; further ones are refused."""

SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = (1, 2, 3, 4, 6, 7, 8, 9)
FIN, UNIDIRECTIONAL = 1, 2
PROTOCOL_ERROR, INVALID_STREAM, REFUSED, CANCEL = 1, 2, 3, 5
_CONTROL = 0x80000000
_HEAD = struct.Struct(">II")


class Broken(Exception):
    """The other side does not speak SPDY/3.1."""


class Opened(msgspec.Struct, frozen=True):
    """A stream of the client's; to be answered by `reply` or `reset`. `ended`: the client will send nothing on it."""

    stream: int
    headers: dict[str, str]
    ended: bool = False


class Data(msgspec.Struct, frozen=True):
    stream: int
    data: bytes


class Ended(msgspec.Struct, frozen=True):
    """The client sends no more on the stream."""

    stream: int


class Reset(msgspec.Struct, frozen=True):
    """The client has given the stream up, both ways."""

    stream: int


class GoneAway(msgspec.Struct, frozen=True):
    """The client opens no more streams."""


Event = Opened | Data | Ended | Reset | GoneAway


class _Stream:
    __slots__ = ("receiving", "sending")

    def __init__(self, *, receiving: bool, sending: bool) -> None:
        self.receiving, self.sending = receiving, sending


class Connection:
    """One connection, the server's side."""

    def __init__(self) -> None:
        self._reader, self._writer = headerblock.Reader(), headerblock.Writer()
        self._buffer = bytearray()
        self._data_stream, self._data_left, self._data_ends = 0, 0, False
        """The data frame that is being read."""
        self._streams: dict[int, _Stream] = {}
        self._last = 0
        self._answers: list[bytes] = []

    def take(self) -> bytes:
        """What has to be sent because of what was received."""
        answers, self._answers = b"".join(self._answers), []
        return answers

    # --- receiving

    def receive(self, data: bytes) -> list[Event]:
        """What the bytes mean. Raises Broken."""
        self._buffer += data
        events: list[Event] = []
        while self._step(events):
            pass
        return events

    def _step(self, events: list[Event]) -> bool:
        if self._data_left:
            return self._payload(events)
        if len(self._buffer) < _HEAD.size:
            return False
        first, second = _HEAD.unpack_from(self._buffer)
        flags, size = second >> 24, second & 0xFFFFFF
        if not first & _CONTROL:
            del self._buffer[: _HEAD.size]
            self._data_stream, self._data_left, self._data_ends = first, size, bool(flags & FIN)
            if not size:
                self._finish_data(events)
            return True
        if (first >> 16) & 0x7FFF != VERSION:
            raise Broken(f"version {(first >> 16) & 0x7FFF}, where {VERSION} is spoken")
        if size > LARGEST_CONTROL:
            raise Broken(f"a control frame of {size} bytes")
        if len(self._buffer) < _HEAD.size + size:
            return False
        body = bytes(self._buffer[_HEAD.size : _HEAD.size + size])
        del self._buffer[: _HEAD.size + size]
        self._control(first & 0xFFFF, flags, body, events)
        return True

    def _payload(self, events: list[Event]) -> bool:
        """As much of the present data frame as there is."""
        if not self._buffer:
            return False
        piece = bytes(self._buffer[: self._data_left])
        del self._buffer[: len(piece)]
        self._data_left -= len(piece)
        stream = self._streams.get(self._data_stream)
        if stream is not None and stream.receiving:
            events.append(Data(self._data_stream, piece))
        if not self._data_left:
            self._finish_data(events)
        return True

    def _finish_data(self, events: list[Event]) -> None:
        stream = self._streams.get(self._data_stream)
        if stream is None and self._data_stream > self._last:
            self._answers.append(_reset(self._data_stream, INVALID_STREAM))
        if stream is not None and stream.receiving and self._data_ends:
            stream.receiving = False
            self._drop_if_over(self._data_stream, stream)
            events.append(Ended(self._data_stream))

    def _control(self, kind: int, flags: int, body: bytes, events: list[Event]) -> None:
        try:
            match kind:
                case 1:  # SYN_STREAM
                    self._opened(flags, body, events)
                case 2 | 8:  # SYN_REPLY, HEADERS: read, because each block changes the state of decompression
                    self._reader.read(body[4:])
                case 3:  # RST_STREAM
                    (stream,) = struct.unpack_from(">I", body)
                    if self._streams.pop(stream, None) is not None:
                        events.append(Reset(stream))
                case 6:  # PING: the client's have odd numbers and are sent back as they are
                    (number,) = struct.unpack_from(">I", body)
                    if number & 1:
                        self._answers.append(_control(PING, 0, body[:4]))
                case 7:  # GOAWAY
                    events.append(GoneAway())
                case _:  # SETTINGS, WINDOW_UPDATE, and what a later revision may bring: nothing follows from them
                    pass
        except struct.error:
            raise Broken(f"a control frame of kind {kind} that is too short") from None
        except headerblock.Malformed as e:
            raise Broken(str(e)) from None

    def _opened(self, flags: int, body: bytes, events: list[Event]) -> None:
        stream = struct.unpack_from(">I", body)[0] & 0x7FFFFFFF
        headers = self._reader.read(body[10:])
        if stream % 2 == 0 or stream <= self._last:
            raise Broken(f"stream {stream} after stream {self._last}")
        self._last = stream
        if len(self._streams) >= MOST_STREAMS:
            self._answers.append(_reset(stream, REFUSED))
            return
        ended = bool(flags & FIN)
        self._streams[stream] = _Stream(receiving=not ended, sending=not flags & UNIDIRECTIONAL)
        events.append(Opened(stream, headers, ended))

    # --- sending

    def reply(self, stream: int) -> bytes:
        """Accept a stream."""
        if stream not in self._streams:
            return b""
        return _control(SYN_REPLY, 0, struct.pack(">I", stream) + self._writer.write({}))

    def data(self, stream: int, data: bytes) -> bytes:
        """Bytes on a stream; nothing for a stream that the client does not listen to any more."""
        state = self._streams.get(stream)
        if state is None or not state.sending:
            return b""
        parts = [data[i : i + 0xFFFFFF] for i in range(0, len(data), 0xFFFFFF)]
        return b"".join(_HEAD.pack(stream, len(part)) + part for part in parts)

    def end(self, stream: int) -> bytes:
        """No more is sent on the stream."""
        state = self._streams.get(stream)
        if state is None or not state.sending:
            return b""
        state.sending = False
        self._drop_if_over(stream, state)
        return _HEAD.pack(stream, FIN << 24)

    def reset(self, stream: int, status: int = CANCEL) -> bytes:
        """Give a stream up, both ways."""
        if self._streams.pop(stream, None) is None:
            return b""
        return _reset(stream, status)

    def close(self) -> bytes:
        """Say that it is over."""
        return _control(GOAWAY, 0, struct.pack(">II", self._last, 0))

    def _drop_if_over(self, stream: int, state: _Stream) -> None:
        if not state.receiving and not state.sending:
            del self._streams[stream]


def _control(kind: int, flags: int, body: bytes) -> bytes:
    return _HEAD.pack(_CONTROL | VERSION << 16 | kind, flags << 24 | len(body)) + body


def _reset(stream: int, status: int) -> bytes:
    return _control(RST_STREAM, 0, struct.pack(">II", stream, status))
