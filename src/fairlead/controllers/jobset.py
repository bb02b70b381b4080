"""jobset.x-k8s.io JobSet: groups of Jobs that start, restart, succeed and fail together.

The order of one pass is upstream's: sort the child Jobs into previous, active, successful and failed; report them;
finished: clean up and expire; delete what an earlier restart left; a failed Job: failure policy; success policy;
headless Service; create the missing Jobs (behind dependsOn or the startup order); suspend or resume. One status write,
before anything that relies on it.

Names, labels and conditions are those of JobSet 0.13. Restarting single Jobs and in-place restart are not decided
here: a rule that asks for them fails the JobSet and says so.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from fairlead.api import batch, core, jobset
from fairlead.api.batch import Job
from fairlead.api.jobset import FailureRule, JobSet, JobSetStatus, ReplicatedJob, ReplicatedJobStatus
from fairlead.api.meta import Condition, Key
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
    Referred,
    SetStatus,
    View,
    WakeAt,
)

_RESTARTABLE = {"RestartJobSet": True, "RestartJobSetAndIgnoreMaxRestarts": False}
"""Actions that restart the whole JobSet, and whether that counts towards maxRestarts."""


def reconcile(view: View[JobSet]) -> Sequence[Change]:
    """See the module's text."""
    js = view.object
    if js is None or js.metadata.deleting or js.spec.managedBy not in ("", jobset.CONTROLLER):
        return []
    return _Pass(js, view.all(batch.JOBS), view.all(core.SERVICES), view.now).changes()


class _Pass:
    """One look at one JobSet: its Jobs in their buckets, the status it gets, and what follows."""

    def __init__(self, js: JobSet, jobs: Sequence[Job], services: Sequence[core.Service], now: float) -> None:
        self.js, self.jobs, self.now = js, jobs, now
        self.services = {s.metadata.name for s in services}
        current = [j for j in jobs if _attempt(j) >= js.status.restarts]
        self.previous = [j for j in jobs if _attempt(j) < js.status.restarts]
        self.failed = [j for j in current if j.condition("Failed")]
        self.successful = [j for j in current if j.condition("Complete")]
        self.active = [j for j in current if not j.condition("Failed") and not j.condition("Complete")]
        self.status: JobSetStatus = msgspec.structs.replace(js.status, replicatedJobsStatus=self._replicated())
        self.events: list[Change] = []

    def changes(self) -> list[Change]:
        steps = self._steps()
        written = statuses.patch(self.js.status, self.status)
        if not written:
            return steps
        told = SetStatus(jobset.JOBSETS, self.js.key, written, self.js.metadata.resourceVersion)
        return [told, *self.events, *steps]

    def _steps(self) -> list[Change]:
        if self.js.condition("Completed") or self.js.condition("Failed"):
            return [*self._drop(self.active), *self._expire()]
        steps = self._drop(self.previous)
        if not self.js.spec.suspend and self._all_ready():
            self._clear("Restarting", "JobsReady", "all jobs are ready")
        if self.failed:
            self._fail()
            return steps
        if self.successful and self._succeed():
            return [*steps, *self._drop(self.active)]
        steps += self._service()
        steps += self._create()
        steps += self._suspend() if self.js.spec.suspend else self._resume()
        return steps

    # --- status -----------------------------------------------------------------------------------------------------

    def _replicated(self) -> list[ReplicatedJobStatus]:
        rows = [self._row(r.name) for r in self.js.spec.replicatedJobs]
        return sorted(rows, key=lambda r: r.name)

    def _row(self, name: str) -> ReplicatedJobStatus:
        active = [j for j in self.active if _of(j) == name]
        return ReplicatedJobStatus(
            name=name,
            ready=sum(1 for j in active if _is_ready(j)),
            succeeded=sum(1 for j in self.successful if _of(j) == name),
            failed=sum(1 for j in self.failed if _of(j) == name),
            active=sum(1 for j in active if j.status.active > 0),
            suspended=sum(1 for j in active if j.spec.suspend),
        )

    def _status_of(self, name: str) -> ReplicatedJobStatus:
        return next((r for r in self.status.replicatedJobsStatus if r.name == name), ReplicatedJobStatus(name=name))

    def _all_ready(self) -> bool:
        wanted = sum(r.replicas for r in self.js.spec.replicatedJobs)
        return wanted == sum(r.ready + r.succeeded for r in self.status.replicatedJobsStatus)

    def _set(self, condition: Condition, event_type: Literal["Normal", "Warning"] = "Normal") -> None:
        """Put a condition, with the event that upstream tells with it. One that is false is not added anew."""
        before = statuses.find(self.status.conditions, condition.type)
        if before is None and condition.status != "True":
            return
        if before is not None and (before.status, before.reason, before.message) == (
            condition.status,
            condition.reason,
            condition.message,
        ):
            return
        conditions = statuses.put(self.status.conditions, condition, self.now)
        rival = _EXCLUSIVE.get(condition.type)
        if rival is not None and condition.status == "True" and statuses.is_true(conditions, rival):
            conditions = [msgspec.structs.replace(c, status="False") if c.type == rival else c for c in conditions]
        self.status = msgspec.structs.replace(self.status, conditions=conditions)
        self.events.append(Record(jobset.JOBSETS, self.js, event_type, condition.reason, condition.message))

    def _clear(self, type_: str, reason: str, message: str) -> None:
        self._set(Condition(type=type_, status="False", reason=reason, message=message))

    def _finish(self, type_: str, reason: str, message: str) -> None:
        self._set(
            Condition(type=type_, status="True", reason=reason, message=message),
            "Warning" if type_ == "Failed" else "Normal",
        )
        ended = "jobset failed" if type_ == "Failed" else message
        self._clear("Restarting", f"JobSet{type_}", ended)
        self.status = msgspec.structs.replace(self.status, terminalState=type_)

    # --- the ends ---------------------------------------------------------------------------------------------------

    def _fail(self) -> None:
        first, rule = self._matching()
        policy = self.js.spec.failurePolicy
        if policy is None:
            return self._finish("Failed", "FailedJobs", _naming("jobset failed due to one or more job failures", first))
        action = rule.action if rule is not None else "RestartJobSet"
        if action == "FailJobSet":
            text = _naming("applying FailJobSet failure policy action", first)
            return self._finish("Failed", "FailJobSetFailurePolicyAction", text)
        if action not in _RESTARTABLE:
            text = _naming(f"failure policy action {action} is not supported here; use RestartJobSet", first)
            return self._finish("Failed", "FailedJobs", text)
        if _RESTARTABLE[action] and self.js.status.restartsCountTowardsMax >= policy.maxRestarts:
            text = _naming("jobset failed due to reaching max number of restarts", first)
            return self._finish("Failed", "ReachedMaxRestarts", text)
        return self._restart(action, rule, first)

    def _restart(self, action: str, rule: FailureRule | None, first: Job) -> None:
        message = _naming(f"applying {action} failure policy action", first)
        reason = f"FailurePolicy_{rule.name}" if rule is not None else "DefaultFailurePolicy"
        counted = self.js.status.restartsCountTowardsMax + (1 if _RESTARTABLE[action] else 0)
        self.status = msgspec.structs.replace(
            self.status, restarts=self.js.status.restarts + 1, restartsCountTowardsMax=counted
        )
        self._set(Condition(type="Restarting", status="True", reason=reason, message=message), "Warning")
        self.events.append(Record(jobset.JOBSETS, self.js, "Warning", f"{action}FailurePolicyAction", message))

    def _matching(self) -> tuple[Job, FailureRule | None]:
        """The earliest failed Job that the first matching rule matches; else the earliest, and no rule."""
        by_time = sorted(self.failed, key=_failed_at)
        for rule in self.js.spec.failurePolicy.rules if self.js.spec.failurePolicy else ():
            matched = next((j for j in by_time if _applies(rule, j)), None)
            if matched is not None:
                return matched, rule
        return by_time[0], None

    def _succeed(self) -> bool:
        policy = self.js.spec.successPolicy or jobset.SuccessPolicy()
        targets = policy.targetReplicatedJobs or [r.name for r in self.js.spec.replicatedJobs]
        wanted = sum(r.replicas for r in self.js.spec.replicatedJobs if r.name in targets)
        reached = sum(1 for j in self.successful if _of(j) in targets)
        if reached < (1 if policy.operator == "Any" else wanted):
            return False
        self._finish("Completed", "AllJobsCompleted", "jobset completed successfully")
        return True

    def _expire(self) -> list[Change]:
        ttl = self.js.spec.ttlSecondsAfterFinished
        ended = self.js.condition("Completed") or self.js.condition("Failed")
        if ttl is None or ended is None or ended.lastTransitionTime is None:
            return []
        due = timestamp.parse(ended.lastTransitionTime) + ttl
        if due > self.now:
            return [WakeAt(due)]
        return [Delete(jobset.JOBSETS, self.js.key, self.js.metadata.uid, propagation="Foreground")]

    # --- children ---------------------------------------------------------------------------------------------------

    def _drop(self, jobs: Sequence[Job]) -> list[Change]:
        """Delete Jobs, their Pods first: a Job's name is free again only when its Pods are gone."""
        return [
            Delete(batch.JOBS, j.key, j.metadata.uid, propagation="Foreground") for j in jobs if not j.metadata.deleting
        ]

    def _service(self) -> list[Change]:
        network = self.js.spec.network or jobset.Network()
        if not network.enableDNSHostnames or self.js.subdomain in self.services:
            return []
        meta = {
            "name": self.js.subdomain,
            "namespace": self.js.metadata.namespace,
            "ownerReferences": [ownership.reference(jobset.JOBSETS, self.js)],
        }
        spec = {
            "clusterIP": "None",
            "selector": {jobset.JOBSET_NAME: self.js.metadata.name},
            "publishNotReadyAddresses": network.publishNotReadyAddresses,
        }
        return [Create(core.SERVICES, {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})]

    def _create(self) -> list[Change]:
        policy = self.js.spec.failurePolicy
        if policy is not None and policy.restartStrategy == "BlockingRecreate" and self.previous:
            return []
        return [create for replicated in self._in_turn() for create in self._missing(replicated)]

    def _in_turn(self) -> Iterator[ReplicatedJob]:
        """The replicated jobs that have their turn: dependencies met, and (InOrder) all before them started."""
        in_order = self._in_order() and not self.js.spec.suspend
        for replicated in self.js.spec.replicatedJobs:
            if not self._dependencies_met(replicated):
                continue
            if in_order and self._started(replicated):
                continue
            yield replicated
            if in_order:
                self._set(_STARTING)
                return
        if in_order:
            self._set(_STARTED)

    def _in_order(self) -> bool:
        return self.js.spec.startupPolicy is not None and self.js.spec.startupPolicy.startupPolicyOrder == "InOrder"

    def _started(self, replicated: ReplicatedJob) -> bool:
        row = self._status_of(replicated.name)
        return replicated.replicas == row.ready + row.failed + row.succeeded

    def _dependencies_met(self, replicated: ReplicatedJob) -> bool:
        wanted = {r.name: r.replicas for r in self.js.spec.replicatedJobs}
        for dependency in replicated.dependsOn:
            row = self._status_of(dependency.name)
            reached = row.succeeded
            if dependency.status == "Ready":
                reached += row.ready + row.failed
            if reached != wanted.get(dependency.name, -1):
                return False
        return True

    def _missing(self, replicated: ReplicatedJob) -> Iterator[Change]:
        names = {j.metadata.name for j in self.jobs}
        for index in range(replicated.replicas):
            if jobset.job_name(self.js.metadata.name, replicated.name, index) not in names:
                yield Create(batch.JOBS, job_of(self.js, replicated, index))

    def _suspend(self) -> list[Change]:
        self._set(Condition(type="Suspended", status="True", reason="SuspendedJobs", message="jobset is suspended"))
        self._clear("Restarting", "JobSetSuspended", "jobset is suspended")
        return [_patch_suspend(j, True) for j in self.active if not j.spec.suspend]

    def _resume(self) -> list[Change]:
        resumed: list[Change] = []
        in_order = self._in_order()
        for replicated in self.js.spec.replicatedJobs:
            if not self._dependencies_met(replicated) or (in_order and self._started(replicated)):
                continue
            for job in self.active:
                if _of(job) == replicated.name and job.spec.suspend:
                    resumed.extend(_resume_job(job, replicated))
            if in_order:
                return resumed
        self._clear("Suspended", "ResumeJobs", "jobset is resumed")
        return resumed


_EXCLUSIVE = {
    "StartupPolicyInProgress": "StartupPolicyCompleted",
    "StartupPolicyCompleted": "StartupPolicyInProgress",
}
_STARTING = Condition(
    type="StartupPolicyInProgress",
    status="True",
    reason="InOrderStartupPolicyInProgress",
    message="in order startup policy is in progress",
)
_STARTED = Condition(
    type="StartupPolicyCompleted",
    status="True",
    reason="InOrderStartupPolicyCompleted",
    message="in order startup policy has completed",
)


def job_of(js: JobSet, replicated: ReplicatedJob, index: int) -> dict[str, Any]:
    """The child Job: the template, with the JobSet's labels on it and on its Pods."""
    template = replicated.template
    meta: Mapping[str, Any] = template.get("metadata") or {}
    spec = dict(template.get("spec") or {})
    pods = dict(spec.get("template") or {})
    marks = labels_of(js, replicated, index)
    pods["metadata"] = _marked(pods.get("metadata") or {}, marks)
    # The defaults that upstream's webhook gives are given again here, for clusters where it does not run.
    pods["spec"] = {"restartPolicy": "OnFailure", **(pods.get("spec") or {})}
    if (js.spec.network or jobset.Network()).enableDNSHostnames:
        pods["spec"]["subdomain"] = js.subdomain
    spec = {"completionMode": "Indexed", **spec, "template": pods, "suspend": js.spec.suspend}
    made = _marked(meta, marks) | {
        "name": jobset.job_name(js.metadata.name, replicated.name, index),
        "namespace": js.metadata.namespace,
        "ownerReferences": [ownership.reference(jobset.JOBSETS, js)],
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": made, "spec": spec}


def labels_of(js: JobSet, replicated: ReplicatedJob, index: int) -> dict[str, str]:
    """The labels (and annotations) by which a JobSet's Jobs and Pods know their place."""
    before = group_before = total = group_total = 0
    reached = False
    for other in js.spec.replicatedJobs:
        reached = reached or other.name == replicated.name
        in_group = other.groupName == replicated.groupName
        before += 0 if reached else other.replicas
        group_before += other.replicas if in_group and not reached else 0
        total += other.replicas
        group_total += other.replicas if in_group else 0
    name = jobset.job_name(js.metadata.name, replicated.name, index)
    marks = {
        jobset.JOBSET_NAME: js.metadata.name,
        jobset.JOBSET_UID: js.metadata.uid,
        jobset.REPLICATED_JOB_NAME: replicated.name,
        jobset.RESTART_ATTEMPT: str(js.status.restarts),
        jobset.REPLICATED_JOB_REPLICAS: str(replicated.replicas),
        jobset.GLOBAL_REPLICAS: str(total),
        jobset.JOB_INDEX: str(index),
        jobset.JOB_KEY: hashlib.sha1(f"{js.metadata.namespace}/{name}".encode(), usedforsecurity=False).hexdigest(),
        jobset.JOB_GLOBAL_INDEX: str(before + index),
        jobset.GROUP_NAME: replicated.groupName,
        jobset.GROUP_REPLICAS: str(group_total),
        jobset.JOB_GROUP_INDEX: str(group_before + index),
    }
    leader = js.spec.coordinator
    if leader is not None:
        host = f"{jobset.job_name(js.metadata.name, leader.replicatedJob, leader.jobIndex)}-{leader.podIndex}"
        marks[jobset.COORDINATOR] = f"{host}.{js.subdomain}"
    return marks


def _marked(meta: Mapping[str, Any], marks: Mapping[str, str]) -> dict[str, Any]:
    labels = {**(meta.get("labels") or {}), **marks}
    return {**meta, "labels": labels, "annotations": {**(meta.get("annotations") or {}), **marks}}


def _patch_suspend(job: Job, suspend: bool) -> Change:
    return Patch(batch.JOBS, job.key, {"spec": {"suspend": suspend}}, uid=job.metadata.uid)


def _resume_job(job: Job, replicated: ReplicatedJob) -> list[Change]:
    """Resume a Job with the scheduling directives that its template has by now (Kueue changes them while suspended)."""
    steps: list[Change] = []
    if job.status.startTime is not None:
        # A Job that has started has an immutable template (KEP-2926): its startTime is taken back first.
        steps.append(SetStatus(batch.JOBS, job.key, {"startTime": None}, revision=""))
    wanted = (replicated.template.get("spec") or {}).get("template") or {}
    meta, spec = wanted.get("metadata") or {}, wanted.get("spec") or {}
    pods: dict[str, Any] = {}
    changed_meta = {f: meta[f] for f in ("labels", "annotations") if meta.get(f)}
    if changed_meta:
        pods["metadata"] = changed_meta
    changed = {f: spec[f] for f in ("nodeSelector", "tolerations", "schedulingGates") if spec.get(f)}
    if changed:
        pods["spec"] = changed
    patch: dict[str, Any] = {"suspend": False}
    if pods:
        patch["template"] = pods
    return [*steps, Patch(batch.JOBS, job.key, {"spec": patch}, uid=job.metadata.uid)]


def _attempt(job: Job) -> int:
    text = job.metadata.labels.get(jobset.RESTART_ATTEMPT, "")
    return int(text) if text.isdigit() else -1


def _of(job: Job) -> str:
    return job.metadata.labels.get(jobset.REPLICATED_JOB_NAME, "")


def _is_ready(job: Job) -> bool:
    pods = job.spec.parallelism
    if job.spec.completions is not None:
        pods = min(pods, job.spec.completions)
    return job.status.succeeded + (job.status.ready or 0) >= pods


def _failed_at(job: Job) -> str:
    failed = job.condition("Failed")
    return (failed.lastTransitionTime if failed else None) or ""


def _applies(rule: FailureRule, job: Job) -> bool:
    failed = job.condition("Failed")
    if failed is None or (rule.onJobFailureReasons and failed.reason not in rule.onJobFailureReasons):
        return False
    patterns = rule.onJobFailureMessagePatterns
    if patterns and not any(re.search(p, failed.message) for p in patterns):
        return False
    return not rule.targetReplicatedJobs or _of(job) in rule.targetReplicatedJobs


def _naming(message: str, job: Job) -> str:
    return f"{message} (first failed job: {job.metadata.name})"


CONTROLLER = Controller(
    name="jobset-controller",
    primary=jobset.JOBSETS,
    reconcile=reconcile,
    links=(
        Owned(batch.JOBS),
        Referred(core.SERVICES, lambda js: (Key(js.metadata.namespace, js.subdomain),)),
    ),
)
