"""batch/v1 Job: runs Pods until enough of them have succeeded.

Decides which Pods to create and delete, and counts the finished ones exactly once: a Pod keeps the finalizer
`batch.kubernetes.io/job-tracking` until its end is on record in the Job's status (KEP-2307), in three steps that each
survive a crash: note the Pod's uid (or completed index) in the status; drop the finalizer; move the uid to a counter.
With a backoffLimitPerIndex the last failed Pod of an index keeps it until the next one is there (KEP-3850).
Terminal conditions come in two steps (KEP-3939, KEP-3998): SuccessCriteriaMet or FailureTarget first, Complete or
Failed when no Pod is left.

Leaves to others: what policies make of failures and successes (`reconcile.jobpolicy`), defaults and validation (API
server), placing (scheduler), running (agent), deleting the Pods of a Job that is gone (garbage collector; only the
finalizer is dropped here).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from fairlead.api import batch, core
from fairlead.api.batch import Job, JobStatus, UncountedPods
from fairlead.api.core import Pod
from fairlead.api.meta import Condition
from fairlead.base import timestamp
from fairlead.reconcile import indexes, jobpods, jobpolicy
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

FINALIZER = jobpods.FINALIZER
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
        self.per_index = self.indexed and job.spec.backoffLimitPerIndex is not None
        self.only_failed = job.spec.podReplacementPolicy == "Failed" or job.spec.podFailurePolicy is not None
        self.active = [p for p in pods if not p.finished and not p.metadata.deleting]
        self.terminating = [p for p in pods if p.metadata.deleting and not p.finished]
        self.held = [p for p in pods if FINALIZER in p.metadata.finalizers]
        self.noted = job.status.uncountedTerminatedPods or UncountedPods()
        limit = self._completions()
        self.done = indexes.expand(job.status.completedIndexes, limit)
        self.lost = indexes.expand(job.status.failedIndexes or "", limit)
        if self.indexed:
            ends = [p for p in self.held if self._counts(p)]
            self.done |= {indexes.of(p) or 0 for p in ends if p.status.phase == "Succeeded"}
            if self.per_index:
                self.lost |= {indexes.of(p) or 0 for p in ends if self._ends_index(p)}
        self.busy = {indexes.of(p) for p in self.active} | self.done | self.lost
        self.waiting = self._waiting() if self.per_index else {}
        self.condition = next((c for c in _TERMINAL if job.condition(c)), None)

    def changes(self) -> list[Change]:
        if self.condition in ("Complete", "Failed"):
            left = [_release(p) for p in self.pods if FINALIZER in p.metadata.finalizers]
            return [*left, *self._expire(self.job.status)]
        target = self._target() or self._verdict()
        counted, settled = self._count(target)
        conditions, events = self._conditions(counted, target)
        final = msgspec.structs.replace(
            counted,
            conditions=conditions,
            active=len(self.active),
            ready=sum(1 for p in self.active if _ready(p)),
            terminating=len(self.terminating),
            startTime=self._start(target),
            completionTime=timestamp.seconds(self.now) if statuses.is_true(conditions, "Complete") else None,
        )
        written = statuses.patch(self.job.status, final)
        told: list[Change] = []
        if written:
            told = [SetStatus(batch.JOBS, self.job.key, written, self.job.metadata.resourceVersion), *events]
        released = [_release(p) for p in settled]
        return [*told, *released, *self._steps(target), *self._wakes(target), *self._expire(final)]

    # --- what became of a Pod ---------------------------------------------------------------------------------------

    def _failed(self, pod: Pod) -> bool:
        """A Pod on its way out counts as failed at once, unless only those that have ended are to be replaced."""
        if pod.finished:
            return pod.status.phase == "Failed"
        return pod.metadata.deleting and not self.only_failed

    def _counts(self, pod: Pod) -> bool:
        """Pods of an Indexed Job without an index that it has are nobody's success or failure."""
        index = indexes.of(pod)
        return not self.indexed or (index is not None and index < self._completions())

    def _ends_index(self, pod: Pod) -> bool:
        """Whether the failure of this Pod is its index's (KEP-3850)."""
        if not self._failed(pod):
            return False
        ruling = jobpolicy.ruling(self.job, pod)
        spent = indexes.failures(pod) >= (self.job.spec.backoffLimitPerIndex or 0)
        return ruling.action == "FailIndex" or (ruling.counts and spent)

    def _waiting(self) -> dict[int, Pod]:
        """The last failed Pod of each index that is to be tried again.

        It keeps its finalizer until its replacement is there: what failed before is known from it alone.
        """
        last: dict[int, Pod] = {}
        for pod in self.held:
            index = indexes.of(pod)
            if index is None or index in self.busy or not self._counts(pod) or not self._failed(pod):
                continue
            if index not in last or _tries(pod) >= _tries(last[index]):
                last[index] = pod
        return last

    # --- counting ---------------------------------------------------------------------------------------------------

    def _count(self, target: Condition | None) -> tuple[JobStatus, list[Pod]]:
        """The status with every Pod that is over on record, and the Pods whose end is on record in it."""
        status, noted = self.job.status, self.noted
        uids = {p.metadata.uid for p in self.held}
        kept = UncountedPods(
            succeeded=[u for u in noted.succeeded if u in uids], failed=[u for u in noted.failed if u in uids]
        )
        moved = len(noted.succeeded) - len(kept.succeeded), len(noted.failed) - len(kept.failed)
        settled = [p for p in self.held if self._is_settled(p, target)]
        failing = target is not None and target.type == "FailureTarget"
        for pod in settled:
            uid = pod.metadata.uid
            if uid in kept.failed:
                continue
            if pod.status.phase == "Succeeded":
                if not self.indexed and uid not in kept.succeeded:
                    kept.succeeded.append(uid)
            elif (failing or self._failed(pod)) and self._is_told(pod):
                kept.failed.append(uid)
        return msgspec.structs.replace(
            status,
            succeeded=len(self.done) if self.indexed else status.succeeded + moved[0],
            failed=status.failed + moved[1],
            completedIndexes=indexes.compress(self.done) if self.indexed else "",
            failedIndexes=indexes.compress(self.lost) if self.per_index else None,
            uncountedTerminatedPods=kept,
        ), settled

    def _is_settled(self, pod: Pod, target: Condition | None) -> bool:
        """Whether the Pod has nothing more to tell, so that its finalizer may go."""
        if self.job.metadata.deleting or target is not None or pod.status.phase == "Succeeded":
            return True
        again = self.waiting.get(indexes.of(pod) or 0) if self.per_index else None
        return self._failed(pod) and (again is None or again.metadata.uid != pod.metadata.uid)

    def _is_told(self, pod: Pod) -> bool:
        return self._counts(pod) and jobpolicy.ruling(self.job, pod).counts

    def _succeeded(self) -> int:
        """How many Pods (indexes) have succeeded, those on no record yet included."""
        if self.indexed:
            return len(self.done)
        noted = self.noted.succeeded
        new = sum(1 for p in self.held if p.status.phase == "Succeeded" and p.metadata.uid not in noted)
        return self.job.status.succeeded + len(noted) + new

    def _failures(self) -> int:
        """How many Pods have failed, those on no record yet included."""
        noted = self.noted.failed
        new = [p for p in self.held if p.metadata.uid not in noted and self._failed(p) and self._is_told(p)]
        return self.job.status.failed + len(noted) + len(new)

    def _completions(self) -> int:
        return self.job.spec.completions if self.job.spec.completions is not None else 1 << 31

    def _start(self, target: Condition | None = None) -> str | None:
        """When the Job started; anew when it is resumed."""
        started = self.job.status.startTime
        was = statuses.is_true(self.job.status.conditions, "Suspended")
        if self.job.spec.suspend:
            return started if was or target is not None else None
        if started is None or (was and target is None):
            return timestamp.seconds(self.now)
        return started

    # --- conditions -------------------------------------------------------------------------------------------------

    def _conditions(self, counted: JobStatus, target: Condition | None) -> tuple[list[Condition], list[Change]]:
        conditions: list[Condition] = list(self.job.status.conditions)
        if target is None:
            return self._suspension(conditions)
        if not statuses.is_true(conditions, target.type):
            conditions = self._add(conditions, target)
        uncounted = counted.uncountedTerminatedPods or UncountedPods()
        if self.active or self.terminating or uncounted.succeeded or uncounted.failed:
            return conditions, []
        ended = msgspec.structs.replace(target, type="Complete" if target.type == "SuccessCriteriaMet" else "Failed")
        return self._add(conditions, ended), list(self._tell_end(ended))

    def _target(self) -> Condition | None:
        """What the Job's end is to be, if that is settled."""
        return self.job.condition("SuccessCriteriaMet") or self.job.condition("FailureTarget")

    def _verdict(self) -> Condition | None:
        """What the Job's end is to be, once it is known."""
        spec = self.job.spec
        for pod in self.pods if spec.podFailurePolicy else ():
            if self._failed(pod) and (message := jobpolicy.ruling(self.job, pod).message):
                return _failure("PodFailurePolicy", message)
        if self._failures() > spec.backoffLimit or self._restarts_exceed():
            return _failure("BackoffLimitExceeded", "Job has reached the specified backoff limit")
        deadline = self._deadline()
        if deadline is not None and self.now >= deadline:
            return _failure("DeadlineExceeded", "Job was active longer than specified deadline")
        if self.lost and spec.maxFailedIndexes is not None and len(self.lost) > spec.maxFailedIndexes:
            message = "Job has exceeded the specified maximal number of failed indexes"
            return _failure("MaxFailedIndexesExceeded", message)
        if self.lost and len(self.lost) + len(self.done) >= self._completions():
            return _failure("FailedIndexes", "Job has failed indexes")
        if self.indexed and (message := jobpolicy.satisfied(self.job, self.done)):
            return Condition(type="SuccessCriteriaMet", status="True", reason="SuccessPolicy", message=message)
        return SUCCESS if self._complete() else None

    def _complete(self) -> bool:
        succeeded = self._succeeded()
        if self.job.spec.completions is None:
            return succeeded > 0 and not self.active
        return succeeded >= self.job.spec.completions

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

    def _tell_end(self, ended: Condition) -> Iterator[Record]:
        if ended.type != "Complete":
            yield Record(batch.JOBS, self.job, "Warning", ended.reason, ended.message)
            return
        if self._succeeded() > self._completions():
            message = "Too many succeeded pods running after completion count reached"
            yield Record(batch.JOBS, self.job, "Warning", "TooManySucceededPods", message)
        yield Record(batch.JOBS, self.job, "Normal", "Completed", "Job completed")

    # --- Pods -------------------------------------------------------------------------------------------------------

    def _steps(self, target: Condition | None) -> list[Change]:
        """Pods to delete and to create."""
        if target is not None:
            return [c for p in self.active for c in self._remove(p)]
        if self.job.metadata.deleting:
            return []
        if self.job.spec.suspend:
            return [c for p in self.active for c in self._retire(p)]
        wanted = self._wanted()
        extra = self._extra(wanted)
        missing = wanted - (len(self.active) - len(extra)) - (len(self.terminating) if self.only_failed else 0)
        steps: list[Change] = [c for p in extra for c in self._retire(p)]
        if missing > 0:
            steps.extend(self._create(missing))
        return steps

    def _wanted(self) -> int:
        spec, succeeded = self.job.spec, self._succeeded()
        if spec.completions is None:
            return len(self.active) if succeeded > 0 else spec.parallelism
        return max(0, min(spec.parallelism, spec.completions - succeeded))

    def _extra(self, wanted: int) -> list[Pod]:
        """Active Pods that are not needed: for a done or duplicate index, beyond the parallelism; idle ones first."""
        ranked = sorted(self.active, key=_rank, reverse=True)
        keep: list[Pod] = ranked
        extra: list[Pod] = []
        if self.indexed:
            keep, seen = [], set(self.done)
            for pod in ranked:
                index = indexes.of(pod)
                unwanted = index is None or index in seen or index >= self._completions()
                (extra if unwanted else keep).append(pod)
                seen.add(index if index is not None else -1)
        return [*extra, *keep[max(0, wanted) :]]

    def _retire(self, pod: Pod) -> Iterator[Change]:
        """Delete a Pod that must not count as failed."""
        if FINALIZER in pod.metadata.finalizers:
            yield _release(pod)
        yield from self._remove(pod)

    def _remove(self, pod: Pod) -> Iterator[Change]:
        yield Delete(core.PODS, pod.key, pod.metadata.uid)
        yield Record(batch.JOBS, self.job, "Normal", "SuccessfulDelete", f"Deleted pod: {pod.metadata.name}")

    def _create(self, count: int) -> Iterator[Change]:
        """Pods for the next indexes, as far as the back-off lets them."""
        taken = {p.metadata.name for p in self.pods}
        for index in self._free_indexes(count) if self.indexed else [None] * count:
            due = self._due(index)
            if due > self.now:
                yield WakeAt(due)
                continue
            name = jobpods.free_name(self.job, index, taken)
            taken.add(name)
            failed = self.waiting.get(index) if index is not None else None
            yield Create(core.PODS, jobpods.pod_of(self.job, name, index, failed))
            yield Record(batch.JOBS, self.job, "Normal", "SuccessfulCreate", f"Created pod: {name}")

    def _free_indexes(self, count: int) -> list[int]:
        """The lowest; one that waits for its back-off keeps its place among them."""
        busy = self.busy | ({indexes.of(p) for p in self.terminating} if self.only_failed else set())
        free = (i for i in range(self._completions()) if i not in busy)
        return [i for i, _ in zip(free, range(count), strict=False)]

    # --- time -------------------------------------------------------------------------------------------------------

    def _due(self, index: int | None) -> float:
        """When a Pod may be created: after the last failure (in a row; of its index) and the back-off."""
        if self.per_index:
            failed = self.waiting.get(index if index is not None else -1)
            return 0.0 if failed is None else _ended(failed) + _backoff(_tries(failed)[0] + 1)
        ends = sorted((_ended(p), p.status.phase == "Failed") for p in self.pods if p.finished)
        row = next((n for n, (_, failed) in enumerate(reversed(ends)) if not failed), len(ends))
        return ends[-1][0] + _backoff(row) if row else 0.0

    def _wakes(self, target: Condition | None) -> list[Change]:
        deadline = self._deadline()
        return [] if deadline is None or target is not None else [WakeAt(deadline)]

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


def _release(pod: Pod) -> Change:
    left = [f for f in pod.metadata.finalizers if f != FINALIZER]
    return Patch(
        core.PODS,
        pod.key,
        {"metadata": {"finalizers": left or None}},
        uid=pod.metadata.uid,
        revision=pod.metadata.resourceVersion,
    )


def _failure(reason: str, message: str) -> Condition:
    return Condition(type="FailureTarget", status="True", reason=reason, message=message)


def _ready(pod: Pod) -> bool:
    ready = pod.condition("Ready")
    return ready is not None and ready.status == "True"


def _rank(pod: Pod) -> tuple[Any, ...]:
    """What is missed least comes first: not placed, not running, not ready, the highest index."""
    phases = {"Pending": 0, "Unknown": 1}
    return bool(pod.spec.nodeName), phases.get(pod.status.phase, 2), _ready(pod), -(indexes.of(pod) or 0)


def _tries(pod: Pod) -> tuple[int, float]:
    """How many Pods of its index failed before it, and when it ended itself."""
    return indexes.failures(pod) + indexes.ignored(pod), _ended(pod)


def _backoff(failures: int) -> float:
    return min(BACKOFF_CAP, BACKOFF_BASE * 2.0 ** min(failures - 1, 20))


def _ended(pod: Pod) -> float:
    """When a Pod ended: its last container, else when it ceased to be ready or was deleted, else its creation."""
    restarting = {c.name for c in pod.spec.initContainers if c.restartPolicy == "Always"}
    sidecars = [c for c in pod.status.initContainerStatuses if c.name in restarting]
    ends = [c.state.terminated for c in [*pod.status.containerStatuses, *sidecars]]
    times = [e.finishedAt for e in ends if e is not None and e.finishedAt]
    if times and len(times) == len(ends):
        return max(timestamp.parse(t) for t in times)
    ready = pod.condition("Ready")
    if ready is not None and ready.status == "False" and ready.lastTransitionTime:
        return timestamp.parse(ready.lastTransitionTime)
    if pod.metadata.deletionTimestamp:
        return timestamp.parse(pod.metadata.deletionTimestamp) - (pod.metadata.deletionGracePeriodSeconds or 0)
    return timestamp.parse(pod.metadata.creationTimestamp) if pod.metadata.creationTimestamp else 0.0


CONTROLLER = Controller(
    name="job-controller", primary=batch.JOBS, reconcile=reconcile, links=(Owned(core.PODS),), embedded=True
)
