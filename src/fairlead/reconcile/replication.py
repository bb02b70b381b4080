"""Replication: keeps so many Pods of one template. What ReplicaSet and ReplicationController do alike. Pure.

Pods on their way out do not count, so a replacement does not wait for them. Leaves to others: rolling from one template
to the next (Deployment), the Pods of a set that is gone (garbage collector).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from fairlead.api import apps, core
from fairlead.api.core import Pod
from fairlead.api.meta import Object, Resource
from fairlead.machinery.selector import LabelSelector
from fairlead.reconcile import pods as claims
from fairlead.reconcile import status as statuses
from fairlead.reconcile.reconciler import Change, Create, Delete, Record, SetStatus, WakeAt

BURST = 500
"""At most so many Pods are made or deleted at a time."""


class Wanted(msgspec.Struct, frozen=True):
    """What a set wants, whichever its kind."""

    resource: Resource[Any]
    owner: Object
    selector: LabelSelector
    template: Mapping[str, Any]
    replicas: int
    min_ready_seconds: int = 0


def reconcile(wanted: Wanted, found: Sequence[Pod], status: Any, now: float) -> list[Change]:
    """What has to be done; `found` are the set's Pods and those that it may adopt, `status` what it says now."""
    living = [p for p in found if not p.finished]
    ours, changes = claims.claim(wanted.resource, wanted.owner, wanted.selector, core.PODS, living)
    active = [p for p in ours if claims.is_active(p)]
    if not wanted.owner.metadata.deleting:
        changes.extend(_balance(wanted, active, found, now))
    new = _status(wanted, ours, active, status, now)
    written = statuses.patch(status, new)
    if written:
        meta = wanted.owner.metadata
        changes.insert(0, SetStatus(wanted.resource, wanted.owner.key, written, meta.resourceVersion))
    due = claims.next_available(active, wanted.min_ready_seconds, now)
    return [*changes, *([WakeAt(due)] if due is not None else ())]


def _balance(wanted: Wanted, active: Sequence[Pod], found: Sequence[Pod], now: float) -> Iterator[Change]:
    missing = wanted.replicas - len(active)
    if missing > 0:
        taken = {p.metadata.name for p in found}
        for _ in range(min(missing, BURST)):
            name = claims.free_name(wanted.owner, taken)
            taken.add(name)
            yield Create(core.PODS, claims.from_template(wanted.template, wanted.resource, wanted.owner, name))
            yield _tell(wanted, "SuccessfulCreate", f"Created pod: {name}")
    elif missing < 0:
        for pod in claims.in_order_of_deletion(active, active, now)[: min(-missing, BURST)]:
            yield Delete(core.PODS, pod.key, pod.metadata.uid)
            yield _tell(wanted, "SuccessfulDelete", f"Deleted pod: {pod.metadata.name}")


def _tell(wanted: Wanted, reason: str, message: str) -> Record:
    return Record(wanted.resource, wanted.owner, "Normal", reason, message)


def _status(wanted: Wanted, ours: Sequence[Pod], active: Sequence[Pod], status: Any, now: float) -> Any:
    labels = ((wanted.template.get("metadata") or {}).get("labels") or {}).items()
    times = [claims.available_from(p, wanted.min_ready_seconds) for p in active]
    fields: dict[str, Any] = {
        "replicas": len(active),
        "fullyLabeledReplicas": sum(1 for p in active if labels <= p.metadata.labels.items()),
        "readyReplicas": sum(1 for t in times if t is not None),
        "availableReplicas": sum(1 for t in times if t is not None and t <= now),
        "observedGeneration": wanted.owner.metadata.generation,
    }
    if isinstance(status, apps.ReplicaSetStatus):
        fields["terminatingReplicas"] = sum(1 for p in ours if p.metadata.deleting)
    return msgspec.structs.replace(status, **fields)
