"""Bootstrap: what every server has from its first start on: namespaces, priority classes, the bundled definitions.

Objects are created where they are missing and never changed: what a user has edited stays edited.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fairlead.api.apiextensions import CRDS
from fairlead.api.core import NAMESPACES
from fairlead.api.meta import Resource
from fairlead.api.scheduling import PRIORITY_CLASSES
from fairlead.apiserver import identity, state, writes
from fairlead.apiserver.state import Api, Call, Plain
from fairlead.machinery import tables

SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
MANAGER = "fairlead-bootstrap"


async def fill(api: Api) -> None:
    """Create what is missing."""
    for name in SYSTEM_NAMESPACES:
        await _ensure(api, NAMESPACES, {"metadata": {"name": name}})
    for obj in _priority_classes():
        await _ensure(api, PRIORITY_CLASSES, obj)
    for definition in tables.bundled_crds():
        await _ensure(api, CRDS, definition)


async def _ensure(api: Api, resource: Resource[Any], obj: Plain) -> None:
    served = api.catalog.find(*resource.gvr)
    if served is None:
        raise LookupError(f"{resource.qualified} is no built-in kind")
    if api.store.get(state.place(served, "", obj["metadata"]["name"])) is None:
        await writes.create(api, Call(served, identity.LOCAL, manager=MANAGER), obj)


def _priority_classes() -> Iterable[Plain]:
    for name, value, what in (
        ("system-node-critical", 2_000_001_000, "system critical pods that must not be moved from their current node"),
        ("system-cluster-critical", 2_000_000_000, "system critical pods that must run in the cluster, on some node"),
    ):
        yield {"metadata": {"name": name}, "value": value, "description": f"Used for {what}."}
