"""batch/v1 Job: runs Pods until enough of them have succeeded.

Decides which Pods to create and delete, and counts the finished ones exactly once: a Pod keeps the finalizer
`batch.kubernetes.io/job-tracking` until its end is on record in the Job's status (KEP-2307), in three steps that each
survive a crash: note the Pod's uid (or completed index) in the status; drop the finalizer; move the uid to a counter.
Terminal conditions come in two steps (KEP-3939, KEP-3998): SuccessCriteriaMet or FailureTarget first, Complete or
Failed when no Pod is left.

Leaves to others: defaults and validation (API server), placing (scheduler), running (agent), deleting the Pods of a
Job that is gone (garbage collector; only the finalizer is dropped here).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from fairlead.api import batch, core
from fairlead.api.batch import Job, JobStatus, UncountedPods
from fairlead.api.core import Pod
from fairlead.api.meta import Condition
from fairlead.base import timestamp
from fairlead.reconcile import ownership
from fairlead.reconcile import status as statuses
from fairlead.reconcile.reconciler import (
    Change,
    Controller,
    Create,
    Delete,
    Owned,
    Patch,
    Record,
    SetStatus,
    View,
    WakeAt,
)

FINALIZER = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
MANAGER = "kubernetes.io/job-controller"

BACKOFF_BASE = 10.0
BACKOFF_CAP = 600.0
"""Seconds to wait before replacing a failed Pod: doubles with each failure in a row (upstream's figures)."""

SUCCESS = Condition(
    type="SuccessCriteriaMet",
    status="True",
    reason="CompletionsReached",
    message="Reached expected number of succeeded pods",
)


def reconcile(view: View[Job]) -> Sequence[Change]:
    """See the module's text."""
    released = [_release(p) for p in view.orphans(core.PODS) if FINALIZER in p.metadata.finalizers]
    job = view.object
    if job is None or job.spec.managedBy not in ("", MANAGER):
        return released
    return [*released, *_Pass(job, view.all(core.PODS), view.now).changes()]


class _Pass:
    """One look at one Job: the facts, computed once, and what follows from them."""

    def __init__(self, job: Job, pods: Sequence[Pod], now: float) -> None:
        self.job, self.pods, self.now = job, pods, now
        self.indexed = job.spec.completionMode == "Indexed"
        only_failed = job.spec.podReplacementPolicy == "Failed"
        self.active = [p for p in pods if not p.finished and not p.metadata.deleting]
        self.succeeded = [p for p in pods if p.status.phase == "Succeeded"]
        self.failed = [
            p
            for p in pods
            if p.status.phase == "Failed" or (p.metadata.deleting and not p.finished and not only_failed)
        ]
        self.terminating = [p for p in pods if p.metadata.deleting and not p.finished]
        self.condition = next((c for c in _TERMINAL if job.condition(c)), None)

    def changes(self) -> list[Change]:
        if self.condition in ("Complete", "Failed"):
            left = [_release(p) for p in self.pods if FINALIZER in p.metadata.finalizers]
            return [*left, *self._expire(self.job.status)]
        counted, settled = self._count()
        conditions, events = self._conditions(counted)
        reason = next((c.type for c in conditions if c.type in _TERMINAL and c.status == "True"), None)
        steps = self._steps(reason, counted)
        final = msgspec.structs.replace(
            counted,
            conditions=conditions,
            active=len(self.active),
            ready=sum(1 for p in self.active if _ready(p)),
            terminating=len(self.terminating),
            startTime=self._start(),
            completionTime=timestamp.seconds(self.now) if statuses.is_true(conditions, "Complete") else None,
        )
        written = statuses.patch(self.job.status, final)
        told: list[Change] = []
        if written:
            told = [SetStatus(batch.JOBS, self.job.key, written, self.job.metadata.resourceVersion), *events]
        return [*told, *(_release(p) for p in settled), *steps, *self._wakes(reason), *self._expire(final)]

    # --- counting ---------------------------------------------------------------------------------------------------

    def _count(self) -> tuple[JobStatus, list[Pod]]:
        """The status with every finished Pod on record, and the Pods whose end is on record in it."""
        status = self.job.status
        noted = status.uncountedTerminatedPods or UncountedPods()
        held = {p.metadata.uid for p in self.pods if FINALIZER in p.metadata.finalizers}
        kept = UncountedPods(
            succeeded=[u for u in noted.succeeded if u in held], failed=[u for u in noted.failed if u in held]
        )
        done = _expand(status.completedIndexes)
        ended = [p for p in self.succeeded if p.metadata.uid in held]
        lost = [p for p in self.failed if p.metadata.uid in held]
        if self.indexed:
            done |= {i for p in ended if (i := _index(p)) is not None and i < self._completions()}
        else:
            kept.succeeded.extend(p.metadata.uid for p in ended if p.metadata.uid not in kept.succeeded)
        kept.failed.extend(p.metadata.uid for p in lost if p.metadata.uid not in kept.failed)
        return msgspec.structs.replace(
            status,
            succeeded=len(done) if self.indexed else status.succeeded + len(noted.succeeded) - _both(noted, kept, True),
            failed=status.failed + len(noted.failed) - _both(noted, kept, False),
            completedIndexes=_compress(done),
            uncountedTerminatedPods=kept,
        ), [*ended, *lost]

    def _completions(self) -> int:
        return self.job.spec.completions if self.job.spec.completions is not None else 1 << 31

    def _start(self) -> str | None:
        """When the Job started; anew when it is resumed."""
        if self.job.spec.suspend:
            return self.job.status.startTime
        resumed = statuses.is_true(self.job.status.conditions, "Suspended")
        if self.job.status.startTime is None or resumed:
            return timestamp.seconds(self.now)
        return self.job.status.startTime

    # --- conditions -------------------------------------------------------------------------------------------------

    def _conditions(self, counted: JobStatus) -> tuple[list[Condition], list[Change]]:
        conditions: list[Condition] = list(self.job.status.conditions)
        verdict = self._verdict(counted)
        if verdict is not None and statuses.find(conditions, verdict.type) is None:
            conditions = self._add(conditions, verdict)
        target = statuses.find(conditions, "SuccessCriteriaMet") or statuses.find(conditions, "FailureTarget")
        if target is not None:
            uncounted = counted.uncountedTerminatedPods or UncountedPods()
            if self.active or self.terminating or uncounted.succeeded or uncounted.failed:
                return conditions, []
            type_ = "Complete" if target.type == "SuccessCriteriaMet" else "Failed"
            ended = msgspec.structs.replace(target, type=type_)
            return self._add(conditions, ended), [self._tell_end(ended)]
        return self._suspension(conditions)

    def _verdict(self, counted: JobStatus) -> Condition | None:
        """What the Job's end is to be, once it is known."""
        spec, failed = self.job.spec, _total(counted, succeeded=False)
        if failed > spec.backoffLimit or self._restarts_exceed():
            return _failure("BackoffLimitExceeded", "Job has reached the specified backoff limit")
        deadline = self._deadline()
        if deadline is not None and self.now >= deadline:
            return _failure("DeadlineExceeded", "Job was active longer than specified deadline")
        succeeded = _total(counted, succeeded=True)
        if spec.completions is not None:
            return SUCCESS if succeeded >= spec.completions else None
        return SUCCESS if succeeded > 0 and not self.active else None

    def _deadline(self) -> float | None:
        seconds, started = self.job.spec.activeDeadlineSeconds, self._start()
        if seconds is None or started is None or self.job.spec.suspend:
            return None
        return timestamp.parse(started) + seconds

    def _restarts_exceed(self) -> bool:
        """restartPolicy OnFailure: restarts inside living Pods count towards the limit, too."""
        if self.job.spec.template.get("spec", {}).get("restartPolicy") != "OnFailure":
            return False
        restarts = sum(
            c.restartCount for p in self.active for c in [*p.status.initContainerStatuses, *p.status.containerStatuses]
        )
        limit = self.job.spec.backoffLimit
        return restarts > 0 if limit == 0 else restarts >= limit

    def _suspension(self, conditions: list[Condition]) -> tuple[list[Condition], list[Change]]:
        was = statuses.is_true(conditions, "Suspended")
        if self.job.spec.suspend == was:
            return conditions, []
        to = (
            ("True", "JobSuspended", "Job suspended")
            if self.job.spec.suspend
            else ("False", "JobResumed", "Job resumed")
        )
        condition = Condition(type="Suspended", status=to[0], reason=to[1], message=to[2])
        event = Record(batch.JOBS, self.job, "Normal", "Suspended" if self.job.spec.suspend else "Resumed", to[2])
        return self._add(conditions, condition), [event]

    def _add(self, conditions: Sequence[Condition], condition: Condition) -> list[Condition]:
        probed = msgspec.structs.replace(condition, lastProbeTime=timestamp.seconds(self.now))
        return statuses.put(conditions, probed, self.now)

    def _tell_end(self, ended: Condition) -> Record:
        if ended.type == "Complete":
            return Record(batch.JOBS, self.job, "Normal", "Completed", "Job completed")
        return Record(batch.JOBS, self.job, "Warning", ended.reason, ended.message)

    # --- Pods -------------------------------------------------------------------------------------------------------

    def _steps(self, reason: str | None, counted: JobStatus) -> list[Change]:
        """Pods to delete and to create."""
        if self.job.metadata.deleting:
            return []
        if reason is not None:
            return [_delete(p) for p in self.active]
        if self.job.spec.suspend:
            return [c for p in self.active for c in self._retire(p)]
        wanted = self._wanted(counted)
        extra = self._extra(wanted, counted)
        missing = wanted - (len(self.active) - len(extra)) - self._replacing()
        steps: list[Change] = [c for p in extra for c in self._retire(p)]
        if missing > 0 and self._backoff_until() <= self.now:
            steps.extend(self._create(missing, counted))
        return steps

    def _wanted(self, counted: JobStatus) -> int:
        spec, succeeded = self.job.spec, _total(counted, succeeded=True)
        if spec.completions is None:
            return len(self.active) if succeeded > 0 else spec.parallelism
        return max(0, min(spec.parallelism, spec.completions - succeeded))

    def _replacing(self) -> int:
        """podReplacementPolicy Failed: a Pod on its way out keeps its place until it has ended."""
        return len(self.terminating) if self.job.spec.podReplacementPolicy == "Failed" else 0

    def _extra(self, wanted: int, counted: JobStatus) -> list[Pod]:
        """Active Pods that are not needed: for a done or duplicate index, beyond the parallelism (not ready first)."""
        extra: list[Pod] = []
        keep = self.active
        if self.indexed:
            done = _expand(counted.completedIndexes)
            seen: set[int | None] = set()
            keep = []
            for pod in self.active:
                index = _index(pod)
                unwanted = index is None or index in done or index in seen or index >= self._completions()
                (extra if unwanted else keep).append(pod)
                seen.add(index)
        surplus = len(keep) - wanted
        if surplus > 0:
            extra.extend(sorted(keep, key=lambda p: (_ready(p), -(_index(p) or 0)))[:surplus])
        return extra

    def _retire(self, pod: Pod) -> Iterator[Change]:
        """Delete a Pod that must not count as failed."""
        if FINALIZER in pod.metadata.finalizers:
            yield _release(pod)
        yield _delete(pod)
        yield Record(batch.JOBS, self.job, "Normal", "SuccessfulDelete", f"Deleted pod: {pod.metadata.name}")

    def _create(self, count: int, counted: JobStatus) -> Iterator[Change]:
        taken = {p.metadata.name for p in self.pods}
        for index in self._free_indexes(count, counted) if self.indexed else [None] * count:
            name = self._name(index, taken)
            taken.add(name)
            yield Create(core.PODS, pod_of(self.job, name, index))
            yield Record(batch.JOBS, self.job, "Normal", "SuccessfulCreate", f"Created pod: {name}")

    def _free_indexes(self, count: int, counted: JobStatus) -> list[int]:
        busy = {_index(p) for p in self.active} | _expand(counted.completedIndexes)
        if self._replacing():
            busy |= {_index(p) for p in self.terminating}
        free = (i for i in range(self._completions()) if i not in busy)
        return [i for i, _ in zip(free, range(count), strict=False)]

    def _name(self, index: int | None, taken: set[str]) -> str:
        """`<job>-<index>-<hash>`: the first of a fixed series that no Pod has, so that a stale view repeats a name."""
        stem = self.job.metadata.name if index is None else f"{self.job.metadata.name}-{index}"
        attempt = 0
        while True:
            digest = hashlib.sha256(f"{self.job.metadata.uid}/{index}/{attempt}".encode()).digest()
            name = f"{stem[:57]}-{_word(digest)}"
            if name not in taken:
                return name
            attempt += 1

    def _backoff_until(self) -> float:
        """When the next Pod may be created: after the newest of the failures in a row, and the back-off."""
        ends = sorted((_ended(p), p.status.phase == "Failed") for p in self.pods if p.finished)
        row = 0
        for _, was_failure in reversed(ends):
            if not was_failure:
                break
            row += 1
        if row == 0:
            return 0.0
        return float(ends[-1][0] + min(BACKOFF_CAP, BACKOFF_BASE * 2.0 ** min(row - 1, 20)))

    # --- time -------------------------------------------------------------------------------------------------------

    def _wakes(self, reason: str | None) -> list[Change]:
        if reason is not None or self.job.spec.suspend:
            return []
        wakes: list[Change] = []
        deadline = self._deadline()
        if deadline is not None:
            wakes.append(WakeAt(deadline))
        until = self._backoff_until()
        if until > self.now:
            wakes.append(WakeAt(until))
        return wakes

    def _expire(self, final: JobStatus) -> list[Change]:
        """ttlSecondsAfterFinished (KEP-592)."""
        ttl, conditions = self.job.spec.ttlSecondsAfterFinished, final.conditions
        ended = statuses.find(conditions, "Complete") or statuses.find(conditions, "Failed")
        if ttl is None or ended is None or ended.lastTransitionTime is None or self.job.metadata.deleting:
            return []
        due = timestamp.parse(ended.lastTransitionTime) + ttl
        if due > self.now:
            return [WakeAt(due)]
        return [Delete(batch.JOBS, self.job.key, self.job.metadata.uid, propagation="Foreground")]


_TERMINAL = ("Complete", "Failed", "SuccessCriteriaMet", "FailureTarget")


def pod_of(job: Job, name: str, index: int | None) -> dict[str, Any]:
    """The Pod that the Job's template makes; `index` for an Indexed Job."""
    template = job.spec.template
    meta: Mapping[str, Any] = template.get("metadata") or {}
    labels, annotations = dict(meta.get("labels") or {}), dict(meta.get("annotations") or {})
    spec = dict(template.get("spec") or {})
    if index is not None:
        labels[INDEX] = annotations[INDEX] = str(index)
        spec["hostname"] = f"{job.metadata.name}-{index}"[:63].rstrip("-")
        for field in ("initContainers", "containers"):
            if spec.get(field):
                spec[field] = [_with_index(c) for c in spec[field]]
    made: dict[str, Any] = {
        "name": name,
        "namespace": job.metadata.namespace,
        "finalizers": [*(meta.get("finalizers") or ()), FINALIZER],
        "ownerReferences": [ownership.reference(batch.JOBS, job)],
    }
    made |= {k: v for k, v in (("labels", labels), ("annotations", annotations)) if v}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": made, "spec": spec}


def _with_index(container: Mapping[str, Any]) -> dict[str, Any]:
    env = list(container.get("env") or ())
    if not any(e.get("name") == "JOB_COMPLETION_INDEX" for e in env):
        path = f"metadata.labels['{INDEX}']"
        env.append({"name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}})
    return {**container, "env": env}


def _release(pod: Pod) -> Change:
    left = [f for f in pod.metadata.finalizers if f != FINALIZER]
    return Patch(
        core.PODS,
        pod.key,
        {"metadata": {"finalizers": left or None}},
        uid=pod.metadata.uid,
        revision=pod.metadata.resourceVersion,
    )


def _delete(pod: Pod) -> Change:
    return Delete(core.PODS, pod.key, pod.metadata.uid)


def _failure(reason: str, message: str) -> Condition:
    return Condition(type="FailureTarget", status="True", reason=reason, message=message)


def _ready(pod: Pod) -> bool:
    ready = pod.condition("Ready")
    return ready is not None and ready.status == "True"


def _index(pod: Pod) -> int | None:
    text = pod.metadata.annotations.get(INDEX, "")
    return int(text) if text.isdigit() else None


def _ended(pod: Pod) -> float:
    """When the last container ended; the Pod's creation where that is not known."""
    ends = [
        c.state.terminated.finishedAt
        for c in pod.status.containerStatuses
        if c.state.terminated and c.state.terminated.finishedAt
    ]
    return max((timestamp.parse(e) for e in ends), default=timestamp.parse(pod.metadata.creationTimestamp or _EPOCH))


_EPOCH = "1970-01-01T00:00:00Z"


def _both(noted: UncountedPods, kept: UncountedPods, succeeded: bool) -> int:
    """How many noted Pods still hold their finalizer, and so are not moved to a counter yet."""
    before, after = (noted.succeeded, kept.succeeded) if succeeded else (noted.failed, kept.failed)
    return len(set(before) & set(after))


def _total(status: JobStatus, *, succeeded: bool) -> int:
    """Counted and noted Pods together."""
    noted = status.uncountedTerminatedPods or UncountedPods()
    return status.succeeded + len(noted.succeeded) if succeeded else status.failed + len(noted.failed)


def _expand(text: str) -> set[int]:
    """`1,3-5` to {1, 3, 4, 5}."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def _compress(indexes: Iterable[int]) -> str:
    """{1, 3, 4, 5} to `1,3-5`."""
    runs: list[list[int]] = []
    for i in sorted(indexes):
        if runs and i == runs[-1][1] + 1:
            runs[-1][1] = i
        else:
            runs.append([i, i])
    return ",".join(str(a) if a == b else f"{a},{b}" if b == a + 1 else f"{a}-{b}" for a, b in runs)


def _word(digest: bytes) -> str:
    """Five letters and digits of the alphabet that Kubernetes uses for generated names."""
    alphabet = "bcdfghjklmnpqrstvwxz2456789"
    return "".join(alphabet[b % len(alphabet)] for b in digest[:5])


CONTROLLER = Controller(
    name="job-controller", primary=batch.JOBS, reconcile=reconcile, links=(Owned(core.PODS),), embedded=True
)
