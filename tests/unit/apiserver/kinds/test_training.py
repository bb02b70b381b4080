"""JobSet, TrainJob and runtimes: what their definitions and their former webhooks say."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.apiserver.kinds import trainer
from fairlead.machinery import tables


def jobset(*replicated: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "js"}, "spec": {"replicatedJobs": list(replicated), **spec}}


def replicated(name: str = "node", **more: Any) -> dict[str, Any]:
    pod = {"containers": [{"name": "c", "image": "x"}]}
    job = {"parallelism": 2, "completions": 2, "template": {"spec": pod}}
    return {"name": name, "template": {"spec": job}, **more}


def trainjob(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "t"}, "spec": {"runtimeRef": {"name": "torch-distributed"}, **spec}}


def patch(container: dict[str, Any], job: str = "node") -> dict[str, Any]:
    pod = {"spec": {"template": {"spec": {"containers": [container]}}}}
    return {
        "manager": "a.b/c",
        "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": [{"name": job, "template": pod}]}}},
    }


# --- JobSet --------------------------------------------------------------------------------------------------------


def test_a_jobsets_defaults(kinds: Any) -> None:
    spec = kinds.made("JobSet", jobset(
        replicated(), failurePolicy={"rules": [{"action": "FailJobSet"}]}
    ))["spec"]  # fmt: skip
    job = spec["replicatedJobs"][0]
    assert (job["replicas"], job["groupName"]) == (1, "default")
    assert job["template"]["spec"]["completionMode"] == "Indexed"
    assert job["template"]["spec"]["template"]["spec"]["restartPolicy"] == "OnFailure"
    assert {k: v for k, v in spec.items() if k != "replicatedJobs"} == {
        "successPolicy": {"operator": "All"}, "startupPolicy": {"startupPolicyOrder": "AnyOrder"},
        "network": {"enableDNSHostnames": True, "publishNotReadyAddresses": True},
        "failurePolicy": {
            "restartStrategy": "Recreate", "rules": [{"action": "FailJobSet", "name": "failurePolicyRule0"}],
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (
            jobset(replicated("A")),
            ('spec.replicatedJobs[0].name: Invalid value: "js-A-0": the name of its Jobs: a DNS-1035'),
        ),
        (
            jobset(replicated("n" * 60)),
            (f'spec.replicatedJobs[0].name: Invalid value: "js-{"n" * 60}-0": the name of its Jobs: must be no more'),
        ),
        (
            jobset(replicated("n" * 53)),
            (f'spec.replicatedJobs[0].name: Invalid value: "js-{"n" * 53}-0-1-abcde": the name of its Pods'),
        ),
        (jobset(replicated(), replicated()), 'spec.replicatedJobs[1]: Duplicate value: {"name":"node"}'),
        (
            jobset(replicated(dependsOn=[{"name": "x", "status": "Ready"}])),
            (
                'spec.replicatedJobs[0].dependsOn[0].name: Invalid value: "x": must be one of '
                "the replicatedJobs listed before"
            ),
        ),
        (
            jobset(replicated(), successPolicy={"operator": "All", "targetReplicatedJobs": ["x"]}),
            ('spec.successPolicy.targetReplicatedJobs[0]: Invalid value: "x": is none of the replicatedJobs'),
        ),
        (
            jobset(replicated(), successPolicy={"operator": "Some"}),
            ('spec.successPolicy.operator: Unsupported value: "Some": supported values: "All", "Any"'),
        ),
        (
            jobset(replicated(), failurePolicy={"restartStrategy": "InPlaceRestart"}),
            "spec.failurePolicy.restartStrategy: Forbidden: InPlaceRestart is not offered here",
        ),
        (
            jobset(replicated(), failurePolicy={"rules": [{"action": "FailJobSet", "onJobFailureReasons": ["Bad"]}]}),
            'spec.failurePolicy.rules[0].onJobFailureReasons[0]: Unsupported value: "Bad"',
        ),
        (
            jobset(replicated(), coordinator={"replicatedJob": "node", "podIndex": 2}),
            "spec.coordinator.podIndex: Invalid value: 2: must be below completions of node",
        ),
        (jobset(replicated(), startupPolicy={"startupPolicyOrder": "InOrder"}), ""),
        (
            jobset(
                replicated("a"),
                replicated("b", dependsOn=[{"name": "a", "status": "Ready"}]),
                startupPolicy={"startupPolicyOrder": "InOrder"},
            ),
            'spec: Invalid value: "object": startupPolicy InOrder and dependsOn exclude each other',
        ),
    ],
    ids=lambda v: v.split(":")[0] if isinstance(v, str) else "",
)
def test_a_jobsets_rules(kinds: Any, given: dict[str, Any], wrong: str) -> None:
    found = kinds.create("JobSet", given)[1]
    assert (found == []) if not wrong else any(f.startswith(wrong) for f in found), found


def test_replicated_jobs_are_fixed_but_for_placement_while_suspended(kinds: Any) -> None:
    place = {"spec__replicatedJobs__0__template__spec__template__spec__nodeSelector": {"a": "b"}}
    running = kinds.made("JobSet", jobset(replicated()))
    assert kinds.update("JobSet", running, **place)[1][0].endswith("field is immutable")
    suspended = kinds.made("JobSet", jobset(replicated(), suspend=True))
    assert kinds.update("JobSet", suspended, **place)[1] == []
    assert kinds.update("JobSet", suspended, spec__replicatedJobs__0__replicas=2)[1]


def test_policies_are_fixed(kinds: Any) -> None:
    old = kinds.made("JobSet", jobset(replicated()))
    assert kinds.update("JobSet", old, spec__successPolicy={"operator": "Any"})[1] == [
        'spec.successPolicy: Invalid value: "object": field is immutable'
    ]
    assert kinds.update("JobSet", old, spec__suspend=True)[1] == []


# --- TrainJob ------------------------------------------------------------------------------------------------------


def test_a_trainjobs_defaults(kinds: Any) -> None:
    spec = kinds.made("TrainJob", trainjob(trainer={"resourcesPerNode": {"limits": {"cpu": 1.0}}}))["spec"]
    assert spec == {
        "runtimeRef": {
            "name": "torch-distributed", "apiGroup": "trainer.kubeflow.org", "kind": "ClusterTrainingRuntime",
        },
        "suspend": False, "managedBy": "trainer.kubeflow.org/trainjob-controller",
        "trainer": {"resourcesPerNode": {"limits": {"cpu": 1}}},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"metadata": {"name": "t"}}, "spec: Required value"),
        (
            {"metadata": {"name": "1t"}, "spec": {"runtimeRef": {"name": "x"}}},
            ': Invalid value: "object": metadata.name must be an RFC 1035 DNS label',
        ),
        (
            trainjob(managedBy="me"),
            ('spec.managedBy: Invalid value: "me": must be trainer.kubeflow.org/trainjob-controller or'),
        ),
        (
            trainjob(trainer={"numProcPerNode": 0}),
            ("spec.trainer.numProcPerNode: Invalid value: 0: must be greater than or equal to 1"),
        ),
        (trainjob(trainer={"env": [{"name": "PET_NNODES", "value": "1"}]}), "spec.trainer.env: Invalid value: "),
        (
            trainjob(initializer={"dataset": {"storageUri": "nowhere"}}),
            'spec.initializer.dataset.storageUri: Invalid value: "nowhere": must be empty or a URI',
        ),
        (
            trainjob(runtimePatches=[patch({"name": "node", "env": [{"name": "A"}]})]),
            (
                "spec.runtimePatches[0].trainingRuntimeSpec.template.spec.replicatedJobs[0]."
                "template.spec.template.spec.containers[0].env: Forbidden: must not have envs "
                "for node"
            ),
        ),
        (
            trainjob(activeDeadlineSeconds=0),
            (
                "spec.activeDeadlineSeconds: Invalid value: 0: spec.activeDeadlineSeconds in "
                "body should be greater than or equal to 1"
            ),
        ),
    ],
    ids=lambda v: v.split(":")[0] if isinstance(v, str) else "",
)
def test_a_trainjobs_rules(kinds: Any, given: dict[str, Any], wrong: str) -> None:
    found = kinds.create("TrainJob", given)[1]
    assert any(f.startswith(wrong) for f in found), found


@pytest.mark.parametrize(
    ("changed", "allowed"),
    [
        ({"spec__suspend": True}, True),
        ({"spec__trainer": {"numNodes": 3}}, False),
        ({"spec__runtimeRef": {"name": "other"}}, False),
        ({"spec__managedBy": "kueue.x-k8s.io/multikueue"}, False),
        ({"spec__runtimePatches": [{"manager": "a.b/c"}]}, False),
        ({"spec__runtimePatches": [{"manager": "a.b/c"}], "spec__suspend": True}, True),
    ],
    ids=str,
)
def test_what_may_change_of_a_trainjob(kinds: Any, changed: dict[str, Any], allowed: bool) -> None:
    old = kinds.made("TrainJob", trainjob(trainer={"numNodes": 2}))
    assert (kinds.update("TrainJob", old, **changed)[1] == []) is allowed


def test_a_status_is_checked_and_keeps_the_rest(kinds: Any) -> None:
    old = kinds.made("TrainJob", trainjob())
    sent = {**old, "spec": {}, "metadata": {**old["metadata"], "labels": {"a": "b"}}}
    sent["status"] = {"trainerStatus": {"progressPercentage": 101}}
    new, wrong = kinds.update_status("TrainJob", old, sent)
    assert (new["spec"], new["metadata"]) == (old["spec"], old["metadata"])
    assert wrong[0].startswith("status.trainerStatus.progressPercentage: Invalid value: 101")


def test_a_trainjob_is_held_against_its_runtime() -> None:
    runtime = tables.stock_runtimes()[0]
    fine = trainjob(runtimePatches=[patch({"name": "node"})])
    assert list(trainer.against_runtime(fine, runtime)) == []
    for wrong in (
        trainjob(initializer={"dataset": {"storageUri": ""}}),
        trainjob(runtimePatches=[patch({"name": "other"})]),
        trainjob(runtimePatches=[patch({"name": "node"}, job="other")]),
    ):
        assert len(list(trainer.against_runtime(wrong, runtime))) == 1


# --- runtimes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", tables.stock_runtimes(), ids=lambda r: r["metadata"]["name"])
def test_the_stock_runtimes_are_in_order(kinds: Any, runtime: dict[str, Any]) -> None:
    made = kinds.made("ClusterTrainingRuntime", runtime)
    assert made["metadata"]["labels"]["trainer.kubeflow.org/framework"] in {"torch", "plain"}


def test_a_runtimes_rules(kinds: Any) -> None:
    runtime = tables.stock_runtimes()[0]
    runtime["spec"]["mlPolicy"]["mpi"] = {}
    found = kinds.create("ClusterTrainingRuntime", runtime)[1]
    says = "at most one of torch, mpi, jax, xgboost and flux may be set"
    assert found == [f'spec.mlPolicy: Invalid value: "object": {says}']
    runtime = tables.stock_runtimes()[0]
    job = runtime["spec"]["template"]["spec"]["replicatedJobs"][0]
    job["replicas"] = 2
    job["template"]["spec"]["template"]["spec"]["containers"][0]["name"] = "other"
    assert [f.split(":")[0] for f in kinds.create("ClusterTrainingRuntime", runtime)[1]] == [
        "spec.template.spec.replicatedJobs[0].replicas",
        "spec.template.spec.replicatedJobs[0].template.spec.template.spec.containers",
    ]
