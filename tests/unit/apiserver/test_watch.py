import asyncio

import pytest

from fairlead.api.core import CONFIG_MAPS
from fairlead.api.meta import Key
from fairlead.apiserver import identity, watch
from fairlead.apiserver.state import Call
from fairlead.base.errors import StatusError
from fairlead.client.protocol import ListOptions, PatchType


async def make(client, name, **labels):
    await client.create(CONFIG_MAPS, {"metadata": {"namespace": "default", "name": name, "labels": labels}})


async def label(client, name, value):
    await client.patch(CONFIG_MAPS, Key("default", name), {"metadata": {"labels": {"x": value}}}, PatchType.MERGE)


async def seen(stream, count):
    """The next events, as (type, name)."""
    events = [await asyncio.wait_for(anext(stream), 5) for _ in range(count)]
    return [(e.type, e.object.metadata.name) for e in events]


async def test_events_after_a_revision(client):
    await make(client, "a")
    revision = (await client.list(CONFIG_MAPS)).revision
    stream = client.watch(CONFIG_MAPS, "default", ListOptions(revision=revision))
    await make(client, "b")
    await label(client, "b", "1")
    await client.delete(CONFIG_MAPS, Key("default", "a"))
    assert await seen(stream, 3) == [("ADDED", "b"), ("MODIFIED", "b"), ("DELETED", "a")]
    await stream.aclose()


async def test_without_a_revision_the_current_state_comes_first(client):
    await make(client, "a")
    stream = client.watch(CONFIG_MAPS, "default")
    assert await seen(stream, 1) == [("ADDED", "a")]
    await make(client, "b")
    assert await seen(stream, 1) == [("ADDED", "b")]
    await stream.aclose()


async def test_entering_and_leaving_a_selection(client):
    await make(client, "a", x="0")
    await make(client, "other")
    stream = client.watch(CONFIG_MAPS, "", ListOptions(labels="x=1", revision="3"))
    for value in ("1", "2", "1"):
        await label(client, "a", value)
    await client.patch(CONFIG_MAPS, Key("default", "a"), {"data": {"k": "v"}}, PatchType.MERGE)
    await client.delete(CONFIG_MAPS, Key("default", "a"))
    expected = ["ADDED", "DELETED", "ADDED", "MODIFIED", "DELETED"]
    assert await seen(stream, 5) == [(type_, "a") for type_ in expected]
    await stream.aclose()


async def test_one_name(client):
    stream = client.watch(CONFIG_MAPS, "default", ListOptions(fields="metadata.name=b", revision="1"))
    await make(client, "a")
    await make(client, "b")
    assert await seen(stream, 1) == [("ADDED", "b")]
    await stream.aclose()


async def test_compacted_history_is_expired(client, server):
    await make(client, "a")
    await make(client, "b")
    await server.api.store.compact(3)
    stream = client.watch(CONFIG_MAPS, "", ListOptions(revision="1"))
    with pytest.raises(StatusError, match="too old resource version: 1") as caught:
        await anext(stream)
    assert caught.value.code == 410


async def test_a_revision_from_elsewhere(client):
    stream = client.watch(CONFIG_MAPS, "", ListOptions(revision="77"))
    with pytest.raises(StatusError, match="Too large resource version"):
        await anext(stream)


def changes(server, **query):
    call = Call(server.api.catalog.find("", "v1", "configmaps"), identity.LOCAL, "default")
    return watch.changes(server.api, call, watch.Query(**query))


async def test_initial_events_end_with_a_bookmark(client, server):
    await make(client, "a")
    stream = changes(server, initial=True, bookmarks=True)
    assert [(c.type, c.revision) for c in await anext(stream)] == [("ADDED", 3), ("INITIAL_END", 3)]
    await stream.aclose()


async def test_without_initial_events(client, server):
    await make(client, "a")
    stream = changes(server, initial=False)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    await make(client, "b")
    assert [c.type for c in await waiting] == ["ADDED"]
    await stream.aclose()


@pytest.mark.parametrize("parameters", [{"sendInitialEvents": "true"}, {"resourceVersionMatch": "NotOlderThan"}])
def test_initial_events_need_a_match_and_the_other_way_round(parameters):
    with pytest.raises(StatusError, match="resourceVersionMatch"):
        watch.query(parameters)


async def test_a_slow_watcher_is_told_to_list_again(server, client):
    server.api.store._buffer = 2
    stream = changes(server, revision="1")
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    await make(client, "a")
    assert [c.type for c in await waiting] == ["ADDED"]
    for name in ("b", "c", "d", "e"):
        await make(client, name)
    with pytest.raises(StatusError, match="did not keep up"):
        await anext(stream)
