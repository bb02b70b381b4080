"""Streams end with their connection and with the server, at once; a watcher that does not read is dropped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from fairlead.api.core import CONFIG_MAPS
from fairlead.apiserver import watching

WATCH = "/api/v1/namespaces/default/configmaps?watch=1"


async def soon(true: Callable[[], object], what: str, seconds: float = 10.0) -> None:
    for _ in range(int(seconds / 0.01)):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{what}: not within {seconds:.0f} s")


async def watch(served: Any, **options: Any) -> Any:
    wire = await served.wire(**options)
    wire.ask("GET", f"{WATCH}&resourceVersion={served.store.revision}")
    assert (await wire.head())[0] == 200
    return wire


async def test_a_watch_whose_client_left_ends_at_once(served: Any) -> None:
    before = len(served.store._cache.subscriptions)
    wires = [await watch(served) for _ in range(20)]
    assert len(served.store._cache.subscriptions) == before + 20
    begun = time.monotonic()
    for wire in wires:
        await wire.close()
    await soon(lambda: len(served.store._cache.subscriptions) == before, "the watches ended")
    assert time.monotonic() - begun < 1


async def test_open_watches_do_not_hold_the_server_up(serve: Any) -> None:
    served = await serve()
    wires = [await watch(served) for _ in range(50)]
    idle = await served.wire()
    begun = time.monotonic()
    await served.server.close()
    await served.runner.cleanup()
    assert time.monotonic() - begun < 2
    for wire in wires:
        assert await asyncio.wait_for(wire.reader.read(), 5) in (b"", b"0\r\n\r\n")
    await idle.close()


async def test_no_stream_begins_while_the_server_stops(served: Any) -> None:
    wire = await served.wire()
    await served.server.app.close()
    wire.ask("GET", WATCH)
    status, body = await wire.answer()
    assert (status, body["reason"]) == (503, "ServiceUnavailable")
    await wire.close()


async def test_a_write_whose_client_left_is_finished(served: Any) -> None:
    """A definition's kinds are served, too: what follows a write follows it."""
    names = {"plural": "widgets", "kind": "Widget", "singular": "widget", "listKind": "WidgetList"}
    schema = {"openAPIV3Schema": {"type": "object"}}
    spec = {"group": "example.com", "scope": "Namespaced", "names": names}
    spec["versions"] = [{"name": "v1", "served": True, "storage": True, "schema": schema}]
    crd = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "spec": spec}
    wire = await served.wire()
    wire.ask(
        "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        {**crd, "metadata": {"name": "widgets.example.com"}},
    )  # fmt: skip
    await wire.writer.drain()
    await asyncio.sleep(0)
    await wire.close()
    catalog = served.server.api.catalog
    await soon(lambda: catalog.find("example.com", "v1", "widgets"), "the kind is served")


async def test_a_watcher_that_does_not_read_is_dropped(served: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(watching, "PATIENCE", 1.0)
    before = len(served.store._cache.subscriptions)
    deaf = await watch(served, limit=1024)
    deaf.reader._transport.pause_reading()
    other = await watch(served)
    body = {"metadata": {"namespace": "default"}, "data": {"x": "x" * 100_000}}
    for number in range(200):
        body["metadata"]["name"] = f"c{number}"
        await served.client.create(CONFIG_MAPS, body)
    seen = b""
    while b'"name":"c199"' not in seen:
        seen = seen[-1000:] + await asyncio.wait_for(other.chunk(), 10)
    await soon(lambda: len(served.store._cache.subscriptions) == before + 1, "the deaf watcher is dropped")
    connections = served.runner.server.connections
    held = sum(c.transport.get_write_buffer_size() for c in connections if c.transport is not None)
    assert held < 1_000_000
    await other.close()
    await deaf.close()


async def test_a_long_initial_list_is_sent_in_pieces(served: Any) -> None:
    """A watcher that does not read it costs a piece, not the list."""
    body = {"metadata": {"namespace": "default"}, "data": {"x": "x" * 100_000}}
    for number in range(200):
        body["metadata"]["name"] = f"c{number}"
        await served.client.create(CONFIG_MAPS, body)
    wires = [await served.wire(limit=1024) for _ in range(5)]
    for wire in wires:
        wire.reader._transport.pause_reading()
        wire.ask("GET", WATCH)
    await soon(lambda: len(served.server.app._streams) == 5, "the watches began")
    await asyncio.sleep(0.5)
    connections = served.runner.server.connections
    held = [c.transport.get_write_buffer_size() for c in connections if c.transport is not None]
    assert max(held) < 2_000_000
    for wire in wires:
        await wire.close()


async def test_a_thousand_watches_of_one_client(served: Any) -> None:
    """Each gets every event once and in order; the server holds little for each, and nothing when they have gone."""
    before, revision = len(served.store._cache.subscriptions), served.store.revision
    wires = [await watch(served) for _ in range(1000)]
    body = {"metadata": {"namespace": "default"}, "data": {"x": "x" * 500}}
    for number in range(20):
        body["metadata"]["name"] = f"c{number}"
        await served.client.create(CONFIG_MAPS, body)

    async def names(wire: Any) -> list[bytes]:
        seen = b""
        while seen.count(b"\n") < 20:
            seen += await wire.chunk()
        return [line.partition(b'"name":"')[2].partition(b'"')[0] for line in seen.splitlines()]

    found = await asyncio.wait_for(asyncio.gather(*map(names, wires)), 30)
    assert found == [[b"c%d" % n for n in range(20)]] * 1000
    assert served.store.revision == revision + 20
    assert len(served.server.api.lines._known) <= 1024
    for wire in wires:
        await wire.close()
    await soon(lambda: len(served.store._cache.subscriptions) == before, "the watches ended")
