"""Pods as the controllers that keep them running see them: alive, ready, available; made of templates, claimed, ranked.

Pure. A Pod is a controller's own by its ownerReference; the selector only says whom it takes in and lets go:
`claim` adopts Pods without a controller and releases those that it does not select any more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from fairlead.api.core import Pod
from fairlead.api.meta import Object, Resource
from fairlead.base import timestamp
from fairlead.machinery import digest
from fairlead.machinery.selector import LabelSelector
from fairlead.reconcile import ownership
from fairlead.reconcile.reconciler import Change, Patch

ObjectT = TypeVar("ObjectT", bound=Object)

COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASES = {"Pending": 0, "Unknown": 1}


# --- how a Pod is --------------------------------------------------------------------------------------------------


def is_active(pod: Pod) -> bool:
    """Neither over nor on its way out."""
    return not pod.finished and not pod.metadata.deleting


def ready_since(pod: Pod) -> float | None:
    """When it became ready; None while it is not."""
    ready = pod.condition("Ready")
    if ready is None or ready.status != "True":
        return None
    return timestamp.parse(ready.lastTransitionTime) if ready.lastTransitionTime else 0.0


def available_from(pod: Pod, min_ready_seconds: int) -> float | None:
    """When it counts as available: ready for so long; None while it is not ready."""
    since = ready_since(pod)
    return None if since is None else since + min_ready_seconds


def next_available(pods: Iterable[Pod], min_ready_seconds: int, now: float) -> float | None:
    """When the next of the Pods that are ready becomes available."""
    times = [t for p in pods if (t := available_from(p, min_ready_seconds)) is not None and t > now]
    return min(times, default=None)


# --- making one ----------------------------------------------------------------------------------------------------


def from_template(template: Mapping[str, Any], resource: Resource[Any], owner: Object, name: str) -> dict[str, Any]:
    """The Pod that a PodTemplateSpec makes, with its own containers of everything that a caller may add to."""
    meta = template.get("metadata") or {}
    metadata: dict[str, Any] = {"name": name, "namespace": owner.metadata.namespace}
    for field in ("labels", "annotations"):
        metadata[field] = dict(meta.get(field) or {})
    if meta.get("finalizers"):
        metadata["finalizers"] = list(meta["finalizers"])
    metadata["ownerReferences"] = [ownership.reference(resource, owner)]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": dict(template.get("spec") or {})}


def free_name(owner: Object, taken: set[str]) -> str:
    """`<owner>-<word>`: the first of a fixed series that no Pod has, so that a stale view repeats a name."""
    attempt = 0
    while True:
        name = f"{owner.metadata.name[:57]}-{digest.word([owner.metadata.uid, attempt])}"
        if name not in taken:
            return name
        attempt += 1


# --- whose it is ---------------------------------------------------------------------------------------------------


def claim(
    resource: Resource[Any], owner: Object, wanted: LabelSelector, kind: Resource[ObjectT], found: Sequence[ObjectT]
) -> tuple[list[ObjectT], list[Change]]:
    """Of `found`, those that are the owner's, with what has to be done for the others to become or cease to be.

    What is being adopted counts at once. A controller that is being deleted adopts and releases nothing.
    """
    ours: list[ObjectT] = []
    changes: list[Change] = []
    for obj in found:
        controller = obj.metadata.controller
        selected = wanted.matches(obj.metadata.labels)
        if controller is not None:
            if controller.uid != owner.metadata.uid:
                continue
            if selected or owner.metadata.deleting:
                ours.append(obj)
            else:
                changes.append(_owned(kind, obj, [r for r in _references(obj) if r["uid"] != owner.metadata.uid]))
        elif selected and not owner.metadata.deleting and not obj.metadata.deleting:
            ours.append(obj)
            changes.append(_owned(kind, obj, [*_references(obj), ownership.reference(resource, owner)]))
    return ours, changes


def _references(obj: Object) -> list[dict[str, Any]]:
    return [{f: getattr(o, f) for f in o.__struct_fields__} for o in obj.metadata.ownerReferences]


def _owned(kind: Resource[Any], obj: Object, references: list[dict[str, Any]]) -> Patch:
    meta = obj.metadata
    return Patch(kind, obj.key, {"metadata": {"ownerReferences": references or None}}, meta.uid, meta.resourceVersion)


# --- which goes first ----------------------------------------------------------------------------------------------


def in_order_of_deletion(pods: Sequence[Pod], peers: Sequence[Pod], now: float) -> list[Pod]:
    """Those that are missed least first: upstream's `ActivePodsWithRanks`.

    Not placed, not running, not ready, cheap to delete, crowded on a node (among `peers`), ready or alive for a
    shorter time (by powers of two, so that it is not always the newest that goes), often restarted.
    """
    crowd: dict[str, int] = {}
    for pod in peers:
        if is_active(pod) and pod.spec.nodeName:
            crowd[pod.spec.nodeName] = crowd.get(pod.spec.nodeName, 0) + 1

    def rank(pod: Pod) -> tuple[Any, ...]:
        since = ready_since(pod)
        created = timestamp.parse(pod.metadata.creationTimestamp) if pod.metadata.creationTimestamp else now
        return (
            bool(pod.spec.nodeName), _PHASES.get(pod.status.phase, 2), since is not None, _cost(pod),
            -crowd.get(pod.spec.nodeName, 0), _magnitude(now - since) if since is not None else 0,
            -_restarts(pod), _magnitude(now - created), pod.metadata.uid,
        )  # fmt: skip

    return sorted(pods, key=rank)


def _cost(pod: Pod) -> int:
    try:
        return int(pod.metadata.annotations.get(COST, "0"))
    except ValueError:
        return 0


def _restarts(pod: Pod) -> int:
    every = [*pod.status.containerStatuses, *pod.status.initContainerStatuses]
    return max((c.restartCount for c in every), default=0)


def _magnitude(seconds: float) -> int:
    return int(math.log2(seconds)) if seconds >= 1 else 0
