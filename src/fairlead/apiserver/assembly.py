"""Assembly: the API server's parts put together over a store. The composition root calls `assemble`, then `start`.

server = assembly.assemble(store, settings)
await server.start()
runner = await app.serve(server.app, port, certs.server_context(certificates))
...
await server.close(); await runner.cleanup(); await store.close()
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from fairlead.api.apiextensions import CRDS
from fairlead.api.core import SERVICES
from fairlead.api.metrics import NODE_METRICS, POD_METRICS
from fairlead.apiserver import (
    accounts,
    addresses,
    app,
    bootstrap,
    catalog,
    crds,
    discovery,
    expiry,
    health,
    jwt,
    metrics,
    openapi,
    special,
)
from fairlead.apiserver.admission.chain import PLUGINS, Chain
from fairlead.apiserver.admission.escalation import Escalation
from fairlead.apiserver.admission.node_restriction import NodeRestriction
from fairlead.apiserver.audit.policy import Policy
from fairlead.apiserver.audit.record import Auditor
from fairlead.apiserver.audit.writer import Rotation, Writer
from fairlead.apiserver.auth import Authenticator
from fairlead.apiserver.chance import SystemChance
from fairlead.apiserver.dynamic import configurations
from fairlead.apiserver.dynamic.admission import Dynamic
from fairlead.apiserver.dynamic.calls import Caller
from fairlead.apiserver.identity import User
from fairlead.apiserver.local import LocalClient
from fairlead.apiserver.nodes import NodeAuthority
from fairlead.apiserver.rbac import Authorizer
from fairlead.apiserver.reviews import Reviews
from fairlead.apiserver.roleindex import KINDS, RoleIndex
from fairlead.apiserver.state import Api, Chance
from fairlead.apiserver.streaming.pods import PodStreams
from fairlead.apiserver.traffic import AT_ONCE, Traffic
from fairlead.base import clock
from fairlead.client.node import NodeConnection, Nodes
from fairlead.store.mvcc import Store


class NoNodes:
    """Before an agent is there."""

    def connection(self, node: str) -> NodeConnection | None:
        return None


class Audit(msgspec.Struct, frozen=True):
    """What is recorded, and where."""

    policy: Policy
    path: Path
    rotation: Rotation = Rotation()


class Settings(msgspec.Struct, frozen=True):
    """What an API server needs besides its store. `signing_key` (PEM) signs service account tokens."""

    tokens: Mapping[str, User] = {}
    signing_key: bytes = b""
    nodes: Any = NoNodes()
    """A `client.node.Nodes`."""
    address: str = "127.0.0.1:6443"
    services: ipaddress.IPv4Network | None = None
    """Where Services' cluster IPs are from; None: they get none."""
    checks: Mapping[str, health.Check] = {}
    audit: Audit | None = None
    requests_at_once: int = AT_ONCE
    """Of one user."""
    clock: Any = clock.SYSTEM
    chance: Any = SystemChance()


class Server:
    """An API server: `app` speaks HTTP, `client()` is in-process; both over the same `api`."""

    def __init__(
        self, api: Api, app_: app.App, definitions: crds.Definitions, sessions: PodStreams,
        collector: metrics.Collector, given: addresses.Addresses | None = None,
    ) -> None:  # fmt: skip
        self.api, self.app, self.definitions, self._sessions = api, app_, definitions, sessions
        self.addresses = given
        self._collector = collector
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Serve the stored definitions, create what every server has, begin to sweep old Events and to read nodes."""
        if self.app.auditor is not None:
            self.app.auditor.start()
        self.definitions.start()
        if self.addresses is not None:
            await self.addresses.start()
        await bootstrap.fill(self.api)
        self._tasks = [asyncio.create_task(work) for work in (expiry.run(self.api), self._collector.run())]

    async def close(self) -> None:
        """End watches, sessions with Pods and clean-ups. The store stays open."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._sessions.close()
        await self.app.close()
        await self.definitions.close()
        if self.api.dynamic is not None:
            await self.api.dynamic.close()
        if self.app.auditor is not None:
            await self.app.auditor.close()

    def client(self, user: User | None = None) -> LocalClient:
        """A client in this process."""
        return LocalClient(self.api, user) if user is not None else LocalClient(self.api)


def assemble(store: Store, settings: Settings) -> Server:
    """All parts, wired, not started."""
    kinds = catalog.with_builtins()
    chance: Chance = settings.chance
    roles = RoleIndex(store)
    authorizer = Authorizer(roles, (NodeAuthority(store),))
    api = Api(store, kinds, settings.clock, chance, Chain((*PLUGINS, NodeRestriction(), Escalation(authorizer))))
    definitions = crds.Definitions(api)
    defined = configurations.Configurations(store)
    api.dynamic = Dynamic(defined, authorizer, Caller(store))
    api.hooks |= {CRDS.gvr: definitions} | dict.fromkeys(KINDS, roles) | dict.fromkeys(configurations.KINDS, defined)
    if settings.signing_key:
        api.tokens = jwt.Tokens(settings.signing_key, accounts.Existence(store))
    authenticator = Authenticator(settings.tokens, api.tokens)
    nodes: Nodes = settings.nodes
    sessions = PodStreams(api, nodes, authorizer)
    collector = metrics.Collector(api, nodes)
    api.sources |= {NODE_METRICS.gvr: collector.nodes, POD_METRICS.gvr: collector.pods}
    served = app.App(
        api, authenticator, authorizer,
        documents=(discovery.Discovery(kinds, settings.address), openapi.OpenAPI(kinds)),
        special=(
            health.Health(settings.checks),
            special.PodLogs(api, nodes),
            sessions,
            special.Questions(api, Reviews(authenticator, authorizer)),
            special.LegacyBindings(api),
        ),
    )  # fmt: skip
    served.traffic = Traffic(settings.requests_at_once)
    if settings.audit is not None:
        told = settings.audit
        log = Writer(told.path, settings.clock, told.rotation)
        served.auditor = Auditor(told.policy, log, settings.clock, chance)
    roles.start()
    defined.start()
    if settings.services is not None:
        given = addresses.Addresses(store, settings.clock, settings.services)
        api.hooks[SERVICES.gvr] = given
        return Server(api, served, definitions, sessions, collector, given)
    return Server(api, served, definitions, sessions, collector)
