"""core/v1 ResourceQuota: keeps `status.used`, what a namespace's objects take of its quotas.

Admission refuses what would be too much, and counts for itself; this is for people and their tools. Custom kinds are
counted by admission only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from fairlead.api import apps, batch, core
from fairlead.api.core import ResourceQuota, ResourceQuotaStatus
from fairlead.api.meta import Object, Resource
from fairlead.machinery import quotas
from fairlead.machinery.quantity import ZERO, Quantity
from fairlead.reconcile import status as statuses
from fairlead.reconcile.reconciler import Change, Controller, Selected, SetStatus, View

_SIMPLY = (
    core.CONFIG_MAPS, core.SECRETS, core.REPLICATION_CONTROLLERS, core.QUOTAS, apps.DEPLOYMENTS, apps.REPLICA_SETS,
    apps.STATEFUL_SETS, batch.JOBS, batch.CRON_JOBS,
)  # fmt: skip
"""Kinds of which only the number counts: their metadata is enough."""
COUNTED: tuple[Resource[Any], ...] = (
    core.PODS, core.SERVICES, core.CLAIMS, *(kind.seen_as(Object) for kind in _SIMPLY),
)  # fmt: skip


def reconcile(view: View[ResourceQuota]) -> Sequence[Change]:
    """See the module's text."""
    quota = view.object
    if quota is None or quota.metadata.deleting:
        return []
    spec = msgspec.to_builtins(quota.spec)
    used: dict[str, Quantity] = dict.fromkeys(quota.spec.hard, ZERO)
    for kind in COUNTED:
        used = quotas.added(used, _used(kind, view.all(kind), spec))
    status = ResourceQuotaStatus(quota.spec.hard, {name: str(amount) for name, amount in sorted(used.items())})
    written = statuses.patch(quota.status, status)
    return [SetStatus(core.QUOTAS, quota.key, written, quota.metadata.resourceVersion)] if written else []


def _used(kind: Resource[Any], objects: Iterable[Object], spec: dict[str, Any]) -> dict[str, Quantity]:
    total: dict[str, Quantity] = {}
    for obj in objects:
        plain = msgspec.to_builtins(obj)
        if quotas.concerns(spec, kind.group, kind.plural, plain):
            total = quotas.added(total, quotas.only(quotas.counts(kind.group, kind.plural, plain), spec["hard"]))
    return total


def _names(kind: Resource[Any]) -> Callable[[ResourceQuota, Object], bool]:
    """Whether a quota says anything about a kind."""
    count = f"count/{kind.qualified}"
    if kind == core.PODS:
        return lambda quota, _: any(_is_of_pods(name) for name in quota.spec.hard)
    if kind in (core.SERVICES, core.CLAIMS):
        return lambda quota, _: (
            any(kind.plural in name or name == "requests.storage" for name in quota.spec.hard)
            or (kind == core.SERVICES and any(name.startswith("services") for name in quota.spec.hard))
        )
    return lambda quota, _: count in quota.spec.hard or (not kind.group and kind.plural in quota.spec.hard)


def _is_of_pods(name: str) -> bool:
    if name in ("pods", "count/pods", "cpu", "memory", "ephemeral-storage"):
        return True
    return name.startswith(("requests.", "limits.")) and name != "requests.storage"


CONTROLLER = Controller(
    name="resourcequota-controller",
    primary=core.QUOTAS,
    reconcile=reconcile,
    links=tuple(Selected(kind, _names(kind)) for kind in COUNTED),
    embedded=True,
)
