"""apps/v1 StatefulSet: Pods with names that stay, `<set>-0` to `<set>-<n-1>`, each with claims of its own.

Decides which ordinals are made, deleted and replaced: one after another, each only when those before it are ready
(OrderedReady), or all at once (Parallel); updates go from the highest ordinal down to the partition. A Pod is made of
the revision that its ordinal is at: below the partition the current one, else that of the update.

Leaves to others: names that resolve (a headless Service), volumes behind the claims, the Pods of a set that is gone.
Claims outlive the set unless it says otherwise; claims of a set that was made smaller are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from fairlead.api import apps, core
from fairlead.api.apps import ControllerRevision, StatefulSet, StatefulSetStatus
from fairlead.api.core import Pod
from fairlead.api.meta import Key
from fairlead.machinery import selector
from fairlead.reconcile import ownership, revisions
from fairlead.reconcile import pods as claims
from fairlead.reconcile import status as statuses
from fairlead.reconcile.reconciler import (
    Change,
    Controller,
    Create,
    Delete,
    Owned,
    Record,
    Referred,
    SetStatus,
    Unclaimed,
    View,
    WakeAt,
)

POD_NAME = "statefulset.kubernetes.io/pod-name"
POD_INDEX = "apps.kubernetes.io/pod-index"


def reconcile(view: View[StatefulSet]) -> Sequence[Change]:
    """See the module's text."""
    found = view.object
    if found is None or not found.spec.selector:
        return []
    return _Pass(found, view).changes()


class _Pass:
    """One look at one StatefulSet."""

    def __init__(self, found: StatefulSet, view: View[StatefulSet]) -> None:
        self.set, self.now = found, view.now
        wanted = selector.from_label_selector(found.spec.selector)
        mine = [p for p in view.all(core.PODS) if ordinal_of(found, p) is not None]
        self.pods, self.claims = claims.claim(apps.STATEFUL_SETS, found, wanted, core.PODS, mine)
        self.volumes = {c.metadata.name for c in view.all(core.CLAIMS)}
        self.history: Sequence[ControllerRevision] = view.all(apps.CONTROLLER_REVISIONS)
        self.owner = revisions.Owner(
            apps.STATEFUL_SETS, found, found.spec.template, found.status.collisionCount or 0
        )  # fmt: skip
        self.update = revisions.present(self.owner, self.history)
        known = {r.metadata.name for r in self.history}
        current = found.status.currentRevision
        self.current = current if current in known else self.update.name
        by_ordinal = {ordinal_of(found, p): p for p in self.pods}
        self.wanted = range(found.spec.ordinals.start, found.spec.ordinals.start + found.spec.replicas)
        self.slots: list[tuple[int, Pod | None]] = [(i, by_ordinal.get(i)) for i in self.wanted]
        condemned = ((i, p) for i, p in by_ordinal.items() if i is not None and i not in self.wanted)
        self.condemned = [p for _, p in sorted(condemned, key=lambda pair: -pair[0])]
        self.ordered = found.spec.podManagementPolicy != "Parallel"

    def changes(self) -> list[Change]:
        steps = [] if self.set.metadata.deleting else [*self.claims, *self.update.changes, *self._steps()]
        status = self._status()
        written = statuses.patch(self.set.status, status)
        told: list[Change] = []
        if written:
            told = [SetStatus(apps.STATEFUL_SETS, self.set.key, written, self.set.metadata.resourceVersion)]
        live = {self.update.name, self.current, status.currentRevision, *map(_revision, self.pods)}
        due = claims.next_available(self.pods, self.set.spec.minReadySeconds, self.now)
        wakes = [WakeAt(due)] if due is not None else []
        return [*told, *steps, *revisions.tidy(self.history, live, self.set.spec.revisionHistoryLimit), *wakes]

    # --- Pods -------------------------------------------------------------------------------------------------------

    def _steps(self) -> Iterator[Change]:
        """Grow, then shrink, then update; in order, only the first that has something to do."""
        grown = list(self._grow())
        yield from grown
        if self.ordered and (grown or not self._all_fine()):
            return
        shrunk = list(self._shrink())
        yield from shrunk
        if self.condemned and self.ordered:
            return
        yield from self._roll()

    def _all_fine(self) -> bool:
        """Whether the Pods that are to stay are all there and available: until then, in order, nothing else is done."""
        return all(pod is not None and self._is_fine(pod) for _, pod in self.slots)

    def _grow(self) -> Iterator[Change]:
        for ordinal, pod in self.slots:
            if pod is None:
                yield from self._create(ordinal)
            elif pod.finished and not pod.metadata.deleting:
                yield from self._delete(pod)
            elif self._is_fine(pod) or not self.ordered:
                continue
            if self.ordered:
                return

    def _shrink(self) -> Iterator[Change]:
        """From the highest ordinal; in order, only when what is below it is ready."""
        for pod in self.condemned:
            if not pod.metadata.deleting:
                yield from self._delete(pod)
            if self.ordered:
                return

    def _roll(self) -> Iterator[Change]:
        """Replace Pods of an older revision, highest ordinal first, one at a time (or `maxUnavailable`)."""
        strategy = self.set.spec.updateStrategy
        if strategy.type != "RollingUpdate":
            return
        lowest = self.set.spec.ordinals.start + strategy.rollingUpdate.partition
        room = 1
        for ordinal, pod in reversed(self.slots):
            if ordinal < lowest or room <= 0:
                return
            if pod is None:
                room -= 1
            elif _revision(pod) != self.update.label and not pod.metadata.deleting:
                yield from self._delete(pod)
                room -= 1
            elif not self._is_fine(pod):
                room -= 1

    def _is_fine(self, pod: Pod) -> bool:
        since = claims.available_from(pod, self.set.spec.minReadySeconds)
        return claims.is_active(pod) and pod.status.phase == "Running" and since is not None and since <= self.now

    def _create(self, ordinal: int) -> Iterator[Change]:
        name = f"{self.set.metadata.name}-{ordinal}"
        for template in self.set.spec.volumeClaimTemplates:
            claim = claim_of(self.set, template, name)
            if claim["metadata"]["name"] not in self.volumes:
                yield Create(core.CLAIMS, claim)
        at = self._revision_for(ordinal)
        template = self.set.spec.template
        if at is not None:
            template = revisions.template_of(at)
        label = self.update.label if at is None else at.metadata.name
        yield Create(core.PODS, pod_of(self.set, template, ordinal, label))
        message = f"create Pod {name} in StatefulSet {self.set.metadata.name} successful"
        yield Record(apps.STATEFUL_SETS, self.set, "Normal", "SuccessfulCreate", message)

    def _revision_for(self, ordinal: int) -> ControllerRevision | None:
        """The older revision that an ordinal below the partition is at; None where it is the update's."""
        strategy = self.set.spec.updateStrategy
        below = ordinal < self.set.spec.ordinals.start + strategy.rollingUpdate.partition
        if strategy.type != "RollingUpdate" or not below or self.current == self.update.name:
            return None
        return next((r for r in self.history if r.metadata.name == self.current), None)

    def _delete(self, pod: Pod) -> Iterator[Change]:
        yield Delete(core.PODS, pod.key, pod.metadata.uid)
        message = f"delete Pod {pod.metadata.name} in StatefulSet {self.set.metadata.name} successful"
        yield Record(apps.STATEFUL_SETS, self.set, "Normal", "SuccessfulDelete", message)

    # --- status -----------------------------------------------------------------------------------------------------

    def _status(self) -> StatefulSetStatus:
        living = [p for p in self.pods if not p.metadata.deleting]
        ready = [p for p in self.pods if p.status.phase == "Running" and claims.ready_since(p) is not None]
        updated = sum(1 for p in living if _revision(p) == self.update.label)
        current = sum(1 for p in living if _revision(p) == self.current)
        count, rolls = len(self.pods), self.set.spec.updateStrategy.type == "RollingUpdate"
        done = rolls and updated == count == len(ready) and not self.condemned
        return msgspec.structs.replace(
            self.set.status,
            observedGeneration=self.set.metadata.generation,
            replicas=count,
            readyReplicas=len(ready),
            availableReplicas=sum(1 for p in ready if self._is_fine(p)),
            currentReplicas=updated if done else current,
            updatedReplicas=updated,
            currentRevision=self.update.name if done else self.current,
            updateRevision=self.update.name,
            collisionCount=self.set.status.collisionCount or 0,
        )


# --- Pods and claims -----------------------------------------------------------------------------------------------


def ordinal_of(found: StatefulSet, pod: Pod) -> int | None:
    """The ordinal in a Pod's name; None for a Pod that is not named after the set."""
    stem, _, tail = pod.metadata.name.rpartition("-")
    return int(tail) if stem == found.metadata.name and tail.isdigit() else None


def pod_of(found: StatefulSet, template: dict[str, Any], ordinal: int, label: str) -> dict[str, Any]:
    """The Pod of an ordinal."""
    name = f"{found.metadata.name}-{ordinal}"
    pod = claims.from_template(template, apps.STATEFUL_SETS, found, name)
    own = {POD_NAME: name, POD_INDEX: str(ordinal), revisions.HASH: label}
    pod["metadata"]["labels"] |= own
    spec = pod["spec"]
    spec["hostname"] = name
    if found.spec.serviceName:
        spec["subdomain"] = found.spec.serviceName
    claimed = {t["metadata"]["name"]: f"{t['metadata']['name']}-{name}" for t in found.spec.volumeClaimTemplates}
    if claimed:
        others = [v for v in spec.get("volumes") or () if v["name"] not in claimed]
        own_volumes = [{"name": n, "persistentVolumeClaim": {"claimName": c}} for n, c in claimed.items()]
        spec["volumes"] = [*own_volumes, *others]
    return pod


def claim_of(found: StatefulSet, template: dict[str, Any], pod: str) -> dict[str, Any]:
    """The claim of a Pod. It goes with the set only if the set says so."""
    meta = template.get("metadata") or {}
    labels = {**(meta.get("labels") or {}), **(found.spec.selector.get("matchLabels") or {})}
    metadata: dict[str, Any] = {"name": f"{meta['name']}-{pod}", "namespace": found.metadata.namespace}
    metadata |= {k: v for k, v in (("labels", labels), ("annotations", meta.get("annotations"))) if v}
    if found.spec.persistentVolumeClaimRetentionPolicy.whenDeleted == "Delete":
        reference = ownership.reference(apps.STATEFUL_SETS, found)
        metadata["ownerReferences"] = [{**reference, "controller": False, "blockOwnerDeletion": False}]
    spec = template.get("spec") or {}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def _revision(pod: Pod) -> str:
    return pod.metadata.labels.get(revisions.HASH, "")


def _claims(found: StatefulSet) -> Iterable[Key]:
    """The places of the claims of all ordinals."""
    first = found.spec.ordinals.start
    for template in found.spec.volumeClaimTemplates:
        for ordinal in range(first, first + found.spec.replicas):
            name = f"{template['metadata']['name']}-{found.metadata.name}-{ordinal}"
            yield Key(found.metadata.namespace, name)


def _adopts(found: StatefulSet, pod: Pod) -> bool:
    if pod.metadata.deleting or not found.spec.selector or ordinal_of(found, pod) is None:
        return False
    return selector.from_label_selector(found.spec.selector).matches(pod.metadata.labels)


CONTROLLER = Controller(
    name="statefulset-controller",
    primary=apps.STATEFUL_SETS,
    reconcile=reconcile,
    links=(
        Owned(core.PODS),
        Unclaimed(core.PODS, _adopts),
        Owned(apps.CONTROLLER_REVISIONS),
        Referred(core.CLAIMS, _claims),
    ),
    embedded=True,
)
