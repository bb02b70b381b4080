"""containers: one container's life inside a PodMachine: its attempts, its probes, its hooks, its end. Pure.

An attempt is starting, running, exited; between attempts it is waiting. It counts as `up` once its postStart hook has
ended, as `started` once its startup probe has succeeded, as `ready` by its readiness probe. It ends in the kubelet's
order: the preStop hook, SIGTERM when the hook is over, SIGKILL when the grace period is; a hook that took the whole of
it leaves the container `MINIMUM_GRACE` seconds. Whether and when it starts again is the Pod's affair.
"""

from __future__ import annotations

from typing import Any

import msgspec

from fairlead.agent.backoff import Backoff
from fairlead.agent.health import Health
from fairlead.agent.lifecycle import Action, Exit, HookName, Kill, MakeProbe, RunHook, Signal, WakeAt
from fairlead.api.core import Act, Container, ContainerStatus

MINIMUM_GRACE = 2.0


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
    """See the module's text. `phase` is waiting, starting, running or exited."""

    __slots__ = (
        "attempt", "backoff", "condemned", "due", "health", "hook", "hooked", "init", "kill_at", "killed", "last",
        "message", "passed", "phase", "reason", "retries", "sidecar", "signalled", "spec", "started_at",
    )  # fmt: skip

    def __init__(self, spec: Container, timing: Timing, *, init: bool) -> None:
        self.spec, self.init = spec, init
        self.backoff = Backoff(timing.backoff_base, timing.backoff_cap, timing.backoff_reset)
        self.retries = Backoff(timing.retry, timing.retry_cap, timing.backoff_reset)
        self.health = Health(spec)
        self.sidecar = init and spec.restartPolicy == "Always"
        self.phase = "waiting"
        self.attempt = 0
        self.started_at = 0.0
        self.last: Exit | None = None
        """How the newest finished attempt ended."""
        self.reason, self.message = "", ""
        """Why it waits, where that is more than its turn."""
        self.due = 0.0
        self.passed = False
        """It has been started once, in any attempt: what follows a sidecar may start."""
        self._fresh()

    def _fresh(self) -> None:
        self.hook: HookName | None = None
        """The hook that is under way."""
        self.hooked = False
        """The preStop hook is over, or there was none to run."""
        self.kill_at: float | None = None
        """It is being ended, with SIGKILL at that time."""
        self.signalled = self.killed = self.condemned = False

    # --- what it is

    @property
    def live(self) -> bool:
        return self.phase in ("starting", "running")

    @property
    def up(self) -> bool:
        return self.phase == "running" and self.hook != "postStart"

    @property
    def started(self) -> bool:
        return self.up and self.health.started

    @property
    def ready(self) -> bool:
        return self.up and self.health.ready

    @property
    def succeeded(self) -> bool:
        return self.phase == "exited" and self.last is not None and self.last.code == 0

    def again(self, policy: str) -> bool:
        """Whether an ended attempt is followed by another. One that failed a probe is, unless nothing ever is."""
        return policy == "Always" or (policy == "OnFailure" and (self.condemned or not self.succeeded))

    # --- attempts

    def recover(self, attempt: int, started: float, exit_: Exit | None, known: ContainerStatus | None) -> None:
        """A fact that the runtime still knows, with what the API knew of the same attempt."""
        self.attempt, self.started_at = attempt, started
        self.phase = "running" if exit_ is None else "exited"
        self.backoff.restore(attempt, started if exit_ is None else exit_.finished)
        self.last = exit_ or self.last
        self.health.begin(started)
        if known is not None and known.restartCount == attempt and known.state.running is not None:
            self.health.resume(started=bool(known.started), ready=known.ready)
        self.passed = self.passed or self.health.started

    def attempt_again(self, now: float) -> None:
        """From exited to waiting for the next attempt, which is due when the back-off is over."""
        assert self.last is not None
        self.due = self.backoff.after_end(self.last.finished, now)
        self.phase, self.attempt = "waiting", self.attempt + 1
        self._fresh()

    def begin(self, at: float) -> list[Action]:
        """The command runs."""
        self.phase, self.started_at, self.reason, self.message = "running", at, "", ""
        self.health.begin(at)
        if self._act("postStart") is None:
            return []
        self.hook = "postStart"
        return [RunHook(self.spec.name, self.attempt, "postStart")]

    def end(self, how: Exit) -> None:
        self.phase, self.last, self.hook = "exited", how, None
        self.started_at = how.started or self.started_at

    def _act(self, hook: HookName) -> Act | None:
        lifecycle: Any = self.spec.lifecycle
        return None if lifecycle is None else getattr(lifecycle, hook)

    # --- its end

    def stop(self, until: float, now: float) -> None:
        """End it, by force at `until`. A later call may bring that forward."""
        if until <= now:
            self.kill_at, self.hooked, self.hook = until, True, None
        elif self.kill_at is None or until < self.kill_at:
            self.kill_at = until
        self.hooked = self.hooked or self._act("preStop") is None

    def hook_done(self, hook: HookName, now: float) -> bool:
        """A hook has ended. Answers whether it was still waited for."""
        if self.hook != hook:
            return False
        self.hook = None
        if hook == "preStop":
            self._grant(now)
        return True

    def _grant(self, now: float) -> None:
        assert self.kill_at is not None
        self.hook, self.hooked = None, True
        self.kill_at = max(self.kill_at, now + MINIMUM_GRACE)

    def wind_down(self, now: float, *, turn: bool) -> list[Action]:
        """What is to be done now towards its end. Out of its turn it gets its hook, but no signal."""
        if self.phase != "running" or self.killed or self.kill_at is None:
            return []
        name, attempt = self.spec.name, self.attempt
        if self.hook == "preStop" and now >= self.kill_at:
            self._grant(now)
        if now >= self.kill_at:
            self.killed = True
            return [Kill(name, attempt)]
        wake = WakeAt(self.kill_at)
        if not self.hooked:
            if self.hook == "preStop":
                return [wake]
            self.hook = "preStop"
            return [RunHook(name, attempt, "preStop", self.kill_at - now), wake]
        if self.signalled or not turn:
            return [wake]
        self.signalled = True
        return [Signal(name, attempt), wake]

    # --- its probes

    def probe(self, now: float) -> list[Action]:
        """The probes to make now, and when to ask again."""
        if not self.up:
            return []
        ending = self.kill_at is not None
        due = self.health.due(now, ending=ending)
        actions: list[Action] = [MakeProbe(self.spec.name, self.attempt, kind) for kind in due]
        wake = self.health.wake(ending=ending)
        return actions if wake is None else [*actions, WakeAt(wake)]
