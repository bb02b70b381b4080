"""agent: the node's kubelet. Registers the Node, renews its Lease, watches its Pods and gives each a worker.

A stop leaves Pods running unless it is asked to drain; the next start finds them again by what the runtime knows, and
goes on where it was. What runs for Pods that the API no longer has is killed once the first list is complete.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterable
from typing import Any

from fairlead.agent import capabilities as abilities
from fairlead.agent import devices, forward, lifecycle, logs, network, sessions, usage
from fairlead.agent.containers import ContainerState
from fairlead.agent.lifecycle import Exit
from fairlead.agent.node import NodeParts
from fairlead.agent.provisioner import Provisioner
from fairlead.agent.registration import Registration
from fairlead.agent.runtimes import Exited, Found, Ref, Runtime
from fairlead.agent.runtimes.process import ProcessRuntime
from fairlead.agent.settings import Settings
from fairlead.agent.traffic import Traffic
from fairlead.agent.worker import PodWorker
from fairlead.api.core import NODES, PODS, ContainerStatus, Node, Pod
from fairlead.api.meta import Key
from fairlead.base import clock as clocks
from fairlead.base import errors, telemetry, timestamp
from fairlead.client import informer
from fairlead.client.node import AttachOptions, ContainerUsage, Duplex, ExecOptions, LogOptions, NodeUsage, PodUsage
from fairlead.client.protocol import Client

log = telemetry.logger("agent")

_ATTEMPTS_KEPT = 2
"""The present attempt and the one before it, which `logs --previous` shows."""
_ATTACHED_SECONDS = 0.01
"""How often a log is looked at for somebody who may be typing."""
_LOOPBACK = "127.0.0.1"
_SHUTDOWN = lifecycle.Evicted("Terminated", "Pod was terminated because its node is shutting down.", 30.0)


class Agent:
    """See the module's text. Implements `client.node.NodeConnection`."""

    def __init__(
        self,
        client: Client,
        settings: Settings,
        clock: clocks.Clock = clocks.SYSTEM,
        capabilities: abilities.Capabilities | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        state = os.path.abspath(settings.state)
        os.makedirs(os.path.join(state, "pods"), exist_ok=True)
        self.capabilities = capabilities or abilities.detect(state)
        self._clock = clock
        self._runtime = runtime or ProcessRuntime(state, self.capabilities.limiter, self.capabilities.sandbox, clock)
        found = [*devices.detect(), *devices.fake(settings.fake_gpus)]
        self._pods: informer.Informer[Pod] = informer.Informer(PODS, fields=f"spec.nodeName={settings.node}")
        self._traffic = Traffic(client, state, settings.node, self.capabilities.balancer, clock, settings.api_host)
        self._own: informer.Informer[Node] = informer.Informer(NODES, fields=f"metadata.name={settings.node}")
        self._node = NodeParts(
            client, settings, self.capabilities, devices.Devices(state, found), self._runtime,
            self._traffic, clock,
        )  # fmt: skip
        self._registration = Registration(client, settings, self.capabilities, self._node.devices, clock)
        self._workers: dict[str, PodWorker] = {}
        self._found: dict[str, dict[Ref, Found]] = {}
        """What the runtime still knew at the start, by Pod, until a worker has taken it over."""
        self._indexes: dict[Ref, logs.Index] = {}
        self._visited: set[Ref] = set()
        """Attempts that somebody has attached to."""
        self._synced = asyncio.Event()
        self._tasks: list[asyncio.Task[Any]] = []
        self._settling: set[asyncio.Task[None]] = set()

    # --- life

    async def run(self) -> None:
        """Work until stopped. Returns after `stop`; raises only when the node cannot be registered."""
        await self.start()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def start(self) -> None:
        """Adopt what runs, register the node, begin to watch."""
        for found in self._runtime.open(self._on_exit):
            self._found.setdefault(found.ref.uid, {})[found.ref] = found
        self._node.host_ip = network.host_address()
        self._node.allocatable = self._registration.capacity()
        await self._registration.register()
        run, client, clock = informer.run, self._node.client, self._clock
        pods = informer.Handlers[Pod](self._pod_changed, self._pods_synced)
        self._tasks = [
            asyncio.create_task(work)
            for work in (
                self._registration.keep(),
                Provisioner(client, self._node.settings.node, self._node.settings.state, clock).run(),
                self._traffic.run(),
                run(client, self._pods, clock, pods),
                run(client, self._own, clock, informer.Handlers[Node](lambda old, new: self._registration.notice(new))),
                self._keep_volumes(),
                self._keep_indexes(),
            )
        ]

    async def synced(self) -> None:
        """Return once the Pods of this node are known."""
        await self._synced.wait()

    async def stop(self, *, keep_pods: bool = True) -> None:
        """Stop. Pods stay as they are and are adopted by the next start, or are ended first."""
        if not keep_pods:
            await self.drain()
        for task in (*self._tasks, *self._settling):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._settling, return_exceptions=True)
        for worker in self._workers.values():
            worker.cancel()
        await self._node.reporter.close()
        await self._node.prober.close()
        self._runtime.close()
        self._traffic.close(keep=keep_pods)
        self._node.network.close()

    async def drain(self, patience: float = 60.0) -> None:
        """End all Pods as a node that shuts down does: they fail, with reason Terminated."""
        for worker in list(self._workers.values()):
            worker.handle(_SHUTDOWN)
        waits = [asyncio.create_task(w.over.wait()) for w in self._workers.values()]
        if waits:
            _, late = await asyncio.wait(waits, timeout=patience)
            for task in late:
                task.cancel()

    # --- Pods come and go

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
            self._gone(old.metadata.uid)
        if new is None:
            return
        worker = self._workers.get(new.metadata.uid)
        if worker is None:
            worker = self._adopt(new)
        worker.changed(new)
        self._check_deletion(worker, old)

    def _check_deletion(self, worker: PodWorker, old: Pod | None) -> None:
        meta = worker.pod.metadata
        if not meta.deleting:
            return
        grace = float(meta.deletionGracePeriodSeconds or 0)
        known = old is not None and old.metadata.deleting
        if not known or (old is not None and old.metadata.deletionGracePeriodSeconds != grace):
            worker.handle(lifecycle.DeleteRequested(grace))

    def _adopt(self, pod: Pod) -> PodWorker:
        """A worker for a Pod that is new to this agent, with whatever is still known of its containers."""
        uid = pod.metadata.uid
        worker = self._workers[uid] = PodWorker(self._node, pod)
        facts = self._found.pop(uid, {})
        for found in sorted(facts.values(), key=lambda f: f.ref.attempt):
            worker.machine.recover(found.ref.container, found.ref.attempt, found.started, _as_exit(found.exited))
        for status in pod.status.all_containers:
            if not any(ref.container == status.name for ref in facts):
                _recover_lost(worker, status, self._clock.now())
        if facts and not worker.machine.finished:
            try:
                worker.connect()
            except OSError as e:
                log.warning("network of pod=%s not adopted: %s", pod.key, e)
            else:
                worker.machine.prepared = lifecycle.Prepared(worker.ip, self._node.host_ip)
        worker.handle(lifecycle.Admitted())
        return worker

    def _gone(self, uid: str) -> None:
        """The object is no more. What still runs is ended at once, then nothing is kept."""
        worker = self._workers.get(uid)
        if worker is not None:
            worker.present = False
            worker.handle(lifecycle.DeleteRequested(0.0))
            self._settle(self._forget(worker))

    def _settle(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def _forget(self, worker: PodWorker) -> None:
        await worker.over.wait()
        self._workers.pop(worker.uid, None)
        self._node.reporter.forget(worker.uid)
        worker.cancel()
        await self._erase(worker.uid)

    async def _erase(self, uid: str) -> None:
        for ref in [r for r in self._indexes if r.uid == uid]:
            del self._indexes[ref]
        self._visited = {r for r in self._visited if r.uid != uid}
        await asyncio.to_thread(shutil.rmtree, os.path.join(self._node.pods, uid), ignore_errors=True)

    def _pods_synced(self) -> None:
        """Every Pod of this node is known: what the runtime has beyond them belongs to nobody."""
        self._synced.set()
        for uid in os.listdir(self._node.pods):
            if uid not in self._workers:
                self._settle(self._end_orphan(uid, self._found.get(uid, {}).values()))

    async def _end_orphan(self, uid: str, found: Iterable[Found]) -> None:
        running = [f.ref for f in found if f.exited is None]
        if running:
            log.info("ending what runs for a pod that is no more: uid=%s containers=%d", uid, len(running))
        for ref in running:
            self._runtime.kill(ref)
        while any(f.exited is None for f in self._found.get(uid, {}).values()):
            await self._clock.sleep(0.05)
        self._found.pop(uid, None)
        self._node.network.release(uid)
        self._node.devices.release(uid)
        await self._erase(uid)

    # --- containers end

    def _on_exit(self, ref: Ref, exited: Exited) -> None:
        index = self._indexes.get(ref)
        if index is not None:
            index.look(self._clock.now())
        worker = self._workers.get(ref.uid)
        if worker is None:
            self._found.setdefault(ref.uid, {})[ref] = Found(ref, exited.started, exited)
            return
        worker.exited(ref, exited)
        for attempt in list(self._runtime.attempts(ref.uid, ref.container))[:-_ATTEMPTS_KEPT]:
            self._runtime.forget(Ref(ref.uid, ref.container, attempt))

    # --- now and then

    async def _keep_volumes(self) -> None:
        while True:
            await self._clock.sleep(self._node.settings.refresh_seconds)
            for worker in list(self._workers.values()):
                await worker.refresh()

    async def _keep_indexes(self) -> None:
        while True:
            await self._clock.sleep(1.0)
            now = self._clock.now()
            for worker in list(self._workers.values()):
                for c in worker.machine.containers:
                    if c.phase == "running":
                        self._index(Ref(worker.uid, c.spec.name, c.attempt), c.started_at).look(now)

    def _index(self, ref: Ref, started: float) -> logs.Index:
        index = self._indexes.get(ref)
        if index is None:
            index = self._indexes[ref] = logs.Index(self._runtime.log(ref), started)
        return index

    # --- logs

    async def logs(self, namespace: str, pod: str, options: LogOptions) -> AsyncIterator[bytes]:
        worker = self._find(Key(namespace, pod))
        c = _container(worker, options.container)
        attempts = list(self._runtime.attempts(worker.uid, options.container))
        ref = self._attempt(worker, c, attempts, options)
        index = self._index(ref, c.started_at)

        def ended() -> bool:
            return c.attempt != ref.attempt or not c.live

        return logs.stream(self._runtime.log(ref), index, options, ended, self._clock)

    # --- those who come in

    async def exec(self, namespace: str, pod: str, options: ExecOptions) -> Duplex:
        worker = self._find(Key(namespace, pod))
        c = _container(worker, options.container)
        if c.phase != "running":
            raise errors.internal(f'container not found ("{options.container}"): it is not running')
        return await sessions.execute(self._runtime, Ref(worker.uid, c.spec.name, c.attempt), options)

    async def attach(self, namespace: str, pod: str, options: AttachOptions) -> Duplex:
        """Who is the first to come to a container with an input sees all of its output, and so its prompt."""
        worker = self._find(Key(namespace, pod))
        c = _container(worker, options.container)
        ref = Ref(worker.uid, c.spec.name, c.attempt)
        first = (c.spec.stdin or c.spec.tty) and ref not in self._visited
        if c.phase != "running" and not (first and c.phase == "exited"):
            raise errors.bad_request(f"container {options.container} of pod {pod} is not running")
        self._visited.add(ref)
        shown = LogOptions(options.container, follow=True, tail_lines=None if first else 0)
        output = logs.stream(
            self._runtime.log(ref), self._index(ref, c.started_at), shown,
            lambda: c.attempt != ref.attempt or not c.live, self._clock, pause=_ATTACHED_SECONDS,
        )  # fmt: skip
        return sessions.Attachment(options, output, self._runtime.input(ref), once=c.spec.stdinOnce)

    async def port_forward(self, namespace: str, pod: str, port: int) -> Duplex:
        worker = self._find(Key(namespace, pod))
        if worker.machine.prepared is None or worker.machine.finished:
            raise errors.internal(f"pod {pod} is not running. Current status={worker.machine.phase}")
        if worker.pod.spec.hostNetwork:
            return await forward.connect(network.Attachment(_LOOPBACK), port)
        return await forward.connect(self._node.network.attach(worker.uid), port)

    async def usage(self) -> NodeUsage:
        machine = usage.of_machine()
        pods = tuple(self._used(w) for w in self._workers.values() if w.present)
        return NodeUsage(self._clock.now(), machine.cpu, machine.memory, pods)

    def _used(self, worker: PodWorker) -> PodUsage:
        meta, found = worker.pod.metadata, []
        for container in (*worker.pod.spec.initContainers, *worker.pod.spec.containers):
            c = worker.machine.find(container.name)
            if c is None or c.phase != "running":
                continue
            used = self._runtime.usage(Ref(worker.uid, container.name, c.attempt))
            if used is not None:
                found.append(ContainerUsage(container.name, c.attempt, used.cpu, used.memory))
        return PodUsage(meta.namespace, meta.name, worker.uid, tuple(found))

    def _attempt(self, worker: PodWorker, c: ContainerState, attempts: list[int], options: LogOptions) -> Ref:
        pod = worker.pod.metadata.name
        if options.previous:
            last = c.attempt if c.phase in ("running", "starting") else (attempts[-1] if attempts else 0)
            earlier = [a for a in attempts if a < last]
            if not earlier:
                raise errors.bad_request(f'previous terminated container "{c.spec.name}" in pod "{pod}" not found')
            return Ref(worker.uid, c.spec.name, earlier[-1])
        if not attempts or (c.phase == "starting" and not attempts[:-1]):
            reason = c.reason or "ContainerCreating"
            raise errors.bad_request(f'container "{c.spec.name}" in pod "{pod}" is waiting to start: {reason}')
        return Ref(worker.uid, c.spec.name, attempts[-1])

    def _find(self, key: Key) -> PodWorker:
        found = next((w for w in self._workers.values() if w.pod.key == key and w.present), None)
        if found is None:
            raise errors.not_found("pods", "", key.name)
        return found


def _container(worker: PodWorker, name: str) -> ContainerState:
    c = worker.machine.find(name)
    if c is None:
        raise errors.bad_request(f"container {name} is not valid for pod {worker.pod.metadata.name}")
    return c


def _as_exit(exited: Exited | None) -> Exit | None:
    if exited is None:
        return None
    e = exited
    return Exit(e.code, e.signal, e.oom, e.started, e.finished, e.reason, e.message)


def _recover_lost(worker: PodWorker, status: ContainerStatus, now: float) -> None:
    """The API knows a container that the runtime does not (its directory is gone): it counts as ended."""
    state, last = status.state, status.lastState.terminated
    attempt = status.restartCount
    if state.terminated is not None:
        t = state.terminated
        finished = timestamp.parse(t.finishedAt) if t.finishedAt else now
        worker.machine.recover(status.name, attempt, finished, Exit(t.exitCode, finished=finished, reason=t.reason))
    elif state.running is not None:
        why = "The container could not be located when the agent started"
        lost = Exit(137, finished=now, reason="ContainerStatusUnknown", message=why)
        worker.machine.recover(status.name, attempt, now, lost)
    elif last is not None:
        ended = timestamp.parse(last.finishedAt) if last.finishedAt else now
        worker.machine.recover(status.name, attempt, ended, Exit(last.exitCode, finished=ended, reason=last.reason))
