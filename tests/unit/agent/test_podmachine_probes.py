"""What probes and hooks do to a Pod's life."""

from __future__ import annotations

from typing import Any

from fairlead.agent.lifecycle import (
    Action,
    Admitted,
    ContainerExited,
    ContainerStarted,
    DeleteRequested,
    Exit,
    HookDone,
    Kill,
    MakeProbe,
    Prepared,
    Probed,
    Record,
    RunHook,
    Signal,
    Start,
    Teardown,
    WakeAt,
)
from fairlead.agent.podmachine import PodMachine
from fairlead.api.core import (
    Act,
    Container,
    ContainerState,
    ContainerStatus,
    ExecAction,
    Lifecycle,
    Pod,
    PodSpec,
    PodStatus,
    Probe,
    ReadinessGate,
    SleepAction,
    StateRunning,
)
from fairlead.api.meta import Condition, ObjectMeta

RUN = ExecAction(["true"])
STARTED = Record("Normal", "Started", "Started container main", "main")
READY = Prepared("10.0.0.2", "192.0.2.1")


def machine(*containers: Container, inits: list[Container] | None = None, **spec: Any) -> PodMachine:
    meta = ObjectMeta(name="p", namespace="ns", uid="u")
    full = PodSpec(containers=list(containers), initContainers=inits or [], **spec)
    m = PodMachine(Pod(metadata=meta, spec=full))
    m.step(Admitted(), 0)
    m.step(READY, 0)
    return m


def main(**more: Any) -> Container:
    return Container("main", **more)


def shown(m: PodMachine, now: float, name: str = "main") -> dict[str, Any]:
    status = m.status(now)
    every = (*status["containerStatuses"], *status.get("initContainerStatuses", ()))
    return next(c for c in every if c["name"] == name)


def conditions(m: PodMachine, now: float) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c.get("reason") or "") for c in m.status(now)["conditions"]}


def probed(kind: Any, ok: bool | None, message: str = "", attempt: int = 0) -> Probed:
    return Probed("main", attempt, kind, ok, message)


def without_wakes(actions: list[Action]) -> list[Action]:
    return [a for a in actions if not isinstance(a, WakeAt)]


def test_readiness_makes_a_pod_ready_and_takes_it_back() -> None:
    m = machine(main(readinessProbe=Probe(exec=RUN, failureThreshold=1)))
    assert m.step(ContainerStarted("main", 0, 1), 1) == [STARTED, MakeProbe("main", 0, "readiness")]
    assert m.status(1)["phase"] == "Running"
    assert conditions(m, 1)["Ready"] == ("False", "ContainersNotReady")
    assert (shown(m, 1)["ready"], shown(m, 1)["started"]) == (False, True)
    assert m.step(probed("readiness", True), 1.5) == [WakeAt(11)]
    assert conditions(m, 2)["Ready"] == ("True", "")
    assert m.step(Admitted(), 11) == [MakeProbe("main", 0, "readiness")]
    told = m.step(probed("readiness", False, "no"), 11)
    assert told == [Record("Warning", "Unhealthy", "Readiness probe failed: no", "main"), WakeAt(21)]
    assert conditions(m, 12)["ContainersReady"] == ("False", "ContainersNotReady")
    assert shown(m, 12)["state"].keys() == {"running"}


def test_a_failed_liveness_probe_restarts_the_container() -> None:
    probe = Probe(exec=RUN, failureThreshold=1, terminationGracePeriodSeconds=5)
    m = machine(main(livenessProbe=probe), restartPolicy="OnFailure")
    m.step(ContainerStarted("main", 0, 1), 1)
    assert m.step(probed("liveness", False, "gone"), 2) == [
        Record("Warning", "Unhealthy", "Liveness probe failed: gone", "main"),
        Record("Normal", "Killing", "Container main failed liveness probe, will be restarted", "main"),
        Signal("main", 0), WakeAt(7),
    ]  # fmt: skip
    assert m.step(Admitted(), 7) == [Kill("main", 0)]
    after = m.step(ContainerExited("main", 0, Exit(0, started=1, finished=7)), 7)
    assert after == [Start("main", 1)], "it failed, whatever its exit code says"
    assert shown(m, 7)["lastState"]["terminated"]["exitCode"] == 0
    assert m.step(ContainerStarted("main", 1, 8), 8) == [STARTED, MakeProbe("main", 1, "liveness")]
    assert m.step(ContainerExited("main", 1, Exit(0, started=8, finished=9)), 9) == [Teardown()]
    assert m.status(9)["phase"] == "Succeeded"


def test_nothing_restarts_where_nothing_may() -> None:
    m = machine(main(livenessProbe=Probe(exec=RUN, failureThreshold=1)), restartPolicy="Never")
    m.step(ContainerStarted("main", 0, 1), 1)
    told = m.step(probed("liveness", False, "gone"), 2)
    assert Record("Normal", "Killing", "Container main failed liveness probe", "main") in told
    assert m.step(ContainerExited("main", 0, Exit(143, finished=3)), 3) == [Teardown()]
    assert m.status(3)["phase"] == "Failed"


def test_results_of_an_earlier_attempt_are_ignored() -> None:
    m = machine(main(livenessProbe=Probe(exec=RUN, failureThreshold=1)), restartPolicy="Always")
    m.step(ContainerStarted("main", 0, 1), 1)
    m.step(ContainerExited("main", 0, Exit(1, finished=2)), 2)
    m.step(ContainerStarted("main", 1, 2), 2)
    assert without_wakes(m.step(probed("liveness", False, "late"), 3)) == []


def test_what_cannot_be_asked_is_said_and_counts_as_nothing() -> None:
    m = machine(main(livenessProbe=Probe(exec=RUN, failureThreshold=1)))
    m.step(ContainerStarted("main", 0, 1), 1)
    told = m.step(probed("liveness", None, "no such command"), 2)
    assert told == [Record("Warning", "Unhealthy", "Liveness probe errored: no such command", "main"), WakeAt(11)]
    warned = m.step(Probed("main", 0, "liveness", True, "redirects to another host"), 11)
    assert warned[0] == Record("Warning", "ProbeWarning", "Liveness probe warning: redirects to another host", "main")


def test_a_post_start_hook_is_part_of_the_start() -> None:
    hook = Lifecycle(postStart=Act(sleep=SleepAction(3)))
    m = machine(main(lifecycle=hook, readinessProbe=Probe(exec=RUN)))
    assert m.step(ContainerStarted("main", 0, 1), 1) == [STARTED, RunHook("main", 0, "postStart")]
    assert m.status(1)["phase"] == "Pending"
    assert shown(m, 1)["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert m.step(HookDone("main", 0, "postStart"), 4) == [MakeProbe("main", 0, "readiness")]
    assert m.status(4)["phase"] == "Running"


def test_a_failed_post_start_hook_ends_the_container() -> None:
    m = machine(main(lifecycle=Lifecycle(postStart=Act(exec=RUN))), restartPolicy="Always")
    m.step(ContainerStarted("main", 0, 1), 1)
    assert m.step(HookDone("main", 0, "postStart", "exited with 1"), 2) == [
        Record("Warning", "FailedPostStartHook", "PostStartHook failed: exited with 1", "main"),
        Record("Normal", "Killing", "FailedPostStartHook", "main"), Signal("main", 0), WakeAt(32),
    ]  # fmt: skip
    assert m.step(ContainerExited("main", 0, Exit(143, finished=3)), 3) == [Start("main", 1)]


def test_a_pre_stop_hook_comes_before_the_signal() -> None:
    m = machine(main(lifecycle=Lifecycle(preStop=Act(exec=RUN))))
    m.step(ContainerStarted("main", 0, 1), 1)
    killing = Record("Normal", "Killing", "Stopping container main", "main")
    assert m.step(DeleteRequested(30), 100) == [killing, RunHook("main", 0, "preStop", 30), WakeAt(130)]
    assert m.step(Admitted(), 105) == [WakeAt(130)]
    assert m.step(HookDone("main", 0, "preStop"), 110) == [Signal("main", 0), WakeAt(130)]
    assert m.step(Admitted(), 130) == [Kill("main", 0)]


def test_a_pre_stop_hook_that_takes_all_leaves_two_seconds() -> None:
    m = machine(main(lifecycle=Lifecycle(preStop=Act(exec=RUN))))
    m.step(ContainerStarted("main", 0, 1), 1)
    m.step(DeleteRequested(30), 100)
    assert m.step(Admitted(), 130) == [Signal("main", 0), WakeAt(132)]
    assert m.step(HookDone("main", 0, "preStop", "too long"), 130.1) == [WakeAt(132)]
    assert m.step(Admitted(), 132) == [Kill("main", 0)]


def test_by_force_there_is_no_hook() -> None:
    m = machine(main(lifecycle=Lifecycle(preStop=Act(exec=RUN))))
    m.step(ContainerStarted("main", 0, 1), 1)
    m.step(DeleteRequested(30), 100)
    assert m.step(DeleteRequested(0), 101) == [Kill("main", 0)]


def test_a_sidecar_lets_others_start_once_its_startup_probe_has_succeeded() -> None:
    side = Container("side", restartPolicy="Always", startupProbe=Probe(exec=RUN), readinessProbe=Probe(exec=RUN))
    m = machine(main(), inits=[side])
    began = m.step(ContainerStarted("side", 0, 1), 1)
    assert without_wakes(began) == [
        Record("Normal", "Started", "Started container side", "side"), MakeProbe("side", 0, "startup"),
    ]  # fmt: skip
    assert conditions(m, 1)["Initialized"] == ("False", "ContainersNotInitialized")
    after = m.step(Probed("side", 0, "startup", True), 2)
    assert without_wakes(after) == [Start("main", 0), MakeProbe("side", 0, "readiness")]
    m.step(ContainerStarted("main", 0, 3), 3)
    assert conditions(m, 3)["ContainersReady"] == ("False", "ContainersNotReady"), "a sidecar counts"
    m.step(Probed("side", 0, "readiness", True), 4)
    assert conditions(m, 4)["ContainersReady"] == ("True", "")
    m.step(ContainerExited("side", 0, Exit(1, finished=5)), 5)
    assert shown(m, 5)["state"].keys() == {"running"}, "main goes on while the sidecar starts again"


def test_sidecars_end_one_after_another_in_reverse() -> None:
    sides = [Container(f"s{i}", restartPolicy="Always") for i in range(2)]
    m = machine(main(), inits=sides, restartPolicy="Never")
    for name in ("s0", "s1", "main"):
        m.step(ContainerStarted(name, 0, 1), 1)
    assert Signal("s1", 0) in (first := m.step(ContainerExited("main", 0, Exit(0, finished=9)), 9))
    assert Signal("s0", 0) not in first
    assert Signal("s0", 0) in m.step(ContainerExited("s1", 0, Exit(143, finished=10)), 10)
    assert m.step(ContainerExited("s0", 0, Exit(143, finished=11)), 11) == [Teardown()]
    assert m.status(11)["phase"] == "Succeeded"


def test_a_failed_init_container_ends_the_sidecars_before_it() -> None:
    m = machine(main(), inits=[Container("side", restartPolicy="Always"), Container("a")], restartPolicy="Never")
    m.step(ContainerStarted("side", 0, 1), 1)
    m.step(ContainerStarted("a", 0, 1), 1)
    assert Signal("side", 0) in m.step(ContainerExited("a", 0, Exit(2, finished=3)), 3)
    assert m.step(ContainerExited("side", 0, Exit(143, finished=4)), 4) == [Teardown()]
    assert m.status(4)["phase"] == "Failed"


def test_readiness_gates_are_others_to_open() -> None:
    m = machine(main(), readinessGates=[ReadinessGate("example.com/balanced")])
    m.step(ContainerStarted("main", 0, 1), 1)
    assert conditions(m, 1)["ContainersReady"] == ("True", "")
    assert conditions(m, 1)["Ready"] == ("False", "ReadinessGatesNotReady")
    opened = PodStatus(conditions=[Condition("example.com/balanced", "True")])
    m.pod = Pod(metadata=m.pod.metadata, spec=m.pod.spec, status=opened)
    assert conditions(m, 2)["Ready"] == ("True", "")


def test_after_a_restart_of_the_agent_a_ready_container_is_ready() -> None:
    spec = PodSpec(containers=[main(readinessProbe=Probe(exec=RUN), startupProbe=Probe(exec=RUN))])
    known = ContainerStatus("main", ready=True, started=True, state=ContainerState(running=StateRunning()))
    status = PodStatus(phase="Running", containerStatuses=[known])
    m = PodMachine(Pod(metadata=ObjectMeta(name="p", namespace="ns", uid="u"), spec=spec, status=status))
    m.recover("main", 0, 5.0, None)
    assert conditions(m, 10)["Ready"] == ("True", "")
    m.prepared = READY
    assert m.step(Admitted(), 10) == [MakeProbe("main", 0, "readiness")]
