"""Schemas of the OpenAPI documents: built-in ones from the tables, custom ones from their definitions.

Built-in schemas stay encoded: only their references are rewritten, from OpenAPI v2's place to v3's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from fairlead.apiserver import inventory
from fairlead.apiserver.catalog import Served
from fairlead.machinery import tables

META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1"
V2, V3 = "#/definitions/", "#/components/schemas/"

_REFERENCE: Final = re.compile(rb'"#/definitions/([^"]+)"')
_UNIONS: Final[dict[str, dict[str, Any]]] = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {
        "format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}],
    },
    f"{META}.Patch": {"type": "object", "description": "A patch, of the kind that its content type says."},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
}  # fmt: skip
"""What the tables do not have, because OpenAPI v2 could not say it."""

_ABOUT: Final[dict[str, str]] = {
    "ConfigMap": "Configuration data that Pods use as files or environment variables.",
    "CustomResourceDefinition": "A kind that this server shall serve: its names, its scope and its schema.",
    "Endpoints": "The addresses and ports that stand behind a Service.",
    "EndpointSlice": "Some of the addresses and ports that stand behind a Service.",
    "Event": "Something that happened to an object, for people to read.",
    "Job": "Runs Pods until a number of them has completed.",
    "Lease": "Who holds something, and until when; a node's sign of life.",
    "Namespace": "A scope for names; deleting it deletes everything in it.",
    "Node": "A machine that runs Pods.",
    "PersistentVolumeClaim": "A request for storage that outlives Pods.",
    "Pod": "Containers that run together on one node; here, each is a process.",
    "PodGroup": "Pods that are scheduled together: all that it asks for, or none.",
    "PriorityClass": "A name for a priority of Pods.",
    "Secret": "Confidential data that Pods use as files or environment variables.",
    "Service": "A name and ports for a set of Pods.",
    "ServiceAccount": "An identity for what runs in Pods.",
    "Workload": "How the Pods of one job are grouped for scheduling.",
}


def name_of(served: Served) -> str:
    """The schema's name: `io.k8s.api.batch.v1.Job`; custom kinds have their group's labels reversed."""
    resource = served.resource
    return resource.schema or ".".join([*reversed(resource.group.split(".")), resource.version, resource.kind])


def list_name(served: Served) -> str:
    """The name of the list's schema."""
    return f"{name_of(served).rpartition('.')[0]}.{inventory.list_kind(served)}"


def closure(kinds: Iterable[Served], further: Iterable[str], place: str) -> dict[str, msgspec.Raw]:
    """The schemas of the kinds and of their lists, `further` built-in ones, and all that they refer to, by name."""
    found: dict[str, bytes] = {}
    for served in kinds:
        if served.crd is None:
            _add_builtin(found, served)
        else:
            found[name_of(served)] = msgspec.json.encode(_custom(served))
        if list_name(served) not in tables.names():
            found[list_name(served)] = msgspec.json.encode(_list(served))
    waiting = list(further)
    for schema in found.values():
        waiting += _references(schema)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _builtin(name, place)
            waiting += _references(found[name])
    return {name: msgspec.Raw(_placed(found[name], place)) for name in sorted(found)}


def _add_builtin(found: dict[str, bytes], served: Served) -> None:
    name = name_of(served)
    about = _ABOUT.get(served.resource.kind)
    head = {"description": about} if about else {}
    found[name] = msgspec.json.encode(head | tables.definition(name))
    if list_name(served) in tables.names():
        found[list_name(served)] = msgspec.json.encode(tables.definition(list_name(served)))


def _builtin(name: str, place: str) -> bytes:
    if place == V3 and name in _UNIONS:
        return msgspec.json.encode(_UNIONS[name])
    return msgspec.json.encode(tables.definition(name))


def _references(schema: bytes) -> list[str]:
    return [name.decode() for name in _REFERENCE.findall(schema)]


def _placed(schema: bytes, place: str) -> bytes:
    return schema if place == V2 else _REFERENCE.sub(rb'"' + place.encode() + rb'\1"', schema)


def _custom(served: Served) -> dict[str, Any]:
    schema: dict[str, Any] = dict(served.structure.node)
    schema["type"] = "object"
    schema["properties"] = dict(schema.get("properties") or {}) | {
        "apiVersion": {"type": "string", "description": "Group and version of the schema that the object follows."},
        "kind": {"type": "string", "description": "The kind of the object."},
        "metadata": {"$ref": f"{V2}{META}.ObjectMeta"},
    }
    schema["x-kubernetes-group-version-kind"] = [_gvk(served, served.resource.kind)]
    return schema


def _list(served: Served) -> dict[str, Any]:
    return {
        "type": "object", "required": ["items"], "description": f"A list of {served.resource.kind} objects.",
        "properties": {
            "apiVersion": {"type": "string"}, "kind": {"type": "string"},
            "metadata": {"$ref": f"{V2}{META}.ListMeta"},
            "items": {"type": "array", "items": {"$ref": f"{V2}{name_of(served)}"}},
        },
        "x-kubernetes-group-version-kind": [_gvk(served, inventory.list_kind(served))],
    }  # fmt: skip


def _gvk(served: Served, kind: str) -> dict[str, str]:
    return {"group": served.resource.group, "version": served.resource.version, "kind": kind}
