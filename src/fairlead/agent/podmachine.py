"""PodMachine: one Pod's life on a node, without I/O. `step(event, now)` takes what happened and answers what to do.

It decides when containers start (init containers in order, sidecars before what follows them), when they start again
(restartPolicy, with the kubelet's crash-loop back-off), how they end (SIGTERM, then SIGKILL when the grace period is
over), and what the Pod's status says. Volumes, networks, processes and the API are the shell's.

Invariants, held by property tests:
- at most one attempt of a container is under way, and attempts count up from 0;
- after the Pod finished, nothing starts;
- a deletion ends in `Finalize` once everything that runs has ended, and everything that runs is signalled;
- an init container starts only after the one before it succeeded (a sidecar: started).

`Prepare`, `Start` and `Teardown` are asked for once; the shell answers each with an event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

import msgspec

from fairlead.agent import status
from fairlead.agent.backoff import Backoff
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
from fairlead.api.core import Container, Pod
from fairlead.base import timestamp


class Timing(msgspec.Struct, frozen=True):
    """The kubelet's numbers, in seconds."""

    backoff_base: float = 10.0
    backoff_cap: float = 300.0
    backoff_reset: float = 600.0
    retry: float = 2.0
    retry_cap: float = 30.0
    """How long after a preparation or a start that failed it is tried again: doubling, up to the cap."""


DEFAULT_TIMING = Timing()


class ContainerState:
    """What is known of one container. `phase` is waiting, starting, running or exited."""

    __slots__ = (
        "attempt", "backoff", "due", "init", "killed", "last", "message", "phase", "reason", "retries", "sidecar",
        "signalled", "spec", "started",
    )  # fmt: skip

    def __init__(self, spec: Container, timing: Timing, *, init: bool) -> None:
        self.spec, self.init = spec, init
        self.backoff = Backoff(timing.backoff_base, timing.backoff_cap, timing.backoff_reset)
        self.retries = Backoff(timing.retry, timing.retry_cap, timing.backoff_reset)
        self.sidecar = init and spec.restartPolicy == "Always"
        self.phase = "waiting"
        self.attempt = 0
        self.started = 0.0
        self.last: Exit | None = None
        """How the newest finished attempt ended."""
        self.reason, self.message = "", ""
        """Why it waits, where that is more than its turn."""
        self.due = 0.0
        self.signalled = self.killed = False

    @property
    def live(self) -> bool:
        return self.phase in ("starting", "running")

    @property
    def succeeded(self) -> bool:
        return self.phase == "exited" and self.last is not None and self.last.code == 0


class PodMachine:
    """See the module's text."""

    def __init__(self, pod: Pod, timing: Timing = DEFAULT_TIMING) -> None:
        self.pod = pod
        self.inits = [ContainerState(c, timing, init=True) for c in pod.spec.initContainers]
        self.mains = [ContainerState(c, timing, init=False) for c in pod.spec.containers]
        self.retries = Backoff(timing.retry, timing.retry_cap, timing.backoff_reset)
        self.prepared: Prepared | None = None
        self.phase = pod.status.phase or "Pending"
        self.reason, self.message = pod.status.reason, pod.status.message
        began = pod.status.startTime
        self.start_time: float | None = timestamp.parse(began) if began else None
        self.transitions = {c.type: c for c in pod.status.conditions if c.type in status.OWN_CONDITIONS}
        """The conditions as they were last composed: a transition time is kept while the status stays."""
        self.ending = False
        """Everything is being ended: by deletion, deadline or eviction."""
        self.grace_end: float | None = None
        self.deleting = False
        self._preparing = self._tearing = self._torn = self._finalized = False
        self._retry_at = 0.0
        self._actions: list[Action] = []

    @property
    def containers(self) -> Sequence[ContainerState]:
        return (*self.inits, *self.mains)

    @property
    def finished(self) -> bool:
        return self.phase in ("Succeeded", "Failed")

    @property
    def over(self) -> bool:
        """Finished, and all that it had on the node released."""
        return self.finished and self._torn

    def find(self, name: str) -> ContainerState | None:
        return next((c for c in self.containers if c.spec.name == name), None)

    def recover(self, name: str, attempt: int, started: float, exit_: Exit | None) -> None:
        """Before the first step: a fact that the runtime still knows. Attempts are told in order."""
        c = self.find(name)
        if c is None:
            return
        c.attempt, c.started = attempt, started
        c.phase = "running" if exit_ is None else "exited"
        c.backoff.restore(attempt, started if exit_ is None else exit_.finished)
        c.last = exit_ or c.last

    def step(self, event: Event, now: float) -> list[Action]:
        """Take what happened, answer what to do. Facts about attempts that are not under way are ignored."""
        self._actions = []
        if self.start_time is None:
            self.start_time = now
        self._take(event, now)
        self._advance(now)
        return self._actions

    def status(self, now: float) -> dict[str, Any]:
        """The Pod's status as it should be, with the transition times of what did not change kept."""
        return status.compose(self, now)

    # --- events

    def _take(self, event: Event, now: float) -> None:
        match event:
            case Admitted():
                pass
            case Prepared():
                self.prepared, self._preparing = event, False
                self._explain("", "")
            case PrepareFailed(reason, message, name):
                self._preparing, self._retry_at = False, now + self.retries.after(now)
                self._explain(reason, message)
                self._record("Warning", name, message)
            case ContainerStarted(name, attempt, at):
                self._started(name, attempt, at)
            case StartFailed():
                self._start_failed(event, now)
            case ContainerExited(name, attempt, how):
                self._exited(name, attempt, how)
            case DeleteRequested(grace):
                self.deleting = True
                self._end(now, grace)
            case TornDown():
                self._torn = True
            case Evicted(reason, message, grace):
                if not self.finished and not self.reason:
                    self.reason, self.message = reason, message
                    self._end(now, grace)
            case _:
                assert_never(event)

    def _explain(self, reason: str, message: str) -> None:
        for c in self.containers:
            if c.phase == "waiting":
                c.reason, c.message = reason, message

    def _started(self, name: str, attempt: int, at: float) -> None:
        c = self._under_way(name, attempt)
        if c is not None and c.phase == "starting":
            c.phase, c.started, c.reason, c.message = "running", at, "", ""
            self._record("Normal", "Started", f"Started container {name}", name)

    def _start_failed(self, event: StartFailed, now: float) -> None:
        c = self._under_way(event.container, event.attempt)
        if c is None or c.phase != "starting":
            return
        self._record("Warning", "Failed", f"Error: {event.message}", c.spec.name)
        if event.fatal:
            c.phase = "exited"
            c.last = Exit(128, started=now, finished=now, reason=event.reason, message=event.message)
            return
        c.phase, c.reason, c.message = "waiting", event.reason, event.message
        c.due = now + c.retries.after(now)

    def _exited(self, name: str, attempt: int, how: Exit) -> None:
        c = self._under_way(name, attempt)
        if c is not None:
            c.phase, c.last = "exited", how
            c.started = how.started or c.started

    def _under_way(self, name: str, attempt: int) -> ContainerState | None:
        c = self.find(name)
        return c if c is not None and c.live and c.attempt == attempt else None

    def _end(self, now: float, grace: float) -> None:
        end = now + max(0.0, grace)
        if not self.ending:
            self._expected()
        self.ending = True
        self.grace_end = end if self.grace_end is None else min(self.grace_end, end)

    def _expected(self) -> None:
        for c in self.containers:
            if c.live:
                self._record("Normal", "Killing", f"Stopping container {c.spec.name}", c.spec.name)

    def _record(self, type_: str, reason: str, message: str, container: str = "") -> None:
        self._actions.append(Record(type_, reason, message, container))

    # --- what follows

    def _advance(self, now: float) -> None:
        self._check_deadline(now)
        if self.finished:
            self._release()
        elif self.ending:
            self._advance_end(now)
        elif self.prepared is None:
            self._prepare(now)
        else:
            self._advance_containers(now)

    def _check_deadline(self, now: float) -> None:
        limit = self.pod.spec.activeDeadlineSeconds
        if limit is None or self.finished or self.start_time is None:
            return
        if now >= self.start_time + limit:
            if not self.reason:
                self.reason = "DeadlineExceeded"
                self.message = "Pod was active on the node longer than the specified deadline"
                self._end(now, self.pod.spec.terminationGracePeriodSeconds)
        else:
            self._actions.append(WakeAt(self.start_time + limit))

    def _prepare(self, now: float) -> None:
        if self._preparing:
            return
        if now < self._retry_at:
            self._actions.append(WakeAt(self._retry_at))
            return
        self._preparing = True
        self._actions.append(Prepare())

    def _advance_containers(self, now: float) -> None:
        for c in self.inits:
            if c.sidecar:
                if not self._keep_up(c, now):
                    return
            elif not self._work_off(c, now):
                return
        policy = self.pod.spec.restartPolicy
        for c in self.mains:
            if c.phase == "waiting" or (c.phase == "exited" and self._again(c, policy)):
                self._launch(c, now)
        if all(c.phase == "exited" and not self._again(c, policy) for c in self.mains):
            self._finish_mains(now)

    def _keep_up(self, c: ContainerState, now: float) -> bool:
        """A sidecar runs, and runs again. Answers whether what follows it may start."""
        if c.phase in ("waiting", "exited"):
            self._launch(c, now)
        return c.phase == "running" or c.last is not None

    def _work_off(self, c: ContainerState, now: float) -> bool:
        """An init container runs until it succeeds. Answers whether it has."""
        if c.succeeded:
            return True
        if c.phase == "exited" and self.pod.spec.restartPolicy == "Never":
            self._finish("Failed", now)
        elif not c.live:
            self._launch(c, now)
        return False

    def _again(self, c: ContainerState, policy: str) -> bool:
        return policy == "Always" or (policy == "OnFailure" and not c.succeeded)

    def _launch(self, c: ContainerState, now: float) -> None:
        """Start it, now or when its back-off is over."""
        if c.phase == "exited":
            assert c.last is not None
            c.due = c.backoff.after_end(c.last.finished, now)
            c.phase, c.attempt = "waiting", c.attempt + 1
            c.signalled = c.killed = False
            if c.due > now:
                self._back_off(c, c.due - c.last.finished)
        if c.due > now:
            self._actions.append(WakeAt(c.due))
            return
        c.phase, c.reason, c.message = "starting", "", ""
        self._actions.append(Start(c.spec.name, c.attempt))

    def _back_off(self, c: ContainerState, delay: float) -> None:
        meta = self.pod.metadata
        pod = f"{meta.name}_{meta.namespace}({meta.uid})"
        c.reason = "CrashLoopBackOff"
        c.message = f"back-off {_duration(delay)} restarting failed container={c.spec.name} pod={pod}"
        text = f"Back-off restarting failed container {c.spec.name} in pod {pod}"
        self._record("Warning", "BackOff", text, c.spec.name)

    def _finish_mains(self, now: float) -> None:
        """The main containers are done: sidecars are ended, then the Pod is what its main containers came to."""
        if any(c.live for c in self.inits):
            self._end(now, self.pod.spec.terminationGracePeriodSeconds)
            self._advance_end(now)
            return
        self._finish("Succeeded" if all(c.succeeded for c in self.mains) else "Failed", now)

    def _advance_end(self, now: float) -> None:
        """Mains first, then sidecars, in one grace period."""
        assert self.grace_end is not None
        live = [c for c in self.mains if c.live] or [c for c in self.inits if c.live]
        if not live:
            done = all(c.succeeded for c in self.mains) and not self.reason
            self._finish("Succeeded" if done else "Failed", now)
            return
        if now >= self.grace_end:
            live = [c for c in self.containers if c.live]
        for c in live:
            self._end_container(c, now)
        if now < self.grace_end:
            self._actions.append(WakeAt(self.grace_end))

    def _end_container(self, c: ContainerState, now: float) -> None:
        if c.phase == "starting":
            return  # It is signalled as soon as it runs.
        assert self.grace_end is not None
        if now >= self.grace_end:
            if not c.killed:
                c.killed = True
                self._actions.append(Kill(c.spec.name, c.attempt))
        elif not c.signalled:
            c.signalled = True
            self._actions.append(Signal(c.spec.name, c.attempt))

    def _finish(self, phase: str, now: float) -> None:
        self.phase = phase
        self._release()

    def _release(self) -> None:
        if any(c.live for c in self.containers):
            self._end_leftovers()
            return
        if not self._tearing:
            self._tearing = True
            self._actions.append(Teardown())
        if self._torn and self.deleting and not self._finalized:
            self._finalized = True
            self._actions.append(Finalize())

    def _end_leftovers(self) -> None:
        """The Pod has failed while something still runs (a sidecar beside a failed init container)."""
        for c in self.containers:
            if c.phase == "running" and not c.killed:
                c.killed = True
                self._actions.append(Kill(c.spec.name, c.attempt))


def _duration(seconds: float) -> str:
    """As Go prints it: `10s`, `1m20s`, `5m0s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
