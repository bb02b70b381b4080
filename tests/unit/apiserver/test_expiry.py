from fairlead.api.core import EVENTS
from fairlead.apiserver import expiry
from fairlead.client.protocol import ListOptions


def event(name, **times):
    about = {"kind": "Pod", "namespace": "default", "name": "p"}
    return {"metadata": {"namespace": "default", "name": name}, "involvedObject": about, "reason": "R", **times}


async def test_events_go_an_hour_after_they_last_happened(client, server, clock):
    await client.create(EVENTS, event("old", lastTimestamp="2026-01-01T00:00:00Z"))
    await client.create(EVENTS, event("repeated", lastTimestamp="2026-01-01T00:30:00Z"))
    stream = client.watch(EVENTS, "", ListOptions(revision=str(server.api.store.revision)))
    assert await expiry.sweep(server.api) == 0
    clock.advance(3601)
    assert await expiry.sweep(server.api) == 1
    gone = await anext(stream)
    assert (gone.type, gone.object.metadata.name, gone.object.metadata.resourceVersion) == (
        "DELETED",
        "old",
        gone.revision,
    )
    assert [e.metadata.name for e in (await client.list(EVENTS)).items] == ["repeated"]
    await stream.aclose()
