"""node: what all Pods of a node share: settings, runtime, network, names, devices, and reads of the API."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from typing import TypeVar

from fairlead.agent import environment, images, volumes
from fairlead.agent.capabilities import Capabilities
from fairlead.agent.devices import Devices
from fairlead.agent.prober import Prober
from fairlead.agent.reporter import Reporter
from fairlead.agent.runtimes import Runtime
from fairlead.agent.settings import Settings
from fairlead.agent.tokens import Tokens
from fairlead.agent.traffic import Traffic
from fairlead.api.core import (
    CLAIMS,
    CONFIG_MAPS,
    PERSISTENT_VOLUMES,
    SECRETS,
    Pod,
)
from fairlead.api.meta import Key, Resource
from fairlead.base.clock import Clock
from fairlead.base.errors import StatusError
from fairlead.client.protocol import Client

T = TypeVar("T")


class NodeParts:
    """Handed to every worker."""

    def __init__(
        self, client: Client, settings: Settings, capabilities: Capabilities, devices: Devices, runtime: Runtime,
        traffic: Traffic, clock: Clock,
    ) -> None:  # fmt: skip
        self.client, self.settings, self.clock = client, settings, clock
        self.devices, self.runtime, self.traffic = devices, runtime, traffic
        self.network, self.sandboxed = capabilities.network, capabilities.sandbox.mount
        self.images = images.Table(settings.images)
        self.reporter = Reporter(client, settings.node, clock)
        self.prober = Prober(runtime, settings.version)
        self.pods = os.path.join(os.path.abspath(settings.state), "pods")
        self.host_ip = ""
        self.allocatable: Mapping[str, str] = {}
        self.environment = environment.inherited(settings.environment)
        self.starting = asyncio.Semaphore(settings.parallel_starts)
        self.tokens = Tokens(client, clock)
        self.names = traffic.names

    def api_environment(self) -> dict[str, str]:
        """Where a container finds the API server."""
        if not self.settings.api_host:
            return {}
        port = str(self.settings.api_port)
        return {
            "KUBERNETES_SERVICE_HOST": self.settings.api_host,
            "KUBERNETES_SERVICE_PORT": port,
            "KUBERNETES_SERVICE_PORT_HTTPS": port,
        }

    async def sources(self, pod: Pod, maps: Iterable[str], secrets: Iterable[str]) -> environment.Sources:
        """The ConfigMaps and Secrets of those names (that exist), and the namespace's Services."""
        space = pod.metadata.namespace
        return environment.Sources(
            await self._all(CONFIG_MAPS, space, maps),
            await self._all(SECRETS, space, secrets),
            self.traffic.services.cache.in_namespace(space) if pod.spec.enableServiceLinks else (),
        )

    async def backed(self, pod: Pod) -> Pod:
        """The Pod with its volumes on claims as what they are on. Raises Missing or Refused."""
        found = await self._all(CLAIMS, pod.metadata.namespace, volumes.claims(pod))
        backing = await self._all(PERSISTENT_VOLUMES, "", {c.spec.volumeName for c in found.values() if c.bound})
        return volumes.backed(pod, found, backing)

    async def _all(self, resource: Resource[T], namespace: str, names: Iterable[str]) -> dict[str, T]:
        found = {}
        for name in names:
            one = await self._find(resource, namespace, name)
            if one is not None:
                found[name] = one
        return found

    async def _find(self, resource: Resource[T], namespace: str, name: str) -> T | None:
        try:
            return await self.client.get(resource, Key(namespace, name))
        except StatusError as e:
            if e.code == 404:
                return None
            raise
