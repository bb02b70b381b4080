"""OpenAPI v2 as kubectl 1.27 and 1.28 want it: a protobuf message, of which they read one thing.

Before they leave validation to the server they look whether the PATCH of the object's kind takes `fieldValidation`.
So the document has one such operation for each kind and no schemas (which they then take from their own types).
Field numbers: `OpenAPIv2.proto` of google/gnostic. The content type has no `@`, which Go's mime parser refuses.
"""

from __future__ import annotations

from collections.abc import Sequence

MEDIA = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"


def document(kinds: Sequence[tuple[str, str, str]], title: str, version: str) -> bytes:
    """The document. `kinds` are (group, version, kind)."""
    info = _text(1, title) + _text(2, version)
    paths = b"".join(_message(2, _path(index, *gvk)) for index, gvk in enumerate(kinds))
    return _text(1, "2.0") + _message(2, info) + _message(8, paths)


def _path(index: int, group: str, version: str, kind: str) -> bytes:
    query = _text(2, "query") + _text(4, "fieldValidation") + _text(6, "string")
    parameter = _message(1, _message(2, _message(3, query)))
    yaml = f"group: {group!r}\nkind: {kind}\nversion: {version}\n"
    extension = _text(1, "x-kubernetes-group-version-kind") + _message(2, _text(2, yaml))
    operation = _message(8, parameter) + _message(13, extension)
    return _text(1, f"/{index}") + _message(2, _message(8, operation))


def _text(number: int, text: str) -> bytes:
    return _message(number, text.encode())


def _message(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
