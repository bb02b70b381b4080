"""OpenAPI: `/openapi/v3` (an index, and a document for each group and version) and `/openapi/v2`.

Documents are made when they are asked for. The index must not make them all, so a document's hash in the index is not
of its bytes but of what they are made from: the served kinds, and the generation of custom ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from fairlead.apiserver import documents, inventory
from fairlead.apiserver.catalog import Catalog, Served
from fairlead.apiserver.documents import Document
from fairlead.apiserver.openapi import gnostic, paths, schemas

_TITLE = "Fairlead"


class OpenAPI:
    """Answers `/openapi/…`. `version` is the server's (`gitVersion`)."""

    def __init__(self, catalog: Catalog, version: str = "v1.36.0") -> None:
        self._catalog, self._version = catalog, version
        self._shelf = documents.Shelf(catalog)

    def document(self, path: str, accept: str = "") -> Document | None:
        """The answer at `path`; None when there is no such document."""
        match path.strip("/").split("/"):
            case ["openapi", "v3"]:
                return self._shelf.get("v3", self._index)
            case ["openapi", "v3", "api", version]:
                return self._of("", version)
            case ["openapi", "v3", "apis", group, version] if group:
                return self._of(group, version)
            case ["openapi", "v2"] if "protobuf" in accept:
                return self._shelf.get("v2 protobuf", self._v2_protobuf)
            case ["openapi", "v2"]:
                return self._shelf.get("v2", self._v2)
        return None

    def _of(self, group: str, version: str) -> Document | None:
        return self._shelf.get(f"v3 {group}/{version}", lambda: self._group_version(group, version))

    def _index(self) -> Document:
        served = {
            place: {"serverRelativeURL": f"/openapi/v3/{place}?hash={self._hash(group, version)}"}
            for place, group, version in self._places()
        }
        return documents.json({"paths": served})

    def _places(self) -> Iterator[tuple[str, str, str]]:
        pairs = {(g, v) for g, many in self._catalog.groups().items() for v in many}
        pairs |= {(virtual.group, virtual.version) for virtual in inventory.VIRTUAL}
        for group, version in sorted(pairs):
            yield f"apis/{group}/{version}" if group else f"api/{version}", group, version

    def _hash(self, group: str, version: str) -> str:
        digest = hashlib.sha256(self._version.encode())
        for served in inventory.in_order(self._catalog, group, version):
            digest.update(f"{served.resource.plural} {served.resource.kind} {_source(served)}\n".encode())
        return digest.hexdigest()[:32].upper()

    def _group_version(self, group: str, version: str) -> Document | None:
        kinds = inventory.in_order(self._catalog, group, version)
        virtual = [v for v in inventory.VIRTUAL if (v.group, v.version) == (group, version)]
        if not kinds and not virtual:
            return None
        operations: dict[str, Any] = {}
        further = {f"{schemas.META}.{name}" for name in ("DeleteOptions", "Status", "Patch")}
        for served in kinds:
            operations |= paths.of_kind(served)
            own = served.resource.kind
            further |= {paths.schema_of(s) for s in inventory.of(served) if s.kind != own and not s.streams}
        for one in virtual:
            operations |= paths.of_virtual(one)
            further.add(paths.schema_of(one))
        return documents.json({
            "openapi": "3.0.0", "info": {"title": _TITLE, "version": self._version},
            "paths": dict(sorted(operations.items())),
            "components": {"schemas": schemas.closure(kinds, sorted(further), schemas.V3)},
        })  # fmt: skip

    def _v2_protobuf(self) -> Document:
        kinds = [(s.resource.group, s.resource.version, s.resource.kind) for s in self._catalog.all()]
        return documents.encoded(gnostic.document(kinds, _TITLE, self._version), gnostic.MEDIA)

    def _v2(self) -> Document:
        definitions = schemas.closure(self._catalog.all(), (), schemas.V2)
        return documents.json({
            "swagger": "2.0", "info": {"title": _TITLE, "version": self._version}, "paths": {},
            "definitions": definitions,
        })  # fmt: skip


def _source(served: Served) -> str:
    if served.crd is None:
        return served.resource.schema
    metadata = served.crd.metadata
    return f"{metadata.uid} {metadata.generation}"
