"""Many writers of one object over the durable store: every change arrives, none is lost, and a gang is bound once."""

from __future__ import annotations

import asyncio

import pytest

from fairlead.api.core import CONFIG_MAPS, NAMESPACES, PODS
from fairlead.api.meta import Key
from fairlead.apiserver import assembly
from fairlead.base.errors import StatusError
from fairlead.client.protocol import Binding, PatchType
from fairlead.store.sqlite import SqliteStore


@pytest.fixture
async def client(tmp_path):
    store = SqliteStore.open(tmp_path)
    server = assembly.assemble(store, assembly.Settings())
    client = server.client()
    await client.create(NAMESPACES, {"metadata": {"name": "default"}})
    yield client
    await server.close()
    await store.close()


async def test_no_patch_is_lost(client):
    await client.create(CONFIG_MAPS, {"metadata": {"namespace": "default", "name": "a"}})
    key = Key("default", "a")
    patches = [client.patch(CONFIG_MAPS, key, {"data": {str(i): "x"}}, PatchType.MERGE) for i in range(40)]
    await asyncio.gather(*patches)
    assert len((await client.get(CONFIG_MAPS, key)).data) == 40


async def test_one_of_many_creators_wins(client):
    obj = {"metadata": {"namespace": "default", "name": "a"}}
    answers = await asyncio.gather(*(client.create(CONFIG_MAPS, obj) for _ in range(20)), return_exceptions=True)
    lost = [a for a in answers if isinstance(a, StatusError)]
    assert (len(lost), {e.reason for e in lost}) == (19, {"AlreadyExists"})


async def test_gangs_that_share_a_pod_are_not_both_bound(client):
    for name in ("a", "b", "c"):
        spec = {"containers": [{"name": "main", "image": "i"}]}
        await client.create(PODS, {"metadata": {"namespace": "default", "name": name}, "spec": spec})
    gangs = [[Binding(Key("default", pod), node) for pod in pods] for node, pods in (("m", "ab"), ("n", "bc"))]
    answers = await asyncio.gather(*map(client.bind, gangs), return_exceptions=True)
    assert [type(a) for a in answers] == [type(None), StatusError]
    assert {p.metadata.name: p.spec.nodeName for p in (await client.list(PODS)).items} == {"a": "m", "b": "m", "c": ""}


async def test_a_delete_and_a_patch_of_the_last_finalizer_meet(client):
    metadata = {"namespace": "default", "name": "a", "finalizers": ["x.io/y"]}
    await client.create(CONFIG_MAPS, {"metadata": metadata})
    key = Key("default", "a")
    await asyncio.gather(
        client.delete(CONFIG_MAPS, key),
        client.patch(CONFIG_MAPS, key, {"metadata": {"finalizers": None}}, PatchType.MERGE),
    )
    with pytest.raises(StatusError, match="not found"):
        await client.get(CONFIG_MAPS, key)
