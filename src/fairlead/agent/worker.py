"""worker: carries out what one Pod's machine decides. The shell around `podmachine`.

It owns no policy: each action becomes a call on the runtime, the network or the API, and each answer an event.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from typing import Any, assert_never

import msgspec

from fairlead.agent import devices, environment, lifecycle, prober, specification, volumes
from fairlead.agent.containers import ContainerState
from fairlead.agent.lifecycle import Exit
from fairlead.agent.node import NodeParts
from fairlead.agent.podmachine import PodMachine
from fairlead.agent.runtimes import Exited, Ref, StartError
from fairlead.api.core import PODS, Act, Container, Pod, Probe, Volume
from fairlead.base import telemetry
from fairlead.base.errors import StatusError
from fairlead.client.protocol import DeleteOptions
from fairlead.machinery import quantity

log = telemetry.logger("agent.pod")

_LACKING = (environment.Missing, volumes.Refused, OSError, StatusError)
_PATIENCE = 0.1
"""Seconds for which it may go untold that a container is being started: mostly it runs by then, and one write tells
both."""
_MESSAGE_BYTES, _LOG_BYTES = 4096, 2048
"""The most of a message, or of a log in its place, as upstream has it."""


class PodWorker:
    """One Pod. `present`: its object is still in the API."""

    def __init__(self, node: NodeParts, pod: Pod) -> None:
        self.node, self.pod = node, pod
        self.uid = pod.metadata.uid
        self.machine = PodMachine(pod, node.settings.timing)
        self.present = True
        self.ip = ""
        self.over = asyncio.Event()
        """Set once nothing of the Pod runs and everything it had is released."""
        self._volumes: list[Volume] | None = None
        self._published: dict[str, Any] | None = None
        self._quiet = self.machine.finished
        self._late: asyncio.TimerHandle | None = None
        self._wake: asyncio.Task[None] | None = None
        self._wake_time = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    # --- events in, actions out

    def handle(self, event: lifecycle.Event) -> None:
        """Tell the machine, do what it says, publish what follows from it."""
        now = self.node.clock.now()
        actions = self.machine.step(event, now)
        for action in actions:
            self._do(action, now)
        if self.machine.over:
            self.over.set()
        self._publish(now)

    def _do(self, action: lifecycle.Action, now: float) -> None:
        match action:
            case lifecycle.Prepare():
                self._spawn(self._prepare())
            case lifecycle.Start(container, attempt):
                self._spawn(self._start(container, attempt))
            case lifecycle.Signal(container, attempt):
                self.node.runtime.signal(Ref(self.uid, container, attempt), self._stop_signal(container))
            case lifecycle.Kill(container, attempt):
                self.node.runtime.kill(Ref(self.uid, container, attempt))
            case lifecycle.MakeProbe():
                self._spawn(self._probe(action))
            case lifecycle.RunHook():
                self._spawn(self._run_hook(action))
            case lifecycle.WakeAt(time):
                self._wake_at(time, now)
            case lifecycle.Record(type_, reason, message, container):
                self.record(type_, reason, message, container)
            case lifecycle.Teardown():
                self._spawn(self._tear_down())
            case lifecycle.Finalize():
                self._spawn(self._finalize())
            case _:
                assert_never(action)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _wake_at(self, time: float, now: float) -> None:
        if self._wake is not None and not self._wake.done() and self._wake_time <= time:
            return
        if self._wake is not None:
            self._wake.cancel()
        self._wake_time = time
        self._wake = asyncio.create_task(self._woken(max(0.0, time - now)))

    async def _woken(self, delay: float) -> None:
        await self.node.clock.sleep(delay)
        self._wake = None
        self.handle(lifecycle.Admitted())

    def _publish(self, now: float) -> None:
        if not self.present or self._quiet:
            return
        status = self.machine.status(now)
        if status == self._published:
            return
        if self.machine.starting and self._late is None:
            self._late = asyncio.get_running_loop().call_later(_PATIENCE, self._publish_now)
        elif not self.machine.starting:
            self._publish_now(status)

    def _publish_now(self, status: dict[str, Any] | None = None) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
        self._published = status or self.machine.status(self.node.clock.now())
        self.node.reporter.publish(self.pod, self._published)

    def changed(self, pod: Pod) -> None:
        """The object is another now. Conditions that are ours are set right if somebody else has set them (the node
        controller does, for a node that it has not heard of); conditions that others set may make the Pod ready."""
        self.pod = self.machine.pod = pod
        if len(pod.spec.ephemeralContainers) > len(self.machine.ephemerals):
            self.handle(lifecycle.Admitted())
        if self._published is None or not self.node.reporter.caught_up(pod):
            return
        ours = self.machine.transitions
        foreign = [c for c in pod.status.conditions if c.type in ours and c.status != ours[c.type].status]
        if foreign:
            ours.update((c.type, c) for c in foreign)
            self._published = None
        elif not pod.spec.readinessGates:
            return
        self._publish(self.node.clock.now())

    def record(self, type_: str, reason: str, message: str, container: str = "") -> None:
        if self.present:
            self.node.reporter.record(self.pod, type_, reason, message, container)

    def exited(self, ref: Ref, how: Exited) -> None:
        """The runtime reports an end."""
        message = how.message or self._last_words(ref, how)
        exit_ = Exit(how.code, how.signal, how.oom, how.started, how.finished, how.reason, message)
        self.handle(lifecycle.ContainerExited(ref.container, ref.attempt, exit_))

    def _last_words(self, ref: Ref, how: Exited) -> str:
        """The termination message: what the container wrote for it, or the end of its log if it asked for that."""
        c = self.machine.find(ref.container)
        written = _end_of(specification.message_file(self.node, ref), _MESSAGE_BYTES)
        if written or c is None or how.code == 0 or c.spec.terminationMessagePolicy != "FallbackToLogsOnError":
            return written
        return _end_of(self.node.runtime.log(ref), _LOG_BYTES)

    # --- probes and hooks

    def _target(self, name: str, attempt: int) -> prober.Target:
        c = self.machine.find(name)
        assert c is not None
        return prober.Target(Ref(self.uid, name, attempt), c.spec, self.ip)

    async def _probe(self, wanted: lifecycle.MakeProbe) -> None:
        target = self._target(wanted.container, wanted.attempt)
        probe: Probe = getattr(target.container, wanted.kind + "Probe")
        ok, message = await self.node.prober.probe(target, probe, max(1, probe.timeoutSeconds))
        self.handle(lifecycle.Probed(wanted.container, wanted.attempt, wanted.kind, ok, message))

    async def _run_hook(self, wanted: lifecycle.RunHook) -> None:
        target = self._target(wanted.container, wanted.attempt)
        act: Act = getattr(target.container.lifecycle, wanted.hook)
        error = ""
        try:
            await self.node.prober.hook(target, act, wanted.seconds)
        except prober.HookFailed as e:
            error = str(e)
        self.handle(lifecycle.HookDone(wanted.container, wanted.attempt, wanted.hook, error))

    def _stop_signal(self, name: str) -> int:
        own = self._target(name, 0).container.lifecycle
        return signal.Signals[own.stopSignal] if own is not None and own.stopSignal else signal.SIGTERM

    # --- preparing and releasing

    @property
    def facts(self) -> environment.Facts:
        s = self.node.settings
        return environment.Facts(s.node, self.ip, self.node.host_ip, self.node.allocatable)

    async def _prepare(self) -> None:
        try:
            await self.prepare()
        except (*_LACKING, devices.Unavailable) as e:
            message = str(e)
            self.handle(lifecycle.PrepareFailed("ContainerCreating", message, _failure_event(e)))
        except Exception as e:
            log.exception("a fault of the agent's own: pod=%s not prepared", self.pod.key)
            message = f"{type(e).__name__}: {e}"
            self.handle(lifecycle.PrepareFailed("ContainerCreating", message, "FailedCreatePodSandBox"))
        else:
            self.handle(lifecycle.Prepared(self.ip, self.node.host_ip))

    async def prepare(self) -> None:
        """Devices, address, volumes, names. Safe to repeat: what is there already stays."""
        self.node.devices.assign(self.uid, _devices_wanted(self.pod))
        self.connect()
        maps, secrets, tokens = volumes.references(self.pod)
        sources = await self.node.sources(self.pod, maps, secrets)
        granted = await self.node.tokens.of(self.pod, tokens)
        volumes.make(self.node.pods, await self._backed(), self.facts, sources, granted)

    async def _backed(self) -> Pod:
        """The Pod with its volumes as what they are on; what a claim is bound to is for life."""
        if self._volumes is None:
            self._volumes = (await self.node.backed(self.pod)).spec.volumes
        return msgspec.structs.replace(self.pod, spec=msgspec.structs.replace(self.pod.spec, volumes=self._volumes))

    def connect(self) -> None:
        """Give the Pod its address, and tell its peers."""
        if self.pod.spec.hostNetwork:
            self.ip = self.node.host_ip
        else:
            self.ip = self.node.network.attach(self.uid).ip
        self.node.names.join(self.pod, self.ip)

    async def refresh(self) -> None:
        """Make volumes follow what they were made from."""
        if self.machine.prepared is None or self.machine.finished or not self.pod.spec.volumes:
            return
        try:
            await self.prepare()
        except _LACKING as e:
            log.debug("volumes of pod=%s not refreshed: %s", self.pod.key, e)

    async def _tear_down(self) -> None:
        self.node.names.leave(self.uid)
        self.node.network.release(self.uid)
        self.node.devices.release(self.uid)
        self.node.tokens.forget(self.uid)
        await asyncio.to_thread(volumes.remove, self.node.pods, self.pod)
        self.handle(lifecycle.TornDown())

    async def _finalize(self) -> None:
        """Delete the object for good, once its last status is there."""
        delay = 0.2
        while self.present:
            await self.node.reporter.flush(self.pod)
            try:
                await self.node.client.delete(PODS, self.pod.key, DeleteOptions(grace_seconds=0, uid=self.uid))
                return
            except Exception as e:
                if isinstance(e, StatusError) and e.code in (404, 409):
                    return
                log.warning("pod=%s not yet deleted: %s", self.pod.key, e)
            await self.node.clock.sleep(delay)
            delay = min(delay * 2, 10.0)

    # --- starting

    async def _start(self, name: str, attempt: int) -> None:
        c = self.machine.find(name)
        assert c is not None
        try:
            spec = await specification.make(self.node, await self._demand(c, attempt))
            async with self.node.starting:
                started = await self.node.runtime.start(spec)
        except StartError as e:
            self.handle(lifecycle.StartFailed(name, attempt, e.reason, str(e), e.fatal))
        except environment.Missing as e:
            self.handle(lifecycle.StartFailed(name, attempt, "CreateContainerConfigError", str(e)))
        except volumes.Refused as e:
            self.handle(lifecycle.StartFailed(name, attempt, e.reason, str(e)))
        except (OSError, StatusError) as e:
            self.handle(lifecycle.StartFailed(name, attempt, "CreateContainerError", str(e)))
        except Exception as e:
            log.exception("a fault of the agent's own: container=%s of pod=%s not started", name, self.pod.key)
            self.handle(lifecycle.StartFailed(name, attempt, "CreateContainerError", f"{type(e).__name__}: {e}"))
        else:
            self.handle(lifecycle.ContainerStarted(name, attempt, started.at))

    async def _demand(self, c: ContainerState, attempt: int) -> specification.Demand:
        return specification.Demand(
            await self._backed(), c.spec, Ref(self.uid, c.spec.name, attempt), self.facts, self.record,
            lambda: not self.machine.ending, self._beside(c.spec),
        )  # fmt: skip

    def _beside(self, container: Container) -> Ref | None:
        """The attempt whose processes an ephemeral container asks to share."""
        target = self.machine.find(container.targetContainerName)
        if target is None:
            return None
        if target.phase != "running":
            raise StartError("CreateContainerError", f"container {target.spec.name} does not run: its processes cannot "
                             "be shared")  # fmt: skip
        return Ref(self.uid, target.spec.name, target.attempt)

    def cancel(self) -> None:
        """Stop acting. What runs keeps running."""
        if self._late is not None:
            self._late.cancel()
        for task in (*self._tasks, *([self._wake] if self._wake else [])):
            task.cancel()


def _end_of(path: str, size: int) -> str:
    try:
        with open(path, "rb") as f:
            f.seek(max(0, f.seek(0, os.SEEK_END) - size))
            return f.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _failure_event(error: Exception) -> str:
    return "FailedMount" if isinstance(error, (environment.Missing, volumes.Refused)) else "FailedCreatePodSandBox"


def _devices_wanted(pod: Pod) -> dict[str, int]:
    from_all = ((c.name, c.resources.limits.get("nvidia.com/gpu", 0)) for c in pod.spec.containers)
    return {name: count for name, amount in from_all if (count := quantity.fast_value(amount)) > 0}
