"""health: what a container's probes say of it, and when each is due. Pure: time comes in, results come in.

As the kubelet's prober: a startup probe holds the others back until it has succeeded once; liveness counts as good
and readiness as bad until the probe has said otherwise; a result counts once it has come `successThreshold` or
`failureThreshold` times in a row; a probe that could not be carried out counts as nothing. The first probe is made when
the initial delay is over, the next ones by the period from there on; a slow probe skips those that it delays.
"""

from __future__ import annotations

from typing import Literal

from fairlead.api.core import Container, Probe

Kind = Literal["startup", "liveness", "readiness"]
FAILS_CONTAINER: tuple[Kind, ...] = ("startup", "liveness")
"""The kinds whose failure ends the container."""


class Check:
    """One probe of one container's present attempt."""

    __slots__ = ("due", "good", "kind", "last", "probe", "run", "under_way")

    def __init__(self, kind: Kind, probe: Probe) -> None:
        self.kind, self.probe = kind, probe
        self.due: float | None = None
        """When it is made next; None: not at all."""
        self.under_way = False
        self.last: bool | None = None
        self.run = 0
        self.good = False

    def begin(self, at: float) -> None:
        self.due = at + self.probe.initialDelaySeconds
        self.under_way, self.last, self.run = False, None, 0
        self.good = self.kind == "liveness"

    def take(self, ok: bool) -> bool:
        """A result. Answers whether it counts, by the thresholds."""
        self.run = self.run + 1 if ok == self.last else 1
        self.last = ok
        if self.run < (self.probe.successThreshold if ok else self.probe.failureThreshold):
            return False
        self.good = ok
        return True

    def follow(self, now: float) -> None:
        """Set the next time: a whole number of periods after the last, in the future."""
        assert self.due is not None
        period = max(1, self.probe.periodSeconds)
        self.due += period * (1 + max(0.0, now - self.due) // period)


class Health:
    """All probes of one container."""

    __slots__ = ("_checks", "_startup")

    def __init__(self, spec: Container) -> None:
        probes: tuple[tuple[Kind, Probe | None], ...] = (
            ("startup", spec.startupProbe), ("liveness", spec.livenessProbe), ("readiness", spec.readinessProbe),
        )  # fmt: skip
        self._checks = {kind: Check(kind, probe) for kind, probe in probes if probe is not None}
        self._startup = self._checks.get("startup")

    def begin(self, at: float) -> None:
        """A new attempt runs since `at`."""
        for check in self._checks.values():
            check.begin(at)

    def resume(self, *, started: bool, ready: bool) -> None:
        """After `begin`: what was known before the agent was started anew."""
        for check in self._checks.values():
            if check.kind == "startup":
                check.good = started
            elif check.kind == "readiness":
                check.good = ready

    @property
    def started(self) -> bool:
        return self._startup is None or self._startup.good

    @property
    def ready(self) -> bool:
        readiness = self._checks.get("readiness")
        return self.started and (readiness is None or readiness.good)

    def probe(self, kind: Kind) -> Probe:
        return self._checks[kind].probe

    def due(self, now: float, *, ending: bool) -> list[Kind]:
        """The probes to make now; each has to be answered by `take`."""
        found: list[Kind] = []
        for check in self._active(ending):
            if check.due is not None and check.due <= now and not check.under_way:
                check.under_way = True
                found.append(check.kind)
        return found

    def wake(self, *, ending: bool) -> float | None:
        """When `due` will have something new; None: not before something else happens."""
        times = [c.due for c in self._active(ending) if c.due is not None and not c.under_way]
        return min(times, default=None)

    def _active(self, ending: bool) -> list[Check]:
        """A container that is being ended is only asked whether it is ready."""
        if not self._checks:
            return []
        if ending:
            return [c for c in self._checks.values() if c.kind == "readiness" and self.started]
        if not self.started:
            return [self._startup] if self._startup is not None else []
        return [c for c in self._checks.values() if c.kind != "startup"]

    def take(self, kind: Kind, ok: bool | None, now: float) -> bool:
        """A probe's result (None: it could not be made). Answers whether the container has to be ended for it."""
        check = self._checks[kind]
        check.under_way = False
        if check.due is None:
            return False
        check.follow(now)
        if ok is None or not check.take(ok) or ok or kind not in FAILS_CONTAINER:
            return False
        check.due = None  # The container is ended for it: nothing more is asked until the next attempt.
        return True
