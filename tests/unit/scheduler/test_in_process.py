"""The scheduler against the real API server, in memory on a fake clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fairlead.api import core, scheduling
from fairlead.api.meta import Key
from fairlead.scheduler.loop import Scheduler
from fairlead.testing.cluster import Cluster


@asynccontextmanager
async def scheduled(nodes: int = 2) -> AsyncIterator[Cluster]:
    async with Cluster(nodes=nodes, scheduler=False) as cluster:
        scheduler = Scheduler(cluster.client, cluster.clock)
        task = asyncio.create_task(scheduler.run())
        try:
            yield cluster
        finally:
            scheduler.stop()
            await task


def pod(name: str, cpu: str = "100m", **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "busybox", "resources": {"requests": {"cpu": cpu}}}
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [container], **spec},
    }  # fmt: skip


async def test_a_pod_is_bound_and_runs() -> None:
    async with scheduled() as cluster:
        await cluster.create(pod("web"))
        await cluster.run_until_quiet()
        found = await cluster.get(core.PODS, "web")
        assert found.spec.nodeName in ("node-0", "node-1")
        bound = found.condition("PodScheduled")
        assert bound is not None
        assert bound.status == "True"
        events = [e for e in await cluster.list(core.EVENTS, "default") if e.reason == "Scheduled"]
        assert [(e.source.component, e.message) for e in events] == [
            ("default-scheduler", f"Successfully assigned default/web to {found.spec.nodeName}")
        ]


async def test_an_unschedulable_pod_keeps_its_other_conditions_and_is_told_once() -> None:
    async with scheduled() as cluster:
        await cluster.create(pod("huge", cpu="100000"))
        await cluster.run_until_quiet()
        found = await cluster.get(core.PODS, "huge")
        told = found.condition("PodScheduled")
        assert told is not None
        assert (told.status, told.reason) == ("False", "Unschedulable")
        assert told.message.startswith("0/2 nodes are available: 2 Insufficient cpu. No node is large enough")
        revision = found.metadata.resourceVersion
        await cluster.create(pod("small"))
        await cluster.run_until_quiet()
        assert (await cluster.get(core.PODS, "huge")).metadata.resourceVersion == revision
        assert [e.count for e in await cluster.list(core.EVENTS, "default") if e.reason == "FailedScheduling"] == [1]


async def test_a_native_gang_and_its_condition() -> None:
    async with scheduled() as cluster:
        group = {
            "apiVersion": "scheduling.k8s.io/v1alpha2", "kind": "PodGroup",
            "metadata": {"name": "train", "namespace": "default"},
            "spec": {"schedulingPolicy": {"gang": {"minCount": 3}}},
        }  # fmt: skip
        await cluster.create(group)
        for number in range(3):
            await cluster.create(pod(f"rank-{number}", schedulingGroup={"podGroupName": "train"}))
            await cluster.run_until_quiet()
            condition = (await cluster.get(scheduling.POD_GROUPS, Key("default", "train"))).status.conditions[0]
            assert (condition.type, condition.status) == ("PodGroupScheduled", "True" if number == 2 else "False")
        nodes = [(await cluster.get(core.PODS, f"rank-{number}")).spec.nodeName for number in range(3)]
        assert all(nodes)
        first = [e.message for e in await cluster.list(core.EVENTS, "default") if e.involvedObject.name == "rank-0"]
        assert 'pod group "train" needs 3 pods at once; 1 exists so far' in first
