import pytest

from fairlead.api.core import CONFIG_MAPS, NAMESPACES, PODS, SECRETS
from fairlead.api.meta import Key
from fairlead.base.errors import StatusError
from fairlead.client.protocol import ListOptions, PatchType, WriteOptions

POD = {"containers": [{"name": "main", "image": "i"}]}


async def make(client, *names, namespace="default", labels=None):
    for name in names:
        metadata = {"namespace": namespace, "name": name, "labels": labels or {}}
        await client.create(CONFIG_MAPS, {"metadata": metadata, "data": {"n": name}})


def names(listing):
    return [o.metadata.name for o in listing.items]


async def test_a_list_is_in_order_and_carries_a_revision(client):
    await make(client, "b", "a", "c")
    listing = await client.list(CONFIG_MAPS, "default")
    assert names(listing) == ["a", "b", "c"]
    assert listing.revision == "5"
    assert listing.remaining is None


async def test_pages_show_one_revision(client):
    await make(client, "a", "b", "c", "d")
    first = await client.list(CONFIG_MAPS, "default", ListOptions(limit=2))
    assert (names(first), first.remaining) == (["a", "b"], 2)
    await client.delete(CONFIG_MAPS, Key("default", "c"))
    await make(client, "e")
    second = await client.list(CONFIG_MAPS, "default", ListOptions(limit=2, continues=first.continues))
    assert (names(second), second.revision, second.continues) == (["c", "d"], first.revision, "")


async def test_pages_of_a_selection_are_full(client):
    await make(client, "a", "c", "e", labels={"x": "1"})
    await make(client, "b", "d")
    first = await client.list(CONFIG_MAPS, "", ListOptions(labels="x=1", limit=2))
    assert (names(first), first.remaining) == (["a", "c"], None)
    second = await client.list(CONFIG_MAPS, "", ListOptions(labels="x=1", limit=2, continues=first.continues))
    assert (names(second), second.continues) == (["e"], "")


async def test_a_continue_token_of_compacted_history_is_expired(client, server):
    await make(client, "a", "b", "c")
    first = await client.list(CONFIG_MAPS, "default", ListOptions(limit=1))
    await make(client, "d")
    await server.api.store.compact(server.api.store.revision)
    with pytest.raises(StatusError, match="continue parameter is too old") as caught:
        await client.list(CONFIG_MAPS, "default", ListOptions(limit=1, continues=first.continues))
    assert (caught.value.code, caught.value.reason) == (410, "Expired")


@pytest.mark.parametrize("token", ["nonsense", "e30", "eyJ2IjoiYSIsInJ2IjoxLCJzdGFydCI6IiJ9"])
async def test_a_strange_continue_token_is_refused(client, token):
    with pytest.raises(StatusError, match="continue key is not valid") as caught:
        await client.list(CONFIG_MAPS, "default", ListOptions(continues=token))
    assert caught.value.code == 400


async def test_a_revision_that_has_not_happened(client):
    with pytest.raises(StatusError, match="Too large resource version: 999") as caught:
        await client.list(CONFIG_MAPS, "", ListOptions(revision="999"))
    assert caught.value.code == 504


async def test_namespaces_do_not_mix(client):
    await client.create(NAMESPACES, {"metadata": {"name": "default2"}})
    await make(client, "a")
    await make(client, "b", namespace="default2")
    assert names(await client.list(CONFIG_MAPS, "default")) == ["a"]
    assert names(await client.list(CONFIG_MAPS)) == ["a", "b"]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("metadata.name=a", ["a"]),
        ("metadata.name!=a", ["b"]),
        ("metadata.namespace=default", ["a", "b"]),
        ("spec.nodeName=", ["b"]),
        ("spec.nodeName=n,status.phase=Running", ["a"]),
        ("status.phase=Pending", ["b"]),
        ("spec.schedulerName=default-scheduler", ["a", "b"]),
    ],
)
async def test_field_selectors_of_pods(client, selector, expected):
    await client.create(PODS, {"metadata": {"namespace": "default", "name": "a"}, "spec": {**POD, "nodeName": "n"}})
    await client.create(PODS, {"metadata": {"namespace": "default", "name": "b"}, "spec": POD})
    status = WriteOptions(subresource="status")
    await client.patch(PODS, Key("default", "a"), {"status": {"phase": "Running"}}, PatchType.MERGE, status)
    assert names(await client.list(PODS, "default", ListOptions(fields=selector))) == expected


async def test_other_kinds_have_their_own_fields(client):
    await client.create(SECRETS, {"metadata": {"namespace": "default", "name": "a"}})
    assert names(await client.list(SECRETS, "", ListOptions(fields="type=Opaque"))) == ["a"]
    with pytest.raises(StatusError, match=r"field label not supported: status\.phase"):
        await client.list(SECRETS, "", ListOptions(fields="status.phase=x"))


async def test_what_is_not_there(client):
    with pytest.raises(StatusError, match='configmaps "a" not found'):
        await client.get(CONFIG_MAPS, Key("default", "a"))
