"""Ephemeral containers: they come to a Pod that lives, run once, and the Pod does not mind them."""

from __future__ import annotations

from typing import Any

import msgspec

from fairlead.agent.lifecycle import (
    Admitted,
    ContainerExited,
    ContainerStarted,
    DeleteRequested,
    Exit,
    Prepared,
    Record,
    Signal,
    Start,
    StartFailed,
    Teardown,
    WakeAt,
)
from fairlead.agent.podmachine import PodMachine
from fairlead.api.core import Container, Pod, PodSpec
from fairlead.api.meta import ObjectMeta

READY = Prepared("10.0.0.2", "192.0.2.1")


def machine(*ephemerals: str, **spec: Any) -> PodMachine:
    spec.setdefault("containers", [Container("main")])
    m = PodMachine(Pod(metadata=ObjectMeta(name="p", namespace="ns", uid="u"), spec=PodSpec(**spec)))
    add(m, *ephemerals)
    return m


def add(m: PodMachine, *names: str) -> None:
    more = [*m.pod.spec.ephemeralContainers, *(Container(name, image="img") for name in names)]
    m.pod = msgspec.structs.replace(m.pod, spec=msgspec.structs.replace(m.pod.spec, ephemeralContainers=more))


def running(**spec: Any) -> PodMachine:
    m = machine(**spec)
    m.step(Admitted(), 0)
    m.step(READY, 0)
    m.step(ContainerStarted("main", 0, 1.0), 1)
    return m


def seen(m: PodMachine, now: float) -> dict[str, Any]:
    statuses: list[dict[str, Any]] = m.status(now)["ephemeralContainerStatuses"]
    return statuses[0]


def test_one_that_is_added_starts_at_once() -> None:
    m = running()
    assert "ephemeralContainerStatuses" not in m.status(1)
    add(m, "debug")
    assert m.step(Admitted(), 2) == [Start("debug", 0)]
    assert m.step(ContainerStarted("debug", 0, 3.0), 3) == [
        Record("Normal", "Started", "Started container debug", "debug")
    ]
    status = seen(m, 3)
    assert (status["name"], status["ready"], list(status["state"])) == ("debug", False, ["running"])


def test_it_starts_before_init_containers_that_never_end() -> None:
    m = machine("debug", initContainers=[Container("init")])
    m.step(Admitted(), 0)
    assert m.step(READY, 0) == [Start("debug", 0), Start("init", 0)]


def test_it_never_starts_again_and_changes_nothing_for_the_pod() -> None:
    m = running()
    add(m, "debug")
    m.step(Admitted(), 2)
    m.step(ContainerStarted("debug", 0, 3.0), 3)
    before = m.status(3)
    assert m.step(ContainerExited("debug", 0, Exit(1, started=3.0, finished=4.0)), 4) == []
    after = m.status(4)
    assert seen(m, 4)["state"]["terminated"]["exitCode"] == 1
    assert (after["phase"], after["conditions"]) == (before["phase"], before["conditions"])
    assert m.step(Admitted(), 1000) == []


def test_one_that_cannot_start_is_tried_again() -> None:
    m = running()
    add(m, "debug")
    m.step(Admitted(), 2)
    failed = m.step(StartFailed("debug", 0, "CreateContainerError", "no command"), 2)
    assert failed == [Record("Warning", "Failed", "Error: no command", "debug"), WakeAt(4.0)]
    assert seen(m, 2)["state"] == {"waiting": {"reason": "CreateContainerError", "message": "no command"}}
    assert m.step(Admitted(), 4) == [Start("debug", 0)]


def test_it_ends_with_the_pod() -> None:
    m = running(restartPolicy="Never")
    add(m, "debug")
    m.step(Admitted(), 2)
    m.step(ContainerStarted("debug", 0, 3.0), 3)
    ending = m.step(ContainerExited("main", 0, Exit(0, started=1.0, finished=5.0)), 5)
    assert Signal("debug", 0) in ending
    assert m.step(ContainerExited("debug", 0, Exit(143, signal=15, finished=6.0)), 6) == [Teardown()]
    assert m.status(6)["phase"] == "Succeeded"


def test_it_ends_when_the_pod_is_deleted() -> None:
    m = running()
    add(m, "debug")
    m.step(Admitted(), 2)
    m.step(ContainerStarted("debug", 0, 3.0), 3)
    actions = m.step(DeleteRequested(30.0), 4)
    assert {Signal("main", 0), Signal("debug", 0)} <= set(actions)


def test_it_is_found_again_after_a_restart_of_the_agent() -> None:
    m = running()
    add(m, "debug", "second")
    again = PodMachine(m.pod)
    again.recover("main", 0, 1.0, None)
    again.recover("debug", 0, 3.0, Exit(2, finished=4.0))
    again.recover("second", 0, 3.0, None)
    again.prepared = READY
    assert again.step(Admitted(), 10) == []
    assert [list(s["state"]) for s in again.status(10)["ephemeralContainerStatuses"]] == [["terminated"], ["running"]]
