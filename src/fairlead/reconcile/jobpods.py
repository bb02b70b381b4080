"""The Pods of a Job: names, and what they have besides its template. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fairlead.api import batch
from fairlead.api.batch import Job
from fairlead.api.core import Pod
from fairlead.machinery import digest
from fairlead.reconcile import indexes, jobpolicy, pods

FINALIZER = "batch.kubernetes.io/job-tracking"
LONGEST = 58
"""Of what a generated name begins with."""


def free_name(job: Job, index: int | None, taken: set[str]) -> str:
    """`<job>-<index>-<word>`: the first of a fixed series that no Pod has, so that a stale view repeats a name."""
    attempt = 0
    while True:
        name = f"{_stem(job, index)}{digest.word([job.metadata.uid, index, attempt])}"
        if name not in taken:
            return name
        attempt += 1


def _stem(job: Job, index: int | None) -> str:
    tail = "-" if index is None else f"-{index}-"
    return job.metadata.name[: LONGEST - len(tail)] + tail


def pod_of(job: Job, name: str, index: int | None, failed: Pod | None = None) -> dict[str, Any]:
    """The Pod that the Job's template makes; `index` for an Indexed Job, `failed` the Pod that it is to replace."""
    made = pods.from_template(job.spec.template, batch.JOBS, job, name)
    meta, spec = made["metadata"], made["spec"]
    meta["generateName"] = _stem(job, index)
    meta["finalizers"] = [*(f for f in meta.get("finalizers", ()) if f != FINALIZER), FINALIZER]
    if index is not None:
        meta["labels"][indexes.INDEX] = meta["annotations"][indexes.INDEX] = str(index)
        if job.spec.backoffLimitPerIndex is not None:
            meta["annotations"] |= _tries(job, failed)
        spec["hostname"] = f"{job.metadata.name}-{index}"
        for field in ("initContainers", "containers"):
            if spec.get(field):
                spec[field] = [_with_index(c) for c in spec[field]]
    for field in ("labels", "annotations"):
        if not meta[field]:
            del meta[field]
    return made


def _tries(job: Job, failed: Pod | None) -> dict[str, str]:
    """The annotations by which a Pod knows how often its index failed before."""
    if failed is None:
        return {indexes.FAILURES: "0"}
    counts = jobpolicy.ruling(job, failed).counts
    ignored = indexes.ignored(failed) + (0 if counts else 1)
    tries = {indexes.FAILURES: str(indexes.failures(failed) + (1 if counts else 0))}
    return tries | ({indexes.IGNORED: str(ignored)} if ignored else {})


def _with_index(container: Mapping[str, Any]) -> dict[str, Any]:
    env = list(container.get("env") or ())
    if not any(e.get("name") == "JOB_COMPLETION_INDEX" for e in env):
        path = f"metadata.labels['{indexes.INDEX}']"
        env.append({"name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}})
    return {**container, "env": env}
