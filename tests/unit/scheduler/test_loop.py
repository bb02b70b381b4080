"""The shell: watches to bindings, against an in-memory client that speaks the protocol."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from fairlead.api import coscheduling, scheduling
from fairlead.api.core import EVENTS, NODES, PODS, Pod
from fairlead.api.meta import Key, Resource
from fairlead.base import errors
from fairlead.client.protocol import EVERYTHING, Binding, Listing, ListOptions, PatchType, WatchEvent, WriteOptions
from fairlead.scheduler.loop import Scheduler

UNTIL = 5.0


class MemoryClient:
    """A small API server: objects as dicts, watchers as queues. `refusals` fail that many coming binds."""

    def __init__(self) -> None:
        self.objects: dict[Resource[Any], dict[Key, dict[str, Any]]] = defaultdict(dict)
        self.watchers: dict[Resource[Any], list[asyncio.Queue[Any]]] = defaultdict(list)
        self.binds: list[list[Binding]] = []
        self.patches: list[tuple[Key, dict[str, Any]]] = []
        self.refusals = 0
        self.poisoned: set[str] = set()
        self.unserved: set[Resource[Any]] = set()
        self.revision = 0
        self.changed = asyncio.Event()
        self.bound_at: dict[Key, float] = {}

    # --- for tests

    def put(self, resource: Resource[Any], obj: dict[str, Any]) -> None:
        meta = obj.setdefault("metadata", {})
        meta.setdefault("uid", f"uid-{meta['name']}")
        if resource.namespaced:
            meta.setdefault("namespace", "default")
        self.revision += 1
        meta["resourceVersion"] = str(self.revision)
        key = Key(meta.get("namespace", ""), meta["name"])
        known = key in self.objects[resource]
        self.objects[resource][key] = obj
        self._tell(resource, "MODIFIED" if known else "ADDED", obj)

    def remove(self, resource: Resource[Any], key: Key) -> None:
        self.revision += 1
        self._tell(resource, "DELETED", self.objects[resource].pop(key))

    def _tell(self, resource: Resource[Any], type_: str, obj: dict[str, Any]) -> None:
        for queue in self.watchers[resource]:
            queue.put_nowait(WatchEvent(type_, msgspec.convert(obj, resource.view), str(self.revision)))  # type: ignore[arg-type]
        self.changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(UNTIL):
            while not holds():
                self.changed.clear()
                await self.changed.wait()

    def node_of(self, name: str) -> str:
        return self.objects[PODS][Key("default", name)]["spec"].get("nodeName", "")

    def condition(self, name: str) -> dict[str, Any]:
        conditions = self.objects[PODS][Key("default", name)].get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == "PodScheduled"), {})

    def events(self) -> list[tuple[str, str]]:
        return [(e["reason"], e["message"]) for e in self.objects[EVENTS].values()]

    # --- the protocol

    async def get(self, resource: Resource[Any], key: Key, *, subresource: str = "") -> Any:
        if key not in self.objects[resource]:
            raise errors.not_found(resource.plural, resource.group, key.name)
        return msgspec.convert(self.objects[resource][key], resource.view)

    async def list(self, resource: Resource[Any], namespace: str = "", options: Any = None) -> Listing[Any]:
        if resource in self.unserved:
            raise errors.path_not_found()
        items = [msgspec.convert(o, resource.view) for o in self.objects[resource].values()]
        return Listing(items, str(self.revision))

    async def watch(
        self, resource: Resource[Any], namespace: str = "", options: ListOptions = EVERYTHING
    ) -> AsyncIterator[WatchEvent[Any]]:
        queue: asyncio.Queue[Any] = asyncio.Queue()
        self.watchers[resource].append(queue)
        for obj in self.objects[resource].values():
            if int(obj["metadata"]["resourceVersion"]) > int(options.revision):
                yield WatchEvent("MODIFIED", msgspec.convert(obj, resource.view), str(self.revision))
        while True:
            yield await queue.get()

    async def create(self, resource: Resource[Any], obj: Any, options: WriteOptions, *, name: str = "") -> Any:
        self.put(resource, msgspec.json.decode(msgspec.json.encode(obj)))

    async def patch(
        self, resource: Resource[Any], key: Key, patch: Any, type_: PatchType, options: WriteOptions
    ) -> Any:
        self.patches.append((key, patch))
        obj = msgspec.json.decode(msgspec.json.encode(self.objects[resource][key]))
        if type_ is PatchType.STRATEGIC:
            assert obj["metadata"]["uid"] == patch["metadata"]["uid"]
            obj.setdefault("status", {})["conditions"] = patch["status"]["conditions"]
        else:
            obj.update(patch)
        self.put(resource, obj)

    async def bind(self, bindings: Sequence[Binding]) -> None:
        self.binds.append(list(bindings))
        self.changed.set()
        if self.poisoned & {binding.pod.name for binding in bindings}:
            raise errors.conflict("pods", "", "one of them", "poisoned by the test")
        if self.refusals:
            self.refusals -= 1
            raise errors.conflict("pods", "", bindings[0].pod.name, "refused by the test")
        for binding in bindings:
            obj = msgspec.json.decode(msgspec.json.encode(self.objects[PODS][binding.pod]))
            obj["spec"]["nodeName"] = binding.node
            self.bound_at[binding.pod] = time.perf_counter()
            self.put(PODS, obj)


def node(name: str, cpu: str = "4", **more: Any) -> dict[str, Any]:
    resources = {"cpu": cpu, "memory": "8Gi", "pods": "110", **more.pop("resources", {})}
    return {
        "metadata": {"name": name, "labels": more.pop("labels", {})},
        "spec": more,
        "status": {"allocatable": resources},
    }


def pod(name: str, cpu: str = "1", labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "resources": {"requests": {"cpu": cpu}}}
    meta = {"name": name, "labels": labels or {}, "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"metadata": meta, "spec": {"containers": [container], **spec}, "status": {"phase": "Pending"}}


@pytest.fixture
def client() -> Iterator[MemoryClient]:
    return MemoryClient()  # type: ignore[return-value]


@asynccontextmanager
async def running(client: MemoryClient) -> AsyncIterator[Scheduler]:
    scheduler = Scheduler(client)  # type: ignore[arg-type]
    task = asyncio.create_task(scheduler.run())
    try:
        yield scheduler
    finally:
        scheduler.stop()
        await task


async def test_binds_a_pod_and_says_so(client: MemoryClient) -> None:
    client.put(NODES, node("one"))
    async with running(client):
        client.put(PODS, pod("web"))
        await client.until(lambda: bool(client.events()))
    assert client.binds == [[Binding(Key("default", "web"), "one", "uid-web")]]
    assert client.events() == [("Scheduled", "Successfully assigned default/web to one")]


async def test_refuses_with_a_reason_once_and_binds_when_there_is_room(client: MemoryClient) -> None:
    client.put(NODES, node("one", cpu="1"))
    async with running(client):
        client.put(PODS, pod("first"))
        await client.until(lambda: client.node_of("first") == "one")
        client.put(PODS, pod("second"))
        await client.until(lambda: len(client.events()) == 2)
        assert client.condition("second")["reason"] == "Unschedulable"
        assert client.condition("second")["message"] == "0/1 nodes are available: 1 Insufficient cpu."
        assert ("FailedScheduling", "0/1 nodes are available: 1 Insufficient cpu.") in client.events()
        client.remove(PODS, Key("default", "first"))
        await client.until(lambda: client.node_of("second") == "one")
    assert len([key for key, _ in client.patches if key.name == "second"]) == 1


async def test_leaves_pods_of_other_schedulers_alone(client: MemoryClient) -> None:
    client.put(NODES, node("one"))
    client.put(PODS, pod("theirs", schedulerName="other"))
    async with running(client):
        client.put(PODS, pod("ours", schedulerName="fairlead"))
        await client.until(lambda: client.node_of("ours") == "one")
    assert not client.node_of("theirs")


async def test_gated_pods_wait_for_their_gates(client: MemoryClient) -> None:
    client.put(NODES, node("one"))
    async with running(client):
        client.put(PODS, pod("held", schedulingGates=[{"name": "quota"}]))
        await client.until(lambda: client.condition("held").get("reason") == "SchedulingGated")
        client.put(PODS, pod("held"))
        await client.until(lambda: client.node_of("held") == "one")


async def test_a_gang_is_bound_in_one_call_once_it_is_whole(client: MemoryClient) -> None:
    client.unserved.add(coscheduling.POD_GROUPS)
    client.put(NODES, node("one"))
    client.put(
        scheduling.POD_GROUPS, {"metadata": {"name": "g"}, "spec": {"schedulingPolicy": {"gang": {"minCount": 3}}}}
    )
    async with running(client):
        for i in range(3):
            assert not client.binds
            client.put(PODS, pod(f"m{i}", schedulingGroup={"podGroupName": "g"}))
            await asyncio.sleep(0)
        await client.until(lambda: bool(client.node_of("m2")))
        await client.until(lambda: len(client.events()) == 3)
    assert [len(call) for call in client.binds] == [3]
    assert {reason for reason, _ in client.events()} == {"Scheduled"}


async def test_a_failed_binding_is_taken_back_and_tried_again(client: MemoryClient) -> None:
    client.put(NODES, node("one", cpu="1"))
    client.refusals = 1
    async with running(client) as scheduler:
        client.put(PODS, pod("web"))
        await client.until(lambda: client.node_of("web") == "one")
        assert scheduler.backlog.columns.as_values()["one"]["free"].get("cpu", 0) == 0
    assert len(client.binds) == 2


async def test_a_pod_that_vanished_while_bound_is_forgotten(client: MemoryClient) -> None:
    client.put(NODES, node("one", cpu="1"))
    async with running(client) as scheduler:
        client.refusals = 1
        client.put(PODS, pod("ghost"))
        await client.until(lambda: bool(client.binds))
        client.remove(PODS, Key("default", "ghost"))
        client.put(PODS, pod("next"))
        await client.until(lambda: client.node_of("next") == "one")
        assert scheduler.backlog.pending() == 0


async def test_state_is_rebuilt_from_lists(client: MemoryClient) -> None:
    client.put(NODES, node("one", cpu="1"))
    client.put(PODS, pod("old", nodeName="one"))
    client.put(PODS, pod("new"))
    async with running(client):
        await client.until(lambda: client.condition("new").get("reason") == "Unschedulable")
    assert not client.binds


async def test_the_view_of_a_pod_decodes() -> None:
    assert msgspec.convert(pod("x"), Pod).spec.containers[0].resources.requests == {"cpu": "1"}


async def test_a_failing_binding_holds_up_no_other(client: MemoryClient) -> None:
    client.put(NODES, node("one"))
    client.poisoned.add("bad")
    async with running(client):
        client.put(PODS, pod("bad"))
        client.put(PODS, pod("good"))
        await client.until(lambda: client.node_of("good") == "one")
        await client.until(lambda: "binding to one failed" in client.condition("bad").get("message", ""))
        client.poisoned.clear()
        await client.until(lambda: client.node_of("bad") == "one")


async def test_a_gang_whose_binding_failed_is_taken_back_whole(client: MemoryClient) -> None:
    client.put(NODES, node("one", cpu="2"))
    group = {"metadata": {"name": "g"}, "spec": {"schedulingPolicy": {"gang": {"minCount": 2}}}}
    client.put(scheduling.POD_GROUPS, group)
    client.refusals = 1
    async with running(client):
        for name in ("a", "b"):
            client.put(PODS, pod(name, schedulingGroup={"podGroupName": "g"}))
        await client.until(lambda: bool(client.node_of("b")))
    assert [len(call) for call in client.binds] == [2, 2]
