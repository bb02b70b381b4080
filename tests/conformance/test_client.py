"""The in-process client and the HTTP client give the same answers."""

import pytest

from fairlead.apiserver import app, assembly
from fairlead.apiserver.auth import ADMIN
from fairlead.client.http import HttpClient
from fairlead.client.kubeconfig import Connection
from fairlead.store.memory import MemoryStore
from fairlead.testing import builders
from fairlead.testing.conformance import client as suite


@pytest.fixture(params=["local", "http"])
async def client(request: pytest.FixtureRequest):
    store = MemoryStore()
    server = assembly.assemble(store, assembly.Settings(tokens={"secret": ADMIN}))
    server.definitions.start()
    local = server.client()
    await local.create(builders.namespace("x").resource, builders.namespace("default").manifest())
    if request.param == "local":
        yield local
        await server.close()
    else:
        runner = await app.serve(server.app, 0, None)
        http = HttpClient(Connection(server=f"http://127.0.0.1:{app.bound_port(runner)}", token="secret"))
        yield http
        await http.close()
        await server.close()
        await runner.cleanup()
    await store.close()


@pytest.mark.parametrize("check", suite.CHECKS, ids=suite.name)
async def test_conforms(check: suite.Check, client) -> None:
    await check(client)
