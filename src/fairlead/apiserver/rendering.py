"""Rendering: what is stored, as the bytes of an HTTP answer in the form that the client asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fairlead.apiserver import encoding, inventory, table
from fairlead.apiserver.catalog import Served
from fairlead.apiserver.negotiation import Form
from fairlead.apiserver.table import Include

Plain = dict[str, Any]


def one(served: Served, value: bytes, form: Form, include: Include, now: float) -> bytes:
    """One object."""
    match form.kind:
        case "object":
            return value
        case "table":
            objects = [encoding.decode(value)]
            return encoding.encode(table.table(served, objects, now=now, include=include, version=form.version))
        case "metadata":
            return encoding.encode(_partial(encoding.decode(value), form))


def many(served: Served, values: Sequence[bytes], metadata: Plain, form: Form, include: Include, now: float) -> bytes:
    """A list."""
    match form.kind:
        case "object":
            return encoding.listing(served.resource.api_version, inventory.list_kind(served), metadata, list(values))
        case "table":
            objects = [encoding.decode(value) for value in values]
            whole = table.table(served, objects, now=now, include=include, version=form.version, metadata=metadata)
            return encoding.encode(whole)
        case "metadata":
            items = [encoding.encode(_partial(encoding.decode(value), form)) for value in values]
            return encoding.listing(f"meta.k8s.io/{form.version}", "PartialObjectMetadataList", metadata, items)


def bookmark(served: Served, revision: int, form: Form, *, ends_initial: bool = False) -> bytes:
    """The object of a BOOKMARK event: nothing but a revision, in the kind that the client's other events have."""
    metadata: Plain = {"resourceVersion": str(revision), "creationTimestamp": None}
    if ends_initial:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    plain = {"kind": served.resource.kind, "apiVersion": served.resource.api_version, "metadata": metadata}
    match form.kind:
        case "object":
            return encoding.encode(plain)
        case "table":
            row = {"cells": [], "object": _partial(plain, form)}
            whole = table.table(served, [], now=0.0, version=form.version, metadata=metadata, headers=False)
            return encoding.encode({**whole, "rows": [row]})
        case "metadata":
            return encoding.encode(_partial(plain, form))


def _partial(obj: Plain, form: Form) -> Plain:
    return {
        "kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{form.version}", "metadata": obj["metadata"],
    }  # fmt: skip
