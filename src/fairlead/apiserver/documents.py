"""Documents derived from the catalog: discovery and OpenAPI. Encoded once for each generation of the catalog.

A document is a pure function of the catalog, so it is kept until `catalog.generation` changes, with an ETag that
lets clients (kubectl keeps discovery for hours) ask whether it did.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

from fairlead.apiserver.catalog import Catalog

JSON = "application/json"


class Document(msgspec.Struct, frozen=True):
    """An encoded answer: its bytes, its content type, and the ETag of its bytes (without the quotes)."""

    body: bytes
    media: str
    etag: str

    def headers(self) -> dict[str, str]:
        """Headers of the answer. `Vary`, because the form depends on what the client accepts."""
        return {"Content-Type": self.media, "ETag": f'"{self.etag}"', "Vary": "Accept", "Cache-Control": "public"}

    def matches(self, if_none_match: str) -> bool:
        """True when the client has this document already: answer 304."""
        return any(tag.strip().removeprefix("W/").strip('"') == self.etag for tag in if_none_match.split(","))


def encoded(body: bytes, media: str) -> Document:
    """A document of these bytes."""
    return Document(body, media, hashlib.sha256(body).hexdigest()[:32].upper())


def json(value: Any, media: str = JSON) -> Document:
    """A document of this value."""
    return encoded(msgspec.json.encode(value), media)


class Shelf:
    """Documents by name, thrown away when the catalog changes."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._generation = catalog.generation
        self._documents: dict[str, Document | None] = {}

    def get(self, name: str, make: Callable[[], Document | None]) -> Document | None:
        """The document called `name`, made now if it is not on the shelf. None stands for "there is none"."""
        if self._generation != self._catalog.generation:
            self._documents.clear()
            self._generation = self._catalog.generation
        if name not in self._documents:
            document = make()
            if document is None:
                return None
            self._documents[name] = document
        return self._documents[name]
