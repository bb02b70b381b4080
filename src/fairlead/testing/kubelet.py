"""SimulatedKubelet: nodes that pretend to run Pods, for controllers' tests.

Every bound Pod becomes Running at once. How it ends is told by the annotation `fairlead.dev/simulate` or by `finish`:

    run=2s    ends after that long          exit=1     with that exit code (0)
    start=1s  takes that long to start      fails=2    only the first attempts fail, the next exits with 0
    ready=5s  is ready that long after its start; ready=never

Restart policies hold: OnFailure and Always run the container again in place. A deleted Pod ends at once and is removed.
It is a controller like any other; only binding, where there is no scheduler, is a loop of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import msgspec

from fairlead.api import coordination, core
from fairlead.api.core import Pod
from fairlead.api.meta import Key
from fairlead.base import timestamp
from fairlead.base.clock import Clock
from fairlead.base.errors import StatusError
from fairlead.client import informer as informers
from fairlead.client.informer import Handlers, Informer
from fairlead.client.protocol import Binding, Client, WriteOptions
from fairlead.reconcile.reconciler import Change, Controller, Delete, SetStatus, View, WakeAt

SCRIPT = "fairlead.dev/simulate"
KILLED = 143
RENEW = 10.0


class Script(msgspec.Struct, frozen=True):
    """What the annotation says."""

    run: float | None = None
    exit: int = 0
    start: float = 0.0
    fails: int | None = None
    ready: float | None = 0.0


class _Life(msgspec.Struct):
    """One Pod as its node knows it."""

    bound: float
    address: str
    started: float | None = None
    restarts: int = 0


class SimulatedKubelet:
    """See the module's text. `nodes` are the names of its nodes; a node in `down` does nothing any more."""

    def __init__(self, nodes: Sequence[str]) -> None:
        self.nodes = list(nodes)
        self.down: set[str] = set()
        self.controller: Controller[Pod] = Controller("kubelet", core.PODS, self.reconcile)
        self.steps = 0
        self._lives: dict[str, _Life] = {}
        self._exits: dict[Key, int] = {}
        self._turn = 0

    def finish(self, pod: Key | str, exit_code: int = 0) -> None:
        """Let a Pod's container exit; it is seen when the Pod is looked at next (`Cluster.finish` sees to that)."""
        self._exits[Key("default", pod) if isinstance(pod, str) else pod] = exit_code

    # --- one Pod ---------------------------------------------------------------------------------------------------

    def reconcile(self, view: View[Pod]) -> Sequence[Change]:
        pod = view.object
        if pod is None:
            self._exits.pop(view.key, None)
            return []
        if not pod.spec.nodeName or pod.spec.nodeName in self.down or pod.spec.nodeName not in self.nodes:
            return []
        if pod.metadata.deleting:
            return self._remove(pod, view.now)
        return [] if pod.finished else self._live(pod, view.now)

    def _live(self, pod: Pod, now: float) -> Sequence[Change]:
        script = parse(pod.metadata.annotations.get(SCRIPT, ""))
        life = self._lives.get(pod.metadata.uid)
        if life is None:
            life = self._lives[pod.metadata.uid] = _Life(now, self._address())
        if life.started is None:
            if now < life.bound + script.start:
                return [WakeAt(life.bound + script.start)]
            life.started = now
        code = self._exits.pop(pod.key, None)
        if code is None and script.run is not None and now >= life.started + script.run:
            code = script.exit if script.fails is None or life.restarts < script.fails else 0
        if code is not None:
            if pod.spec.restartPolicy == "Never" or (pod.spec.restartPolicy == "OnFailure" and code == 0):
                return [self._status(pod, _ended(pod, life, code, now))]
            life.restarts, life.started = life.restarts + 1, now
        ready = script.ready is not None and now >= life.started + script.ready
        times = [life.started + s for s in (script.run, script.ready) if s is not None and life.started + s > now]
        wanted = _running(pod, life, ready, now)
        changes: list[Change] = [] if _shows(pod, wanted) else [self._status(pod, wanted)]
        return [*changes, *(WakeAt(t) for t in times)]

    def _remove(self, pod: Pod, now: float) -> Sequence[Change]:
        delete = Delete(core.PODS, pod.key, pod.metadata.uid, grace_seconds=0)
        life = self._lives.get(pod.metadata.uid)
        if pod.finished or life is None or life.started is None:
            # held by finalizers: nothing is left for the node to do
            return [delete] if pod.metadata.deletionGracePeriodSeconds or not pod.metadata.finalizers else []
        return [self._status(pod, _ended(pod, life, KILLED, now)), delete]

    def _status(self, pod: Pod, status: Mapping[str, Any]) -> SetStatus:
        self.steps += 1
        return SetStatus(core.PODS, pod.key, status, pod.metadata.resourceVersion)

    def _address(self) -> str:
        number = len(self._lives) + 1
        return f"10.244.{number >> 8}.{number & 255}"

    # --- nodes -----------------------------------------------------------------------------------------------------

    async def bind(self, client: Client, clock: Clock) -> NoReturn:
        """Put every Pod that waits for a node on the next one."""
        loop: asyncio.Queue[Pod] = asyncio.Queue()
        informer = Informer(core.PODS)
        handlers: Handlers[Pod] = Handlers(lambda _, new: loop.put_nowait(new) if new is not None else None)
        feeding = asyncio.create_task(informers.run(client, informer, clock, handlers))
        try:
            while True:
                pod = await loop.get()
                if _waits(pod) and self.nodes:
                    await self._bind(client, pod)
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)

    async def _bind(self, client: Client, pod: Pod) -> None:
        node = _pinned(pod) or self.nodes[self._turn % len(self.nodes)]
        if node not in self.nodes:
            return
        self.steps += 1
        self._turn += 1
        try:
            await client.bind([Binding(pod.key, node, pod.metadata.uid)])
        except StatusError as error:
            if error.code not in (404, 409):
                raise

    async def renew(self, client: Client, clock: Clock) -> NoReturn:
        """Renew the Leases of the nodes that are up, as agents do."""
        while True:
            for node in self.nodes:
                if node not in self.down:
                    await client.apply(coordination.LEASES, _lease(node, clock.now()), WriteOptions(manager="kubelet"))
            await clock.sleep(RENEW)


def parse(text: str) -> Script:
    """The annotation's text. Raises ValueError naming what is wrong."""
    fields: dict[str, Any] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, _, value = part.partition("=")
        if name not in Script.__struct_fields__ or not value:
            raise ValueError(f"{SCRIPT}: {part!r} is not one of run=, exit=, start=, fails=, ready=")
        if name == "ready" and value == "never":
            fields[name] = None
        else:
            fields[name] = int(value) if name in ("exit", "fails") else float(value.removesuffix("s"))
    return Script(**fields)


def _waits(pod: Pod) -> bool:
    return not (pod.spec.nodeName or pod.spec.schedulingGates or pod.metadata.deleting or pod.finished)


def _pinned(pod: Pod) -> str:
    """The node that the Pod's affinity names (a DaemonSet's Pods)."""
    nodes = pod.spec.affinity.nodeAffinity if pod.spec.affinity is not None else None
    required = nodes.requiredDuringSchedulingIgnoredDuringExecution if nodes is not None else None
    fields = [f for t in (required.nodeSelectorTerms if required is not None else ()) for f in t.matchFields]
    return next((f.values[0] for f in fields if f.key == "metadata.name" and f.values), "")


def _running(pod: Pod, life: _Life, ready: bool, now: float) -> Mapping[str, Any]:
    started = life.started if life.started is not None else now
    state = {"running": {"startedAt": timestamp.seconds(started)}}
    return {
        "phase": "Running",
        "hostIP": "10.0.0.1",
        "podIP": life.address,
        "podIPs": [{"ip": life.address}],
        "startTime": pod.status.startTime or timestamp.seconds(life.bound),
        "conditions": _conditions(pod, ready, now),
        "containerStatuses": [_container(pod, life, state, ready)],
    }


def _ended(pod: Pod, life: _Life, code: int, now: float) -> Mapping[str, Any]:
    started = timestamp.seconds(life.started if life.started is not None else now)
    reason = "Completed" if code == 0 else "Error"
    ended = {"exitCode": code, "reason": reason, "startedAt": started, "finishedAt": timestamp.seconds(now)}
    return {
        "phase": "Succeeded" if code == 0 else "Failed",
        "conditions": _conditions(pod, False, now),
        "containerStatuses": [_container(pod, life, {"terminated": ended}, False)],
    }


def _container(pod: Pod, life: _Life, state: Mapping[str, Any], ready: bool) -> Mapping[str, Any]:
    main = pod.spec.containers[0]
    return {
        "name": main.name, "image": main.image, "imageID": "", "ready": ready, "restartCount": life.restarts,
        "state": state,
    }  # fmt: skip


def _conditions(pod: Pod, ready: bool, now: float) -> Sequence[Mapping[str, Any]]:
    wanted = {"PodScheduled": True, "Initialized": True, "ContainersReady": ready, "Ready": ready}
    kept = [msgspec.to_builtins(c) for c in pod.status.conditions if c.type not in wanted]
    made = []
    for type_, true in wanted.items():
        before, status = pod.condition(type_), "True" if true else "False"
        same = before is not None and before.status == status
        since = before.lastTransitionTime if before is not None and same else timestamp.seconds(now)
        made.append({"type": type_, "status": status, "lastTransitionTime": since})
    return [*kept, *made]


def _shows(pod: Pod, status: Mapping[str, Any]) -> bool:
    """Whether the Pod's status says that already."""
    ready = pod.condition("Ready")
    wanted = next(c["status"] for c in status["conditions"] if c["type"] == "Ready")
    restarts = [c.restartCount for c in pod.status.containerStatuses]
    return (
        pod.status.phase == status["phase"]
        and ready is not None
        and ready.status == wanted
        and restarts == [c["restartCount"] for c in status["containerStatuses"]]
    )


def _lease(node: str, now: float) -> Mapping[str, Any]:
    return {
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": node, "namespace": "kube-node-lease"},
        "spec": {"holderIdentity": node, "leaseDurationSeconds": 40, "renewTime": timestamp.micro(now)},
    }  # fmt: skip
