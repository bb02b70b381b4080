"""Protobuf request bodies: decodes `application/vnd.kubernetes.protobuf` to the plain object that JSON would give."""

from __future__ import annotations

from typing import Any

MEDIA = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"


def decode(body: bytes) -> dict[str, Any]:
    """The object in a body; 400 when it is malformed or of a type that is not known."""
    raise NotImplementedError
