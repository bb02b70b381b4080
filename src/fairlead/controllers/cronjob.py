"""batch/v1 CronJob: makes a Job whenever its schedule says so, in its time zone.

Decides which time is due (of several missed ones the latest), whether it is too late for it
(`startingDeadlineSeconds`), what becomes of Jobs that still run (`concurrencyPolicy`), which finished Jobs are kept.
A Job's name follows from its time, so none is made twice. Jobs that a person made of it (`kubectl create job --from`)
belong to it, and neither hinder a time nor fulfil it.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

import msgspec

from fairlead.api import batch
from fairlead.api.batch import CronJob, CronJobStatus, Job
from fairlead.base import timestamp
from fairlead.machinery import cron
from fairlead.machinery.cron import Schedule
from fairlead.reconcile import ownership
from fairlead.reconcile import status as statuses
from fairlead.reconcile.reconciler import (
    Change,
    Controller,
    Create,
    Delete,
    Owned,
    Record,
    SetStatus,
    View,
    WakeAt,
)

SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
MANUAL = "cronjob.kubernetes.io/instantiate"
TOO_MANY = 100
"""Missed times beyond which a person is told."""


def reconcile(view: View[CronJob]) -> Sequence[Change]:
    """See the module's text."""
    found = view.object
    return [] if found is None else _Pass(found, view.all(batch.JOBS), view.now).changes()


class _Pass:
    """One look at one CronJob."""

    def __init__(self, found: CronJob, jobs: Sequence[Job], now: float) -> None:
        self.cron, self.jobs, self.now = found, jobs, now
        self.running = [j for j in jobs if not _end(j) and MANUAL not in j.metadata.annotations]
        self.last = found.status.lastScheduleTime

    def changes(self) -> list[Change]:
        made = [] if self.cron.metadata.deleting else list(self._start())
        kept = [] if self.cron.metadata.deleting else list(self._forget())
        written = statuses.patch(self.cron.status, self._status())
        told: list[Change] = []
        if written:
            told = [SetStatus(batch.CRON_JOBS, self.cron.key, written, self.cron.metadata.resourceVersion)]
        # a Job is made before its time is noted: after a crash between the two it is made again, under the same name
        return [*made, *told, *self._tell_ends(), *kept]

    # --- times ------------------------------------------------------------------------------------------------------

    def _start(self) -> Iterator[Change]:
        spec = self.cron.spec
        if spec.suspend:
            return
        try:
            schedule, zone = cron.parse(spec.schedule), _zone(spec.timeZone)
        except (ValueError, zoneinfo.ZoneInfoNotFoundError) as wrong:
            yield self._tell("Warning", "UnparseableSchedule", f"unparseable schedule: {spec.schedule}: {wrong}")
            return
        due, missed = self._due(schedule, zone)
        following = schedule.after(self.now, zone)
        if following is not None:
            yield WakeAt(following)
        if missed > TOO_MANY:
            says = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
            yield self._tell("Warning", "TooManyMissedTimes", says)
        if due is not None:
            yield from self._start_at(due, zone)

    def _due(self, schedule: Schedule, zone: tzinfo) -> tuple[float | None, int]:
        """The latest time that has come since the last one that was used, and how many have come."""
        deadline = self.cron.spec.startingDeadlineSeconds
        since = self.last or self.cron.metadata.creationTimestamp
        time = timestamp.parse(since) if since else self.now
        if deadline is not None:
            time = max(time, self.now - deadline)
        due, count = None, 0
        while (following := schedule.after(time, zone)) is not None and following <= self.now:
            due, time, count = following, following, count + 1
            if count > TOO_MANY:
                return self._latest(schedule, zone, due), count
        return due, count

    def _latest(self, schedule: Schedule, zone: tzinfo, due: float) -> float:
        """The latest time by now, of a schedule that is far behind: looked for in ever longer spans from now back."""
        span = 60.0
        while True:
            time, found = max(due, self.now - span), None
            while (following := schedule.after(time, zone)) is not None and following <= self.now:
                time = found = following
            if found is not None or self.now - span <= due:
                return due if found is None else found
            span *= 4

    def _start_at(self, due: float, zone: tzinfo) -> Iterator[Change]:
        spec, name = self.cron.spec, name_of(self.cron, due)
        if any(j.metadata.name == name for j in self.jobs):
            self.last = timestamp.seconds(due)
            return
        if self.running and spec.concurrencyPolicy == "Forbid":
            says = "Not starting job because prior execution is running and concurrency policy is Forbid"
            yield self._tell("Normal", "JobAlreadyActive", says)
            return
        if spec.concurrencyPolicy == "Replace":
            for job in self.running:
                yield from self._delete(job)
        yield Create(batch.JOBS, job_of(self.cron, due, zone))
        yield self._tell("Normal", "SuccessfulCreate", f"Created job {name}")
        self.last = timestamp.seconds(due)

    # --- Jobs -------------------------------------------------------------------------------------------------------

    def _forget(self) -> Iterator[Change]:
        """Keep only so many finished Jobs, the latest."""
        for type_, limit in (
            ("Complete", self.cron.spec.successfulJobsHistoryLimit), ("Failed", self.cron.spec.failedJobsHistoryLimit),
        ):  # fmt: skip
            over = [j for j in self.jobs if _end(j) == type_ and not j.metadata.deleting]
            over.sort(key=lambda j: (j.status.startTime or "", j.metadata.name))
            for job in over[: max(0, len(over) - limit)]:
                yield from self._delete(job)

    def _delete(self, job: Job) -> Iterator[Change]:
        if not job.metadata.deleting:
            yield Delete(batch.JOBS, job.key, job.metadata.uid)
            yield self._tell("Normal", "SuccessfulDelete", f"Deleted job {job.metadata.name}")

    def _tell_ends(self) -> Iterator[Change]:
        known = {ref.get("uid") for ref in self.cron.status.active}
        for job in self.jobs:
            if _end(job) and job.metadata.uid in known:
                says = f"Saw completed job: {job.metadata.name}, condition: {_end(job)}"
                yield self._tell("Normal", "SawCompletedJob", says)

    def _tell(self, type_: Any, reason: str, message: str) -> Record:
        return Record(batch.CRON_JOBS, self.cron, type_, reason, message)

    def _status(self) -> CronJobStatus:
        ends = [j.status.completionTime for j in self.jobs if _end(j) == "Complete" and j.status.completionTime]
        before = self.cron.status.lastSuccessfulTime
        latest = max([*ends, *([before] if before else [])], default=None)
        active = [
            {"kind": "Job", "namespace": j.metadata.namespace, "name": j.metadata.name, "uid": j.metadata.uid,
             "apiVersion": "batch/v1"}
            for j in self.running
        ]  # fmt: skip
        return msgspec.structs.replace(
            self.cron.status, active=active, lastScheduleTime=self.last, lastSuccessfulTime=latest
        )


def _end(job: Job) -> str:
    """`Complete`, `Failed` or nothing."""
    return next((t for t in ("Complete", "Failed") if job.condition(t)), "")


def _zone(name: str | None) -> tzinfo:
    return zoneinfo.ZoneInfo(name) if name else UTC


def name_of(found: CronJob, due: float) -> str:
    """The name of a time's Job: unique for each minute."""
    return f"{found.metadata.name}-{int(due) // 60}"


def job_of(found: CronJob, due: float, zone: tzinfo) -> dict[str, Any]:
    """The Job of a time."""
    template = found.spec.jobTemplate
    meta = template.get("metadata") or {}
    moment = datetime.fromtimestamp(due, zone).isoformat(timespec="seconds").replace("+00:00", "Z")
    metadata: dict[str, Any] = {"name": name_of(found, due), "namespace": found.metadata.namespace}
    metadata["annotations"] = {**(meta.get("annotations") or {}), SCHEDULED: moment}
    if meta.get("labels"):
        metadata["labels"] = dict(meta["labels"])
    metadata["ownerReferences"] = [ownership.reference(batch.CRON_JOBS, found)]
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template.get("spec") or {}}


CONTROLLER = Controller(
    name="cronjob-controller",
    primary=batch.CRON_JOBS,
    reconcile=reconcile,
    links=(Owned(batch.JOBS),),
    embedded=True,
)
