"""A wall clock that is set forwards and back: Events, Leases, nodes and retries do as if it had not been."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fairlead.api import coordination, core
from fairlead.api.coordination import Lease
from fairlead.api.meta import Key
from fairlead.apiserver import assembly, bootstrap, expiry
from fairlead.apiserver.local import LocalClient
from fairlead.base import timestamp
from fairlead.base.errors import StatusError
from fairlead.client.protocol import PatchType
from fairlead.controllers import nodes
from fairlead.reconcile import lease
from fairlead.reconcile.manager import Manager
from fairlead.reconcile.reconciler import Controller
from fairlead.store.memory import MemoryStore
from fairlead.testing.clock import FakeClock
from fairlead.testing.cluster import CountingChance

HOUR = 3600.0


class Jumping(FakeClock):
    """A clock whose wall time can be set, while its monotonic time goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead


@pytest.fixture
def clock() -> Jumping:
    return Jumping()


@pytest.fixture
async def server(clock: Jumping) -> AsyncIterator[assembly.Server]:
    made = assembly.assemble(MemoryStore(), assembly.Settings(clock=clock, chance=CountingChance()))
    await bootstrap.fill(made.api)
    yield made
    await made.close()


@pytest.fixture
def client(server: assembly.Server) -> LocalClient:
    return server.client()


async def turn() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def event(client: LocalClient, name: str, clock: Jumping) -> None:
    about = {"kind": "Pod", "name": "x", "namespace": "default"}
    obj = {"metadata": {"name": name, "namespace": "default"}, "involvedObject": about, "type": "Normal"}
    await client.create(core.EVENTS, {**obj, "lastTimestamp": timestamp.seconds(clock.now())})


async def names(client: LocalClient) -> list[str]:
    return sorted(e.metadata.name for e in (await client.list(core.EVENTS)).items)


async def test_events_live_for_their_hour(server: assembly.Server, client: LocalClient, clock: Jumping) -> None:
    await event(client, "before", clock)
    clock.ahead = -2 * HOUR
    await event(client, "back", clock)
    clock.advance(60)
    assert await expiry.sweep(server.api) == 0
    clock.ahead = 0.0
    clock.advance(HOUR / 2)
    await expiry.sweep(server.api)
    assert "before" in await names(client)
    clock.advance(HOUR)
    await expiry.sweep(server.api)
    assert await names(client) == []


async def test_leadership_is_neither_lost_nor_taken(client: LocalClient, clock: Jumping) -> None:
    """Of two candidates the leader stays it, wherever the wall clock goes, and the other follows when it dies."""
    key = Key("kube-system", "work")
    leading: list[str] = []

    async def stand(name: str) -> None:
        async def work() -> None:
            leading.append(name)
            await asyncio.Event().wait()

        await lease.Elector(client, clock, lease.Candidate(name, key)).lead(work)

    first = asyncio.create_task(stand("a"))
    await turn()
    second = asyncio.create_task(stand("b"))
    for ahead in (0.0, HOUR, -HOUR, 0.0):
        clock.ahead = ahead
        for _ in range(20):
            clock.advance(2)
            await turn()
        assert leading == ["a"], ahead
    clock.ahead = -HOUR
    first.cancel()
    for _ in range(20):
        clock.advance(2)
        await turn()
    assert leading == ["a", "b"]
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)


async def heartbeat(client: LocalClient, clock: Jumping) -> None:
    patch = {"spec": {"renewTime": timestamp.micro(clock.now())}}
    await client.patch(coordination.LEASES, Key(nodes.LEASE_NAMESPACE, "n"), patch, PatchType.MERGE)


async def ready(client: LocalClient) -> str:
    node = await client.get(core.NODES, Key("", "n"))
    return next(c.status for c in node.status.conditions if c.type == "Ready")


async def test_a_node_that_reports_is_not_given_up(client: LocalClient, clock: Jumping) -> None:
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": timestamp.seconds(clock.now())}
    await client.create(core.NODES, {"metadata": {"name": "n"}, "status": {"conditions": [condition]}})
    spec = {"holderIdentity": "n", "leaseDurationSeconds": 40, "renewTime": timestamp.micro(clock.now())}
    await client.create(
        coordination.LEASES, {"metadata": {"name": "n", "namespace": nodes.LEASE_NAMESPACE}, "spec": spec}
    )
    manager = Manager(client, clock, [nodes.CONTROLLER])
    working = asyncio.create_task(manager.run())
    await turn()
    for ahead in (HOUR, -HOUR, 2 * HOUR):
        clock.ahead = ahead
        manager.clock_jumped()
        await turn()
        for _ in range(10):
            assert await ready(client) == "True", ahead
            clock.advance(10)
            await heartbeat(client, clock)
            await turn()
    clock.advance(nodes.GRACE + 1)
    await turn()
    assert await ready(client) == "Unknown"
    manager.stop()
    await working


async def test_what_is_to_be_tried_again_does_not_wait_for_the_clock(client: LocalClient, clock: Jumping) -> None:
    tries: list[float] = []

    def fail(view: Any) -> list[Any]:
        if view.object is not None and view.object.metadata.name == "n":
            tries.append(view.now)
            raise StatusError(500, "InternalError", "not today")
        return []

    controller: Controller[Lease] = Controller("failing", coordination.LEASES, fail)
    await client.create(
        coordination.LEASES, {"metadata": {"name": "n", "namespace": "default"}, "spec": {"holderIdentity": "n"}}
    )
    manager = Manager(client, clock, [controller])
    working = asyncio.create_task(manager.run())
    await turn()
    for _ in range(6):
        clock.advance(1)
        await turn()
    before = len(tries)
    clock.ahead = -HOUR
    manager.clock_jumped()
    for _ in range(3):
        clock.advance(60)
        await turn()
    assert len(tries) >= before + 3
    manager.stop()
    await working
