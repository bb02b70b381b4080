"""grpchealth: one gRPC health check (grpc.health.v1.Health/Check) as bytes: what to send, what is answered. Sans-IO.

A gRPC library would be a large dependency for one unary call without TLS. What is needed of HTTP/2 (RFC 9113) is small:
the preface, empty settings, one request whose headers are literals (RFC 7541, 6.2.2: nothing is indexed, nothing is
Huffman-coded), and of the answer only its DATA frames; that the answer's own headers may be coded does not matter,
because a health status is in DATA or not there at all.
"""

from __future__ import annotations

import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GO_AWAY = 0, 1, 3, 4, 6, 7
_END_STREAM, _ACK, _END_HEADERS, _PADDED = 1, 1, 4, 8
_METHOD_POST, _SCHEME_HTTP, _PATH, _AUTHORITY, _CONTENT_TYPE = 0x83, 0x86, 4, 1, 31
"""RFC 7541, appendix A."""
SERVING = 1
NAMES = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}


def _frame(kind: int, flags: int, stream: int, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body))[1:] + struct.pack(">BBI", kind, flags, stream) + body


def _integer(value: int, bits: int, first: int = 0) -> bytes:
    """RFC 7541, 5.1."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([first | value])
    value -= limit
    out = [first | limit]
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _text(value: str) -> bytes:
    data = value.encode()
    return _integer(len(data), 7) + data


def _literal(name: int | str, value: str) -> bytes:
    return (_integer(name, 4) if isinstance(name, int) else b"\0" + _text(name)) + _text(value)


def request(authority: str, service: str, agent: str) -> bytes:
    """All that is sent to begin with."""
    headers = bytes([_METHOD_POST, _SCHEME_HTTP]) + b"".join((
        _literal(_PATH, "/grpc.health.v1.Health/Check"), _literal(_AUTHORITY, authority),
        _literal(_CONTENT_TYPE, "application/grpc"), _literal("te", "trailers"), _literal("user-agent", agent),
    ))  # fmt: skip
    name = service.encode()
    message = b"\x0a" + _integer(len(name), 7) + name if name else b""
    body = struct.pack(">BI", 0, len(message)) + message
    return (
        PREFACE
        + _frame(_SETTINGS, 0, 0)
        + _frame(_HEADERS, _END_HEADERS, 1, headers)
        + _frame(_DATA, _END_STREAM, 1, body)
    )


class Answer:
    """Takes what comes from the server. `over` once nothing more is needed; then `status` is the health or None."""

    def __init__(self) -> None:
        self._raw, self._message = b"", b""
        self.over = False
        self.status: int | None = None

    def receive(self, data: bytes) -> bytes:
        """Bytes from the server (none: it has closed). Answers what to send back."""
        self._raw += data
        self.over = self.over or not data
        back = b""
        while len(self._raw) >= 9 and not self.over:
            size = int.from_bytes(self._raw[:3], "big")
            if len(self._raw) < 9 + size:
                break
            kind, flags, stream = struct.unpack(">BBI", self._raw[3:9])
            body, self._raw = self._raw[9 : 9 + size], self._raw[9 + size :]
            back += self._take(kind, flags, stream, body)
        return back

    def _take(self, kind: int, flags: int, stream: int, body: bytes) -> bytes:
        if kind == _SETTINGS and not flags & _ACK:
            return _frame(_SETTINGS, _ACK, 0)
        if kind == _PING and not flags & _ACK:
            return _frame(_PING, _ACK, 0, body)
        if kind in (_RESET, _GO_AWAY):
            self.over = True
        if stream == 1 and kind == _DATA:
            self._message += body[1 : len(body) - body[0]] if flags & _PADDED else body
            self._read()
        if stream == 1 and kind in (_DATA, _HEADERS) and flags & _END_STREAM:
            self.over = True
        return b""

    def _read(self) -> None:
        """A length-prefixed HealthCheckResponse: field 1 is the status; 0 is not written."""
        if len(self._message) < 5:
            return
        compressed, size = struct.unpack(">BI", self._message[:5])
        message = self._message[5 : 5 + size]
        if compressed or len(message) < size:
            return
        self.status = message[1] if size >= 2 and message[0] == 0x08 else 0
        self.over = True


def verdict(answer: Answer) -> tuple[bool, str]:
    """Healthy or not, and what to say of it."""
    if answer.status is None:
        return False, "the server gave no health status: it does not serve grpc.health.v1.Health, or not this service"
    name = NAMES.get(answer.status, str(answer.status))
    return answer.status == SERVING, "" if answer.status == SERVING else f'service unhealthy (responded with "{name}")'
