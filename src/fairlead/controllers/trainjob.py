"""trainer.kubeflow.org TrainJob: a runtime, the job's own wishes and its patches become one JobSet.

The pipeline is Kubeflow Trainer 2.3's: the runtime's template, runtimePatches over it, the ML policy (node count and
the framework's environment), initializers and trainer overrides, then a server-side apply of the JobSet. A JobSet that
runs is never changed: it is applied when it is absent or when `suspend` changes.

A runtime with `podGroupPolicy.coscheduling` makes its Pods a gang: they are labelled as members of a PodGroup
(scheduling.x-k8s.io) that has the TrainJob's name and is applied when it is absent or the TrainJob is suspended. Unlike
upstream, steps that others wait for (`dependsOn`) are no members: a gang that had to wait for Pods which are only made
when its first members are done would never start.

Status: Complete and Failed are the JobSet's; Suspended is written only for a job that was suspended, because the
Kubeflow SDK reports a job as running only while it has no conditions. Runtimes here are torch and plain; a runtime that
asks for another framework, or for a gang of Volcano's, fails the job and says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from fairlead.api import coscheduling, jobset, trainer
from fairlead.api.coscheduling import PodGroup
from fairlead.api.jobset import JobSet
from fairlead.api.meta import Condition, Key
from fairlead.api.trainer import MlPolicy, TrainingRuntime, TrainJob, TrainJobStatus
from fairlead.base import timestamp
from fairlead.machinery import demand, patch, quantity, tables
from fairlead.reconcile import ownership
from fairlead.reconcile import status as statuses
from fairlead.reconcile.reconciler import (
    Apply,
    Change,
    Controller,
    Delete,
    Owned,
    Record,
    Referred,
    SetStatus,
    View,
    WakeAt,
)

Json = dict[str, Any]

PORT = 29500
"""torchrun's rendezvous port, on the first Pod."""
INDEX_PATH = "metadata.annotations['batch.kubernetes.io/job-completion-index']"

_KINDS = {"TrainingRuntime": trainer.TRAINING_RUNTIMES, "ClusterTrainingRuntime": trainer.CLUSTER_TRAINING_RUNTIMES}


def reconcile(view: View[TrainJob]) -> Sequence[Change]:
    """See the module's text."""
    job = view.object
    if job is None or job.metadata.deleting or job.spec.managedBy not in ("", trainer.CONTROLLER):
        return []
    child = view.find(jobset.JOBSETS, job.key)
    status, changes = _suspension(job, view.now), list[Change]()
    problem = _unsupported(job, view)
    if problem:
        status = _failed(status, "TrainingRuntimeNotSupported", problem, view.now)
    elif not _finished(job):
        changes += _build(job, child, view)
    status = _follow(status, child, view.now)
    late, wakes = _deadline(job, status, view.now)
    if late:
        status = _failed(status, "DeadlineExceeded", "TrainJob exceeded its active deadline", view.now)
        changes = [Delete(jobset.JOBSETS, child.key, child.metadata.uid)] if child is not None else []
    written = statuses.patch(job.status, status)
    if written:
        changes.append(SetStatus(trainer.TRAIN_JOBS, job.key, written, job.metadata.resourceVersion))
    return [*changes, *wakes]


# --- status --------------------------------------------------------------------------------------------------------


def _finished(job: TrainJob) -> bool:
    return job.condition("Complete") is not None or job.condition("Failed") is not None


def _suspension(job: TrainJob, now: float) -> TrainJobStatus:
    suspended = Condition(type="Suspended", status="True", reason="Suspended", message="TrainJob is suspended")
    resumed = Condition(type="Suspended", status="False", reason="Resumed", message="TrainJob is resumed")
    if job.spec.suspend:
        return _with(job.status, suspended, now)
    return _with(job.status, resumed, now) if job.condition("Suspended") else job.status


def _failed(status: TrainJobStatus, reason: str, message: str, now: float) -> TrainJobStatus:
    return _with(status, Condition(type="Failed", status="True", reason=reason, message=message), now)


def _with(status: TrainJobStatus, condition: Condition, now: float) -> TrainJobStatus:
    return msgspec.structs.replace(status, conditions=statuses.put(status.conditions, condition, now))


def _follow(status: TrainJobStatus, child: JobSet | None, now: float) -> TrainJobStatus:
    """The JobSet's end, and its counts."""
    if child is None:
        return status
    for theirs, ours in (("Completed", "Complete"), ("Failed", "Failed")):
        ended = child.condition(theirs)
        if ended is not None and not statuses.is_true(status.conditions, ours):
            status = _with(status, msgspec.structs.replace(ended, type=ours), now)
    rows = [
        trainer.StepStatus(r.name, r.ready, r.succeeded, r.failed, r.active, r.suspended)
        for r in child.status.replicatedJobsStatus
    ]
    return msgspec.structs.replace(status, jobsStatus=rows)


def _deadline(job: TrainJob, status: TrainJobStatus, now: float) -> tuple[bool, list[Change]]:
    """Whether activeDeadlineSeconds has passed, counted from the creation or the last resume; else when it will."""
    seconds = job.spec.activeDeadlineSeconds
    ended = statuses.is_true(status.conditions, "Complete") or statuses.is_true(status.conditions, "Failed")
    if not seconds or ended or job.spec.suspend:
        return False, []
    resumed = statuses.find(status.conditions, "Suspended")
    since = resumed.lastTransitionTime if resumed is not None else job.metadata.creationTimestamp
    if since is None:
        return False, []
    due = timestamp.parse(since) + seconds
    return (True, []) if now >= due else (False, [WakeAt(due)])


# --- the JobSet ----------------------------------------------------------------------------------------------------


def _runtime(job: TrainJob, view: View[TrainJob]) -> TrainingRuntime | None:
    resource = _KINDS.get(job.spec.runtimeRef.kind)
    if resource is None:
        return None
    namespace = job.metadata.namespace if resource.namespaced else ""
    return view.find(resource, Key(namespace, job.spec.runtimeRef.name))


def _unsupported(job: TrainJob, view: View[TrainJob]) -> str:
    """Why this runtime can never run here; empty when it can, or may be created later."""
    ref = job.spec.runtimeRef
    if ref.apiGroup != trainer.GROUP or ref.kind not in _KINDS:
        return f"unsupported runtime: {ref.kind}.{ref.apiGroup}"
    runtime = _runtime(job, view)
    if runtime is None:
        return ""
    if runtime.spec.podGroupPolicy is not None and runtime.spec.podGroupPolicy.volcano is not None:
        return f"unsupported runtime: {ref.name} asks for podGroupPolicy.volcano; use coscheduling or none"
    policy = runtime.spec.mlPolicy
    asked = [f for f in ("mpi", "flux", "jax", "xgboost") if getattr(policy, f, None) is not None]
    return f"unsupported runtime: {ref.name} asks for mlPolicy.{asked[0]}; use one with torch or none" if asked else ""


def _build(job: TrainJob, child: JobSet | None, view: View[TrainJob]) -> list[Change]:
    if child is not None and child.metadata.deleting:
        return []
    runtime, group = _runtime(job, view), view.find(coscheduling.POD_GROUPS, job.key)
    resting = child is not None and child.spec.suspend == job.spec.suspend
    grouped = _group_policy(runtime) is None or (group is not None and not job.spec.suspend)
    if resting and grouped:
        return []
    if runtime is None:
        ref = job.spec.runtimeRef
        text = f"{ref.kind} {ref.name!r} does not exist; create it, or name another in spec.runtimeRef"
        return [Record(trainer.TRAIN_JOBS, job, "Warning", "TrainJobResourcesCreationFailed", text)]
    made = jobset_of(job, runtime)
    changes: list[Change] = [] if grouped else _gang(job, group, made, runtime)
    return changes if resting else [*changes, Apply(jobset.JOBSETS, made)]


def jobset_of(job: TrainJob, runtime: TrainingRuntime) -> Json:
    """The JobSet that the job and its runtime make, as it is applied."""
    template, policy = runtime.spec.template, runtime.spec.mlPolicy or MlPolicy()
    spec: Json = dict(template.get("spec") or {})
    meta: Json = dict(template.get("metadata") or {})
    for one in job.spec.runtimePatches:
        wanted = one.trainingRuntimeSpec.get("template") or {}
        spec = _patched(spec, wanted.get("spec") or {})
        meta = patch.merge_patch(meta, wanted.get("metadata") or {})
    spec["replicatedJobs"] = [_replicated(job, r, policy) for r in spec.get("replicatedJobs") or ()]
    if _group_policy(runtime) is not None:
        spec["replicatedJobs"] = _labelled(job, spec["replicatedJobs"])
    spec["suspend"] = job.spec.suspend
    made: Json = {
        "name": job.metadata.name,
        "namespace": job.metadata.namespace,
        "ownerReferences": [ownership.reference(trainer.TRAIN_JOBS, job)],
    }
    made |= {f: dict(meta[f]) for f in ("labels", "annotations") if meta.get(f)}
    return {"apiVersion": jobset.JOBSETS.api_version, "kind": "JobSet", "metadata": made, "spec": spec}


def _patched(spec: Mapping[str, Any], wanted: Mapping[str, Any]) -> Json:
    """Merge a runtime patch: replicated jobs by name, their Pod templates by strategic merge."""
    by_name = {r["name"]: r for r in wanted.get("replicatedJobs") or ()}
    jobs = [
        _patched_job(r, by_name[r["name"]]) if r["name"] in by_name else r for r in spec.get("replicatedJobs") or ()
    ]
    return {**spec, "replicatedJobs": jobs}


def _patched_job(replicated: Mapping[str, Any], wanted: Mapping[str, Any]) -> Json:
    structure = tables.structure("io.k8s.api.batch.v1.JobTemplateSpec")
    template = patch.strategic_merge(replicated.get("template") or {}, wanted.get("template") or {}, structure)
    return {**replicated, "template": template}


def _replicated(job: TrainJob, replicated: Mapping[str, Any], policy: MlPolicy) -> Json:
    template: Json = dict(replicated.get("template") or {})
    step = ((template.get("metadata") or {}).get("labels") or {}).get(trainer.ANCESTOR_STEP, "")
    spec: Json = dict(template.get("spec") or {})
    count = spec.get("parallelism") or 1
    if step == trainer.TRAINER_STEP:
        own = job.spec.trainer.numNodes if job.spec.trainer is not None else None
        count = own if own is not None else policy.numNodes
    spec |= {"parallelism": count, "completions": count}
    change = _change_for(job, step, policy, count)
    if change is not None:
        pods: Json = dict(spec.get("template") or {})
        pod_spec: Json = dict(pods.get("spec") or {})
        pod_spec["containers"] = [change(dict(c)) for c in pod_spec.get("containers") or ()]
        spec["template"] = {**pods, "spec": pod_spec}
    made = {**replicated, "template": {**template, "spec": spec}}
    return made if change is None else {**made, "replicas": 1}


def _change_for(job: TrainJob, step: str, policy: MlPolicy, count: int) -> Callable[[Json], Json] | None:
    """What a step's containers become; None for a replicated job that is no step."""
    if step == trainer.TRAINER_STEP:
        return lambda c: _trainer(job, c, policy, count) if c.get("name") == trainer.NODE else c
    if step in (trainer.DATASET_STEP, trainer.MODEL_STEP):
        return lambda c: _initializer(job, c, step) if c.get("name") == step else c
    return None


def _initializer(job: TrainJob, container: Json, step: str) -> Json:
    both = job.spec.initializer
    wanted = None if both is None else both.dataset if step == trainer.DATASET_STEP else both.model
    if wanted is None:
        return container
    env = [{"name": "STORAGE_URI", "value": wanted.storageUri}] if wanted.storageUri else []
    container["env"] = upsert(container.get("env"), [*env, *msgspec.to_builtins(wanted.env)])
    if wanted.secretRef is not None:
        container["envFrom"] = [*(container.get("envFrom") or ()), {"secretRef": {"name": wanted.secretRef.name}}]
    return container


def _trainer(job: TrainJob, container: Json, policy: MlPolicy, count: int) -> Json:
    wanted = job.spec.trainer
    if wanted is None:
        return container
    if wanted.resourcesPerNode:
        container["resources"] = _merged(container.get("resources") or {}, wanted.resourcesPerNode)
    container |= {
        field: value
        for field, value in (("image", wanted.image), ("command", wanted.command), ("args", wanted.args))
        if value
    }
    env = upsert(container.get("env"), wanted.env)
    if policy.torch is not None:
        env = upsert(env, torch_environment(job, container.get("resources") or {}, count))
        ports = container.get("ports") or []
        if not any(p.get("containerPort") == PORT for p in ports):
            container["ports"] = [*ports, {"containerPort": PORT}]
    if env:
        container["env"] = env
    return container


def torch_environment(job: TrainJob, resources: Mapping[str, Any], nodes: int) -> list[Json]:
    """The PET_* variables that torchrun reads (static rendezvous at the first Pod)."""
    processes: int | str | None = job.spec.trainer.numProcPerNode if job.spec.trainer is not None else None
    if processes is None:
        processes = "auto" if _gpus(resources) else max(1, _cpus(resources))
    return [
        {"name": "PET_NNODES", "value": str(nodes)},
        {"name": "PET_NPROC_PER_NODE", "value": str(processes)},
        {"name": "PET_NODE_RANK", "valueFrom": {"fieldRef": {"fieldPath": INDEX_PATH}}},
        {"name": "PET_MASTER_ADDR", "value": f"{job.metadata.name}-{trainer.NODE}-0-0.{job.metadata.name}"},
        {"name": "PET_MASTER_PORT", "value": str(PORT)},
    ]


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> Json:
    """Requests and limits, resource by resource."""
    return {
        f: {**(base.get(f) or {}), **(over.get(f) or {})} for f in ("limits", "requests") if base.get(f) or over.get(f)
    }


def _gpus(resources: Mapping[str, Any]) -> int:
    amounts = {**(resources.get("requests") or {}), **(resources.get("limits") or {})}
    return sum(
        quantity.parse(v).value() for k, v in amounts.items() if k.endswith("/gpu") or "gpu" in k.rpartition("/")[2]
    )


def _cpus(resources: Mapping[str, Any]) -> int:
    asked = (resources.get("requests") or {}).get("cpu") or (resources.get("limits") or {}).get("cpu") or 0
    return math.ceil(quantity.parse(asked).milli() / 1000)


def upsert(env: Sequence[Json] | None, more: Sequence[Json]) -> list[Json]:
    """`env` with each of `more` in place of the variable of its name, or at the end."""
    merged = {e["name"]: e for e in env or ()}
    merged |= {e["name"]: e for e in more}
    return list(merged.values())


# --- the gang ------------------------------------------------------------------------------------------------------


def _group_policy(runtime: TrainingRuntime | None) -> trainer.Coscheduling | None:
    policy = runtime.spec.podGroupPolicy if runtime is not None else None
    return policy.coscheduling if policy is not None else None


def _first(replicated: Sequence[Json]) -> set[str]:
    """The replicated jobs that others wait for."""
    return {d["name"] for r in replicated for d in r.get("dependsOn") or ()}


def _labelled(job: TrainJob, replicated: Sequence[Json]) -> list[Json]:
    """The replicated jobs, with the Pods of the gang's labelled as its members."""
    first = _first(replicated)
    return [r if r["name"] in first else patch.merge_patch(r, _member(job)) for r in replicated]


def _member(job: TrainJob) -> Json:
    labels = {"metadata": {"labels": {coscheduling.POD_GROUP_LABEL: job.metadata.name}}}
    return {"template": {"spec": {"template": labels}}}


def _gang(job: TrainJob, found: PodGroup | None, made: Json, runtime: TrainingRuntime) -> list[Change]:
    """The PodGroup of the JobSet `made`, unless it is there as it should be. No group for no Pods."""
    policy = _group_policy(runtime) or trainer.Coscheduling()
    replicated = made["spec"]["replicatedJobs"]
    first = _first(replicated)
    count, amounts = 0, demand.Amounts()
    for one in replicated:
        if one["name"] not in first:
            pods = one.get("replicas", 1) * one["template"]["spec"]["parallelism"]
            asked = demand.of_pod(one["template"]["spec"].get("template", {}).get("spec") or {})
            count, amounts = count + pods, demand.added(amounts, demand.times(asked, pods))
    spec = {
        "minMember": count,
        "minResources": {name: str(amount) for name, amount in amounts.items()},
        "scheduleTimeoutSeconds": policy.scheduleTimeoutSeconds,
    }
    if not count or (found is not None and msgspec.convert(spec, coscheduling.PodGroupSpec) == found.spec):
        return []
    meta = {
        "name": job.metadata.name,
        "namespace": job.metadata.namespace,
        "ownerReferences": [ownership.reference(trainer.TRAIN_JOBS, job)],
    }
    groups = coscheduling.POD_GROUPS
    return [Apply(groups, {"apiVersion": groups.api_version, "kind": groups.kind, "metadata": meta, "spec": spec})]


def _refs(kind: str) -> Callable[[TrainJob], tuple[Key, ...]]:
    def refs(job: TrainJob) -> tuple[Key, ...]:
        namespace = job.metadata.namespace if kind == "TrainingRuntime" else ""
        return (Key(namespace, job.spec.runtimeRef.name),) if job.spec.runtimeRef.kind == kind else ()

    return refs


CONTROLLER = Controller(
    name="trainjob-controller",
    primary=trainer.TRAIN_JOBS,
    reconcile=reconcile,
    links=(
        Owned(jobset.JOBSETS),
        Owned(coscheduling.POD_GROUPS),
        Referred(trainer.TRAINING_RUNTIMES, _refs("TrainingRuntime")),
        Referred(trainer.CLUSTER_TRAINING_RUNTIMES, _refs("ClusterTrainingRuntime")),
    ),
)
