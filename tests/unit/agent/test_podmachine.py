from __future__ import annotations

from typing import Any

from fairlead.agent.containers import DEFAULT_TIMING, Timing
from fairlead.agent.lifecycle import (
    Admitted,
    ContainerExited,
    ContainerStarted,
    DeleteRequested,
    Exit,
    Finalize,
    Kill,
    Prepare,
    Prepared,
    PrepareFailed,
    Record,
    Signal,
    Start,
    StartFailed,
    Teardown,
    TornDown,
    WakeAt,
)
from fairlead.agent.podmachine import PodMachine
from fairlead.api.core import Container, Pod, PodSpec
from fairlead.api.meta import ObjectMeta

READY = Prepared("10.0.0.2", "192.0.2.1")
STARTED = Record("Normal", "Started", "Started container main", "main")


def machine(timing: Timing = DEFAULT_TIMING, **spec: Any) -> PodMachine:
    spec.setdefault("containers", [Container("main", image="img")])
    return PodMachine(Pod(metadata=ObjectMeta(name="p", namespace="ns", uid="u"), spec=PodSpec(**spec)), timing)


def running(**spec: Any) -> PodMachine:
    m = machine(**spec)
    assert m.step(Admitted(), 0) == [Prepare()]
    assert m.step(READY, 0) == [Start("main", 0)]
    assert m.step(ContainerStarted("main", 0, 1.0), 1) == [STARTED]
    return m


def ended(code: int, at: float, attempt: int = 0, **more: Any) -> ContainerExited:
    return ContainerExited("main", attempt, Exit(code, started=1.0, finished=at, **more))


def state(m: PodMachine, now: float, name: str = "main") -> dict[str, Any]:
    status = m.status(now)
    every = (*status["containerStatuses"], *status.get("initContainerStatuses", ()))
    return next(c for c in every if c["name"] == name)


def condition(m: PodMachine, name: str, now: float = 0) -> str:
    return str(next(c["status"] for c in m.status(now)["conditions"] if c["type"] == name))


def test_a_pod_that_succeeds() -> None:
    m = running(restartPolicy="Never")
    assert m.status(2)["phase"] == "Running"
    assert condition(m, "Ready") == condition(m, "ContainersReady") == "True"
    assert m.step(ended(0, 5), 5) == [Teardown()]
    assert m.step(TornDown(), 5) == []
    assert m.status(6)["phase"] == "Succeeded"
    assert condition(m, "Ready", 6) == "False"
    assert state(m, 6) == {
        "name": "main", "image": "img", "imageID": "", "ready": False, "started": False, "restartCount": 0,
        "state": {"terminated": {
            "exitCode": 0, "reason": "Completed", "startedAt": "1970-01-01T00:00:01Z",
            "finishedAt": "1970-01-01T00:00:05Z", "containerID": "fairlead://u/main/0",
        }},
        "lastState": {}, "containerID": "fairlead://u/main/0",
    }  # fmt: skip


def test_restart_policies() -> None:
    assert running(restartPolicy="OnFailure").step(ended(0, 5), 5) == [Teardown()]
    assert running(restartPolicy="OnFailure").step(ended(1, 5), 5) == [Start("main", 1)]
    assert running(restartPolicy="Always").step(ended(0, 5), 5) == [Start("main", 1)]
    failed = running(restartPolicy="Never")
    assert failed.step(ended(1, 5), 5) == [Teardown()]
    assert failed.status(5)["phase"] == "Failed"


def test_crash_loop_backs_off_from_the_second_restart_on() -> None:
    m = running(restartPolicy="Always")
    delays = []
    now = 10.0
    for attempt in range(8):
        actions = m.step(ended(1, now, attempt), now)
        wakes = [a.time for a in actions if isinstance(a, WakeAt)]
        delays.append(wakes[0] - now if wakes else 0.0)
        if wakes:
            assert state(m, now)["state"]["waiting"]["reason"] == "CrashLoopBackOff"
            assert state(m, now)["restartCount"] == attempt
            assert state(m, now)["lastState"]["terminated"]["exitCode"] == 1
            now = wakes[0]
            assert m.step(Admitted(), now) == [Start("main", attempt + 1)]
        m.step(ContainerStarted("main", attempt + 1, now), now)
        now += 1
    assert delays == [0, 10, 20, 40, 80, 160, 300, 300]
    assert m.step(ended(1, now + 700, 8), now + 700) == [Start("main", 9)], "ten good minutes make it new"


def test_deletion_signals_then_kills() -> None:
    m = running()
    killing = Record("Normal", "Killing", "Stopping container main", "main")
    assert m.step(DeleteRequested(30), 100) == [killing, Signal("main", 0), WakeAt(130.0)]
    assert m.step(Admitted(), 110) == [WakeAt(130.0)]
    assert m.step(Admitted(), 130) == [Kill("main", 0)]
    assert m.step(Admitted(), 131) == []
    assert m.step(ended(137, 131), 131) == [Teardown()]
    assert m.step(TornDown(), 132) == [Finalize()]
    assert m.status(132)["phase"] == "Failed"


def test_a_later_request_shortens_the_grace() -> None:
    m = running()
    m.step(DeleteRequested(30), 100)
    assert m.step(DeleteRequested(0), 101) == [Kill("main", 0)]


def test_a_pod_deleted_before_it_starts_never_starts() -> None:
    m = machine()
    m.step(Admitted(), 0)
    assert m.step(DeleteRequested(30), 1) == [Teardown()]
    assert m.step(READY, 2) == []
    assert m.step(TornDown(), 3) == [Finalize()]


def test_a_deadline_ends_a_pod() -> None:
    m = machine(activeDeadlineSeconds=60, terminationGracePeriodSeconds=5)
    assert m.step(Admitted(), 0) == [WakeAt(60), Prepare()]
    m.step(READY, 0)
    m.step(ContainerStarted("main", 0, 1), 1)
    assert Signal("main", 0) in m.step(Admitted(), 60)
    m.step(ended(0, 61), 61)
    status = m.status(61)
    assert (status["phase"], status["reason"]) == ("Failed", "DeadlineExceeded")


def test_init_containers_run_in_order() -> None:
    m = machine(initContainers=[Container("a"), Container("b")], restartPolicy="Never")
    m.step(Admitted(), 0)
    assert m.step(READY, 0) == [Start("a", 0)]
    assert state(m, 0)["state"] == {"waiting": {"reason": "PodInitializing"}}
    m.step(ContainerStarted("a", 0, 0), 0)
    assert m.step(ContainerExited("a", 0, Exit(0)), 1) == [Start("b", 0)]
    m.step(ContainerStarted("b", 0, 1), 1)
    assert condition(m, "Initialized") == "False"
    assert m.step(ContainerExited("b", 0, Exit(0)), 2) == [Start("main", 0)]
    assert condition(m, "Initialized") == "True"
    assert state(m, 2, "a")["ready"] is True


def test_a_failed_init_container_fails_a_pod_that_never_restarts() -> None:
    m = machine(initContainers=[Container("a")], restartPolicy="Never")
    m.step(Admitted(), 0)
    m.step(READY, 0)
    m.step(ContainerStarted("a", 0, 0), 0)
    assert m.step(ContainerExited("a", 0, Exit(2)), 1) == [Teardown()]
    assert m.status(1)["phase"] == "Failed"


def test_sidecars_start_first_and_end_last() -> None:
    m = machine(initContainers=[Container("side", restartPolicy="Always")], restartPolicy="Never")
    m.step(Admitted(), 0)
    assert m.step(READY, 0) == [Start("side", 0)]
    started = m.step(ContainerStarted("side", 0, 0), 0)
    assert started[-1] == Start("main", 0)
    m.step(ContainerStarted("main", 0, 0), 0)
    assert Signal("side", 0) in m.step(ended(0, 5), 5)
    assert m.step(ContainerExited("side", 0, Exit(143)), 6) == [Teardown()]
    assert m.status(6)["phase"] == "Succeeded"


def test_a_command_that_cannot_be_executed_is_an_attempt() -> None:
    m = machine(restartPolicy="Never")
    m.step(Admitted(), 0)
    m.step(READY, 0)
    actions = m.step(StartFailed("main", 0, "StartError", "no such file", fatal=True), 1)
    assert actions == [Record("Warning", "Failed", "Error: no such file", "main"), Teardown()]
    assert state(m, 1)["state"]["terminated"]["exitCode"] == 128


def test_what_is_missing_is_waited_for() -> None:
    m = machine(Timing(retry=2, retry_cap=30))
    m.step(Admitted(), 0)
    m.step(READY, 0)
    actions = m.step(StartFailed("main", 0, "CreateContainerConfigError", 'secret "s" not found'), 1)
    assert actions[-1] == WakeAt(3)
    assert state(m, 1)["state"] == {
        "waiting": {"reason": "CreateContainerConfigError", "message": 'secret "s" not found'}
    }
    assert m.status(1)["phase"] == "Pending"
    assert m.step(Admitted(), 3) == [Start("main", 0)]


def test_a_failed_preparation_is_tried_again() -> None:
    m = machine()
    m.step(Admitted(), 0)
    assert m.step(PrepareFailed("ContainerCreating", "no"), 0) == [Record("Warning", "FailedMount", "no"), WakeAt(2)]
    assert m.step(Admitted(), 2) == [Prepare()]


def test_out_of_memory() -> None:
    m = running(restartPolicy="Never")
    m.step(ended(137, 5, signal=9, oom=True), 5)
    assert state(m, 5)["state"]["terminated"]["reason"] == "OOMKilled"


def test_recovered_containers_go_on() -> None:
    m = machine(initContainers=[Container("a")], restartPolicy="OnFailure")
    m.recover("a", 0, 1.0, Exit(0, finished=2.0))
    m.recover("main", 3, 5.0, None)
    assert m.step(Admitted(), 10) == [Prepare()]
    assert m.status(10)["phase"] == "Running"
    assert state(m, 10)["restartCount"] == 3
    assert m.step(READY, 11) == []
    assert m.step(ended(1, 20, 3), 20) == [
        Record("Warning", "BackOff", "Back-off restarting failed container main in pod p_ns(u)", "main"), WakeAt(60),
    ]  # fmt: skip


def test_transition_times_stay_while_nothing_changes() -> None:
    m = running()
    first = m.status(1)["conditions"]
    assert m.status(500)["conditions"] == first
