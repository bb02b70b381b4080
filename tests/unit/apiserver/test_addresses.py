"""Cluster IPs and node ports: given out once, given back, kept across restarts, set right in another range."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fairlead.api.core import NAMESPACES, SERVICES
from fairlead.api.meta import Key
from fairlead.apiserver import assembly
from fairlead.apiserver.local import LocalClient
from fairlead.base.errors import StatusError
from fairlead.client.protocol import PatchType, WriteOptions
from fairlead.store.memory import MemoryStore
from fairlead.testing.clock import FakeClock

RANGE = ipaddress.IPv4Network("10.96.0.0/28")
PLAIN = SERVICES.plain


@asynccontextmanager
async def served(store: MemoryStore, clock: FakeClock, network: ipaddress.IPv4Network = RANGE) -> AsyncIterator[Any]:
    server = assembly.assemble(store, assembly.Settings(clock=clock, services=network))
    assert server.addresses is not None
    server.definitions.start()
    await server.addresses.start()
    yield server.client()
    await server.close()


@pytest.fixture
async def client(clock: FakeClock) -> AsyncIterator[LocalClient]:
    async with served(MemoryStore(), clock) as made:
        await made.create(NAMESPACES, {"metadata": {"name": "default"}})
        yield made


def service(name: str, **spec: Any) -> dict[str, Any]:
    ports = [{"port": 80, "name": "a"}]
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"ports": ports, **spec}}


async def made(client: LocalClient, name: str, **spec: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await client.create(PLAIN, service(name, **spec)))["spec"]
    return found


async def change(client: LocalClient, name: str, **spec: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await client.patch(PLAIN, Key("default", name), {"spec": spec}, PatchType.MERGE))["spec"]
    return found


async def test_every_service_has_an_address_of_its_own(client: LocalClient) -> None:
    given = [await made(client, f"s{i}") for i in range(13)]
    assert len({s["clusterIP"] for s in given}) == 13
    assert all(ipaddress.IPv4Address(s["clusterIP"]) in RANGE for s in given)
    assert all(s["clusterIPs"] == [s["clusterIP"]] for s in given)
    with pytest.raises(StatusError, match="range is full"):
        await made(client, "more")
    await client.delete(SERVICES, Key("default", "s3"))
    assert (await made(client, "more"))["clusterIP"] == given[3]["clusterIP"]


async def test_headless_and_external_names_have_none(client: LocalClient) -> None:
    assert (await made(client, "headless", clusterIP="None"))["clusterIP"] == "None"
    assert "clusterIP" not in await made(client, "far", type="ExternalName", externalName="example.com")
    assert (await made(client, "kubernetes"))["clusterIP"] == "10.96.0.1"


async def test_an_address_may_be_chosen(client: LocalClient) -> None:
    assert (await made(client, "mine", clusterIP="10.96.0.9"))["clusterIPs"] == ["10.96.0.9"]
    with pytest.raises(StatusError, match=r"failed to allocate IP 10.96.0.9: provided IP is already allocated"):
        await made(client, "yours", clusterIP="10.96.0.9")
    with pytest.raises(StatusError, match=r"not in the valid range. The range of valid IPs is 10.96.0.0/28"):
        await made(client, "far", clusterIP="10.97.0.1")


async def test_what_a_failed_write_held_is_free_after_a_while(client: LocalClient, clock: FakeClock) -> None:
    await client.create(PLAIN, service("dry", clusterIP="10.96.0.9"), WriteOptions(dry_run=True))
    with pytest.raises(StatusError, match="already allocated"):
        await made(client, "s", clusterIP="10.96.0.9")
    clock.advance_to(clock.now() + 61)
    assert (await made(client, "s", clusterIP="10.96.0.9"))["clusterIP"] == "10.96.0.9"


async def test_an_address_is_for_life_and_goes_with_the_type(client: LocalClient) -> None:
    first = (await made(client, "s"))["clusterIP"]
    assert (await change(client, "s", sessionAffinity="ClientIP"))["clusterIP"] == first
    far = await change(client, "s", type="ExternalName", externalName="example.com")
    assert "clusterIP" not in far
    back = await change(client, "s", type="ClusterIP", externalName=None)
    assert ipaddress.IPv4Address(back["clusterIP"]) in RANGE


async def test_node_ports(client: LocalClient) -> None:
    two = [{"port": 80, "name": "a"}, {"port": 443, "name": "b"}, {"port": 443, "name": "c", "protocol": "UDP"}]
    given = [p["nodePort"] for p in (await made(client, "s", type="NodePort", ports=two))["ports"]]
    assert len(set(given)) == 2
    assert given[1] == given[2]
    assert all(30000 <= n <= 32767 for n in given)
    with pytest.raises(StatusError, match="provided port is already allocated"):
        await made(client, "t", type="NodePort", ports=[{"port": 80, "nodePort": given[0]}])
    with pytest.raises(StatusError, match="The range of valid ports is 30000-32767"):
        await made(client, "t", type="NodePort", ports=[{"port": 80, "nodePort": 80}])
    with pytest.raises(StatusError, match="may not be used when `type` is 'ClusterIP'"):
        await made(client, "t", ports=[{"port": 80, "nodePort": 30002}])
    kept = await change(client, "s", ports=[{"port": 80, "name": "a"}])
    assert [p["nodePort"] for p in kept["ports"]] == [given[0]]
    assert "nodePort" not in (await change(client, "s", type="ClusterIP"))["ports"][0]
    await made(client, "t", type="NodePort", ports=[{"port": 80, "nodePort": given[0]}])


async def test_addresses_outlive_the_server_and_change_with_the_range(clock: FakeClock) -> None:
    store = MemoryStore()
    async with served(store, clock) as client:
        await client.create(NAMESPACES, {"metadata": {"name": "default"}})
        first = (await made(client, "s"))["clusterIP"]
        await made(client, "headless", clusterIP="None")
    async with served(store, clock) as client:
        assert (await client.get(PLAIN, Key("default", "s")))["spec"]["clusterIP"] == first
        with pytest.raises(StatusError, match="already allocated"):
            await made(client, "t", clusterIP=first)
    other = ipaddress.IPv4Network("127.128.0.0/24")
    async with served(store, clock, other) as client:
        spec = (await client.get(PLAIN, Key("default", "s")))["spec"]
        assert ipaddress.IPv4Address(spec["clusterIP"]) in other
        assert spec["clusterIPs"] == [spec["clusterIP"]]
        assert (await client.get(PLAIN, Key("default", "headless")))["spec"]["clusterIP"] == "None"
    await store.close()
