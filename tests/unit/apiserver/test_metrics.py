"""metrics.k8s.io: rates of two readings, and nothing that is half known or old."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.api import core
from fairlead.api.meta import Key
from fairlead.api.metrics import NODE_METRICS, POD_METRICS
from fairlead.apiserver.metrics import STALE, Collector
from fairlead.base.errors import StatusError
from fairlead.client.node import ContainerUsage, NodeUsage, PodUsage
from fairlead.testing import builders
from fairlead.testing.cluster import Cluster

MIB = 1024 * 1024


class Node:
    """An agent that answers what it is told to; the rest of a connection is not asked for here."""

    def __init__(self) -> None:
        self.reading = NodeUsage(0.0, 0.0, 0)

    def connection(self, node: str) -> Any:
        return self if node == "node-0" else None

    async def usage(self) -> NodeUsage:
        return self.reading


async def read(up: Cluster, collector: Collector, node: Node, cpu: float, *containers: ContainerUsage) -> None:
    await up.run_until_quiet(10)
    pod = await up.get(core.PODS, "a")
    pods = (PodUsage("default", "a", pod.metadata.uid, containers),)
    node.reading = NodeUsage(up.clock.now(), cpu, 512 * MIB, pods)
    await collector.collect()


async def test_rates_of_two_readings() -> None:
    node = Node()
    async with Cluster() as up:
        collector = Collector(up.api, node)
        up.api.sources |= {NODE_METRICS.gvr: collector.nodes, POD_METRICS.gvr: collector.pods}
        await up.apply(builders.pod("a").labels(app="x"))
        await read(up, collector, node, 100.0, ContainerUsage("main", 0, 5.0, 64 * MIB))
        assert not await up.list(POD_METRICS)
        up.clock.advance_to(up.clock.now() + 10)
        await read(up, collector, node, 120.0, ContainerUsage("main", 0, 6.0, 65 * MIB))
        (found,) = await up.list(POD_METRICS.plain)
        assert found["containers"] == [{"name": "main", "usage": {"cpu": "100000000n", "memory": f"{65 * 1024}Ki"}}]
        assert (found["metadata"]["labels"], found["window"]) == ({"app": "x"}, "10.000s")
        (machine,) = await up.list(NODE_METRICS)
        assert machine.usage == {"cpu": "2000000000n", "memory": f"{512 * 1024}Ki"}
        assert (await up.client.get(NODE_METRICS, Key("", "node-0"))).metadata.name == "node-0"


async def test_a_container_that_was_started_anew_is_read_twice_first() -> None:
    node = Node()
    async with Cluster() as up:
        collector = Collector(up.api, node)
        up.api.sources[POD_METRICS.gvr] = collector.pods
        await up.apply(builders.pod("a"))
        await read(up, collector, node, 0.0, ContainerUsage("main", 0, 5.0, MIB))
        up.clock.advance_to(up.clock.now() + 10)
        await read(up, collector, node, 0.0, ContainerUsage("main", 1, 0.5, MIB))
        assert not await up.list(POD_METRICS)
        with pytest.raises(StatusError, match="not found"):
            await up.get(POD_METRICS, "a")
        up.clock.advance_to(up.clock.now() + 10)
        await read(up, collector, node, 0.0, ContainerUsage("main", 1, 1.5, MIB))
        (found,) = await up.list(POD_METRICS)
        assert found.containers[0].usage["cpu"] == "100000000n"
        up.clock.advance_to(up.clock.now() + STALE + 1)
        assert not await up.list(POD_METRICS)
