"""The manager over HTTP and on the machine's clock: the same controllers, the other client."""

import asyncio

import pytest

from fairlead.api import batch, core
from fairlead.api.meta import Key
from fairlead.apiserver import app, assembly
from fairlead.apiserver.auth import ADMIN
from fairlead.base.clock import SYSTEM
from fairlead.client.http import HttpClient
from fairlead.client.kubeconfig import Connection
from fairlead.client.protocol import ListOptions
from fairlead.controllers import endpoints, garbage, job
from fairlead.reconcile.manager import Manager
from fairlead.store.memory import MemoryStore
from fairlead.testing import builders
from fairlead.testing.kubelet import SimulatedKubelet


@pytest.fixture
async def client():
    store = MemoryStore()
    server = assembly.assemble(store, assembly.Settings(tokens={"secret": ADMIN}))
    server.definitions.start()
    local = server.client()
    await local.create(core.NAMESPACES, builders.namespace("default").manifest())
    runner = await app.serve(server.app, 0, None)
    http = HttpClient(Connection(server=f"http://127.0.0.1:{app.bound_port(runner)}", token="secret"))
    yield http
    await http.close()
    await server.close()
    await runner.cleanup()
    await store.close()


async def test_a_job_runs_and_is_collected(client: HttpClient) -> None:
    kubelet = SimulatedKubelet(["n"])
    chosen = [job.CONTROLLER, endpoints.CONTROLLER, garbage.CONTROLLER, kubelet.controller]
    manager = Manager(client, SYSTEM, chosen)
    tasks = [asyncio.create_task(manager.run()), asyncio.create_task(kubelet.bind(client, SYSTEM))]
    try:
        async with asyncio.timeout(20):
            listing = await client.list(batch.JOBS, "default")
            template = builders.pod("x").simulate("run=0.1s")
            await client.create(batch.JOBS, builders.job("j").indexed(3).template(template).manifest())
            async for event in client.watch(batch.JOBS, "default", ListOptions(revision=listing.revision)):
                if event.object is not None and event.object.condition("Complete"):
                    assert event.object.status.succeeded == 3
                    break
            pods = await client.list(core.PODS, "default")
            assert [p.status.phase for p in pods.items] == ["Succeeded"] * 3
            await client.delete(batch.JOBS, Key("default", "j"))
            async for event_ in client.watch(core.PODS, "default", ListOptions(revision=pods.revision)):
                if event_.type == "DELETED" and not (await client.list(core.PODS, "default")).items:
                    break
        manager.stop()
        await tasks[0]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
