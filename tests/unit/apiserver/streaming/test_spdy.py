"""SPDY/3.1: what real kubectls send, and what is sent back."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from fairlead.apiserver.streaming import headerblock, spdy
from fairlead.apiserver.streaming.spdy import Broken, Connection, Data, Ended, GoneAway, Opened, Reset

GOLDEN = Path(__file__).parents[3] / "golden" / "spdy"


def control(kind: int, body: bytes, flags: int = 0, version: int = 3) -> bytes:
    return struct.pack(">II", 0x80000000 | version << 16 | kind, flags << 24 | len(body)) + body


class Peer:
    """A client: opens streams, and reads what the server sends."""

    def __init__(self) -> None:
        self._writer, self._reader = headerblock.Writer(), headerblock.Reader()

    def open(self, stream: int, flags: int = 0, **headers: str) -> bytes:
        return control(spdy.SYN_STREAM, struct.pack(">IIH", stream, 0, 0) + self._writer.write(headers), flags)

    def read(self, data: bytes) -> list[tuple[object, ...]]:
        found: list[tuple[object, ...]] = []
        while data:
            first, second = struct.unpack_from(">II", data)
            size = second & 0xFFFFFF
            body, data = data[8 : 8 + size], data[8 + size :]
            if not first >> 31:
                found.append(("data", first, body, second >> 24))
            elif first & 0xFFFF == spdy.SYN_REPLY:
                found.append(("reply", struct.unpack_from(">I", body)[0], self._reader.read(body[4:])))
            else:
                found.append((first & 0xFFFF, *struct.unpack(f">{size // 4}I", body)))
        return found


def opened(*streams: int) -> Connection:
    connection, peer = Connection(), Peer()
    connection.receive(b"".join(peer.open(s) for s in streams))
    return connection


def test_the_dictionary_is_the_protocols() -> None:
    assert len(headerblock.DICTIONARY) == 1423
    assert zlib.adler32(headerblock.DICTIONARY) == 0xE3C6A7C2


# --- recorded ------------------------------------------------------------------------------------------------------


def recorded(name: str) -> list[spdy.Event]:
    return Connection().receive((GOLDEN / name).read_bytes())


def test_kubectl_1_27_executes_with_input() -> None:
    assert recorded("kubectl-1.27-exec-stdin.bin") == [
        Opened(1, {"streamtype": "error"}), Opened(3, {"streamtype": "stdin"}), Opened(5, {"streamtype": "stdout"}),
        Opened(7, {"streamtype": "stderr"}), Data(3, b"hello from kubectl"), Ended(3), Reset(1), Reset(5), Reset(7),
        GoneAway(),
    ]  # fmt: skip


def test_kubectl_1_29_executes_in_a_terminal_that_changes_its_size() -> None:
    assert recorded("kubectl-1.29-exec-terminal.bin") == [
        Opened(1, {"streamtype": "error"}), Opened(3, {"streamtype": "stdin"}), Opened(5, {"streamtype": "stdout"}),
        Opened(7, {"streamtype": "resize"}), Data(7, b'{"Width":100,"Height":30}\n'),
        Data(7, b'{"Width":132,"Height":50}\n'), Data(3, b"exit\n"), Reset(3), Reset(5), Reset(7), Reset(1), GoneAway(),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["kubectl-1.27-port-forward.bin", "kubectl-1.33-port-forward-tunnel.bin"])
def test_kubectls_forward_a_port(name: str) -> None:
    pair = {"port": "8080", "requestid": "0"}
    request = b"GET /w.yaml HTTP/1.1\r\nHost: localhost:18080\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n"
    assert recorded(name) == [
        Opened(1, {"streamtype": "error", **pair}), Ended(1), Opened(3, {"streamtype": "data", **pair}),
        Data(3, request), Ended(3), GoneAway(),
    ]  # fmt: skip


# --- what the server says ------------------------------------------------------------------------------------------


def test_replies_data_and_the_end_of_streams() -> None:
    connection, peer = Connection(), Peer()
    connection.receive(peer.open(1, streamType="error") + peer.open(3, streamType="data"))
    sent = [connection.reply(1), connection.reply(3), connection.data(3, b"abc"), connection.end(3)]
    assert peer.read(b"".join(sent)) == [
        ("reply", 1, {}), ("reply", 3, {}), ("data", 3, b"abc", 0), ("data", 3, b"", spdy.FIN),
    ]  # fmt: skip


def test_nothing_is_sent_on_a_stream_that_is_over() -> None:
    connection = opened(1)
    connection.end(1)
    assert (connection.data(1, b"x"), connection.end(1), connection.data(9, b"x"), connection.reset(9)) == 4 * (b"",)


def test_more_than_a_frame_holds_is_several() -> None:
    frames = Peer().read(opened(1).data(1, bytes(0xFFFFFF + 5)))
    assert [(f[0], len(f[2])) for f in frames] == [("data", 0xFFFFFF), ("data", 5)]  # type: ignore[arg-type]


def test_a_stream_ends_when_both_sides_have_ended_it() -> None:
    connection = opened(1)
    assert connection.receive(struct.pack(">II", 1, spdy.FIN << 24)) == [Ended(1)]
    assert connection.data(1, b"still") != b""
    connection.end(1)
    assert connection.receive(struct.pack(">II", 1, 3) + b"abc") == []


def test_pings_of_the_client_are_sent_back() -> None:
    connection = Connection()
    assert connection.receive(control(spdy.PING, b"\0\0\0\7") + control(spdy.PING, b"\0\0\0\x08")) == []
    assert Peer().read(connection.take()) == [(spdy.PING, 7)]
    assert connection.take() == b""


def test_a_reset_is_told_once() -> None:
    connection = opened(1)
    frame = control(spdy.RST_STREAM, struct.pack(">II", 1, spdy.CANCEL))
    assert connection.receive(frame + frame) == [Reset(1)]
    assert connection.data(1, b"x") == b""


def test_data_on_a_stream_that_was_never_opened_is_refused() -> None:
    connection = Connection()
    assert connection.receive(struct.pack(">II", 5, 3) + b"abc") == []
    assert Peer().read(connection.take()) == [(spdy.RST_STREAM, 5, spdy.INVALID_STREAM)]


def test_a_data_frame_is_told_as_it_comes() -> None:
    connection = opened(1)
    assert connection.receive(struct.pack(">II", 1, spdy.FIN << 24 | 6) + b"abc") == [Data(1, b"abc")]
    assert connection.receive(b"def") == [Data(1, b"def"), Ended(1)]


def test_frames_without_a_consequence() -> None:
    frames = control(spdy.SETTINGS, b"\0" * 4) + control(spdy.WINDOW_UPDATE, b"\0" * 8) + control(77, b"?")
    connection = Connection()
    assert connection.receive(frames) == []
    assert connection.take() == b""


def test_headers_are_read_because_they_change_what_follows() -> None:
    connection, peer = Connection(), Peer()
    block = peer._writer.write({"x": "y" * 50})
    assert connection.receive(control(spdy.HEADERS, struct.pack(">I", 1) + block)) == []
    assert connection.receive(peer.open(1, a="y" * 50)) == [Opened(1, {"a": "y" * 50})]


def test_streams_beyond_the_limit_are_refused() -> None:
    connection, peer = Connection(), Peer()
    last = 2 * spdy.MOST_STREAMS + 1
    for stream in range(1, last, 2):
        assert connection.receive(peer.open(stream))
    assert connection.receive(peer.open(last)) == []
    assert peer.read(connection.take()) == [(spdy.RST_STREAM, last, spdy.REFUSED)]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (control(spdy.PING, b"", version=2), "version 2"),
        (struct.pack(">II", 0x80030001, 0xFFFFFF), "a control frame of 16777215 bytes"),
        (control(spdy.SYN_STREAM, b"\0"), "too short"),
        (control(spdy.SYN_STREAM, struct.pack(">IIH", 1, 0, 0) + b"rubbish"), "header"),
    ],
    ids=["version", "size", "short", "block"],
)
def test_what_is_not_spdy(data: bytes, said: str) -> None:
    with pytest.raises(Broken, match=said):
        Connection().receive(data + bytes(0x200000))


def test_streams_are_numbered_upwards_and_odd() -> None:
    for numbers in ((2,), (3, 1), (1, 1)):
        connection, peer = Connection(), Peer()
        with pytest.raises(Broken, match="stream"):
            connection.receive(b"".join(peer.open(n) for n in numbers))


def test_a_block_may_not_grow_without_bounds() -> None:
    bomb = headerblock.Writer().write({"x": "0" * 10_000_000})
    assert len(bomb) < spdy.LARGEST_CONTROL
    with pytest.raises(headerblock.Malformed, match="more than"):
        headerblock.Reader().read(bomb)


@pytest.mark.parametrize("plain", [b"", b"\0\0\0\1", b"\0\0\0\1\0\0\0\5ab", b"\xff\xff\xff\xff"])
def test_blocks_that_end_too_early(plain: bytes) -> None:
    deflater = zlib.compressobj(zdict=headerblock.DICTIONARY)
    block = deflater.compress(plain) + deflater.flush(zlib.Z_SYNC_FLUSH)
    with pytest.raises(headerblock.Malformed, match="ends"):
        headerblock.Reader().read(block)
