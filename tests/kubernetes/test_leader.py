"""Leader election by a Lease: of two managers one works, on the embedded server and on a real one."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from fairlead.api import batch, coordination, core
from fairlead.api.meta import Key
from fairlead.apiserver import assembly
from fairlead.base.clock import SYSTEM
from fairlead.base.errors import StatusError
from fairlead.client.http import HttpClient
from fairlead.client.protocol import PatchType
from fairlead.client.within import Within
from fairlead.controllers import job
from fairlead.reconcile.lease import Candidate, Elector, LeaseLost
from fairlead.reconcile.manager import Manager
from fairlead.store.memory import MemoryStore
from fairlead.testing import builders

NAMESPACE = "fairlead-leader"
LEASE = Key(NAMESPACE, "controllers")


@pytest.fixture
async def client(request, side):
    """A client of an API server in real time, with a namespace."""
    if side == "real":
        client = Within(HttpClient(request.getfixturevalue("connection")), NAMESPACE)
        async with request.getfixturevalue("a_namespace")(client, NAMESPACE):
            yield client
        await client.close()
        return
    store = MemoryStore()
    server = assembly.assemble(store, assembly.Settings())
    await server.start()
    client = server.client()
    await client.create(core.NAMESPACES.plain, builders.namespace(NAMESPACE).manifest())
    yield client
    await server.close()
    await store.close()


class Standby:
    """A manager that stands for the Lease."""

    def __init__(self, client, name):
        candidate = Candidate(name, LEASE, duration=2.0, renew_deadline=1.0, retry=0.1)
        self.elector = Elector(client, SYSTEM, candidate)
        self.manager = Manager(client, SYSTEM, [job.CONTROLLER], elector=self.elector)
        self.task = asyncio.create_task(self.manager.run())

    async def stop(self):
        self.manager.stop()
        with contextlib.suppress(LeaseLost):
            await self.task


async def until(there):
    end = SYSTEM.monotonic() + 20
    while not (found := await there()):
        assert SYSTEM.monotonic() < end
        await asyncio.sleep(0.02)
    return found


async def leads(one):
    return one.elector.leading


async def holder(client):
    try:
        return (await client.get(coordination.LEASES, LEASE)).spec.holderIdentity
    except StatusError:
        return None


async def has_pod(client, name):
    pods = (await client.list(core.PODS, NAMESPACE)).items
    return [p for p in pods if p.metadata.name.startswith(name)]


async def create(client, name):
    manifest = builders.job(name, NAMESPACE).manifest()
    await client.create(batch.JOBS.plain, manifest)


async def test_one_of_two_leads(client):
    first = Standby(client, "first")
    await until(lambda: leads(first))
    second = Standby(client, "second")
    await create(client, "one")
    await until(lambda: has_pod(client, "one"))
    assert await holder(client) == "first"
    assert (second.elector.leading, second.manager.reconciles) == (False, 0)

    await first.stop()
    await until(lambda: leads(second))
    await create(client, "two")
    await until(lambda: has_pod(client, "two"))
    assert len(await has_pod(client, "one")) == 1
    assert await holder(client) == "second"
    await second.stop()
    assert await holder(client) == ""


async def test_a_leader_whose_lease_is_taken_ends(client):
    one = Standby(client, "one")
    await until(lambda: leads(one))

    patch = {"spec": {"holderIdentity": "thief", "leaseDurationSeconds": 60}}
    await client.patch(coordination.LEASES, LEASE, patch, PatchType.MERGE)
    with pytest.raises(LeaseLost, match=f"one could not renew lease {NAMESPACE}/controllers in time"):
        async with asyncio.timeout(20):
            await one.task
    assert await holder(client) == "thief"
