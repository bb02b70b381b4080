"""Tables: what `kubectl get` prints is made by the server (`meta.k8s.io/v1 Table`).

A table is a pure function of objects and `now`. Kinds have printers (`pods`, `cluster`), custom kinds those of their
definition (`custom`), all others name and age.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from fairlead.apiserver.catalog import Served
from fairlead.apiserver.table import access, cluster, custom, networks, pods, workloads
from fairlead.apiserver.table.printer import Plain, Printer

Include = Literal["None", "Metadata", "Object"]
Version = Literal["v1", "v1beta1"]

_PRINTERS = {
    ("", "pods"): pods.PODS, ("batch", "jobs"): pods.JOBS,
    **cluster.PRINTERS, **access.PRINTERS, **workloads.PRINTERS, **networks.PRINTERS,
}  # fmt: skip


def table(
    served: Served,
    objects: Sequence[Plain],
    *,
    now: float,
    include: Include = "Metadata",
    version: Version = "v1",
    metadata: Mapping[str, Any] | None = None,
    headers: bool = True,
) -> dict[str, Any]:
    """The Table of a list, of one object, or of a watch's event.

    `metadata` is the list's (resourceVersion, continue, …); of one object, its own resourceVersion stands in.
    `headers=False` leaves the column definitions out: a watch sends them with its first event only.
    """
    printer = printer_of(served)
    api_version = f"meta.k8s.io/{version}"
    if metadata is None:
        metadata = _revision(objects)
    return {
        "kind": "Table", "apiVersion": api_version, "metadata": metadata,
        "columnDefinitions": [c.as_dict() for c in printer.columns] if headers else [],
        "rows": [_row(served, printer, obj, include, api_version, now) for obj in objects],
    }  # fmt: skip


def printer_of(served: Served) -> Printer:
    """How the kind's objects become rows."""
    resource = served.resource
    if served.crd is not None:
        return custom.columns(served.columns)
    return _PRINTERS.get((resource.group, resource.plural), cluster.GENERIC)


def _row(
    served: Served, printer: Printer, obj: Plain, include: Include, api_version: str, now: float
) -> dict[str, Any]:
    row: dict[str, Any] = {"cells": printer.cells(obj, now)}
    if printer.conditions is not None and (conditions := printer.conditions(obj)):
        row["conditions"] = conditions
    match include:
        case "None":
            row["object"] = None
        case "Object":
            resource = served.resource
            row["object"] = {"kind": resource.kind, "apiVersion": resource.api_version, **obj}
        case _:
            row["object"] = {
                "kind": "PartialObjectMetadata", "apiVersion": api_version, "metadata": obj["metadata"]
            }  # fmt: skip
    return row


def _revision(objects: Sequence[Plain]) -> dict[str, Any]:
    revision = objects[0]["metadata"].get("resourceVersion") if len(objects) == 1 else None
    return {"resourceVersion": revision} if revision else {}
