"""Machine: an API server in memory, and one machine with a real agent that comes and goes; containers are real, too.

It has no controllers and no scheduler: Pods are created as bound to it. For those, see `cluster` and `plane`.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fairlead.agent.agent import Agent
from fairlead.agent.containers import Timing
from fairlead.agent.settings import Settings
from fairlead.api.core import EVENTS, NAMESPACES, PODS, Pod
from fairlead.apiserver import catalog
from fairlead.apiserver.admission.chain import Chain
from fairlead.apiserver.local import LocalClient
from fairlead.apiserver.state import Api
from fairlead.base.clock import SYSTEM
from fairlead.client.node import LogOptions
from fairlead.client.protocol import ListOptions
from fairlead.store.memory import MemoryStore
from fairlead.testing import builders
from fairlead.testing.builders import PodBuilder
from fairlead.testing.cluster import CountingChance

ALL = LogOptions("main")


class Chance(CountingChance):
    """Uids that name control groups and network namespaces have to be new in every run."""

    def uid(self) -> str:
        return str(uuid.uuid4())


class Machine:
    """An API server, and one machine whose agent comes and goes."""

    def __init__(self, state: Path, **told: Any) -> None:
        self.state, self._told = state, told
        self.client = LocalClient(Api(MemoryStore(), catalog.with_builtins(), SYSTEM, Chance(), Chain()))
        self.agent: Agent | None = None

    async def begin(self) -> None:
        """Make the namespaces, then start the agent."""
        for name in ("default", "kube-node-lease"):
            await self.client.create(NAMESPACES, builders.namespace(name).manifest())
        await self.up()

    async def up(self) -> None:
        settings = Settings(
            str(self.state), environment=dict(os.environ), timing=Timing(backoff_base=0.1, retry=0.1),
            refresh_seconds=0.1, fake_gpus=2, **self._told,
        )  # fmt: skip
        self.agent = Agent(self.client, settings)
        await self.agent.start()
        await self.agent.synced()

    async def down(self, *, keep_pods: bool = True) -> None:
        assert self.agent is not None
        await self.agent.stop(keep_pods=keep_pods)

    async def create(self, pod: PodBuilder) -> None:
        """Create it as bound to this machine; without credentials, which nobody here could give it."""
        manifest = pod.on("local").manifest()
        manifest["spec"].setdefault("automountServiceAccountToken", False)
        await self.client.create(PODS, manifest)

    async def see(self, name: str, true: Callable[[Pod | None], object]) -> Pod:
        """The Pod, once that is true of it."""
        async with asyncio.timeout(30):
            listing = await self.client.list(PODS, "default")
            pod = next((p for p in listing.items if p.metadata.name == name), None)
            if true(pod):
                return pod or Pod()
            async for event in self.client.watch(PODS, "default", ListOptions(revision=listing.revision)):
                if event.object is None or event.object.metadata.name != name:
                    continue
                pod = None if event.type == "DELETED" else event.object
                if true(pod):
                    return pod or Pod()
        raise AssertionError

    async def log(self, name: str, options: LogOptions = ALL) -> str:
        assert self.agent is not None
        return b"".join([part async for part in await self.agent.logs("default", name, options)]).decode()

    async def logged(self, name: str, text: str) -> None:
        """Return once the log has that text, as a follower sees it."""
        assert self.agent is not None
        seen = ""
        async with asyncio.timeout(20):
            async for part in await self.agent.logs("default", name, LogOptions("main", follow=True)):
                seen += part.decode()
                if text in seen:
                    return
        raise AssertionError(seen)

    async def events(self, pod: str, *reasons: str) -> dict[str, str]:
        """The Pod's Events by reason, once there are all of `reasons`."""
        async with asyncio.timeout(20):
            while True:
                listed = (await self.client.list(EVENTS, "default")).items
                found = {e.reason: e.message for e in listed if e.involvedObject.name == pod}
                if found.keys() >= set(reasons):
                    return found
                await asyncio.sleep(0.02)


def in_phase(phase: str) -> Callable[[Pod | None], bool]:
    """For `see`."""
    return lambda pod: pod is not None and pod.status.phase == phase
