"""The Job controller: one view in, changes out."""

from __future__ import annotations

from typing import Any

import msgspec

from fairlead.api import batch, core
from fairlead.api.batch import Job
from fairlead.api.core import Pod
from fairlead.api.meta import Key
from fairlead.base import timestamp
from fairlead.controllers import job as controller
from fairlead.reconcile.reconciler import Change, Create, Delete, Patch, Record, SetStatus, View, WakeAt

KEY = Key("default", "work")
NOW = timestamp.parse("2026-01-01T00:10:00Z")
FINALIZER = "batch.kubernetes.io/job-tracking"


def job(status: dict[str, Any] | None = None, **spec: Any) -> Job:
    spec = {"completions": 1, "template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}} | spec
    meta = {"name": "work", "namespace": "default", "uid": "u-1", "resourceVersion": "7"}
    return msgspec.convert({"metadata": meta, "spec": spec, "status": status or {}}, Job)


def pod(name: str, phase: str = "Running", index: int | None = None, **meta: Any) -> Pod:
    meta = {"name": name, "namespace": "default", "uid": f"uid-{name}", "finalizers": [FINALIZER]} | meta
    if index is not None:
        meta["annotations"] = {"batch.kubernetes.io/job-completion-index": str(index)}
    return msgspec.convert({"metadata": meta, "status": {"phase": phase}}, Pod)


def reconcile(one: Job | None, *pods: Pod, now: float = NOW, orphans: tuple[Pod, ...] = ()) -> list[Change]:
    return list(controller.reconcile(View(KEY, one, {core.PODS: pods}, now, {core.PODS: orphans})))


def status_of(changes: list[Change]) -> Any:
    return next(c.status for c in changes if isinstance(c, SetStatus))


def test_a_new_job_starts_and_creates_its_pods() -> None:
    changes = reconcile(job(parallelism=2, completions=3))
    created = [c.object for c in changes if isinstance(c, Create)]
    assert status_of(changes) == {
        "startTime": "2026-01-01T00:10:00Z",
        "ready": 0,
        "terminating": 0,
        "uncountedTerminatedPods": {},
    }
    assert len(created) == 2
    assert created[0]["metadata"]["finalizers"] == [FINALIZER]
    assert created[0]["metadata"]["ownerReferences"][0]["uid"] == "u-1"


def test_an_indexed_pod_knows_its_index() -> None:
    changes = reconcile(job(completionMode="Indexed", parallelism=2, completions=2))
    first = next(c.object for c in changes if isinstance(c, Create))
    index = {"batch.kubernetes.io/job-completion-index": "0"}
    assert first["metadata"]["labels"] == index
    assert first["metadata"]["annotations"] == index
    assert first["metadata"]["name"].startswith("work-0-")
    assert first["spec"]["hostname"] == "work-0"
    assert first["spec"]["containers"][0]["env"] == [
        {
            "name": "JOB_COMPLETION_INDEX",
            "valueFrom": {
                "fieldRef": {
                    "apiVersion": "v1",
                    "fieldPath": "metadata.labels['batch.kubernetes.io/job-completion-index']",
                }
            },
        }
    ]


def test_an_end_is_noted_before_its_finalizer_goes() -> None:
    changes = reconcile(job({"startTime": "2026-01-01T00:00:00Z", "active": 1}), pod("a", "Succeeded"))
    kinds = [type(c) for c in changes if not isinstance(c, Record)]
    assert kinds[0] is SetStatus
    assert status_of(changes)["uncountedTerminatedPods"] == {"succeeded": ["uid-a"]}
    assert status_of(changes)["conditions"][0]["type"] == "SuccessCriteriaMet"
    assert Patch(core.PODS, Key("default", "a"), {"metadata": {"finalizers": None}}, uid="uid-a") in changes


def test_a_noted_pod_without_finalizer_is_counted_and_the_job_is_complete() -> None:
    met = {"type": "SuccessCriteriaMet", "status": "True", "reason": "CompletionsReached", "message": "m"}
    status = {
        "startTime": "2026-01-01T00:00:00Z",
        "ready": 0,
        "terminating": 0,
        "uncountedTerminatedPods": {"succeeded": ["uid-a"]},
        "conditions": [met],
    }
    changes = reconcile(job(status), pod("a", "Succeeded", finalizers=[]))
    written = status_of(changes)
    assert written["succeeded"] == 1
    assert written["uncountedTerminatedPods"] == {"succeeded": None}
    assert [c["type"] for c in written["conditions"]] == ["SuccessCriteriaMet", "Complete"]
    assert written["completionTime"] == "2026-01-01T00:10:00Z"


def test_failures_beyond_the_limit_fail_the_job_and_stop_its_pods() -> None:
    changes = reconcile(job(backoffLimit=0, parallelism=2, completions=2), pod("a", "Failed"), pod("b"))
    assert status_of(changes)["conditions"][0]["type"] == "FailureTarget"
    assert status_of(changes)["conditions"][0]["reason"] == "BackoffLimitExceeded"
    assert Delete(core.PODS, Key("default", "b"), "uid-b") in changes
    assert not [c for c in changes if isinstance(c, Create)]


def test_a_failed_pod_is_replaced_after_a_back_off() -> None:
    ended = {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T00:09:58Z"}}
    failed = msgspec.structs.replace(
        pod("a", "Failed"),
        status=msgspec.convert(
            {"phase": "Failed", "containerStatuses": [{"name": "c", "state": ended}]}, core.PodStatus
        ),
    )
    soon = reconcile(job(), failed)
    assert WakeAt(NOW + 8) in soon
    assert not [c for c in soon if isinstance(c, Create)]
    assert [c for c in reconcile(job(), failed, now=NOW + 8) if isinstance(c, Create)]


def test_a_deadline_fails_the_job() -> None:
    late = job({"startTime": "2026-01-01T00:00:00Z"}, activeDeadlineSeconds=600)
    assert status_of(reconcile(late, pod("a")))["conditions"][0]["reason"] == "DeadlineExceeded"
    early = job({"startTime": "2026-01-01T00:00:00Z"}, activeDeadlineSeconds=601)
    assert WakeAt(NOW + 1) in reconcile(early, pod("a"))


def test_suspending_stops_pods_without_counting_them() -> None:
    changes = reconcile(job({"startTime": "2026-01-01T00:00:00Z", "active": 1}, suspend=True), pod("a"))
    assert status_of(changes)["conditions"][0]["reason"] == "JobSuspended"
    release = Patch(core.PODS, Key("default", "a"), {"metadata": {"finalizers": None}}, uid="uid-a")
    assert changes.index(release) < changes.index(Delete(core.PODS, Key("default", "a"), "uid-a"))


def test_resuming_starts_the_clock_anew() -> None:
    suspended = {"type": "Suspended", "status": "True", "reason": "JobSuspended", "message": "Job suspended"}
    changes = reconcile(job({"startTime": "2026-01-01T00:00:00Z", "conditions": [suspended]}))
    assert status_of(changes)["startTime"] == "2026-01-01T00:10:00Z"
    assert [c for c in changes if isinstance(c, Create)]


def test_a_finished_job_goes_after_its_ttl() -> None:
    complete = {
        "type": "Complete",
        "status": "True",
        "reason": "r",
        "message": "m",
        "lastTransitionTime": "2026-01-01T00:09:00Z",
    }
    done = job({"conditions": [complete]}, ttlSecondsAfterFinished=60)
    assert reconcile(done) == [Delete(batch.JOBS, KEY, "u-1", propagation="Foreground")]
    assert reconcile(done, now=NOW - 1) == [WakeAt(NOW)]


def test_pods_of_a_job_that_is_gone_lose_their_finalizer() -> None:
    release = Patch(core.PODS, Key("default", "a"), {"metadata": {"finalizers": None}}, uid="uid-a")
    assert reconcile(None, orphans=(pod("a"),)) == [release]


def test_another_manager_is_left_alone() -> None:
    assert reconcile(job(managedBy="kueue.x-k8s.io/multikueue")) == []


# --- back-off of each index ----------------------------------------------------------------------------------------

FAILURES = "batch.kubernetes.io/job-index-failure-count"
STARTED = {"startTime": "2026-01-01T00:00:00Z"}


def failed(name: str, index: int, failures: int, ended: str, code: int = 1) -> Pod:
    meta = {
        "name": name, "namespace": "default", "uid": f"uid-{name}", "finalizers": [FINALIZER],
        "annotations": {"batch.kubernetes.io/job-completion-index": str(index), FAILURES: str(failures)},
    }  # fmt: skip
    state = {"terminated": {"exitCode": code, "finishedAt": ended}}
    status = {"phase": "Failed", "containerStatuses": [{"name": "c", "state": state}]}
    return msgspec.convert({"metadata": meta, "status": status}, Pod)


def per_index(limit: int, **spec: Any) -> Job:
    wanted = {"completionMode": "Indexed", "completions": 2, "parallelism": 2, "backoffLimit": 2**31 - 1}
    return job(STARTED, **wanted, backoffLimitPerIndex=limit, **spec)


def test_an_index_waits_for_its_own_back_off() -> None:
    changes = reconcile(per_index(5), failed("a", 0, 1, "2026-01-01T00:09:55Z"))
    assert [c.object["metadata"]["annotations"][INDEX_MARK] for c in changes if isinstance(c, Create)] == ["1"]
    assert [c.time for c in changes if isinstance(c, WakeAt)] == [timestamp.parse("2026-01-01T00:10:15Z")]


def test_a_failed_pod_is_kept_until_it_is_replaced() -> None:
    old = failed("a", 0, 1, "2026-01-01T00:00:00Z")
    changes = reconcile(per_index(5), old, pod("b", index=1))
    (made,) = [c.object for c in changes if isinstance(c, Create)]
    assert made["metadata"]["annotations"][FAILURES] == "2"
    assert not [c for c in changes if isinstance(c, Patch)]
    replaced = reconcile(per_index(5), old, pod("b", index=1), pod("c", index=0))
    assert [c.key.name for c in replaced if isinstance(c, Patch)] == ["a"]
    assert status_of(replaced)["uncountedTerminatedPods"] == {"failed": ["uid-a"]}


def test_an_index_fails_when_its_limit_is_reached() -> None:
    changes = reconcile(per_index(1), failed("a", 0, 1, "2026-01-01T00:00:00Z"), pod("b", index=1))
    assert status_of(changes)["failedIndexes"] == "0"
    assert not [c for c in changes if isinstance(c, Create)]


def test_a_rule_fails_the_job_and_its_other_pods_count_as_failed() -> None:
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}
    one = job(STARTED, completions=2, parallelism=2, podFailurePolicy={"rules": [rule]})
    changes = reconcile(one, failed("a", 0, 0, "2026-01-01T00:00:00Z", 42), pod("b"))
    status = status_of(changes)
    assert [(c["type"], c["reason"]) for c in status["conditions"]] == [("FailureTarget", "PodFailurePolicy")]
    assert sorted(status["uncountedTerminatedPods"]["failed"]) == ["uid-a", "uid-b"]
    assert [c.key.name for c in changes if isinstance(c, Delete)] == ["b"]


def test_pods_that_are_not_needed_any_more_are_no_failures() -> None:
    one = per_index(0, successPolicy={"rules": [{"succeededIndexes": "0"}]})
    changes = reconcile(one, pod("a", "Succeeded", 0), pod("b", index=1))
    status = status_of(changes)
    assert [(c["type"], c["reason"]) for c in status["conditions"]] == [("SuccessCriteriaMet", "SuccessPolicy")]
    assert status["uncountedTerminatedPods"] == {}
    assert [c.key.name for c in changes if isinstance(c, Patch | Delete)] == ["a", "b", "b"]


INDEX_MARK = "batch.kubernetes.io/job-completion-index"
