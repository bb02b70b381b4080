"""Cluster: the whole control plane in memory, on a clock that only moves when nothing else can.

    async with Cluster(controllers=[job.CONTROLLER]) as cluster:
        await cluster.apply(builders.job("train"))
        await cluster.run_until_quiet()
        cluster.finish("train-0")

Real parts throughout: the API server's verbs over the memory store, the in-process client, the manager and its
informers. Only the nodes are pretended (`kubelet`). Two clusters never share anything, so tests may run side by side.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

import yaml

from fairlead.api import core
from fairlead.api.meta import Key, Object, Resource
from fairlead.apiserver import assembly, bootstrap
from fairlead.base.errors import StatusError
from fairlead.client.protocol import Client, DeleteOptions, Listing, PatchType, WriteOptions
from fairlead.machinery import tables
from fairlead.reconcile.manager import Manager
from fairlead.reconcile.reconciler import Controller
from fairlead.store.memory import MemoryStore
from fairlead.testing import builders
from fairlead.testing.builders import Builder
from fairlead.testing.clock import FakeClock
from fairlead.testing.kubelet import SimulatedKubelet
from fairlead.testing.mortal import Mortal

T = TypeVar("T")
ObjectT = TypeVar("ObjectT", bound=Object)

AS_TEST = WriteOptions(manager="test", force=True)
IDLE_ROUNDS = 30
"""Turns of the event loop without any activity after which nothing can run; chains of callbacks are shorter."""
BUSY_ROUNDS = 20_000
"""Turns at one instant after which something is taken to run in circles."""


class CountingChance:
    """Names and uids that are the same in every run."""

    def __init__(self) -> None:
        self._count = 0

    def suffix(self) -> str:
        self._count += 1
        return "".join("bcdfghjklm"[int(digit)] for digit in f"{self._count:05d}")

    def uid(self) -> str:
        self._count += 1
        return f"00000000-0000-4000-8000-{self._count:012d}"


class Cluster:
    """See the module's text.

    `nodes`: how many pretended nodes there are. `bundled`: with the definitions that every server starts with (JobSet,
    TrainJob, …); `definitions`: with these. `scheduler`: False if something else binds Pods. `leases`: nodes renew
    their Leases, which moves the clock to the limit in every `run_until_quiet`.
    """

    def __init__(
        self,
        controllers: Iterable[Controller[Any]] = (),
        *,
        nodes: int = 1,
        definitions: Sequence[Mapping[str, Any]] = (),
        bundled: bool = False,
        scheduler: bool = True,
        leases: bool = False,
    ) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore()
        settings = assembly.Settings(clock=self.clock, chance=CountingChance())
        self.server = assembly.assemble(self.store, settings)
        self.api, self.client = self.server.api, self.server.client()
        self.kubelet = SimulatedKubelet([f"node-{i}" for i in range(nodes)])
        self.controllers = [*controllers, self.kubelet.controller]
        self.manager = self._manager(self.client)
        self._definitions = [*(tables.bundled_crds() if bundled else ()), *definitions]
        self._scheduler, self._leases = scheduler, leases
        self._mortal: Mortal | None = None
        self._managing: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[Any]] = []

    def _manager(self, client: Client) -> Manager:
        return Manager(client, self.clock, self.controllers, rediscover=None)

    async def __aenter__(self) -> Cluster:
        self.server.definitions.start()
        for name in bootstrap.SYSTEM_NAMESPACES:
            await self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        for definition in self._definitions:
            await self.create(definition)
        for node in self.kubelet.nodes:
            await self._join(node)
        self._managing = asyncio.create_task(self.manager.run())
        if self._scheduler:
            self._tasks.append(asyncio.create_task(self.kubelet.bind(self.client, self.clock)))
        if self._leases:
            self._tasks.append(asyncio.create_task(self.kubelet.renew(self.client, self.clock)))
        await self._drain()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [t for t in (*self._tasks, self._managing) if t is not None]
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        await self.server.close()
        await self.store.close()
        if error is None:
            for outcome in ended:
                if isinstance(outcome, Exception):
                    raise outcome

    # --- crashes ---------------------------------------------------------------------------------------------------

    async def crash_after(self, writes: int) -> None:
        """Start the controllers anew, with a manager that dies after that many writes, in the middle of its work.

        It is noticed when nothing else moves; then another manager takes over, which knows only what is stored.
        """
        self._mortal = Mortal(self.client, writes)
        await self._replace(self._manager(self._mortal))

    @property
    def crashed(self) -> bool:
        """Whether the manager that was to die has died."""
        return self._mortal is None

    async def _replace(self, manager: Manager) -> None:
        if self._managing is not None:
            self._managing.cancel()
            await asyncio.gather(self._managing, return_exceptions=True)
        self.manager = manager
        self._managing = asyncio.create_task(manager.run())

    # --- objects ---------------------------------------------------------------------------------------------------

    def kind(self, manifest: Mapping[str, Any]) -> Resource[dict[str, Any]]:
        """The resource that a manifest is of."""
        served = self.api.catalog.by_kind(manifest["apiVersion"], manifest["kind"])
        if served is None:
            raise LookupError(
                f"{manifest['apiVersion']} {manifest['kind']} is not served; give its CustomResourceDefinition to "
                "Cluster(definitions=...)"
            )
        return served.resource.plain

    async def apply(self, manifest: Builder[Any] | Mapping[str, Any] | str) -> list[dict[str, Any]]:
        """Server-side apply of a builder's manifest, a dict, or YAML with one or more documents."""
        return [await self.client.apply(self.kind(m), m, AS_TEST) for m in _manifests(manifest)]

    async def create(self, manifest: Builder[Any] | Mapping[str, Any]) -> dict[str, Any]:
        """Create an object; with generateName where there is no name."""
        (wanted,) = _manifests(manifest)
        return await self.client.create(self.kind(wanted), wanted, AS_TEST)

    async def get(self, resource: Resource[T], key: Key | str) -> T:
        """One object; a name alone is in the namespace `default`."""
        return await self.client.get(resource, self._key(resource, key))

    async def find(self, resource: Resource[T], key: Key | str) -> T | None:
        """One object, None when there is none."""
        try:
            return await self.get(resource, key)
        except StatusError as error:
            if error.code == 404:
                return None
            raise

    async def list(self, resource: Resource[T], namespace: str = "") -> Sequence[T]:
        """All objects of a kind."""
        listing: Listing[T] = await self.client.list(resource, namespace)
        return listing.items

    async def delete(self, resource: Resource[Any], key: Key | str, options: DeleteOptions | None = None) -> None:
        """Ask for an object's deletion."""
        await self.client.delete(resource, self._key(resource, key), options or DeleteOptions())

    def finish(self, pod: Key | str, exit_code: int = 0) -> None:
        """Let a running Pod's container exit."""
        key = self._key(core.PODS, pod)
        self.kubelet.finish(key, exit_code)
        self.manager.wake(self.kubelet.controller.name, core.PODS, key)

    async def report_ready(self, node: str) -> None:
        """Have a node say that it is ready, and how much it has room for."""
        patch = {"status": builders.node(node).wire()["status"]}
        options = WriteOptions(manager="kubelet", subresource="status")
        await self.client.patch(core.NODES, Key("", node), patch, PatchType.MERGE, options)
        for pod in await self.list(core.PODS):
            self.manager.wake(self.kubelet.controller.name, core.PODS, pod.key)

    # --- time ------------------------------------------------------------------------------------------------------

    async def run_until_quiet(self, limit_seconds: float = 60.0) -> None:
        """Let everything happen that happens within that time; the clock stops earlier if nothing waits for it."""
        end = self.clock.now() + limit_seconds
        while True:
            await self._drain()
            due = self.clock.next_due()
            if due is None or due > end:
                return
            self.clock.advance_to(due)

    async def _drain(self) -> None:
        """Give others the event loop until nothing moves any more."""
        idle = rounds = 0
        before: tuple[int, ...] = ()
        while idle < IDLE_ROUNDS:
            await asyncio.sleep(0)
            now = (self.store.revision, self.manager.reconciles, self.kubelet.steps)
            idle = idle + 1 if now == before and self.manager.settled else 0
            before, rounds = now, rounds + 1
            self._check()
            if self._mortal is not None and self._mortal.dead:
                self._mortal = None
                await self._replace(self._manager(self.client))
                idle = 0
            if rounds > BUSY_ROUNDS:
                raise AssertionError(f"never quiet: {self.manager.busy()}")

    def _check(self) -> None:
        for task in (*self._tasks, self._managing):
            if task is not None and task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _join(self, name: str) -> None:
        await self.create(builders.node(name))
        await self.report_ready(name)

    def _key(self, resource: Resource[Any], key: Key | str) -> Key:
        if isinstance(key, Key):
            return key
        return Key("default" if resource.namespaced else "", key)


def _manifests(source: Builder[Any] | Mapping[str, Any] | str) -> Sequence[Mapping[str, Any]]:
    if isinstance(source, Builder):
        return [source.manifest()]
    if isinstance(source, str):
        return [document for document in yaml.safe_load_all(source) if document]
    return [source]
