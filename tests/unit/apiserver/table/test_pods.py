"""The cells of Pods: STATUS and RESTARTS above all."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.apiserver.table import pods

NOW = 1_790_000_000.0  # 2026-09-21T14:13:20Z
FIVE_MINUTES_AGO = "2026-09-21T14:08:20Z"
AN_HOUR_AGO = "2026-09-21T13:13:20Z"


def container(name: str = "c", restarts: int = 0, *, ready: bool = False, **state: Any) -> dict[str, Any]:
    return {"name": name, "restartCount": restarts, "ready": ready, "state": state}


def ended(code: int = 0, reason: str = "", signal: int = 0) -> dict[str, Any]:
    return {"exitCode": code, "reason": reason, "signal": signal}


RUNNING = {"startedAt": AN_HOUR_AGO}
UP = container(ready=True, running=RUNNING)


def pod(phase: str = "Pending", *main: Any, init: Any = (), spec: Any = None, **more: Any) -> dict[str, Any]:
    """A Pod with as many containers as it has statuses (one at least)."""
    names = [c["name"] for c in main] or ["c"]
    metadata = {"name": "p", "creationTimestamp": AN_HOUR_AGO} | more.pop("metadata", {})
    return {
        "metadata": metadata,
        "spec": {
            "containers": [{"name": n} for n in names], "initContainers": [{"name": c["name"]} for c in init]
        } | (spec or {}),
        "status": {"phase": phase, "containerStatuses": list(main), "initContainerStatuses": list(init)} | more,
    }  # fmt: skip


def shown(obj: dict[str, Any]) -> tuple[str, str, str]:
    """READY, STATUS, RESTARTS."""
    cells = pods.PODS.cells(obj, NOW)
    return cells[1], cells[2], cells[3]


CASES: dict[str, tuple[dict[str, Any], tuple[str, str, str]]] = {
    "new": (pod(), ("0/1", "Pending", "0")),
    "gated": (
        pod(conditions=[{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]),
        ("0/1", "SchedulingGated", "0"),
    ),
    "creating": (pod("Pending", container(waiting={"reason": "ContainerCreating"})), ("0/1", "ContainerCreating", "0")),
    "running": (pod("Running", UP), ("1/1", "Running", "0")),
    "one of two ready": (pod("Running", UP, container("d", running=RUNNING)), ("1/2", "Running", "0")),
    "crashing": (
        pod("Running", container(restarts=3, waiting={"reason": "CrashLoopBackOff"})
            | {"lastState": {"terminated": {"finishedAt": FIVE_MINUTES_AGO}}}),
        ("0/1", "CrashLoopBackOff", "3 (5m ago)"),
    ),
    "completed": (pod("Succeeded", container(terminated=ended(reason="Completed"))), ("0/1", "Completed", "0")),
    "failed": (pod("Failed", container(terminated=ended(1, "Error"))), ("0/1", "Error", "0")),
    "exit code": (pod("Failed", container(terminated=ended(3))), ("0/1", "ExitCode:3", "0")),
    "signal": (pod("Failed", container(terminated=ended(137, signal=9))), ("0/1", "Signal:9", "0")),
    "reason of the Pod": (pod("Failed", reason="Evicted"), ("0/1", "Evicted", "0")),
    "first trouble wins": (
        pod("Running", container("a", waiting={"reason": "ErrImagePull"}),
            container("b", terminated=ended(1, "Error"))),
        ("0/2", "ErrImagePull", "0"),
    ),
    "one done, one runs, ready": (
        pod("Running", container("a", terminated=ended(reason="Completed")), UP,
            conditions=[{"type": "Ready", "status": "True"}]),
        ("1/2", "Running", "0"),
    ),
    "one done, one runs": (
        pod("Running", container("a", terminated=ended(reason="Completed")), UP), ("1/2", "NotReady", "0")
    ),
    "init waits": (pod(init=[container("i"), container("j")]), ("0/1", "Init:0/2", "0")),
    "init second": (
        pod(init=[container("i", terminated=ended()), container("j", running=RUNNING)]), ("0/1", "Init:1/2", "0")
    ),
    "init failed": (pod(init=[container("i", 2, terminated=ended(1, "Error"))]), ("0/1", "Init:Error", "2")),
    "init exit code": (pod(init=[container("i", terminated=ended(4))]), ("0/1", "Init:ExitCode:4", "0")),
    "init crashing": (
        pod(init=[container("i", waiting={"reason": "CrashLoopBackOff"})]), ("0/1", "Init:CrashLoopBackOff", "0")
    ),
    "init is not counted when over": (
        pod("Running", UP, init=[container("i", 5, terminated=ended())]), ("1/1", "Running", "0")
    ),
    "sidecar": (
        pod("Running", UP, init=[container("s", 1, ready=True, running=RUNNING) | {"started": True}],
            spec={"initContainers": [{"name": "s", "restartPolicy": "Always"}]}),
        ("2/2", "Running", "1"),
    ),
    "terminating": (pod("Running", UP, metadata={"deletionTimestamp": FIVE_MINUTES_AGO}), ("1/1", "Terminating", "0")),
    "lost": (
        pod("Running", UP, metadata={"deletionTimestamp": FIVE_MINUTES_AGO}, reason="NodeLost"), ("1/1", "Unknown", "0")
    ),
    "over and going": (
        pod("Succeeded", container(terminated=ended(reason="Completed")),
            metadata={"deletionTimestamp": FIVE_MINUTES_AGO}),
        ("0/1", "Completed", "0"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_status(case: str) -> None:
    obj, expected = CASES[case]

    assert shown(obj) == expected


def test_the_whole_row() -> None:
    gates = [{"conditionType": "a"}, {"conditionType": "b"}]
    obj = pod(
        "Running", UP, spec={"nodeName": "n1", "readinessGates": gates}, podIP="127.9.0.2",
        conditions=[{"type": "a", "status": "True"}], nominatedNodeName="n2",
    )  # fmt: skip

    assert pods.PODS.cells(obj, NOW) == ["p", "1/1", "Running", "0", "60m", "127.9.0.2", "n1", "n2", "1/2"]


def job(spec: dict[str, Any], status: dict[str, Any], **metadata: str) -> list[Any]:
    template = {"spec": {"containers": [{"name": "c", "image": "python"}, {"name": "d", "image": "bash"}]}}
    metadata = {"name": "j", "creationTimestamp": AN_HOUR_AGO} | metadata
    return pods.JOBS.cells({"metadata": metadata, "spec": {"template": template, **spec}, "status": status}, NOW)


def test_job() -> None:
    selector = {"matchLabels": {"b": "2", "a": "1"}}
    done = {"succeeded": 3, "startTime": AN_HOUR_AGO, "completionTime": FIVE_MINUTES_AGO}
    conditions = [{"type": "SuccessCriteriaMet", "status": "True"}, {"type": "Complete", "status": "True"}]

    cells = job({"completions": 3, "selector": selector}, done | {"conditions": conditions})

    assert cells == ["j", "Complete", "3/3", "55m", "60m", "c,d", "python,bash", "a=1,b=2"]


@pytest.mark.parametrize(
    ("spec", "status", "metadata", "expected"),
    [
        ({"completions": 2}, {}, {}, ["Running", "0/2", ""]),
        ({"parallelism": 3}, {"startTime": FIVE_MINUTES_AGO}, {}, ["Running", "0/1 of 3", "5m"]),
        ({"parallelism": 1}, {"succeeded": 1}, {}, ["Running", "1/1", ""]),
        ({"completions": 1}, {"conditions": [{"type": "Suspended", "status": "True"}]}, {}, ["Suspended", "0/1", ""]),
        ({"completions": 1}, {"conditions": [{"type": "Suspended", "status": "False"}]}, {}, ["Running", "0/1", ""]),
        ({"completions": 1}, {"conditions": [{"type": "Failed", "status": "True"}]}, {}, ["Failed", "0/1", ""]),
        ({"completions": 1}, {}, {"deletionTimestamp": AN_HOUR_AGO}, ["Terminating", "0/1", ""]),
    ],
)
def test_job_status(spec: Any, status: Any, metadata: Any, expected: list[str]) -> None:
    assert job(spec, status, **metadata)[1:4] == expected
