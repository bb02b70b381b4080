"""Bootstrap: what every server has from its first start on: namespaces, priority classes, roles, bundled definitions.

Objects are created where they are missing and never changed: what a user has edited stays edited. Only the default
roles and bindings get back what was taken from them, unless they are marked not to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from fairlead.api import rbac
from fairlead.api.apiextensions import CRDS
from fairlead.api.core import NAMESPACES
from fairlead.api.meta import Resource
from fairlead.api.scheduling import PRIORITY_CLASSES
from fairlead.api.storage import LOCAL_PATH, STORAGE_CLASSES
from fairlead.apiserver import defaultroles, encoding, identity, state, writes
from fairlead.apiserver.catalog import Served
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
    await _ensure(api, STORAGE_CLASSES, _storage_class())
    await roles(api)
    for definition in tables.bundled_crds():
        await _ensure(api, CRDS, definition)


async def roles(api: Api) -> None:
    """The default roles and bindings. All at once: each waits for the disk."""
    made = [_complete(api, rbac.CLUSTER_ROLES, role, "rules") for role in defaultroles.cluster_roles()]
    bindings = defaultroles.cluster_role_bindings()
    await asyncio.gather(*made, *(_complete(api, rbac.CLUSTER_ROLE_BINDINGS, b, "subjects") for b in bindings))


async def _complete(api: Api, resource: Resource[Any], wanted: Plain, field: str) -> None:
    """Create a role or binding, or add what is missing of it."""
    served = _served(api, resource)
    entry = api.store.get(state.place(served, "", wanted["metadata"]["name"]))
    if entry is None:
        await _ensure(api, resource, wanted)
        return
    live = encoding.decode(entry.value)
    have = live.get(field) or []
    missing = [item for item in wanted.get(field) or () if item not in have]
    if missing and live["metadata"].get("annotations", {}).get(defaultroles.AUTOUPDATE) == "true":
        call = Call(served, identity.LOCAL, name=live["metadata"]["name"], manager=MANAGER)
        await writes.update(api, call, {**live, field: [*have, *missing]})


async def _ensure(api: Api, resource: Resource[Any], obj: Plain) -> None:
    served = _served(api, resource)
    if api.store.get(state.place(served, "", obj["metadata"]["name"])) is None:
        await writes.create(api, Call(served, identity.LOCAL, manager=MANAGER), obj)


def _served(api: Api, resource: Resource[Any]) -> Served:
    served = api.catalog.find(*resource.gvr)
    if served is None:
        raise LookupError(f"{resource.qualified} is no built-in kind")
    return served


def _storage_class() -> Plain:
    """Folders of the node that the first Pod of a claim is on; the default until another class is marked so."""
    marked = {"storageclass.kubernetes.io/is-default-class": "true"}
    return {
        "metadata": {"name": "local-path", "annotations": marked},
        "provisioner": LOCAL_PATH,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def _priority_classes() -> Iterable[Plain]:
    for name, value, what in (
        ("system-node-critical", 2_000_001_000, "system critical pods that must not be moved from their current node"),
        ("system-cluster-critical", 2_000_000_000, "system critical pods that must run in the cluster, on some node"),
    ):
        yield {"metadata": {"name": name}, "value": value, "description": f"Used for {what}."}
