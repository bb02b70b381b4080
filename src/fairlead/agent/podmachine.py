"""PodMachine: one Pod's life on a node, without I/O. `step(event, now)` takes what happened and answers what to do.

It decides when containers start (init containers in order, sidecars before what follows them), when they start again
(restartPolicy, with the kubelet's crash-loop back-off; failed probes), in which order they end, and what the Pod's
status says. A container's own life is `containers`; volumes, networks, processes and the API are the shell's.

Invariants, held by property tests:
- at most one attempt of a container is under way, and attempts count up from 0;
- after the Pod finished, nothing starts;
- a deletion ends in `Finalize` once everything that runs has ended, and everything that runs is signalled;
- an init container starts only after the one before it succeeded (a sidecar: started);
- an ephemeral container starts once, and the Pod neither waits for it nor stands or falls with it.

`Prepare`, `Start`, `RunHook`, `MakeProbe` and `Teardown` are asked for once; the shell answers each with an event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

from fairlead.agent import status
from fairlead.agent.backoff import Backoff
from fairlead.agent.containers import DEFAULT_TIMING, ContainerState, Timing
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
    Prepare,
    Prepared,
    PrepareFailed,
    Probed,
    Record,
    Start,
    StartFailed,
    Teardown,
    TornDown,
    WakeAt,
)
from fairlead.api.core import Pod
from fairlead.base import timestamp


class PodMachine:
    """See the module's text."""

    def __init__(self, pod: Pod, timing: Timing = DEFAULT_TIMING) -> None:
        self.pod = pod
        self.inits = [ContainerState(c, timing, init=True) for c in pod.spec.initContainers]
        self.mains = [ContainerState(c, timing, init=False) for c in pod.spec.containers]
        self.ephemerals: list[ContainerState] = []
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
        self._timing = timing
        self._meet()

    @property
    def containers(self) -> Sequence[ContainerState]:
        return (*self.inits, *self.mains, *self.ephemerals)

    @property
    def finished(self) -> bool:
        return self.phase in ("Succeeded", "Failed")

    @property
    def starting(self) -> bool:
        """The start of a first container is under way, and there is nothing else to tell."""
        return not self.ending and self.phase == "Pending" and any(c.phase == "starting" for c in self.containers)

    @property
    def over(self) -> bool:
        """Finished, and all that it had on the node released."""
        return self.finished and self._torn

    @property
    def grace(self) -> float:
        return float(self.pod.spec.terminationGracePeriodSeconds)

    def find(self, name: str) -> ContainerState | None:
        return next((c for c in self.containers if c.spec.name == name), None)

    def recover(self, name: str, attempt: int, started: float, exit_: Exit | None) -> None:
        """Before the first step: a fact that the runtime still knows. Attempts are told in order."""
        c = self.find(name)
        if c is not None:
            told = self.pod.status.all_containers
            c.recover(attempt, started, exit_, next((s for s in told if s.name == name), None))

    def step(self, event: Event, now: float) -> list[Action]:
        """Take what happened, answer what to do. Facts about attempts that are not under way are ignored."""
        self._actions = []
        if self.start_time is None:
            self.start_time = now
        self._meet()
        self._take(event, now)
        self._advance(now)
        return self._actions

    def _meet(self) -> None:
        """Ephemeral containers come while the Pod runs, and never go."""
        new = self.pod.spec.ephemeralContainers[len(self.ephemerals) :]
        self.ephemerals += [ContainerState(c, self._timing, init=False) for c in new]

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
            case ContainerStarted() | StartFailed() | ContainerExited() | Probed() | HookDone():
                self._take_of_container(event, now)
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

    def _take_of_container(
        self, event: ContainerStarted | StartFailed | ContainerExited | Probed | HookDone, now: float
    ) -> None:
        c = self.find(event.container)
        if c is None or not c.live or c.attempt != event.attempt:
            return
        match event:
            case ContainerStarted(name, _, at):
                if c.phase == "starting":
                    self._record("Normal", "Started", f"Started container {name}", name)
                    self._actions += c.begin(at)
            case StartFailed():
                if c.phase == "starting":
                    self._start_failed(c, event, now)
            case ContainerExited():
                c.end(event.exit)
            case Probed():
                self._probed(c, event, now)
            case HookDone():
                self._hook_done(c, event, now)
            case _:
                assert_never(event)

    def _explain(self, reason: str, message: str) -> None:
        for c in self.containers:
            if c.phase == "waiting":
                c.reason, c.message = reason, message

    def _start_failed(self, c: ContainerState, event: StartFailed, now: float) -> None:
        self._record("Warning", "Failed", f"Error: {event.message}", c.spec.name)
        if event.fatal:
            c.end(Exit(128, started=now, finished=now, reason=event.reason, message=event.message))
            return
        c.phase, c.reason, c.message = "waiting", event.reason, event.message
        c.due = now + c.retries.after(now)

    def _probed(self, c: ContainerState, event: Probed, now: float) -> None:
        kind = event.kind.capitalize()
        name = c.spec.name
        if event.ok is None:
            self._record("Warning", "Unhealthy", f"{kind} probe errored: {event.message}", name)
        elif not event.ok:
            self._record("Warning", "Unhealthy", f"{kind} probe failed: {event.message}", name)
        elif event.message:
            self._record("Warning", "ProbeWarning", f"{kind} probe warning: {event.message}", name)
        if not c.health.take(event.kind, event.ok, now) or c.kill_at is not None:
            return
        c.condemned = True
        again = ", will be restarted" if c.sidecar or self.pod.spec.restartPolicy != "Never" else ""
        self._record("Normal", "Killing", f"Container {name} failed {event.kind} probe{again}", name)
        own = c.health.probe(event.kind).terminationGracePeriodSeconds
        c.stop(now + (self.grace if own is None else own), now)

    def _hook_done(self, c: ContainerState, event: HookDone, now: float) -> None:
        if not c.hook_done(event.hook, now) or not event.error:
            return
        name = c.spec.name
        title = event.hook[0].upper() + event.hook[1:]
        self._record("Warning", f"Failed{title}Hook", f"{title}Hook failed: {event.error}", name)
        if event.hook == "postStart" and c.kill_at is None:
            self._record("Normal", "Killing", "FailedPostStartHook", name)
            c.stop(now + self.grace, now)

    def _end(self, now: float, grace: float) -> None:
        end = now + max(0.0, grace)
        if not self.ending:
            self._expected()
        self.ending = True
        self.grace_end = end if self.grace_end is None else min(self.grace_end, end)
        for c in self.containers:
            if c.live:
                c.stop(self.grace_end, now)

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
            return
        if self.ending:
            self._conclude(now)
        elif self.prepared is None:
            self._prepare(now)
        else:
            self._advance_containers(now)
        if not self.finished:
            self._tend(now)

    def _check_deadline(self, now: float) -> None:
        limit = self.pod.spec.activeDeadlineSeconds
        if limit is None or self.finished or self.start_time is None:
            return
        if now >= self.start_time + limit:
            if not self.reason:
                self.reason = "DeadlineExceeded"
                self.message = "Pod was active on the node longer than the specified deadline"
                self._end(now, self.grace)
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
        for c in self.ephemerals:
            if c.phase == "waiting":
                self._launch(c, now)
        for c in self.inits:
            if not (self._keep_up(c, now) if c.sidecar else self._work_off(c, now)):
                return
        policy = self.pod.spec.restartPolicy
        for c in self.mains:
            if c.phase == "waiting" or (c.phase == "exited" and c.again(policy)):
                self._launch(c, now)
        if all(c.phase == "exited" and not c.again(policy) for c in self.mains):
            self._conclude(now)

    def _keep_up(self, c: ContainerState, now: float) -> bool:
        """A sidecar runs, and runs again. Answers whether what follows it may start."""
        if not c.live:
            self._launch(c, now)
        c.passed = c.passed or c.started or any(m.live or m.last is not None for m in self.mains)
        return c.passed

    def _work_off(self, c: ContainerState, now: float) -> bool:
        """An init container runs until it succeeds. Answers whether it has."""
        if c.succeeded:
            return True
        if c.phase == "exited" and self.pod.spec.restartPolicy == "Never":
            self._conclude(now)
        elif not c.live:
            self._launch(c, now)
        return False

    def _launch(self, c: ContainerState, now: float) -> None:
        """Start it, now or when its back-off is over."""
        if c.phase == "exited":
            assert c.last is not None
            c.attempt_again(now)
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

    def _tend(self, now: float) -> None:
        """Probe what runs; go on ending what is to end. A sidecar's turn is when nothing after it runs any more."""
        later = False
        for c in reversed(self.containers):
            if c.live:
                self._actions += c.wind_down(now, turn=not (c.sidecar and later and self.ending))
                self._actions += c.probe(now)
                later = True

    def _conclude(self, now: float) -> None:
        """Nothing more is to start: what still runs is ended, then the Pod is what its main containers came to."""
        if any(c.live for c in self.containers):
            if not self.ending:
                self._end(now, self.grace)
            return
        done = all(c.succeeded for c in self.mains) and not self.reason
        self.phase = "Succeeded" if done else "Failed"
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
        """The API says that the Pod has finished, and yet something of it runs (found after a restart)."""
        for c in self.containers:
            if c.phase == "running" and not c.killed:
                c.killed = True
                self._actions.append(Kill(c.spec.name, c.attempt))


def _duration(seconds: float) -> str:
    """As Go prints it: `10s`, `1m20s`, `5m0s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
