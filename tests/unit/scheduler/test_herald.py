"""What is told, and what is not told twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from fairlead.api.core import Pod
from fairlead.base import errors
from fairlead.scheduler.herald import PATIENCE, Herald
from fairlead.testing.clock import FakeClock


class Listener:
    """Notes what is written. `failing`: that many writes fail first."""

    def __init__(self) -> None:
        self.conditions: list[dict[str, Any]] = []
        self.events: list[str] = []
        self.failing = 0

    async def patch(self, resource: Any, key: Any, patch: Any, type_: Any, options: Any) -> None:
        if self.failing:
            self.failing -= 1
            raise errors.unavailable("not now")
        self.conditions += patch["status"]["conditions"]

    async def create(self, resource: Any, obj: Any, options: Any) -> None:
        self.events.append(obj["message"])


@asynccontextmanager
async def telling() -> AsyncIterator[tuple[Herald, Listener, FakeClock]]:
    listener, clock = Listener(), FakeClock()
    herald = Herald(listener, clock)  # type: ignore[arg-type]
    task = asyncio.create_task(herald.run())
    yield herald, listener, clock
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def pod(*conditions: dict[str, str]) -> Pod:
    meta = {"name": "p", "namespace": "d", "uid": "u"}
    return msgspec.convert({"metadata": meta, "status": {"conditions": list(conditions)}}, Pod)


async def test_a_text_is_told_once_and_a_new_one_again() -> None:
    async with telling() as (herald, listener, _):
        for text in ("a", "a", "b"):
            herald.refuse(pod(), text)
            await settle()
        assert [c["message"] for c in listener.conditions] == ["a", "b"]
        assert listener.events == ["a", "b"]


async def test_what_the_pod_says_already_is_not_written() -> None:
    there = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "a"}
    async with telling() as (herald, listener, _):
        herald.refuse(pod(there | {"lastTransitionTime": "2026-01-01T00:00:00Z"}), "a")
        await settle()
        assert listener.conditions == []
        herald.refuse(pod(there | {"lastTransitionTime": "2026-01-01T00:00:00Z"}), "b")
        await settle()
        assert [c["lastTransitionTime"] for c in listener.conditions] == ["2026-01-01T00:00:00Z"]


async def test_a_failed_telling_is_told_again_when_there_is_cause() -> None:
    async with telling() as (herald, listener, _):
        listener.failing = 1
        herald.refuse(pod(), "a")
        await settle()
        assert listener.conditions == []
        herald.refuse(pod(), "a")
        await settle()
        assert [c["message"] for c in listener.conditions] == ["a"]


async def test_patience() -> None:
    async with telling() as (herald, listener, clock):
        herald.refuse(pod(), "waits", patient=True)
        await settle()
        herald.assigned(pod(), "node")
        await settle()
        clock.advance(PATIENCE)
        await settle()
        assert listener.conditions == []
        assert listener.events == ["Successfully assigned d/p to node"]
        herald.refuse(pod(), "still waits", patient=True)
        await settle()
        clock.advance(PATIENCE)
        await settle()
        assert [c["message"] for c in listener.conditions] == ["still waits"]


async def test_gates_make_no_event() -> None:
    async with telling() as (herald, listener, _):
        herald.hold(pod(), "gated")
        await settle()
        assert [(c["reason"], c["status"]) for c in listener.conditions] == [("SchedulingGated", "False")]
        assert listener.events == []
