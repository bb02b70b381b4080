"""Names and tables from what is watched, with an API server in memory and a balancer that writes down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from fairlead.agent.services import Backend, Frontend
from fairlead.agent.traffic import Traffic
from fairlead.api import core
from fairlead.api.meta import Key
from fairlead.controllers import endpoints
from fairlead.testing import builders
from fairlead.testing.cluster import Cluster


class Notebook:
    """A `Balancer`."""

    def __init__(self, name: str = "proxy") -> None:
        self.name, self.detail = name, ""
        self.tables: list[Sequence[Frontend]] = []

    def put(self, frontends: Sequence[Frontend]) -> None:
        self.tables.append(frontends)

    def close(self, *, keep: bool) -> None:
        return None


@pytest.fixture
def balancer(request: pytest.FixtureRequest) -> Notebook:
    return Notebook(getattr(request, "param", "proxy"))


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with Cluster([endpoints.CONTROLLER]) as made:
        yield made


@pytest.fixture
async def traffic(cluster: Cluster, balancer: Notebook, tmp_path: Path) -> AsyncIterator[Traffic]:
    made = Traffic(cluster.client, str(tmp_path), "node-0", balancer, cluster.clock, "10.9.9.9")
    running = asyncio.create_task(made.run())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    made.close(keep=True)


def service(name: str, ip: str, **more: Any) -> Any:
    return builders.service(name).selects(app="web").port(80, 8080).spec(clusterIP=ip, **more)


def file(traffic: Traffic) -> list[str]:
    path = traffic.names.file(builders.pod("any").view())
    return [line for line in Path(path).read_text().splitlines() if ".default.svc " in line]


async def settle(cluster: Cluster) -> None:
    """What is watched, and the moment in which changes gather (a real one)."""
    for _ in range(3):
        await cluster.run_until_quiet(5)
        await asyncio.sleep(0.03)


async def test_a_name_stands_for_the_services_address(cluster: Cluster, traffic: Traffic, balancer: Notebook) -> None:
    await cluster.create(service("web", "10.96.0.7"))
    await cluster.create(builders.pod("a").labels(app="web"))
    await settle(cluster)
    ip = (await cluster.get(core.PODS, "a")).status.podIP
    assert balancer.tables[-1] == (Frontend(Key("default", "web"), "10.96.0.7", 80, "TCP", (Backend(ip, 8080),)),)
    assert file(traffic) == ["10.96.0.7 web.default.svc.cluster.local web.default.svc web.default web"]
    count = len(balancer.tables)
    await cluster.create(builders.config_map("unrelated"))
    await cluster.create(builders.service("headless").port(80).headless())
    await settle(cluster)
    assert len(balancer.tables) == count


@pytest.mark.parametrize("balancer", ["none"], indirect=True)
async def test_without_a_balancer_it_stands_for_the_endpoints(cluster: Cluster, traffic: Traffic) -> None:
    await cluster.create(service("web", "10.96.0.7"))
    await cluster.create(builders.pod("a").labels(app="web"))
    await settle(cluster)
    ip = (await cluster.get(core.PODS, "a")).status.podIP
    assert file(traffic)[-1] == f"{ip} web.default.svc.cluster.local web.default.svc web.default web"


async def test_headless_names_stand_for_who_is_ready_or_published(cluster: Cluster, traffic: Traffic) -> None:
    await cluster.create(service("ready", "None"))
    await cluster.create(service("all", "None", publishNotReadyAddresses=True))
    pod = builders.pod("late").labels(app="web")
    traffic.names.join(pod.view(), "10.0.0.77")
    await settle(cluster)
    assert [line.split()[:2] for line in file(traffic)] == [["10.0.0.77", "all.default.svc.cluster.local"]]


async def test_an_external_name_stands_for_another_service_or_an_outer_host(cluster: Cluster, traffic: Traffic) -> None:
    await cluster.create(service("web", "10.96.0.7"))
    for name, target in (("inner", "web.default.svc.cluster.local"), ("outer", "localhost")):
        far = {"type": "ExternalName", "externalName": target}
        await cluster.create(builders.any_of(core.SERVICES, name, spec=far))
    found: dict[str, str] = {}
    for _ in range(50):
        await settle(cluster)
        found = {line.split()[1].split(".")[0]: line.split()[0] for line in file(traffic)}
        if "outer" in found:
            break
    assert found == {"web": "10.96.0.7", "inner": "10.96.0.7", "outer": "127.0.0.1"}
