"""Node lifecycle: what follows when a node's agent falls silent, or says that its node is not ready.

An agent renews the Lease of its node (namespace `kube-node-lease`). One that has not done so for `GRACE` seconds is
silent: the node's conditions become Unknown, its Pods' Ready condition False, and it gets the taints
`node.kubernetes.io/unreachable`; a node that says Ready=False gets `node.kubernetes.io/not-ready`. Both go when it is
ready again. A Pod that does not tolerate a NoExecute taint (any, whoever set it) is deleted, when its toleration ends
if it has one for a time. Pods bound to a node that does not exist any more are removed at once.

Silence counts from the controller's own start at the earliest, so that agents that were stopped together with it have
time to come back; and nobody is evicted for a silence that is over, though the node has not reported its state yet.
Renewal times are those of the agents' clocks, which must agree with the server's to within some seconds.
Each step is decided on the one before as stored, so at most one write per reconcile touches the Node.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from fairlead.api import coordination, core
from fairlead.api.coordination import Lease
from fairlead.api.core import Node, Pod, Taint, Toleration
from fairlead.api.meta import Condition, Key
from fairlead.base import timestamp
from fairlead.reconcile.reconciler import (
    Absent,
    Change,
    Controller,
    Delete,
    Keyed,
    Patch,
    Record,
    SetStatus,
    View,
    WakeAt,
)

LEASE_NAMESPACE = "kube-node-lease"
GRACE = 40.0
NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
_OURS = (NOT_READY, UNREACHABLE)
_EFFECTS = ("NoSchedule", "NoExecute")
_REPORTED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
_SILENT = ("NodeStatusUnknown", "Kubelet stopped posting node status.")


def _lease_of(lease: Lease) -> Iterable[Key]:
    if lease.metadata.namespace == LEASE_NAMESPACE:
        yield Key("", lease.metadata.name)


def _node_of(pod: Pod) -> Iterable[Key]:
    if pod.spec.nodeName:
        yield Key("", pod.spec.nodeName)


def reconcile(view: View[Node]) -> Sequence[Change]:
    node, pods = view.object, view.all(core.PODS)
    if node is None:
        gone = (Absent(core.NODES, view.key),)
        return [Delete(core.PODS, p.key, p.metadata.uid, grace_seconds=0, absent=gone) for p in pods]
    heard = _heard(node, view.find(coordination.LEASES, Key(LEASE_NAMESPACE, node.metadata.name)))
    deadline = max(heard, view.started) + GRACE
    silent = view.now >= deadline
    wake: list[Change] = [] if silent else [WakeAt(deadline)]
    if silent and (step := _fall_silent(node, pods, view.now)):
        return step
    wanted = list(_taints(node, _trouble(node)))
    timeless = any(t.effect == "NoExecute" and not t.timeAdded for t in wanted)
    if timeless or {(t.key, t.effect) for t in node.spec.taints} != {(t.key, t.effect) for t in wanted}:
        return [_taint(node, wanted, view.now), *wake]
    taints = [t for t in node.spec.taints if t.effect == "NoExecute" and (silent or t.key != UNREACHABLE)]
    return [*wake, *_evict(taints, pods, view.now)]


def _heard(node: Node, lease: Lease | None) -> float:
    """When the agent was last heard of; a node without a Lease counts from its creation."""
    text = (lease.spec.renewTime if lease is not None else None) or node.metadata.creationTimestamp
    return timestamp.parse(text) if text else 0.0


def _trouble(node: Node) -> str:
    """The taint that the node's Ready condition calls for; none if it is ready."""
    ready = next((c for c in node.status.conditions if c.type == "Ready"), None)
    if ready is not None and ready.status == "Unknown":
        return UNREACHABLE
    return "" if ready is not None and ready.status == "True" else NOT_READY


def _fall_silent(node: Node, pods: Sequence[Pod], now: float) -> Sequence[Change]:
    """Write down that nothing is known of the node, and that its Pods cannot be relied on."""
    conditions = {c.type: c for c in node.status.conditions}
    missing = ["Ready"] if "Ready" not in conditions else []
    stale = [t for t in _REPORTED if t in conditions and conditions[t].status != "Unknown"]
    changes: list[Change] = []
    for type_ in (*stale, *missing):
        before = conditions.get(type_, Condition(type_, ""))
        conditions[type_] = msgspec.structs.replace(
            before, status="Unknown", reason=_SILENT[0], message=_SILENT[1], lastTransitionTime=timestamp.seconds(now)
        )
    if stale or missing:
        status = {"conditions": [msgspec.to_builtins(c) for c in conditions.values()]}
        changes.append(SetStatus(core.NODES, node.key, status, node.metadata.resourceVersion))
        message = f"Node {node.metadata.name} status is now: NodeNotReady"
        changes.append(Record(core.NODES, node, "Normal", "NodeNotReady", message))
    return [*changes, *(c for pod in pods for c in _unready(pod, now))]


def _unready(pod: Pod, now: float) -> Iterator[Change]:
    ready = pod.condition("Ready")
    if ready is None or ready.status != "True":
        return
    lost = msgspec.structs.replace(
        ready, status="False", reason="NodeNotReady", lastTransitionTime=timestamp.seconds(now)
    )
    conditions = [msgspec.to_builtins(lost if c.type == "Ready" else c) for c in pod.status.conditions]
    yield SetStatus(core.PODS, pod.key, {"conditions": conditions}, pod.metadata.resourceVersion)


def _taints(node: Node, trouble: str) -> Iterator[Taint]:
    """The taints that the node should have: others' as they are, ours by its trouble."""
    yield from (t for t in node.spec.taints if t.key not in _OURS or t.effect not in _EFFECTS)
    if trouble:
        for effect in _EFFECTS:
            known = (t for t in node.spec.taints if (t.key, t.effect) == (trouble, effect))
            yield next(known, Taint(trouble, effect))


def _taint(node: Node, wanted: Sequence[Taint], now: float) -> Patch:
    """Set the taints; each NoExecute one says since when, for Pods may tolerate it for a time."""
    added = timestamp.seconds(now)
    timed = [
        msgspec.structs.replace(t, timeAdded=added) if t.effect == "NoExecute" and not t.timeAdded else t
        for t in wanted
    ]
    taints = [msgspec.to_builtins(t) for t in timed] or None
    return Patch(core.NODES, node.key, {"spec": {"taints": taints}}, node.metadata.uid, node.metadata.resourceVersion)


def _evict(taints: Sequence[Taint], pods: Sequence[Pod], now: float) -> Iterator[Change]:
    """Delete the Pods whose time under NoExecute taints is over."""
    if not taints:
        return
    for pod in pods:
        if pod.metadata.deleting or pod.finished:
            continue
        end = min(_endures(pod, taint, now) for taint in taints)
        if end <= now:
            yield Delete(core.PODS, pod.key, pod.metadata.uid)
            message = "Marking for deletion Pod " + str(pod.key)
            yield Record(core.PODS, pod, "Normal", "TaintManagerEviction", message)
        elif end != float("inf"):
            yield WakeAt(end)


def _endures(pod: Pod, taint: Taint, now: float) -> float:
    """Until when a Pod may stay under a taint."""
    matching = [t for t in pod.spec.tolerations if _tolerates(t, taint)]
    if not matching:
        return now
    limits = [t.tolerationSeconds for t in matching if t.tolerationSeconds is not None]
    if not limits:
        return float("inf")
    since = timestamp.parse(taint.timeAdded) if taint.timeAdded else now
    return since + max(0, min(limits))


def _tolerates(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect not in ("", taint.effect) or toleration.key not in ("", taint.key):
        return False
    return toleration.operator == "Exists" or (bool(toleration.key) and toleration.value == taint.value)


CONTROLLER: Controller[Node] = Controller(
    "node-lifecycle-controller",
    core.NODES,
    reconcile,
    (Keyed(coordination.LEASES, _lease_of), Keyed(core.PODS, _node_of)),
    embedded=True,
)
