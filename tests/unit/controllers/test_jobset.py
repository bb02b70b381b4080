"""The JobSet controller: one view in, changes out."""

from __future__ import annotations

from typing import Any

import msgspec

from fairlead.api import batch, core, jobset
from fairlead.api.batch import Job
from fairlead.api.core import Service
from fairlead.api.jobset import JobSet
from fairlead.api.meta import Key
from fairlead.base import timestamp
from fairlead.controllers import jobset as controller
from fairlead.reconcile.reconciler import Change, Create, Delete, Patch, Record, SetStatus, View, WakeAt

KEY = Key("default", "train")
NOW = timestamp.parse("2026-01-01T00:10:00Z")
TEMPLATE = {"spec": {"parallelism": 2, "completions": 2, "template": {"spec": {"containers": [{"name": "c"}]}}}}
SERVICE = msgspec.convert({"metadata": {"name": "train", "namespace": "default"}}, Service)


def replicated(name: str = "node", replicas: int = 1, **more: Any) -> dict[str, Any]:
    return {"name": name, "replicas": replicas, "template": TEMPLATE} | more


def jobset_(*jobs: dict[str, Any], status: dict[str, Any] | None = None, **spec: Any) -> JobSet:
    spec = {"replicatedJobs": list(jobs) or [replicated()], "network": {"enableDNSHostnames": True}} | spec
    meta = {"name": "train", "namespace": "default", "uid": "u-1", "resourceVersion": "7"}
    return msgspec.convert({"metadata": meta, "spec": spec, "status": status or {}}, JobSet)


def job(name: str = "train-node-0", step: str = "node", ended: str = "", attempt: int = 0, **status: Any) -> Job:
    labels = {jobset.REPLICATED_JOB_NAME: step, jobset.RESTART_ATTEMPT: str(attempt)}
    meta = {"name": name, "namespace": "default", "uid": f"uid-{name}", "labels": labels}
    if ended:
        condition = {
            "type": ended,
            "status": "True",
            "reason": "BackoffLimitExceeded",
            "message": "m",
            "lastTransitionTime": "2026-01-01T00:09:00Z",
        }
        status["conditions"] = [condition]
    spec = {"parallelism": 2, "completions": 2}
    return msgspec.convert({"metadata": meta, "spec": spec, "status": status}, Job)


def reconcile(one: JobSet, *jobs: Job, service: bool = True) -> list[Change]:
    linked = {batch.JOBS: jobs, core.SERVICES: [SERVICE] if service else []}
    return [c for c in controller.reconcile(View(KEY, one, linked, NOW)) if not isinstance(c, Record)]


def status_of(changes: list[Change]) -> Any:
    return next(c.status for c in changes if isinstance(c, SetStatus))


def conditions(changes: list[Change]) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c["reason"]) for c in status_of(changes)["conditions"]}


def test_a_new_jobset_gets_its_service_and_jobs() -> None:
    changes = reconcile(jobset_(replicated("a"), replicated("b", 2)), service=False)
    created = [c.object for c in changes if isinstance(c, Create)]
    assert [o["kind"] for o in created] == ["Service", "Job", "Job", "Job"]
    assert created[0]["spec"] == {
        "clusterIP": "None",
        "selector": {"jobset.sigs.k8s.io/jobset-name": "train"},
        "publishNotReadyAddresses": True,
    }
    assert [o["metadata"]["name"] for o in created[1:]] == ["train-a-0", "train-b-0", "train-b-1"]
    last = created[3]
    assert last["spec"]["completionMode"] == "Indexed"
    assert last["spec"]["template"]["spec"]["subdomain"] == "train"
    assert last["metadata"]["labels"] == last["spec"]["template"]["metadata"]["annotations"]
    assert last["metadata"]["labels"]["jobset.sigs.k8s.io/job-global-index"] == "2"
    assert last["metadata"]["labels"]["jobset.sigs.k8s.io/global-replicas"] == "3"


def test_counts_follow_the_jobs() -> None:
    changes = reconcile(jobset_(), job(ready=2, active=2))
    row = {"name": "node", "ready": 1, "succeeded": 0, "failed": 0, "active": 1, "suspended": 0}
    assert status_of(changes) == {"replicatedJobsStatus": [row]}


def test_all_jobs_complete_completes_the_jobset() -> None:
    changes = reconcile(jobset_(), job(ended="Complete", succeeded=2))
    assert conditions(changes) == {"Completed": ("True", "AllJobsCompleted")}
    assert status_of(changes)["terminalState"] == "Completed"


def test_any_of_the_targets_is_enough_where_the_policy_says_so() -> None:
    policy = {"operator": "Any", "targetReplicatedJobs": ["a"]}
    one = jobset_(replicated("a", 2), replicated("b"), successPolicy=policy)
    changes = reconcile(one, job("train-a-1", "a", "Complete"), job("train-a-0", "a"), job("train-b-0", "b"))
    assert conditions(changes) == {"Completed": ("True", "AllJobsCompleted")}
    assert Delete(batch.JOBS, Key("default", "train-b-0"), "uid-train-b-0", propagation="Foreground") in changes


def test_without_a_failure_policy_one_failure_fails_all() -> None:
    changes = reconcile(jobset_(), job(ended="Failed"))
    assert conditions(changes) == {"Failed": ("True", "FailedJobs")}
    message = status_of(changes)["conditions"][0]["message"]
    assert message == "jobset failed due to one or more job failures (first failed job: train-node-0)"


def test_a_failure_restarts_all_jobs_until_the_limit() -> None:
    again = reconcile(jobset_(failurePolicy={"maxRestarts": 1}), job(ended="Failed"))
    assert (status_of(again)["restarts"], status_of(again)["restartsCountTowardsMax"]) == (1, 1)
    assert conditions(again) == {"Restarting": ("True", "DefaultFailurePolicy")}
    spent = {"restarts": 1, "restartsCountTowardsMax": 1}
    final = reconcile(jobset_(failurePolicy={"maxRestarts": 1}, status=spent), job(ended="Failed", attempt=1))
    assert conditions(final)["Failed"] == ("True", "ReachedMaxRestarts")


def test_a_restart_deletes_the_old_jobs_and_waits_for_their_names() -> None:
    one = jobset_(failurePolicy={"maxRestarts": 1}, status={"restarts": 1})
    changes = reconcile(one, job(ended="Failed"))
    assert Delete(batch.JOBS, Key("default", "train-node-0"), "uid-train-node-0", propagation="Foreground") in changes
    assert not [c for c in changes if isinstance(c, Create)]
    assert [c for c in reconcile(one) if isinstance(c, Create)]


def test_the_first_rule_that_matches_decides() -> None:
    rules = [
        {"name": "other", "action": "RestartJobSet", "targetReplicatedJobs": ["b"]},
        {"name": "mine", "action": "FailJobSet", "onJobFailureReasons": ["BackoffLimitExceeded"]},
    ]
    changes = reconcile(jobset_(failurePolicy={"maxRestarts": 3, "rules": rules}), job(ended="Failed"))
    assert conditions(changes) == {"Failed": ("True", "FailJobSetFailurePolicyAction")}


def test_ignored_restarts_do_not_count() -> None:
    rules = [{"name": "r", "action": "RestartJobSetAndIgnoreMaxRestarts"}]
    changes = reconcile(jobset_(failurePolicy={"maxRestarts": 0, "rules": rules}), job(ended="Failed"))
    assert status_of(changes)["restarts"] == 1
    assert "restartsCountTowardsMax" not in status_of(changes)


def test_a_dependency_is_waited_for() -> None:
    one = jobset_(replicated("data"), replicated("node", dependsOn=[{"name": "data", "status": "Complete"}]))
    waiting = [c.object["metadata"]["name"] for c in reconcile(one) if isinstance(c, Create)]
    assert waiting == ["train-data-0"]
    done = reconcile(one, job("train-data-0", "data", "Complete", succeeded=2))
    assert [c.object["metadata"]["name"] for c in done if isinstance(c, Create)] == ["train-node-0"]


def test_in_order_starts_one_after_another() -> None:
    one = jobset_(replicated("a"), replicated("b"), startupPolicy={"startupPolicyOrder": "InOrder"})
    first = reconcile(one)
    assert [c.object["metadata"]["name"] for c in first if isinstance(c, Create)] == ["train-a-0"]
    assert conditions(first) == {"StartupPolicyInProgress": ("True", "InOrderStartupPolicyInProgress")}
    second = reconcile(one, job("train-a-0", "a", ready=2, active=2))
    assert [c.object["metadata"]["name"] for c in second if isinstance(c, Create)] == ["train-b-0"]


def test_suspend_and_resume() -> None:
    stopping = reconcile(jobset_(suspend=True), job(active=2))
    assert (
        Patch(batch.JOBS, Key("default", "train-node-0"), {"spec": {"suspend": True}}, "uid-train-node-0") in stopping
    )
    assert conditions(stopping) == {"Suspended": ("True", "SuspendedJobs")}
    was = {"type": "Suspended", "status": "True", "reason": "SuspendedJobs", "message": "jobset is suspended"}
    stopped = msgspec.structs.replace(job(), spec=msgspec.structs.replace(job().spec, suspend=True))
    going = reconcile(jobset_(status={"conditions": [was]}), stopped)
    assert Patch(batch.JOBS, Key("default", "train-node-0"), {"spec": {"suspend": False}}, "uid-train-node-0") in going
    assert conditions(going) == {"Suspended": ("False", "ResumeJobs")}


def test_a_finished_jobset_stops_what_is_left_and_goes_after_its_ttl() -> None:
    ended = {
        "type": "Completed",
        "status": "True",
        "reason": "r",
        "message": "m",
        "lastTransitionTime": "2026-01-01T00:09:30Z",
    }
    one = jobset_(status={"conditions": [ended]}, ttlSecondsAfterFinished=60)
    changes = reconcile(one, job(active=1))
    assert Delete(batch.JOBS, Key("default", "train-node-0"), "uid-train-node-0", propagation="Foreground") in changes
    assert WakeAt(NOW + 30) in changes
