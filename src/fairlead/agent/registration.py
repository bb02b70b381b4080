"""registration: the Node object and its heartbeats.

The Node's status (what the machine has) is written at the start and every few minutes; the Lease in kube-node-lease
says every few seconds that the agent lives. Whoever judges nodes (the node controller) reads the Lease. When it has
judged this node to be silent, both are written at once.
"""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import socket
from typing import Any

from fairlead.agent.capabilities import Capabilities
from fairlead.agent.devices import RESOURCE, Devices
from fairlead.agent.network import host_address
from fairlead.agent.settings import Settings
from fairlead.api.coordination import LEASES
from fairlead.api.core import NAMESPACES, NODES, Node
from fairlead.api.meta import Key
from fairlead.base import telemetry, timestamp
from fairlead.base.clock import Clock
from fairlead.base.errors import StatusError
from fairlead.client.protocol import Client, PatchType, WriteOptions

log = telemetry.logger("agent.node")

LEASE_NAMESPACE = "kube-node-lease"
_META = WriteOptions(manager="fairlead-agent")
_STATUS = WriteOptions(manager="fairlead-agent", subresource="status")
_PRESSURES = (
    ("MemoryPressure", "KubeletHasSufficientMemory", "the machine has sufficient memory available"),
    ("DiskPressure", "KubeletHasNoDiskPressure", "the machine has no disk pressure"),
    ("PIDPressure", "KubeletHasSufficientPID", "the machine has sufficient process ids available"),
)


class Registration:
    """One node's."""

    def __init__(
        self, client: Client, settings: Settings, capabilities: Capabilities, devices: Devices, clock: Clock
    ) -> None:
        self._client, self._settings, self._capabilities = client, settings, capabilities
        self._devices, self._clock = devices, clock
        self._since = timestamp.seconds(clock.now())
        self._lease_there = False
        self._doubted = asyncio.Event()
        """Somebody has said that this node is not ready."""

    def notice(self, node: Node | None) -> None:
        """The Node as the API has it now."""
        ready = next((c for c in node.status.conditions if c.type == "Ready"), None) if node is not None else None
        if ready is not None and ready.status != "True":
            self._doubted.set()

    def capacity(self) -> dict[str, str]:
        """What the machine has, in Kubernetes' resources."""
        s = self._settings
        cpus = s.cpus if s.cpus is not None else float(len(os.sched_getaffinity(0)))
        memory = s.memory if s.memory is not None else _memory()
        disk = shutil.disk_usage(s.state).total
        found = {
            "cpu": str(int(cpus)) if cpus == int(cpus) else f"{round(cpus * 1000)}m",
            "memory": f"{memory >> 10}Ki",
            "pods": str(s.max_pods),
            "ephemeral-storage": f"{disk >> 10}Ki",
        }
        if self._devices.devices:
            found[RESOURCE] = str(len(self._devices.devices))
        return found

    async def register(self) -> None:
        """Make the Node, or bring an existing one up to date. Its taints and `unschedulable` are others'."""
        meta = {"labels": self._labels(), "annotations": self._capabilities.annotations()}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self._settings.node, **meta}}
        try:
            await self._client.create(NODES, node, _META)
        except StatusError as e:
            if e.reason != "AlreadyExists":
                raise
            await self._client.patch(NODES, self._key, {"metadata": meta}, PatchType.MERGE, _META)
        await self.report()

    @property
    def _key(self) -> Key:
        return Key("", self._settings.node)

    def _labels(self) -> dict[str, str]:
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
        labels = {
            "kubernetes.io/hostname": self._settings.node,
            "kubernetes.io/os": platform.system().lower(),
            "kubernetes.io/arch": machine,
            **self._capabilities.labels(),
        }
        if self._devices.devices:
            model = self._devices.devices[0].model.replace(" ", "-")
            labels["nvidia.com/gpu.product"] = model
            labels["nvidia.com/gpu.count"] = str(len(self._devices.devices))
        return labels | dict(self._settings.labels)

    async def report(self) -> None:
        """Write the Node's status."""
        await self._client.patch(NODES, self._key, {"status": self._status()}, PatchType.STRATEGIC, _STATUS)

    def _status(self) -> dict[str, Any]:
        now = timestamp.seconds(self._clock.now())
        common = {"lastHeartbeatTime": now, "lastTransitionTime": self._since}
        conditions = [
            {"type": t, "status": "False", "reason": reason, "message": message, **common}
            for t, reason, message in _PRESSURES
        ]
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "the agent is ready", **common}
        capacity = self.capacity()
        return {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [*conditions, ready],
            "addresses": [
                {"type": "InternalIP", "address": host_address()},
                {"type": "Hostname", "address": self._settings.node},
            ],
            "nodeInfo": self._info(),
        }

    def _info(self) -> dict[str, str]:
        version = self._settings.version or "v0"
        return {
            "machineID": _line("/etc/machine-id"),
            "systemUUID": _line("/etc/machine-id"),
            "bootID": _line("/proc/sys/kernel/random/boot_id"),
            "kernelVersion": platform.release(),
            "osImage": _os_name(),
            "containerRuntimeVersion": f"fairlead-process://{version.removeprefix('v')}",
            "kubeletVersion": version,
            "kubeProxyVersion": version,
            "operatingSystem": platform.system().lower(),
            "architecture": self._labels()["kubernetes.io/arch"],
        }

    async def renew(self) -> None:
        """Say that the agent lives."""
        now = timestamp.micro(self._clock.now())
        name = self._settings.node
        if self._lease_there:
            try:
                key = Key(LEASE_NAMESPACE, name)
                await self._client.patch(LEASES, key, {"spec": {"renewTime": now}}, PatchType.MERGE, _META)
            except StatusError as e:
                if e.code != 404:
                    raise
                self._lease_there = False
            else:
                return
        spec = {"holderIdentity": name, "leaseDurationSeconds": int(self._settings.lease_seconds * 4), "renewTime": now}
        lease = {
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": name, "namespace": LEASE_NAMESPACE}, "spec": spec,
        }  # fmt: skip
        await self._create_lease(lease)
        self._lease_there = True

    async def _create_lease(self, lease: dict[str, Any]) -> None:
        try:
            await self._client.create(LEASES, lease, _META)
        except StatusError as e:
            if e.reason == "AlreadyExists":
                key = Key(LEASE_NAMESPACE, self._settings.node)
                await self._client.patch(LEASES, key, {"spec": lease["spec"]}, PatchType.MERGE, _META)
                return
            if e.code not in (403, 404):
                raise
            space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": LEASE_NAMESPACE}}
            await self._client.create(NAMESPACES, space, _META)
            await self._client.create(LEASES, lease, _META)

    async def keep(self) -> None:
        """Heartbeats until cancelled. What fails is tried again at the next beat."""
        due = self._clock.monotonic() + self._settings.status_seconds
        while True:
            doubted = self._doubted.is_set()
            self._doubted.clear()
            try:
                await self.renew()
                if doubted:
                    log.info("node=%s was taken to be silent: it reports that it is ready", self._settings.node)
                    self._since = timestamp.seconds(self._clock.now())
                if doubted or self._clock.monotonic() >= due:
                    await self.report()
                    due = self._clock.monotonic() + self._settings.status_seconds
            except Exception as e:
                log.warning("heartbeat of node=%s failed: %s", self._settings.node, e)
                await self._clock.sleep(1.0)
                if doubted:
                    self._doubted.set()
            await self._pause()

    async def _pause(self) -> None:
        """Until the next heartbeat is due, or wanted."""
        waits = [
            asyncio.ensure_future(self._clock.sleep(self._settings.lease_seconds)),
            asyncio.ensure_future(self._doubted.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


def _memory() -> int:
    """Bytes of memory that this process may hope for: the machine's, or less in a container."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = _line(path)
        if text.isdigit():
            total = min(total, int(text))
    return total


def _line(path: str) -> str:
    try:
        with open(path) as f:
            return f.readline().strip()
    except OSError:
        return ""


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return f"{platform.system()} {socket.gethostname()}"
