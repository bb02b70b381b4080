"""PodMachine under any order of events: it keeps its promises."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fairlead.agent.lifecycle import (
    Action,
    Admitted,
    ContainerExited,
    ContainerStarted,
    DeleteRequested,
    Event,
    Evicted,
    Exit,
    Finalize,
    HookDone,
    Kill,
    MakeProbe,
    Prepare,
    Prepared,
    PrepareFailed,
    Probed,
    RunHook,
    Signal,
    Start,
    StartFailed,
    Teardown,
    TornDown,
    WakeAt,
)
from fairlead.agent.podmachine import PodMachine
from fairlead.api.core import Act, Container, ExecAction, Lifecycle, Pod, PodSpec, Probe
from fairlead.api.meta import ObjectMeta

CODES = st.sampled_from([0, 0, 1, 137])
RUN = ExecAction(["true"])
EXTRAS = st.fixed_dictionaries({
    "startupProbe": st.sampled_from([None, Probe(exec=RUN, failureThreshold=2)]),
    "livenessProbe": st.sampled_from([None, Probe(exec=RUN, failureThreshold=1, terminationGracePeriodSeconds=4)]),
    "readinessProbe": st.sampled_from([None, Probe(exec=RUN)]),
    "lifecycle": st.sampled_from([None, Lifecycle(Act(exec=RUN), Act(exec=RUN)), Lifecycle(preStop=Act(exec=RUN))]),
})  # fmt: skip


class Life(RuleBasedStateMachine):
    """A shell that carries actions out in any order, with any outcome, and keeps the books itself."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.starting: dict[str, int] = {}
        self.running: dict[str, int] = {}
        self.ended: dict[str, tuple[int, int]] = {}
        self.todo: list[type[Action]] = []
        self.asked: list[MakeProbe | RunHook] = []
        self.wake: float | None = None
        self.torn = self.finalized = self.deleted = False

    @initialize(
        inits=st.lists(st.booleans(), max_size=3), mains=st.integers(1, 2), extras=EXTRAS,
        policy=st.sampled_from(["Always", "OnFailure", "Never"]), deadline=st.sampled_from([None, None, 50]),
    )  # fmt: skip
    def begin(self, inits: list[bool], mains: int, policy: str, deadline: int | None, extras: dict[str, Any]) -> None:
        self.inits = [
            Container(f"i{i}", restartPolicy="Always", **extras) if side else Container(f"i{i}")
            for i, side in enumerate(inits)
        ]
        spec = PodSpec(
            containers=[Container(f"m{i}", **(extras if i == 0 else {})) for i in range(mains)],
            initContainers=self.inits, restartPolicy=policy,
            activeDeadlineSeconds=deadline,
        )  # fmt: skip
        self.policy = policy
        self.machine = PodMachine(Pod(metadata=ObjectMeta(name="p", namespace="d", uid="u"), spec=spec))
        self.tell(Admitted())

    def tell(self, event: Event) -> None:
        finished = self.machine.finished
        for action in self.machine.step(event, self.now):
            self.take(action, finished=finished)
        self.machine.status(self.now)

    def take(self, action: Action, *, finished: bool) -> None:
        match action:
            case Start(name, attempt):
                assert not finished, "a finished Pod starts nothing"
                assert name not in self.starting
                assert name not in self.running, "one attempt at a time"
                assert attempt == (self.ended[name][0] + 1 if name in self.ended else 0)
                self.check_order(name)
                self.starting[name] = attempt
            case Signal(name, attempt) | Kill(name, attempt):
                assert self.running.get(name) == attempt
            case MakeProbe(name, attempt, kind):
                assert self.running.get(name) == attempt
                under_way = [(a.container, a.attempt, a.kind) for a in self.asked if isinstance(a, MakeProbe)]
                assert (name, attempt, kind) not in under_way, "one probe of a kind at a time"
                self.asked.append(action)
            case RunHook(name, attempt):
                assert self.running.get(name) == attempt
                assert action not in self.asked
                self.asked.append(action)
            case Prepare() | Teardown():
                assert type(action) not in self.todo
                self.todo.append(type(action))
                if isinstance(action, Teardown):
                    assert not self.running
                    assert not self.starting
            case Finalize():
                assert self.torn
                assert not self.finalized
                self.finalized = True
            case WakeAt(time):
                assert time > self.now
                self.wake = time if self.wake is None else min(self.wake, time)

    def check_order(self, name: str) -> None:
        if name.startswith("e"):
            assert name not in self.ended, "an ephemeral container starts once"
            return
        for before in self.inits:
            if before.name == name:
                return
            if before.restartPolicy == "Always":
                assert before.name in self.running or before.name in self.ended
            else:
                assert self.ended.get(before.name, (0, -1))[1] == 0

    # --- what a shell may answer

    @precondition(lambda self: Prepare in self.todo)
    @rule(well=st.booleans())
    def answer_prepare(self, well: bool) -> None:
        self.todo.remove(Prepare)
        self.tell(Prepared("10.0.0.2", "10.0.0.1") if well else PrepareFailed("ContainerCreating", "no"))

    @precondition(lambda self: Teardown in self.todo)
    @rule()
    def answer_teardown(self) -> None:
        self.todo.remove(Teardown)
        self.torn = True
        self.tell(TornDown())

    @precondition(lambda self: self.starting)
    @rule(outcome=st.sampled_from(["well", "well", "later", "fatal"]), pick=st.integers(0, 5))
    def answer_start(self, outcome: str, pick: int) -> None:
        name = sorted(self.starting)[pick % len(self.starting)]
        attempt = self.starting.pop(name)
        if outcome == "well":
            self.running[name] = attempt
            self.tell(ContainerStarted(name, attempt, self.now))
        elif outcome == "fatal":
            self.ended[name] = (attempt, 128)
            self.tell(StartFailed(name, attempt, "StartError", "no", fatal=True))
        else:
            self.tell(StartFailed(name, attempt, "CreateContainerError", "no"))

    @precondition(lambda self: self.asked)
    @rule(ok=st.sampled_from([True, True, False, None]), pick=st.integers(0, 9))
    def answer_question(self, ok: bool | None, pick: int) -> None:
        asked = self.asked.pop(pick % len(self.asked))
        if isinstance(asked, MakeProbe):
            self.tell(Probed(asked.container, asked.attempt, asked.kind, ok, "" if ok else "no"))
        else:
            self.tell(HookDone(asked.container, asked.attempt, asked.hook, "" if ok else "no"))

    @precondition(lambda self: self.running)
    @rule(code=CODES, pick=st.integers(0, 5))
    def exit(self, code: int, pick: int) -> None:
        name = sorted(self.running)[pick % len(self.running)]
        attempt = self.running.pop(name)
        self.ended[name] = (attempt, code)
        self.tell(ContainerExited(name, attempt, Exit(code, started=self.now - 1, finished=self.now)))

    @rule(seconds=st.sampled_from([0.0, 1.0, 15.0, 400.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        if self.wake is not None and self.now >= self.wake:
            self.wake = None
        self.tell(Admitted())

    @rule(grace=st.sampled_from([0.0, 30.0]))
    def delete(self, grace: float) -> None:
        self.deleted = True
        self.tell(DeleteRequested(grace))

    @rule()
    def evict(self) -> None:
        self.tell(Evicted("Evicted", "no room"))

    @precondition(lambda self: len(self.machine.pod.spec.ephemeralContainers) < 2)
    @rule()
    def debug(self) -> None:
        """Somebody adds an ephemeral container."""
        pod = self.machine.pod
        more = [*pod.spec.ephemeralContainers, Container(f"e{len(pod.spec.ephemeralContainers)}")]
        spec = msgspec.structs.replace(pod.spec, ephemeralContainers=more)
        self.machine.pod = msgspec.structs.replace(pod, spec=spec)
        self.tell(Admitted())

    @rule(name=st.sampled_from(["m0", "i0", "e0"]))
    def stale_news(self, name: str) -> None:
        """An attempt that never was, or is long over, changes nothing."""
        self.tell(ContainerExited(name, 999, Exit(0)))

    @invariant()
    def phase_is_final(self) -> None:
        if hasattr(self, "machine") and self.torn:
            assert self.machine.finished

    def teardown(self) -> None:
        """However it was left: a deletion ends it, once the shell answers everything."""
        if not hasattr(self, "machine"):
            return
        self.delete(5.0)
        for _ in range(100):
            if self.finalized:
                break
            while self.starting:
                self.answer_start("well", 0)
            self.now += 6.0
            self.tell(Admitted())
            while self.asked:
                self.answer_question(True, 0)
            while self.running:
                self.exit(137, 0)
            if Prepare in self.todo:
                self.answer_prepare(True)
            if Teardown in self.todo:
                self.answer_teardown()
        assert self.finalized, "a deletion always ends"
        assert not self.running
        assert self.machine.finished


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=120, stateful_step_count=30, deadline=None)
