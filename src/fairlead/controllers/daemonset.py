"""apps/v1 DaemonSet: one Pod of a template on every node that labels and taints allow.

Decides for each node whether it needs a Pod; a Pod is pinned to its node by an affinity, and placed by the scheduler
like any other. Updates replace Pods node by node: with `maxUnavailable` the old goes first, with `maxSurge` the new one
comes first. A Pod that has failed is replaced.

Leaves to others: room (scheduler), Pods on nodes that are gone (nodes), the Pods of a set that is gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from fairlead.api import apps, core
from fairlead.api.apps import ControllerRevision, DaemonSet, DaemonSetStatus
from fairlead.api.core import Node, Pod
from fairlead.machinery import digest, selector, share
from fairlead.reconcile import placement, revisions
from fairlead.reconcile import pods as claims
from fairlead.reconcile import status as statuses
from fairlead.reconcile.reconciler import (
    Change,
    Controller,
    Create,
    Delete,
    Everywhere,
    Owned,
    Record,
    SetStatus,
    Unclaimed,
    View,
    WakeAt,
)

GENERATION = "deprecated.daemonset.template.generation"
POD_GENERATION = "pod-template-generation"


def reconcile(view: View[DaemonSet]) -> Sequence[Change]:
    """See the module's text."""
    found = view.object
    if found is None or not found.spec.selector:
        return []
    return _Pass(found, view).changes()


class _Place(msgspec.Struct):
    """A node and the set's Pods there. `runs`: needs one; `stays`: what is there may go on."""

    name: str
    runs: bool
    stays: bool
    pods: list[Pod]


class _Pass:
    """One look at one DaemonSet."""

    def __init__(self, found: DaemonSet, view: View[DaemonSet]) -> None:
        self.set, self.now = found, view.now
        wanted = selector.from_label_selector(found.spec.selector)
        self.pods, self.claims = claims.claim(apps.DAEMON_SETS, found, wanted, core.PODS, view.all(core.PODS))
        self.history: Sequence[ControllerRevision] = view.all(apps.CONTROLLER_REVISIONS)
        collisions = found.status.collisionCount or 0
        self.owner = revisions.Owner(apps.DAEMON_SETS, found, found.spec.template, collisions, word_only=True)
        self.update = revisions.present(self.owner, self.history)
        self.spec = found.spec.template.get("spec") or {}
        self.tolerations = placement.daemon_tolerations(self.spec)
        self.places = [self._place(node) for node in view.all(core.NODES)]
        self.taken = {p.metadata.name for p in view.all(core.PODS)}

    def _place(self, node: Node) -> _Place:
        fits = placement.selects(self.spec, node)
        runs = fits and placement.bears(self.tolerations, node.spec.taints, ("NoSchedule", "NoExecute"))
        stays = fits and placement.bears(self.tolerations, node.spec.taints, ("NoExecute",))
        return _Place(node.metadata.name, runs, stays, [p for p in self.pods if node_of(p) == node.metadata.name])

    def changes(self) -> list[Change]:
        steps: list[Change] = []
        if not self.set.metadata.deleting:
            steps = [*self.claims, *self.update.changes, *self._steps()]
        status = self._status()
        written = statuses.patch(self.set.status, status)
        told: list[Change] = []
        if written:
            told = [SetStatus(apps.DAEMON_SETS, self.set.key, written, self.set.metadata.resourceVersion)]
        labels = {_label(p) for p in self.pods} | {self.update.label}
        live = {r.metadata.name for r in self.history if revisions.label_of(self.owner, r) in labels}
        due = claims.next_available(self.pods, self.set.spec.minReadySeconds, self.now)
        wakes = [WakeAt(due)] if due is not None else []
        limit = self.set.spec.revisionHistoryLimit
        return [*told, *steps, *revisions.tidy(self.history, live | {self.update.name}, limit), *wakes]

    # --- Pods -------------------------------------------------------------------------------------------------------

    def _steps(self) -> Iterator[Change]:
        for place in self.places:
            yield from self._mend(place)
        if self.set.spec.updateStrategy.type == "RollingUpdate":
            yield from self._roll()

    def _mend(self, place: _Place) -> Iterator[Change]:
        """One living Pod where one is needed, none where none may be."""
        alive = [p for p in place.pods if claims.is_active(p)]
        for pod in place.pods:
            if pod.finished and not pod.metadata.deleting:
                yield from self._delete(pod)
        if not place.stays:
            for pod in alive:
                yield from self._delete(pod)
        elif place.runs and not alive:
            yield from self._create(place.name)
        else:
            surging = {_label(p) for p in alive} if self._surge() else set()
            oldest = sorted(alive, key=lambda p: (p.metadata.creationTimestamp or "", p.metadata.name))
            for pod in oldest[1:] if len(surging) < 2 else ():
                yield from self._delete(pod)

    def _surge(self) -> int:
        return share.of(self.set.spec.updateStrategy.rollingUpdate.maxSurge, len(self._running()), up=True)

    def _running(self) -> list[_Place]:
        return [p for p in self.places if p.runs]

    def _roll(self) -> Iterator[Change]:
        """Replace Pods of older templates, those that are not available first."""
        surge = self._surge()
        wanted = self.set.spec.updateStrategy.rollingUpdate.maxUnavailable
        room = surge or max(1, share.of(1 if wanted is None else wanted, len(self._running()), up=True))
        fine: list[tuple[str, Pod]] = []
        for place in self._running():
            alive = [p for p in place.pods if claims.is_active(p)]
            old = [p for p in alive if _label(p) != self.update.label]
            new = [p for p in alive if _label(p) == self.update.label]
            if surge and old and new:
                if any(self._is_available(p) for p in new):
                    yield from (c for p in old for c in self._delete(p))
                else:
                    room -= 1
            elif any(self._is_available(p) for p in alive):
                fine.extend((place.name, p) for p in old)
            else:
                room -= 0 if surge else 1
                yield from (c for p in old for c in self._delete(p))
        for name, pod in fine[: max(0, room)]:
            yield from self._create(name) if surge else self._delete(pod)

    def _is_available(self, pod: Pod) -> bool:
        since = claims.available_from(pod, self.set.spec.minReadySeconds)
        return since is not None and since <= self.now

    def _create(self, node: str) -> Iterator[Change]:
        name = self._name(node)
        self.taken.add(name)
        pod = claims.from_template(self.set.spec.template, apps.DAEMON_SETS, self.set, name)
        generation = self.set.metadata.annotations.get(GENERATION, "")
        pod["metadata"]["labels"] |= {revisions.HASH: self.update.label}
        if generation:
            pod["metadata"]["labels"][POD_GENERATION] = generation
        pod["spec"] = {**placement.pinned(pod["spec"], node), "tolerations": self.tolerations}
        yield Create(core.PODS, pod)
        yield self._tell("SuccessfulCreate", f"Created pod: {name}")

    def _name(self, node: str) -> str:
        """`<set>-<word>`: the first of the node's series that no Pod has, so that a stale view repeats a name."""
        attempt = 0
        while True:
            word = digest.word([self.set.metadata.uid, node, attempt])
            name = f"{self.set.metadata.name[:57]}-{word}"
            if name not in self.taken:
                return name
            attempt += 1

    def _delete(self, pod: Pod) -> Iterator[Change]:
        yield Delete(core.PODS, pod.key, pod.metadata.uid)
        yield self._tell("SuccessfulDelete", f"Deleted pod: {pod.metadata.name}")

    def _tell(self, reason: str, message: str) -> Record:
        return Record(apps.DAEMON_SETS, self.set, "Normal", reason, message)

    # --- status -----------------------------------------------------------------------------------------------------

    def _status(self) -> DaemonSetStatus:
        alive = {p.name: [q for q in p.pods if claims.is_active(q)] for p in self.places}
        here = [p for p in self._running() if alive[p.name]]
        available = sum(1 for p in here if any(self._is_available(q) for q in alive[p.name]))
        desired = len(self._running())
        return msgspec.structs.replace(
            self.set.status,
            desiredNumberScheduled=desired,
            currentNumberScheduled=len(here),
            numberMisscheduled=sum(1 for p in self.places if not p.runs and alive[p.name]),
            numberReady=sum(1 for p in here if any(claims.ready_since(q) is not None for q in alive[p.name])),
            updatedNumberScheduled=sum(1 for p in here if any(_label(q) == self.update.label for q in alive[p.name])),
            numberAvailable=available,
            numberUnavailable=desired - available,
            observedGeneration=self.set.metadata.generation,
        )


def node_of(pod: Pod) -> str:
    """The node that a Pod is on, or that it is pinned to."""
    if pod.spec.nodeName:
        return pod.spec.nodeName
    nodes = pod.spec.affinity.nodeAffinity if pod.spec.affinity is not None else None
    required = nodes.requiredDuringSchedulingIgnoredDuringExecution if nodes is not None else None
    for term in required.nodeSelectorTerms if required is not None else ():
        for field in term.matchFields:
            if field.key == "metadata.name" and field.values:
                return field.values[0]
    return ""


def _label(pod: Pod) -> str:
    return pod.metadata.labels.get(revisions.HASH, "")


def _adopts(found: DaemonSet, pod: Pod) -> bool:
    if pod.metadata.deleting or not found.spec.selector:
        return False
    return selector.from_label_selector(found.spec.selector).matches(pod.metadata.labels)


def _matters(old: Node | None, new: Node | None) -> bool:
    """Heartbeats do not: only labels and taints decide."""
    if old is None or new is None:
        return True
    return (old.metadata.labels, old.spec) != (new.metadata.labels, new.spec)


CONTROLLER = Controller(
    name="daemonset-controller",
    primary=apps.DAEMON_SETS,
    reconcile=reconcile,
    links=(
        Owned(core.PODS),
        Unclaimed(core.PODS, _adopts),
        Owned(apps.CONTROLLER_REVISIONS),
        Everywhere(core.NODES, _matters),
    ),
    embedded=True,
)
