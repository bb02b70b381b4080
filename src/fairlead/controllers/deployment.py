"""apps/v1 Deployment: rolls Pods from one template to the next, by way of one ReplicaSet for each template.

Decides which ReplicaSet is the new one (the one that has the Deployment's template), numbers the templates
(`deployment.kubernetes.io/revision`, which `kubectl rollout history` and `undo` read), and tells how the rollout goes
(`Progressing`, `Available`). How many Pods each set is to have is `reconcile.rollout`'s.

Invariants: at most one set is new; a set's template never changes; names follow from the template, and the
`collisionCount` makes another name where one is taken by a stranger. Going back to an older template takes its set and
gives it the highest number. Leaves to others: the Pods (ReplicaSet).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from fairlead.api import apps
from fairlead.api.apps import Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet
from fairlead.api.meta import Key
from fairlead.base import timestamp
from fairlead.machinery import digest, selector
from fairlead.reconcile import ownership, rollout
from fairlead.reconcile import pods as claims
from fairlead.reconcile import status as statuses
from fairlead.reconcile.reconciler import (
    Change,
    Controller,
    Create,
    Delete,
    Owned,
    Patch,
    Record,
    Referred,
    SetStatus,
    Unclaimed,
    View,
    WakeAt,
)

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
NO_LIMIT = 2**31 - 1
"""As `progressDeadlineSeconds` and `revisionHistoryLimit`: none."""

_NOT_COPIED = frozenset({
    "kubectl.kubernetes.io/last-applied-configuration", REVISION, HISTORY, rollout.DESIRED, rollout.MOST,
    "deprecated.deployment.rollback.to",
})  # fmt: skip


def reconcile(view: View[Deployment]) -> Sequence[Change]:
    """See the module's text."""
    deployment = view.object
    if deployment is None or not deployment.spec.selector:
        return []
    found: Sequence[ReplicaSet] = view.all(apps.REPLICA_SETS)
    return _Pass(deployment, found, view.now).changes()


class _Pass:
    """One look at one Deployment: its sets, the new one among them, and what follows."""

    def __init__(self, deployment: Deployment, found: Sequence[ReplicaSet], now: float) -> None:
        self.deployment, self.found, self.now = deployment, found, now
        wanted = selector.from_label_selector(deployment.spec.selector)
        self.sets, self.claims = claims.claim(apps.DEPLOYMENTS, deployment, wanted, apps.REPLICA_SETS, found)
        self.new = _new_of(deployment, self.sets)
        self.old = [r for r in self.sets if r is not self.new]

    def changes(self) -> list[Change]:
        if self.deployment.metadata.deleting:
            return self._tell(self._status(self.deployment.status))
        steps, conditions = self._steps()
        status = msgspec.structs.replace(self.deployment.status, conditions=conditions)
        final = self._progressed(self._status(status))
        if self._is_taken():
            final = msgspec.structs.replace(final, collisionCount=(final.collisionCount or 0) + 1)
        return [*self._tell(final), *self.claims, *steps, *self._tidy(final), *self._wake(final)]

    def _tell(self, status: DeploymentStatus) -> list[Change]:
        written = statuses.patch(self.deployment.status, status)
        meta = self.deployment.metadata
        return [SetStatus(apps.DEPLOYMENTS, self.deployment.key, written, meta.resourceVersion)] if written else []

    # --- sets -------------------------------------------------------------------------------------------------------

    def _steps(self) -> tuple[list[Change], list[DeploymentCondition]]:
        """What happens to the sets, and the conditions with what that says."""
        conditions = self._paused(list(self.deployment.status.conditions))
        steps: list[Change] = []
        revision = str(1 + max((_revision(r) for r in self.old), default=0))
        if self.new is not None:
            steps.extend(self._renumber(self.new, revision))
            if statuses.find(conditions, "Progressing") is None and self._limited:
                conditions = self._put(conditions, "NewReplicaSetFound", f'Found new replica set "{self._name}"')
        elif self._may_create():
            steps.extend(self._create(revision))
            if self._limited:
                conditions = self._put(conditions, "NewReplicaSetCreated", f'Created new replica set "{self._name}"')
        elif self.deployment.spec.paused:
            steps.extend(self._number_of_old())
        return [*steps, *self._resize()], conditions

    def _may_create(self) -> bool:
        """Not while paused or while the size is being changed; Recreate waits until the old Pods are gone."""
        spec = self.deployment.spec
        if spec.paused or self._is_taken() or rollout.is_scaled(self.deployment, self.sets):
            return False
        return spec.strategy.type != "Recreate" or rollout.is_gone(self.old)

    @property
    def _name(self) -> str:
        return self.new.metadata.name if self.new is not None else name_of(self.deployment)

    def _is_taken(self) -> bool:
        """Whether the name of the set that is to be made is another's, or that of another template."""
        return self.new is None and any(r.metadata.name == name_of(self.deployment) for r in self.found)

    def _create(self, revision: str) -> Iterator[Change]:
        total = sum(r.spec.replicas for r in self.old)
        size = rollout.new_size(self.deployment, 0, total)
        annotations = {**self._copied(), REVISION: revision, **self._sized()}
        yield Create(apps.REPLICA_SETS, replica_set_of(self.deployment, size, annotations))
        yield self._annotate_self(revision)
        if size > 0:
            yield self._scaled("up", self._name, 0, size)

    def _copied(self) -> dict[str, str]:
        return {k: v for k, v in self.deployment.metadata.annotations.items() if k not in _NOT_COPIED}

    def _sized(self) -> dict[str, str]:
        limits = rollout.bounds(self.deployment)
        return {rollout.DESIRED: str(limits.replicas), rollout.MOST: str(limits.most)}

    def _renumber(self, new: ReplicaSet, revision: str) -> Iterator[Change]:
        """The new set has the highest number, and the Deployment's annotations."""
        have = new.metadata.annotations
        wanted = self._copied()
        if _revision(new) < int(revision):
            wanted[REVISION] = revision
            if before := have.get(REVISION):
                wanted[HISTORY] = ",".join(filter(None, (have.get(HISTORY, ""), before)))
        changed = {k: v for k, v in wanted.items() if have.get(k) != v}
        patch: dict[str, Any] = {"metadata": {"annotations": changed}} if changed else {}
        if new.spec.minReadySeconds != self.deployment.spec.minReadySeconds:
            patch["spec"] = {"minReadySeconds": self.deployment.spec.minReadySeconds}
        if patch:
            yield Patch(apps.REPLICA_SETS, new.key, patch, new.metadata.uid)
        number = wanted.get(REVISION) or have.get(REVISION, revision)
        if self.deployment.metadata.annotations.get(REVISION) != number:
            yield self._annotate_self(number)

    def _number_of_old(self) -> Iterator[Change]:
        """Paused before its first rollout to this template: it stands where the newest set stands."""
        number = max((_revision(r) for r in self.old), default=0)
        if number and self.deployment.metadata.annotations.get(REVISION) is None:
            yield self._annotate_self(str(number))

    def _annotate_self(self, revision: str) -> Patch:
        patch = {"metadata": {"annotations": {REVISION: revision}}}
        return Patch(apps.DEPLOYMENTS, self.deployment.key, patch, self.deployment.metadata.uid)

    def _resize(self) -> Iterator[Change]:
        sizes, wanted = rollout.plan(self.deployment, self.new, self.old), self._sized()
        for one in self.sets:
            before, size = one.spec.replicas, sizes.get(one.metadata.name, one.spec.replicas)
            stale = any(one.metadata.annotations.get(k) != v for k, v in wanted.items())
            if size == before and not (stale and size > 0):
                continue
            patch: dict[str, Any] = {"metadata": {"annotations": wanted}, "spec": {"replicas": size}}
            yield Patch(apps.REPLICA_SETS, one.key, patch, one.metadata.uid)
            if size != before:
                yield self._scaled("up" if size > before else "down", one.metadata.name, before, size)

    def _scaled(self, way: str, name: str, before: int, size: int) -> Record:
        message = f"Scaled {way} replica set {name} from {before} to {size}"
        return Record(apps.DEPLOYMENTS, self.deployment, "Normal", "ScalingReplicaSet", message)

    def _tidy(self, status: DeploymentStatus) -> Iterator[Change]:
        """Forget the oldest templates beyond the limit, once the rollout is complete (or paused)."""
        limit = self.deployment.spec.revisionHistoryLimit
        if limit is None or limit >= NO_LIMIT:
            return
        if not self.deployment.spec.paused and not _is_complete(self.deployment, status):
            return
        kept = [r for r in self.old if not r.metadata.deleting]
        for one in sorted(kept, key=_revision)[: max(0, len(kept) - limit)]:
            at_rest = one.status.observedGeneration >= one.metadata.generation
            if at_rest and not one.spec.replicas and not one.status.replicas:
                yield Delete(apps.REPLICA_SETS, one.key, one.metadata.uid)

    # --- status -----------------------------------------------------------------------------------------------------

    def _status(self, before: DeploymentStatus) -> DeploymentStatus:
        available = sum(r.status.availableReplicas for r in self.sets)
        status = msgspec.structs.replace(
            before,
            observedGeneration=self.deployment.metadata.generation,
            replicas=sum(r.status.replicas for r in self.sets),
            updatedReplicas=self.new.status.replicas if self.new is not None else 0,
            readyReplicas=sum(r.status.readyReplicas for r in self.sets),
            availableReplicas=available,
            unavailableReplicas=max(0, sum(r.spec.replicas for r in self.sets) - available),
            terminatingReplicas=sum(r.status.terminatingReplicas for r in self.sets),
        )
        enough = available >= rollout.bounds(self.deployment).least
        says = (
            ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
            if enough
            else ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
        )
        return self._with(status, "Available", says)

    @property
    def _limited(self) -> bool:
        deadline = self.deployment.spec.progressDeadlineSeconds
        return deadline is not None and deadline < NO_LIMIT

    def _progressed(self, status: DeploymentStatus) -> DeploymentStatus:
        """`Progressing`, as `kubectl rollout status` reads it."""
        if self.deployment.spec.paused:
            return status
        if not self._limited:
            kept = [c for c in status.conditions if c.type != "Progressing"]
            return msgspec.structs.replace(status, conditions=kept)
        current = statuses.find(status.conditions, "Progressing")
        done = current is not None and current.reason == "NewReplicaSetAvailable"
        if done and status.replicas == status.updatedReplicas:
            return status
        what = f'ReplicaSet "{self.new.metadata.name}"' if self.new else f'Deployment "{self.deployment.metadata.name}"'
        if _is_complete(self.deployment, status):
            says = ("True", "NewReplicaSetAvailable", f"{what} has successfully progressed.")
            return self._with(status, "Progressing", says)
        if self._moves(status):
            return self._with(status, "Progressing", ("True", "ReplicaSetUpdated", f"{what} is progressing."), True)
        if self._late(status):
            says = ("False", "ProgressDeadlineExceeded", f"{what} has timed out progressing.")
            return self._with(status, "Progressing", says)
        return status

    def _moves(self, status: DeploymentStatus) -> bool:
        """Whether anything has come further since the status was last written."""
        before = self.deployment.status
        return (
            status.updatedReplicas > before.updatedReplicas
            or status.replicas - status.updatedReplicas < before.replicas - before.updatedReplicas
            or status.readyReplicas > before.readyReplicas
            or status.availableReplicas > before.availableReplicas
        )

    def _due(self, status: DeploymentStatus) -> float | None:
        """When the rollout counts as stuck; None when nothing is expected of it."""
        current = statuses.find(status.conditions, "Progressing")
        deadline = self.deployment.spec.progressDeadlineSeconds
        if not self._limited or deadline is None or not isinstance(current, DeploymentCondition):
            return None
        if current.reason in ("NewReplicaSetAvailable", "DeploymentPaused") or current.lastUpdateTime is None:
            return None
        return timestamp.parse(current.lastUpdateTime) + deadline

    def _late(self, status: DeploymentStatus) -> bool:
        due = self._due(status)
        return due is not None and self.now >= due

    def _wake(self, status: DeploymentStatus) -> Iterator[WakeAt]:
        due = self._due(status)
        if due is not None and due > self.now and not _is_complete(self.deployment, status):
            yield WakeAt(due)

    def _paused(self, conditions: list[DeploymentCondition]) -> list[DeploymentCondition]:
        """Time does not run against a paused rollout."""
        current = statuses.find(conditions, "Progressing")
        reason = current.reason if current is not None else ""
        if not self._limited or reason == "ProgressDeadlineExceeded":
            return conditions
        if self.deployment.spec.paused and reason != "DeploymentPaused":
            return self._put(conditions, "DeploymentPaused", "Deployment is paused", "Unknown")
        if not self.deployment.spec.paused and reason == "DeploymentPaused":
            return self._put(conditions, "DeploymentResumed", "Deployment is resumed", "Unknown")
        return conditions

    def _with(
        self, status: DeploymentStatus, type_: str, says: tuple[str, str, str], again: bool = False
    ) -> DeploymentStatus:
        made = _put(status.conditions, type_, says, self.now, again=again)
        return msgspec.structs.replace(status, conditions=made)

    def _put(
        self, conditions: Sequence[DeploymentCondition], reason: str, message: str, status: str = "True"
    ) -> list[DeploymentCondition]:
        return _put(conditions, "Progressing", (status, reason, message), self.now)


def _put(
    conditions: Sequence[DeploymentCondition],
    type_: str,
    says: tuple[str, str, str],
    now: float,
    *,
    again: bool = False,
) -> list[DeploymentCondition]:
    """The conditions with this one; the same status and reason are news only if `again`."""
    status, reason, message = says
    before = next((c for c in conditions if c.type == type_), None)
    if before is not None and (before.status, before.reason) == (status, reason) and not again:
        return list(conditions)
    moved = before is None or before.status != status
    time = timestamp.seconds(now)
    since = time if moved or before is None else before.lastTransitionTime
    made = DeploymentCondition(type_, status, reason, message, since, lastUpdateTime=time)
    return [*(c for c in conditions if c.type != type_), made]


def _is_complete(deployment: Deployment, status: DeploymentStatus) -> bool:
    size = deployment.spec.replicas
    return status.updatedReplicas == status.replicas == status.availableReplicas == size


# --- sets and templates --------------------------------------------------------------------------------------------


def _new_of(deployment: Deployment, sets: Iterable[ReplicaSet]) -> ReplicaSet | None:
    """The (oldest) set with the Deployment's template."""
    wanted = _plain(deployment.spec.template)
    same = [r for r in sets if _plain(r.spec.template) == wanted]
    return min(same, key=lambda r: (r.metadata.creationTimestamp or "", r.metadata.name), default=None)


def _plain(template: Mapping[str, Any]) -> dict[str, Any]:
    """A template without the label that only its set knows, and without what is empty."""
    meta = {k: v for k, v in (template.get("metadata") or {}).items() if v}
    labels = {k: v for k, v in meta.pop("labels", {}).items() if k != HASH}
    return {"metadata": {**meta, "labels": labels}, "spec": template.get("spec")}


def hash_of(deployment: Deployment) -> str:
    """A word for the template; another one after a collision."""
    return digest.word([_plain(deployment.spec.template), deployment.status.collisionCount or 0], 10)


def name_of(deployment: Deployment) -> str:
    """The name of the set for the Deployment's template."""
    return f"{deployment.metadata.name}-{hash_of(deployment)}"


def replica_set_of(deployment: Deployment, size: int, annotations: Mapping[str, str]) -> dict[str, Any]:
    """The set for the Deployment's template."""
    spec, word = deployment.spec, hash_of(deployment)
    meta = spec.template.get("metadata") or {}
    labels = {**(meta.get("labels") or {}), HASH: word}
    chosen = {**spec.selector, "matchLabels": {**(spec.selector.get("matchLabels") or {}), HASH: word}}
    made: dict[str, Any] = {
        "replicas": size, "selector": chosen, "template": {**spec.template, "metadata": {**meta, "labels": labels}},
    }  # fmt: skip
    if spec.minReadySeconds:
        made["minReadySeconds"] = spec.minReadySeconds
    metadata = {
        "name": name_of(deployment), "namespace": deployment.metadata.namespace, "labels": labels,
        "annotations": dict(annotations), "ownerReferences": [ownership.reference(apps.DEPLOYMENTS, deployment)],
    }  # fmt: skip
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": made}


def _revision(one: ReplicaSet) -> int:
    text = one.metadata.annotations.get(REVISION, "")
    return int(text) if text.isdigit() else 0


def _adopts(deployment: Deployment, one: ReplicaSet) -> bool:
    if one.metadata.deleting or not deployment.spec.selector:
        return False
    return selector.from_label_selector(deployment.spec.selector).matches(one.metadata.labels)


def _next(deployment: Deployment) -> Iterable[Key]:
    """The place of the set for the present template, whosever is there."""
    return [Key(deployment.metadata.namespace, name_of(deployment))]


CONTROLLER = Controller(
    name="deployment-controller",
    primary=apps.DEPLOYMENTS,
    reconcile=reconcile,
    links=(Owned(apps.REPLICA_SETS), Unclaimed(apps.REPLICA_SETS, _adopts), Referred(apps.REPLICA_SETS, _next)),
    embedded=True,
)
