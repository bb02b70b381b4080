"""Which fields of a kind can be selected by `fieldSelector`, and the reading of exactly those from stored bytes.

Every kind knows `metadata.name` and, when namespaced, `metadata.namespace`; built-in kinds know upstream's further
labels, custom kinds those of `selectableFields`. Anything else is 400 with upstream's text.
A *facet* is what a selector reads of an object: its labels and the selected fields, decoded by a narrow Struct made
for them, which skips the rest of the object.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from fairlead.apiserver.catalog import Served
from fairlead.base import errors

_POD = (
    "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
    "status.phase", "status.podIP", "status.nominatedNodeName",
)  # fmt: skip
_EVENT = (
    "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
    "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath",
    "reason", "reportingComponent", "source", "type",
)  # fmt: skip
_REGARDING = tuple(label.replace("involvedObject", "regarding") for label in _EVENT if label.startswith("involved"))
_BUILT_IN: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("", "pods"): _POD,
    ("", "events"): _EVENT,
    ("events.k8s.io", "events"): (*_REGARDING, "reason", "reportingController", "type"),
    ("apps", "replicasets"): ("status.replicas",),
    ("", "nodes"): ("spec.unschedulable",),
    ("", "namespaces"): ("status.phase",),
    ("", "secrets"): ("type",),
    ("", "services"): ("spec.clusterIP", "spec.type"),
    ("batch", "jobs"): ("status.successful",),
}
_STORED_AT = {
    ("", "events"): {"source": "source.component"},
    ("events.k8s.io", "events"): {
        **{label: label.replace("regarding", "involvedObject") for label in _REGARDING},
        "reportingController": "reportingComponent",
    },
    ("batch", "jobs"): {"status.successful": "status.succeeded"},
}
_UNSET = {"spec.unschedulable": "false", "spec.hostNetwork": "false", "status.successful": "0", "status.replicas": "0"}

_NONE: Mapping[str, str] = {}

Labels = Mapping[str, str]
Facet = tuple[Labels, Mapping[str, str]]


def known(served: Served) -> tuple[str, ...]:
    """The field labels of a kind."""
    resource = served.resource
    own = ("metadata.name", "metadata.namespace") if resource.namespaced else ("metadata.name",)
    if served.crd is None:
        return own + _BUILT_IN.get((resource.group, resource.plural), ())
    return own + tuple(path.lstrip(".") for path in served.selectable)


def require(served: Served, label: str) -> None:
    """400 unless `label` is one of the kind's."""
    if label not in known(served):
        raise errors.bad_request(f"field label not supported: {label}")


def reader(served: Served, labels: tuple[str, ...]) -> Callable[[bytes], Facet]:
    """A function from an object's bytes to its facet with these field labels (each one must be `known`)."""
    moved = _STORED_AT.get((served.resource.group, served.resource.plural), {})
    paths = {label: tuple(moved.get(label, label).split(".")) for label in labels}
    decode = msgspec.json.Decoder(_struct((("metadata", "labels"), *paths.values()))).decode
    own, members = _members(("metadata", "labels")), {label: _members(path) for label, path in paths.items()}

    def read(data: bytes) -> Facet:
        decoded = decode(data)
        values = {label: _text(_at(decoded, path), label) for label, path in members.items()} if members else _NONE
        return _at(decoded, own) or _NONE, values

    return read


def _struct(paths: tuple[tuple[str, ...], ...]) -> Any:
    """A Struct type with optional fields at these paths, everything else skipped."""
    heads = dict.fromkeys(path[0] for path in paths)
    members: list[tuple[str, Any, Any]] = []
    for head in heads:
        tails = tuple(path[1:] for path in paths if path[0] == head and len(path) > 1)
        members.append((f"f_{_identifier(head)}", (_struct(tails) | None) if tails else Any, None))
    rename = {f"f_{_identifier(head)}": head for head in heads}
    return msgspec.defstruct("Facet", members, rename=rename)


def _identifier(name: str) -> str:
    return name if name.isidentifier() else "x" + name.encode().hex()


def _members(path: tuple[str, ...]) -> tuple[str, ...]:
    """The names that a path has in the Struct."""
    return tuple(f"f_{_identifier(name)}" for name in path)


def _at(value: Any, members: tuple[str, ...]) -> Any:
    for name in members:
        if value is None:
            return None
        value = getattr(value, name)
    return value


def _text(value: Any, label: str) -> str:
    if value is None:
        return _UNSET.get(label, "")
    if value is True or value is False:
        return "true" if value else "false"
    return str(value)
