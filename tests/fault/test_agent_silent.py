"""A node that was taken to be silent says at once that it is not, and sets its Pods' conditions right."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fairlead.api.core import NODES, PODS, Node
from fairlead.api.meta import Key
from fairlead.client.protocol import ListOptions, PatchType, WriteOptions
from fairlead.controllers import nodes
from fairlead.reconcile.manager import Manager
from fairlead.testing import builders
from fairlead.testing.clock import FakeClock
from fairlead.testing.machine import Machine, in_phase

HOUR = 3600.0
STATUS = WriteOptions(manager="somebody", subresource="status")


@pytest.fixture
async def quiet(tmp_path: Path) -> AsyncIterator[Machine]:
    """A machine whose agent would say nothing for an hour."""
    made = Machine(tmp_path, lease_seconds=HOUR, status_seconds=HOUR)
    await made.begin()
    yield made
    await made.down(keep_pods=False)


async def node_until(machine: Machine, ready: str) -> Node:
    async with asyncio.timeout(10):
        while True:
            node = await machine.client.get(NODES, Key("", "local"))
            if any(c.type == "Ready" and c.status == ready for c in node.status.conditions):
                return node
            await asyncio.sleep(0.01)


async def test_a_node_that_is_marked_unknown_reports_and_restores(quiet: Machine) -> None:
    await quiet.create(builders.pod("works").command("sleep", "60"))
    before = await quiet.see("works", in_phase("Running"))
    clock = FakeClock(time.time())
    manager = asyncio.create_task(Manager(quiet.client, clock, [nodes.CONTROLLER], rediscover=None).run())
    seen: list[str] = []

    async def follow() -> None:
        listed = await quiet.client.list(NODES)
        async for event in quiet.client.watch(NODES, options=ListOptions(revision=listed.revision)):
            if event.object is not None:
                seen.extend(f"{c.status} {c.reason}" for c in event.object.status.conditions if c.type == "Ready")

    following = asyncio.create_task(follow())
    try:
        await asyncio.sleep(0.2)  # The controller has to have seen everything before time passes.
        clock.advance(nodes.GRACE)
        async with asyncio.timeout(10):
            while "Unknown NodeStatusUnknown" not in seen or seen[-1] != "True KubeletReady":  # noqa: ASYNC110
                await asyncio.sleep(0.01)

        def restored(pod: object) -> bool:
            ready = getattr(pod, "condition", lambda _: None)("Ready")
            return ready is not None and (ready.status, ready.reason) == ("True", "")

        after = await quiet.see("works", restored)
    finally:
        for task in (manager, following):
            task.cancel()
        await asyncio.gather(manager, following, return_exceptions=True)
    assert after.status.containerStatuses[0].containerID == before.status.containerStatuses[0].containerID
    assert after.metadata.deletionTimestamp is None


async def test_a_condition_that_somebody_else_has_set_is_set_right(quiet: Machine) -> None:
    await quiet.create(builders.pod("works").command("sleep", "60"))
    await quiet.see("works", in_phase("Running"))
    lie = {"status": {"conditions": [{"type": "Ready", "status": "False", "reason": "NodeNotReady"}]}}
    written = await quiet.client.patch(PODS, Key("default", "works"), lie, PatchType.STRATEGIC, STATUS)
    assert [c.status for c in written.status.conditions if c.type == "Ready"] == ["False"]

    def ready(pod: object) -> bool:
        found = getattr(pod, "condition", lambda _: None)("Ready")
        return found is not None and found.status == "True"

    await quiet.see("works", ready)


async def test_a_node_that_is_said_not_to_be_ready_says_that_it_is(quiet: Machine) -> None:
    lie = {"status": {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}]}}
    await quiet.client.patch(NODES, Key("", "local"), lie, PatchType.STRATEGIC, STATUS)
    node = await node_until(quiet, "True")
    assert {c.type: c.status for c in node.status.conditions}["MemoryPressure"] == "False"
