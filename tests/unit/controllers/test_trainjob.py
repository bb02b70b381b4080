"""The TrainJob controller: one view in, changes out."""

from __future__ import annotations

from typing import Any

import msgspec

from fairlead.api import coscheduling, jobset, trainer
from fairlead.api.jobset import JobSet
from fairlead.api.meta import Key
from fairlead.api.trainer import TrainingRuntime, TrainJob
from fairlead.base import timestamp
from fairlead.controllers import trainjob as controller
from fairlead.reconcile.reconciler import Apply, Change, Delete, Record, SetStatus, View, WakeAt

KEY = Key("default", "digits")
NOW = timestamp.parse("2026-01-01T00:10:00Z")


def runtime(**policy: Any) -> TrainingRuntime:
    container = {"name": "node", "image": "torch", "env": [{"name": "A", "value": "runtime"}]}
    template = {
        "metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }
    spec = {
        "mlPolicy": {"numNodes": 1} | (policy or {"torch": {}}),
        "template": {"spec": {"replicatedJobs": [{"name": "node", "template": template}]}},
    }
    return msgspec.convert({"metadata": {"name": "torch-distributed"}, "spec": spec}, TrainingRuntime)


def trainjob(status: dict[str, Any] | None = None, **spec: Any) -> TrainJob:
    spec = {"runtimeRef": {"name": "torch-distributed"}, "trainer": {"numNodes": 2}} | spec
    meta = {"name": "digits", "namespace": "default", "uid": "u-1", "resourceVersion": "7"}
    meta["creationTimestamp"] = "2026-01-01T00:00:00Z"
    return msgspec.convert({"metadata": meta, "spec": spec, "status": status or {}}, TrainJob)


def child(status: dict[str, Any] | None = None, suspend: bool = False) -> JobSet:
    meta = {"name": "digits", "namespace": "default", "uid": "js-1"}
    return msgspec.convert({"metadata": meta, "spec": {"suspend": suspend}, "status": status or {}}, JobSet)


def reconcile(
    job: TrainJob,
    *children: JobSet,
    with_runtime: TrainingRuntime | None = None,
    group: coscheduling.PodGroup | None = None,
) -> list[Change]:
    linked: dict[Any, Any] = {
        coscheduling.POD_GROUPS: [group] if group is not None else [],
        jobset.JOBSETS: children,
        trainer.TRAINING_RUNTIMES: [],
        trainer.CLUSTER_TRAINING_RUNTIMES: [with_runtime or runtime()],
    }
    return list(controller.reconcile(View(KEY, job, linked, NOW)))


def applied(changes: list[Change]) -> Any:
    return next(c.object for c in changes if isinstance(c, Apply))


def node(changes: list[Change]) -> Any:
    return applied(changes)["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]["containers"][0]


def status_of(changes: list[Change]) -> Any:
    return next(c.status for c in changes if isinstance(c, SetStatus))


def test_torch_makes_a_jobset_with_torchruns_environment() -> None:
    changes = reconcile(trainjob(trainer={"numNodes": 2, "command": ["torchrun", "x.py"], "image": "mine"}))
    made = applied(changes)
    assert made["metadata"]["ownerReferences"][0]["kind"] == "TrainJob"
    spec = made["spec"]["replicatedJobs"][0]["template"]["spec"]
    assert (spec["parallelism"], spec["completions"]) == (2, 2)
    assert node(changes) == {
        "name": "node",
        "image": "mine",
        "command": ["torchrun", "x.py"],
        "ports": [{"containerPort": 29500}],
        "env": [
            {"name": "A", "value": "runtime"},
            {"name": "PET_NNODES", "value": "2"},
            {"name": "PET_NPROC_PER_NODE", "value": "1"},
            {"name": "PET_NODE_RANK", "valueFrom": {"fieldRef": {"fieldPath": controller.INDEX_PATH}}},
            {"name": "PET_MASTER_ADDR", "value": "digits-node-0-0.digits"},
            {"name": "PET_MASTER_PORT", "value": "29500"},
        ],
    }
    assert not [c for c in changes if isinstance(c, SetStatus)]


def test_processes_follow_gpus_cpus_or_the_job() -> None:
    def processes(**wanted: Any) -> str:
        env = node(reconcile(trainjob(trainer=wanted)))["env"]
        return str(next(e["value"] for e in env if e["name"] == "PET_NPROC_PER_NODE"))

    assert processes(resourcesPerNode={"limits": {"nvidia.com/gpu": 4}}) == "auto"
    assert processes(resourcesPerNode={"requests": {"cpu": "3"}}) == "3"
    assert processes(resourcesPerNode={"requests": {"cpu": "500m"}}) == "1"
    assert processes(numProcPerNode=2, resourcesPerNode={"limits": {"nvidia.com/gpu": 4}}) == "2"


def test_plain_leaves_the_environment_alone() -> None:
    job = trainjob(trainer={"numNodes": 3, "env": [{"name": "A", "value": "job"}]})
    changes = reconcile(job, with_runtime=runtime(torch=None))
    assert node(changes)["env"] == [{"name": "A", "value": "job"}]
    assert applied(changes)["spec"]["replicatedJobs"][0]["template"]["spec"]["completions"] == 3


def test_patches_are_merged_by_name() -> None:
    pod = {
        "nodeSelector": {"zone": "a"},
        "volumes": [{"name": "v", "emptyDir": {}}],
        "containers": [{"name": "node", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
    }
    patch = {"replicatedJobs": [{"name": "node", "template": {"spec": {"template": {"spec": pod}}}}]}
    template = {"metadata": {"labels": {"kueue": "q"}}, "spec": patch}
    job = trainjob(runtimePatches=[{"manager": "a.b/c", "trainingRuntimeSpec": {"template": template}}])
    made = applied(reconcile(job))
    spec = made["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    assert spec["nodeSelector"] == {"zone": "a"}
    assert spec["containers"][0]["volumeMounts"] == [{"name": "v", "mountPath": "/v"}]
    assert spec["containers"][0]["image"] == "torch"
    assert made["metadata"]["labels"] == {"kueue": "q"}


def test_a_running_jobset_is_not_changed() -> None:
    assert not [c for c in reconcile(trainjob(), child()) if isinstance(c, Apply)]
    assert [c for c in reconcile(trainjob(suspend=True), child()) if isinstance(c, Apply)]
    assert [c for c in reconcile(trainjob(), child(suspend=True)) if isinstance(c, Apply)]


def test_status_is_the_jobsets() -> None:
    row = {"name": "node", "ready": 0, "succeeded": 1, "failed": 0, "active": 0, "suspended": 0}
    done = {"type": "Completed", "status": "True", "reason": "AllJobsCompleted", "message": "m"}
    changes = reconcile(trainjob(), child({"replicatedJobsStatus": [row], "conditions": [done]}))
    assert status_of(changes) == {
        "conditions": [
            {
                "type": "Complete",
                "status": "True",
                "reason": "AllJobsCompleted",
                "message": "m",
                "lastTransitionTime": "2026-01-01T00:10:00Z",
            }
        ],
        "jobsStatus": [row],
    }


def test_suspended_is_said_only_of_a_job_that_was() -> None:
    paused = status_of(reconcile(trainjob(suspend=True)))["conditions"][0]
    assert (paused["type"], paused["status"], paused["reason"]) == ("Suspended", "True", "Suspended")
    resumed = status_of(reconcile(trainjob({"conditions": [paused]}), child(suspend=True)))["conditions"][0]
    assert (resumed["status"], resumed["reason"]) == ("False", "Resumed")


def test_a_deadline_fails_the_job_and_stops_it() -> None:
    changes = reconcile(trainjob(activeDeadlineSeconds=600), child())
    assert status_of(changes)["conditions"][0]["reason"] == "DeadlineExceeded"
    assert Delete(jobset.JOBSETS, KEY, "js-1") in changes
    assert WakeAt(NOW + 1) in reconcile(trainjob(activeDeadlineSeconds=601), child())


def test_an_unsupported_framework_fails_the_job_with_the_remedy() -> None:
    failed = status_of(reconcile(trainjob(), with_runtime=runtime(mpi={})))["conditions"][0]
    assert failed["reason"] == "TrainingRuntimeNotSupported"
    assert "asks for mlPolicy.mpi; use one with torch or none" in failed["message"]


def test_a_missing_runtime_is_waited_for_and_told() -> None:
    changes = reconcile(trainjob(runtimeRef={"name": "absent"}))
    assert [c.reason for c in changes if isinstance(c, Record)] == ["TrainJobResourcesCreationFailed"]
    assert not [c for c in changes if isinstance(c, SetStatus)]


def test_initializers_get_their_source() -> None:
    template = {
        "metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "dataset-initializer"}},
        "spec": {"template": {"spec": {"containers": [{"name": "dataset-initializer"}]}}},
    }
    spec = {"template": {"spec": {"replicatedJobs": [{"name": "dataset-initializer", "template": template}]}}}
    one = msgspec.convert({"metadata": {"name": "torch-distributed"}, "spec": spec}, TrainingRuntime)
    wanted = {"dataset": {"storageUri": "hf://a/b", "secretRef": {"name": "token"}}}
    container = node(reconcile(trainjob(initializer=wanted), with_runtime=one))
    assert container["env"] == [{"name": "STORAGE_URI", "value": "hf://a/b"}]
    assert container["envFrom"] == [{"secretRef": {"name": "token"}}]


# --- gangs ---------------------------------------------------------------------------------------------------------


def gang_runtime(policy: dict[str, Any] | None = None, *, initializer: bool = False) -> TrainingRuntime:
    def job(name: str, step: str, **more: Any) -> dict[str, Any]:
        meta = {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": step}}
        container = {"name": name, "resources": {"limits": {"nvidia.com/gpu": 3}, "requests": {"memory": "1536Mi"}}}
        spec = {"template": {"spec": {"containers": [container]}}}
        return {"name": name, "template": {"metadata": meta, "spec": spec}} | more

    jobs = [job("node", "trainer")]
    if initializer:
        waits = [{"name": "dataset-initializer", "status": "Complete"}]
        jobs = [job("dataset-initializer", "dataset-initializer"), job("node", "trainer", dependsOn=waits)]
    spec = {
        "podGroupPolicy": policy or {"coscheduling": {"scheduleTimeoutSeconds": 90}},
        "template": {"spec": {"replicatedJobs": jobs}},
    }
    return msgspec.convert({"metadata": {"name": "torch-distributed"}, "spec": spec}, TrainingRuntime)


def pod_group(members: int) -> coscheduling.PodGroup:
    resources = {"memory": "3Gi", "nvidia.com/gpu": "6"}
    spec = coscheduling.PodGroupSpec(members, resources, 90)
    return msgspec.structs.replace(coscheduling.PodGroup(), metadata=child().metadata, spec=spec)


def applied_kinds(changes: list[Change]) -> list[str]:
    return [c.resource.kind for c in changes if isinstance(c, Apply)]


def pod_labels(made: Any) -> list[Any]:
    templates = [r["template"]["spec"]["template"] for r in made["spec"]["replicatedJobs"]]
    return [t.get("metadata", {}).get("labels") for t in templates]


def test_coscheduling_makes_the_pods_a_gang() -> None:
    group, made = (c.object for c in reconcile(trainjob(), with_runtime=gang_runtime()) if isinstance(c, Apply))
    assert (group["kind"], group["metadata"]["name"]) == ("PodGroup", "digits")
    assert group["metadata"]["ownerReferences"][0]["controller"] is True
    assert group["spec"] == {
        "minMember": 2,
        "minResources": {"memory": "3Gi", "nvidia.com/gpu": "6"},
        "scheduleTimeoutSeconds": 90,
    }
    assert pod_labels(made) == [{coscheduling.POD_GROUP_LABEL: "digits"}]


def test_steps_that_others_wait_for_are_no_members() -> None:
    changes = reconcile(trainjob(), with_runtime=gang_runtime(initializer=True))
    group, made = (c.object for c in changes if isinstance(c, Apply))
    assert group["spec"]["minMember"] == 2
    assert pod_labels(made) == [None, {coscheduling.POD_GROUP_LABEL: "digits"}]


def test_a_gang_is_made_when_absent_and_changed_only_while_suspended() -> None:
    def asked(job: TrainJob, *, suspend: bool = False, group: coscheduling.PodGroup | None = None) -> list[str]:
        return applied_kinds(reconcile(job, child(suspend=suspend), with_runtime=gang_runtime(), group=group))

    assert asked(trainjob()) == ["PodGroup"]
    assert asked(trainjob(), group=pod_group(9)) == []
    assert asked(trainjob(suspend=True), suspend=True, group=pod_group(9)) == ["PodGroup"]
    assert asked(trainjob(suspend=True), suspend=True, group=pod_group(2)) == []
    assert asked(trainjob(), suspend=True, group=pod_group(2)) == ["JobSet"]


def test_no_policy_no_gang_and_no_pods_no_gang() -> None:
    assert applied_kinds(reconcile(trainjob())) == ["JobSet"]
    assert applied_kinds(reconcile(trainjob(trainer={"numNodes": 0}), with_runtime=gang_runtime())) == ["JobSet"]


def test_a_gang_of_volcano_fails_the_job_with_the_remedy() -> None:
    failed = status_of(reconcile(trainjob(), with_runtime=gang_runtime({"volcano": {}})))["conditions"][0]
    assert failed["reason"] == "TrainingRuntimeNotSupported"
    assert "asks for podGroupPolicy.volcano; use coscheduling or none" in failed["message"]
