"""Whatever happens, a list and the events after it add up to the list made at the end; and pages add up to a list."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.api.core import CONFIG_MAPS, NAMESPACES
from fairlead.api.meta import Key
from fairlead.apiserver import assembly
from fairlead.base.errors import StatusError
from fairlead.client.protocol import ListOptions, PatchType
from fairlead.store.memory import MemoryStore
from fairlead.testing.clock import FakeClock

names = st.sampled_from(["a", "b", "c", "d"])
values = st.sampled_from(["1", "2"])
steps = st.lists(st.tuples(st.sampled_from(["create", "label", "delete", "finalize"]), names, values), max_size=25)
selectors = st.sampled_from([ListOptions(), ListOptions(labels="x=1"), ListOptions(fields="metadata.name!=a")])


async def take(client, step):
    action, name, value = step
    key = Key("default", name)
    try:
        match action:
            case "create":
                finalizers = ["x.io/y"] if value == "2" else []
                metadata = {"namespace": "default", "name": name, "labels": {"x": value}, "finalizers": finalizers}
                await client.create(CONFIG_MAPS, {"metadata": metadata})
            case "label":
                await client.patch(CONFIG_MAPS, key, {"metadata": {"labels": {"x": value}}}, PatchType.MERGE)
            case "delete":
                await client.delete(CONFIG_MAPS, key)
            case "finalize":
                await client.patch(CONFIG_MAPS, key, {"metadata": {"finalizers": None}}, PatchType.MERGE)
    except StatusError as error:
        if error.code not in (404, 409):
            raise


async def scenario(before, after, options):
    server = assembly.assemble(MemoryStore(), assembly.Settings(clock=FakeClock()))
    client = server.client()
    await client.create(NAMESPACES, {"metadata": {"name": "default"}})
    for step in before:
        await take(client, step)
    listing = await client.list(CONFIG_MAPS, "default", options)
    state = {o.metadata.name: o for o in listing.items}
    stream = client.watch(
        CONFIG_MAPS, "default", ListOptions(options.labels, options.fields, revision=listing.revision)
    )
    for step in after:
        await take(client, step)
    await client.create(CONFIG_MAPS, {"metadata": {"namespace": "default", "name": "end", "labels": {"x": "1"}}})
    revision = int(listing.revision)
    async for event in stream:
        assert int(event.revision) > revision
        revision = int(event.revision)
        assert (event.object.metadata.name in state) == (event.type != "ADDED")
        if event.type == "DELETED":
            del state[event.object.metadata.name]
        else:
            state[event.object.metadata.name] = event.object
        if event.object.metadata.name == "end":
            break
    await stream.aclose()
    final = await client.list(CONFIG_MAPS, "default", options)
    assert sorted(state.values(), key=lambda o: o.metadata.name) == list(final.items)


@settings(max_examples=60, deadline=None)
@given(steps, steps, selectors)
def test_a_list_and_its_watch_add_up(before, after, options):
    asyncio.run(scenario(before, after, options))


async def pages(before, during, limit, options):
    server = assembly.assemble(MemoryStore(), assembly.Settings(clock=FakeClock()))
    client = server.client()
    await client.create(NAMESPACES, {"metadata": {"name": "default"}})
    for step in before:
        await take(client, step)
    whole = await client.list(CONFIG_MAPS, "default", options)
    found, token, left = [], "", list(during)
    while True:
        page = await client.list(
            CONFIG_MAPS, "default", ListOptions(options.labels, options.fields, limit=limit, continues=token)
        )
        assert page.revision == whole.revision
        found += page.items
        if not page.continues:
            break
        assert len(page.items) == limit
        token = page.continues
        if left:
            await take(client, left.pop())
    assert found == list(whole.items)


@settings(max_examples=60, deadline=None)
@given(steps, steps, st.integers(1, 3), selectors)
def test_pages_add_up(before, during, limit, options):
    asyncio.run(pages(before, during, limit, options))
