"""Package data: the built-in kinds' schemas, the bundled CustomResourceDefinitions, the stock runtimes.

The files are made by `tools/derive_tables.py` and `tools/derive_crds.py`. Each is read when it is first asked for;
a definition is decoded when it is first asked for.
"""

from __future__ import annotations

import lzma
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import msgspec
import yaml

from fairlead.machinery import compiled
from fairlead.machinery.structure import Structure

OBJECT_META = compiled.EMBEDDED_META


def definition(name: str) -> dict[str, Any]:
    """The OpenAPI v2 definition of that name, for instance `io.k8s.api.batch.v1.Job`. KeyError when unknown."""
    found: dict[str, Any] = msgspec.json.decode(_schemas()[name])
    return found


def names() -> tuple[str, ...]:
    """The names of all definitions."""
    return tuple(_schemas())


@cache
def structure(name: str) -> Structure:
    """The (typed) Structure of a built-in definition; the same one each time."""
    return compiled.compile(definition(name), structure, name)


def custom(schema: Mapping[str, Any]) -> Structure:
    """The Structure of a custom kind's `openAPIV3Schema`, with apiVersion, kind and metadata added.

    What the schema says of metadata.name is kept beside, in the root's `node`.
    """
    text = {"type": "string"}
    properties = {"apiVersion": text, "kind": text} | dict(schema.get("properties", {}))
    properties["metadata"] = {"$ref": compiled.REFERENCE + OBJECT_META}
    root = compiled.compile({"type": "object", **schema, "properties": properties}, structure)
    root.node = {"type": "object", **schema}
    return root


@cache
def protobuf() -> dict[str, Any]:
    """Go types to the fields of their protobuf messages: `{imports, fields}` or `{alias}`."""
    found: dict[str, Any] = msgspec.json.decode(_unpacked("protobuf.json.xz"))
    return found


def bundled_crds() -> list[dict[str, Any]]:
    """The CustomResourceDefinitions that every server starts with. A fresh list each time."""
    found: list[dict[str, Any]] = msgspec.json.decode(_unpacked("crds.json.xz"))
    return found


def stock_runtimes() -> list[dict[str, Any]]:
    """The ClusterTrainingRuntimes that every server starts with."""
    return list(yaml.load_all(_bytes("runtimes.yaml"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


@cache
def _schemas() -> dict[str, msgspec.Raw]:
    return msgspec.json.decode(_unpacked("schemas.json.xz"), type=dict[str, msgspec.Raw])


def _unpacked(name: str) -> bytes:
    return lzma.decompress(_bytes(name))


def _bytes(name: str) -> bytes:
    return (resources.files("fairlead") / "data" / name).read_bytes()
