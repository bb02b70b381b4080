"""Header blocks of SPDY/3.1: names and values, compressed in one zlib stream per direction with a common dictionary.

Decompression keeps state, so that every block of a connection has to be read, whether it matters or not. What a block
expands to is bounded.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

LARGEST = 64 * 1024
"""Bytes that a block may expand to."""

_NAMES = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status"
)
_MORE_NAMES = ("200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin")
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = b"".join(struct.pack(">I", len(w)) + w.encode() for w in (*_NAMES.split(), *_MORE_NAMES)) + _TAIL.encode()
"""Fixed by the protocol (SPDY/3, section 2.6.10.1); both sides name it by its Adler-32 checksum."""


class Malformed(Exception):
    """A block that is none."""


class Reader:
    """Reads the blocks of one direction, in order."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(zdict=DICTIONARY)

    def read(self, block: bytes) -> dict[str, str]:
        """Names are in lower case; several values of a name have a NUL between them. Raises Malformed."""
        try:
            plain = self._inflater.decompress(block, LARGEST + 1)
        except zlib.error as e:
            raise Malformed(str(e)) from None
        if len(plain) > LARGEST or self._inflater.unconsumed_tail:
            raise Malformed(f"a header block of more than {LARGEST} bytes")
        texts = _texts(plain)
        return dict(zip((t.lower() for t in texts[::2]), texts[1::2], strict=True))


def _texts(plain: bytes) -> list[str]:
    """Names and values by turns."""
    try:
        (count,) = struct.unpack_from(">I", plain)
        at, found = 4, []
        for _ in range(2 * min(count, len(plain))):
            (size,) = struct.unpack_from(">I", plain, at)
            text = plain[at + 4 : at + 4 + size]
            if len(text) != size:
                raise Malformed("a header block that ends within a text")
            found.append(text.decode("latin-1"))
            at += 4 + size
    except struct.error:
        raise Malformed("a header block that ends too early") from None
    return found


class Writer:
    """Writes the blocks of one direction."""

    def __init__(self) -> None:
        self._deflater = zlib.compressobj(zdict=DICTIONARY)

    def write(self, headers: Mapping[str, str]) -> bytes:
        """One block."""
        parts = [struct.pack(">I", len(headers))]
        for text in (t for pair in headers.items() for t in pair):
            parts.append(struct.pack(">I", len(text)) + text.encode("latin-1"))
        return self._deflater.compress(b"".join(parts)) + self._deflater.flush(zlib.Z_SYNC_FLUSH)
