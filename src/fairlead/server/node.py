"""The parts that work through the client: the agent of this machine, the scheduler, the controllers."""

from __future__ import annotations

import os
from collections.abc import Coroutine
from typing import Any

import fairlead
from fairlead import controllers
from fairlead.agent import capabilities
from fairlead.agent.agent import Agent
from fairlead.agent.capabilities import Capabilities
from fairlead.agent.settings import Settings as AgentSettings
from fairlead.base.clock import SYSTEM
from fairlead.client.node import NodeConnection
from fairlead.client.protocol import Client
from fairlead.reconcile.manager import Manager, select
from fairlead.scheduler.loop import Scheduler
from fairlead.server import jumps
from fairlead.server.settings import Settings, SettingsError


class Agents:
    """`client.node.Nodes`: the agents of this process."""

    def __init__(self) -> None:
        self._known: dict[str, NodeConnection] = {}

    def add(self, node: str, connection: NodeConnection) -> None:
        """This node's agent is here."""
        self._known[node] = connection

    def connection(self, node: str) -> NodeConnection | None:
        """The agent of that node."""
        return self._known.get(node)


def detect(told: Settings) -> Capabilities:
    """What this machine allows. Raises SettingsError when it is not what was asked for."""
    try:
        return capabilities.detect(str(told.directory), network_mode=told.network, sandbox=told.sandbox)
    except OSError as error:
        raise SettingsError(f"--network {told.network} is not possible here: {error}") from error


def agent(told: Settings, client: Client, agents: Agents, found: Capabilities, port: int) -> Agent:
    """The agent of this machine, known to the API server, which Pods reach at their gateway."""
    extra = told.configuration
    settings = AgentSettings(
        state=str(told.directory),
        node=told.node_name,
        labels=extra.labels,
        max_pods=extra.maxPods,
        fake_gpus=told.fake_gpus,
        cpus=extra.cpus,
        memory=extra.memory,
        images=extra.images,
        environment={**os.environ, **extra.environment},
        api_host=found.network.gateway,
        api_port=port,
        version=fairlead.__version__,
    )
    made = Agent(client, settings, SYSTEM, found)
    agents.add(settings.node, made)
    return made


def brains(client: Client) -> list[tuple[str, Coroutine[Any, Any, None]]]:
    """What decides: scheduler and controllers, each as a name and its work."""
    manager = Manager(client, SYSTEM, select(controllers.discover(), embedded=True))
    return [
        ("scheduler", Scheduler(client, SYSTEM).run()),
        ("controllers", manager.run()),
        ("clock", jumps.watch(SYSTEM, manager.clock_jumped)),
    ]
