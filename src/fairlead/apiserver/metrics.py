"""metrics.k8s.io: what nodes and Pods use, from the nodes' agents; nothing of it is stored.

The collector reads every connected node now and then, and makes rates of two readings of the same attempt. A Pod is
listed once all its running containers have been read twice, so that half a Pod is never taken for a whole one. What has
not been read for a while is not listed: old figures are worse than none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from fairlead.api.metrics import NODE_METRICS, POD_METRICS
from fairlead.apiserver import encoding
from fairlead.apiserver.state import Api, Plain
from fairlead.base import telemetry, timestamp
from fairlead.base.errors import StatusError
from fairlead.client.node import ContainerUsage, Nodes, NodeUsage, PodUsage
from fairlead.store.mvcc import Entry

EVERY = 10.0
"""Seconds between two readings."""
STALE = 60.0
_NODES, _PODS = "/registry/core/nodes/", "/registry/core/pods/"
_log = telemetry.logger("metrics")


class _Node:
    """The last two readings of a node."""

    def __init__(self, now: NodeUsage, before: NodeUsage | None) -> None:
        self.now, self.before = now, before

    @property
    def window(self) -> float:
        return self.now.time - self.before.time if self.before is not None else 0.0


class Collector:
    """See the module's text."""

    def __init__(self, api: Api, nodes: Nodes) -> None:
        self._api, self._nodes = api, nodes
        self._read: dict[str, _Node] = {}

    async def run(self) -> None:
        """Read, until cancelled."""
        while True:
            await self.collect()
            await self._api.clock.sleep(EVERY)

    async def collect(self) -> None:
        """Read every connected node once."""
        names = [entry.key[len(_NODES) :] for entry in self._api.store.list(_NODES).entries]
        for gone in self._read.keys() - set(names):
            del self._read[gone]
        await asyncio.gather(*(self._collect(name) for name in names))

    async def _collect(self, name: str) -> None:
        connection = self._nodes.connection(name)
        if connection is None:
            return
        try:
            reading = await connection.usage()
        except (StatusError, OSError) as error:
            _log.debug("node %s was not read: %s", name, error)
            return
        before = self._read.get(name)
        self._read[name] = _Node(reading, before.now if before is not None else None)

    # --- what is served ---------------------------------------------------------------------------------------------

    def nodes(self, _namespace: str) -> Sequence[Entry]:
        """NodeMetrics."""
        found = []
        for name, node in sorted(self._fresh()):
            live = self._api.store.get(_NODES + name)
            if live is None or node.before is None:
                continue
            usage = _usage((node.now.cpu - node.before.cpu) / node.window, node.now.memory)
            obj = {**self._head(live, NODE_METRICS.kind, node), "usage": usage}
            found.append(_entry(f"/registry/metrics.k8s.io/nodes/{name}", obj, live.revision))
        return found

    def pods(self, namespace: str) -> Sequence[Entry]:
        """PodMetrics of one namespace, or of all."""
        return sorted(self._pods(namespace), key=lambda entry: entry.key)

    def _pods(self, namespace: str) -> Iterator[Entry]:
        for _, node in self._fresh():
            earlier = {p.uid: p for p in node.before.pods} if node.before is not None else {}
            for pod in node.now.pods:
                if namespace and pod.namespace != namespace:
                    continue
                before = earlier.get(pod.uid)
                live = self._api.store.get(f"{_PODS}{pod.namespace}/{pod.name}")
                containers = _containers(pod, before, node.window) if before is not None else None
                if live is None or not containers:
                    continue
                obj = {**self._head(live, POD_METRICS.kind, node), "containers": containers}
                key = f"/registry/metrics.k8s.io/pods/{pod.namespace}/{pod.name}"
                yield _entry(key, obj, live.revision)

    def _fresh(self) -> Iterator[tuple[str, _Node]]:
        oldest = self._api.clock.now() - STALE
        return ((name, n) for name, n in self._read.items() if n.window > 0 and n.now.time >= oldest)

    def _head(self, live: Entry, kind: str, node: _Node) -> Plain:
        """The name, labels and creation of what is measured, and when it was."""
        meta = msgspec.json.decode(live.value, type=_Live).metadata
        kept: Plain = {k: meta[k] for k in ("name", "namespace", "labels") if k in meta}
        kept["creationTimestamp"] = timestamp.seconds(node.now.time)
        return {
            "kind": kind, "apiVersion": POD_METRICS.api_version, "metadata": kept,
            "timestamp": timestamp.seconds(node.now.time), "window": f"{node.window:.3f}s",
        }  # fmt: skip


class _Live(msgspec.Struct):
    metadata: dict[str, object]


def _containers(pod: PodUsage, before: PodUsage, window: float) -> list[Plain] | None:
    """Rates of all running containers; None as long as one of them has been read only once."""
    earlier: Mapping[tuple[str, int], ContainerUsage] = {(c.name, c.attempt): c for c in before.containers}
    found = []
    for c in pod.containers:
        first = earlier.get((c.name, c.attempt))
        if first is None:
            return None
        found.append({"name": c.name, "usage": _usage((c.cpu - first.cpu) / window, c.memory)})
    return found


def _usage(cores: float, memory: int) -> Plain:
    return {"cpu": f"{max(0, round(cores * 1e9))}n", "memory": f"{memory // 1024}Ki"}


def _entry(key: str, obj: Plain, revision: int) -> Entry:
    return Entry(key, encoding.encode(obj), revision, revision)
