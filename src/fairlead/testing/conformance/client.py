"""What every client must do: `client.protocol` as checks, each a function of a client whose server has a namespace
`default` with a ServiceAccount of that name, and nothing else in it.

@pytest.mark.parametrize("check", client.CHECKS, ids=client.name)
async def test_conforms(check, one_client):
    await check(one_client)

Run over the in-process client and the HTTP client, they keep the two to the same answers; run over a real cluster, they
keep both to Kubernetes'.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from fairlead.api import batch, core
from fairlead.api.meta import Key, Object, Resource
from fairlead.base.errors import StatusError
from fairlead.client.protocol import (
    Binding,
    Client,
    DeleteOptions,
    ListOptions,
    PatchType,
    WatchEvent,
    WriteOptions,
)
from fairlead.testing import builders

T = TypeVar("T")

Check = Callable[[Client], Awaitable[None]]
CHECKS: list[Check] = []
SECONDS = 10.0
"""How long a check waits for what must happen at once."""

MAPS = core.CONFIG_MAPS
MISSING: Resource[Object] = Resource("missing.example.com", "v1", "Missing", "missings", Object)


def name(check: Check) -> str:
    """A check's name, for reports."""
    return str(getattr(check, "__name__", check))


def _check(function: Check) -> Check:
    CHECKS.append(function)
    return function


def config(name_: str, **data: str) -> dict[str, Any]:
    """A ConfigMap's manifest."""
    return builders.config_map(name_, data=data).manifest()


def key(name_: str) -> Key:
    return Key("default", name_)


async def refusal(doing: Awaitable[Any]) -> StatusError:
    """The error that it must end with."""
    try:
        await doing
    except StatusError as error:
        return error
    raise AssertionError("it succeeded, and should have been refused")


async def take(events: AsyncIterator[WatchEvent[T]], count: int) -> list[WatchEvent[T]]:
    """The next events that are no bookmarks."""
    found: list[WatchEvent[T]] = []
    while len(found) < count:
        event = await asyncio.wait_for(anext(events), SECONDS)
        if event.type != "BOOKMARK":
            found.append(event)
    return found


# --- objects -------------------------------------------------------------------------------------------------------


@_check
async def what_is_created_can_be_read(client: Client) -> None:
    made = await client.create(MAPS, config("a", x="1"))
    read = await client.get(MAPS, key("a"))
    assert made == read
    assert (read.data, read.metadata.namespace) == ({"x": "1"}, "default")
    assert read.metadata.uid
    assert read.metadata.resourceVersion
    assert read.metadata.creationTimestamp


@_check
async def an_object_is_seen_as_the_caller_asks(client: Client) -> None:
    await client.create(MAPS, config("a", x="1"))
    plain = await client.get(MAPS.plain, key("a"))
    assert (plain["kind"], plain["data"]) == ("ConfigMap", {"x": "1"})
    metadata = await client.get(MAPS.seen_as(Object), key("a"))
    assert (type(metadata), metadata.metadata.name) == (Object, "a")


@_check
async def names_may_be_generated(client: Client) -> None:
    manifest = config("x")
    manifest["metadata"] = {"namespace": "default", "generateName": "made-"}
    first, second = await client.create(MAPS, manifest), await client.create(MAPS, manifest)
    assert first.metadata.name.startswith("made-")
    assert first.metadata.name != second.metadata.name


@_check
async def a_dry_run_leaves_nothing(client: Client) -> None:
    await client.create(MAPS, config("a"), WriteOptions(dry_run=True))
    assert (await refusal(client.get(MAPS, key("a")))).reason == "NotFound"


@_check
async def refusals_have_kubernetes_codes_and_reasons(client: Client) -> None:
    await client.create(MAPS, config("a"))
    cases: list[tuple[Awaitable[Any], int, str]] = [
        (client.get(MAPS, key("b")), 404, "NotFound"),
        (client.create(MAPS, config("a")), 409, "AlreadyExists"),
        (client.create(MAPS, config("Not A Name")), 422, "Invalid"),
        (client.delete(MAPS, key("b")), 404, "NotFound"),
        (client.patch(MAPS, key("b"), {"data": {}}, PatchType.MERGE), 404, "NotFound"),
        (client.list(MISSING), 404, "NotFound"),
    ]
    for doing, code, reason in cases:
        error = await refusal(doing)
        assert (error.code, error.reason) == (code, reason)


@_check
async def an_object_that_is_missing_is_named_and_a_kind_is_not(client: Client) -> None:
    assert (await refusal(client.get(MAPS, key("b")))).details["name"] == "b"
    assert not (await refusal(client.get(MISSING, key("b")))).details.get("name")


# --- lists ---------------------------------------------------------------------------------------------------------


@_check
async def lists_are_of_a_namespace_or_of_all(client: Client) -> None:
    await client.create(MAPS, config("a"))
    await client.create(core.NAMESPACES, builders.namespace("other").manifest())
    await client.create(MAPS, builders.config_map("b", "other").manifest())
    everywhere = await client.list(MAPS)
    assert [o.key for o in everywhere.items if o.metadata.name in "ab"] == [key("a"), Key("other", "b")]
    here = await client.list(MAPS, "other")
    assert [o.metadata.name for o in here.items if o.metadata.name in "ab"] == ["b"]


@_check
async def lists_select_by_labels_and_fields(client: Client) -> None:
    for name_, tier in (("a", "x"), ("b", "y"), ("c", "x")):
        await client.create(MAPS, builders.config_map(name_).labels(tier=tier).manifest())
    labelled = await client.list(MAPS, "default", ListOptions(labels="tier in (x)"))
    assert [o.metadata.name for o in labelled.items] == ["a", "c"]
    named = await client.list(MAPS, "default", ListOptions(fields="metadata.name=b"))
    assert [o.metadata.name for o in named.items] == ["b"]


@_check
async def lists_come_in_pages_of_one_moment(client: Client) -> None:
    for number in range(5):
        await client.create(MAPS, builders.config_map(f"m{number}").labels(page="yes").manifest())
    first = await client.list(MAPS, "default", ListOptions(labels="page", limit=2))
    await client.create(MAPS, builders.config_map("m9").labels(page="yes").manifest())
    names, page = [o.metadata.name for o in first.items], first
    while page.continues:
        options = ListOptions(labels="page", limit=2, continues=page.continues)
        page = await client.list(MAPS, "default", options)
        names += [o.metadata.name for o in page.items]
    assert names == ["m0", "m1", "m2", "m3", "m4"]


@_check
async def lists_are_without_managed_fields(client: Client) -> None:
    await client.create(MAPS, config("a"))
    (found,) = (await client.list(MAPS.plain, "default", ListOptions(fields="metadata.name=a"))).items
    assert "managedFields" not in found["metadata"]


# --- watches -------------------------------------------------------------------------------------------------------


@_check
async def a_watch_tells_what_happened_after_the_list(client: Client) -> None:
    await client.create(MAPS, config("before"))
    listing = await client.list(MAPS, "default")
    await client.create(MAPS, config("a", x="1"))
    await client.patch(MAPS, key("a"), {"data": {"x": "2"}}, PatchType.MERGE)
    await client.delete(MAPS, key("a"))
    events = client.watch(MAPS, "default", ListOptions(revision=listing.revision))
    told = await take(events, 3)
    assert [(e.type, e.object.data) for e in told if e.object] == [
        ("ADDED", {"x": "1"}),
        ("MODIFIED", {"x": "2"}),
        ("DELETED", {"x": "2"}),
    ]
    revisions = [int(e.revision) for e in told]
    assert revisions == sorted(set(revisions))
    assert [e.object.metadata.resourceVersion for e in told if e.object] == [e.revision for e in told]


@_check
async def a_watch_waits_for_what_is_to_come(client: Client) -> None:
    listing = await client.list(MAPS, "default")
    events = client.watch(MAPS, "default", ListOptions(revision=listing.revision))
    waiting = asyncio.ensure_future(take(events, 1))
    await asyncio.sleep(0)
    await client.create(MAPS, config("late"))
    (event,) = await waiting
    assert event.object is not None
    assert event.object.metadata.name == "late"


@_check
async def a_watch_with_a_selector_sees_objects_come_and_go(client: Client) -> None:
    listing = await client.list(MAPS, "default")
    options = ListOptions(labels="seen=yes", revision=listing.revision)
    await client.create(MAPS, config("a"))
    for seen in ("yes", "no"):
        await client.patch(MAPS, key("a"), {"metadata": {"labels": {"seen": seen}}}, PatchType.MERGE)
    told = await take(client.watch(MAPS, "default", options), 2)
    assert [e.type for e in told] == ["ADDED", "DELETED"]


# --- writes --------------------------------------------------------------------------------------------------------


@_check
async def an_apply_creates_and_then_owns_its_fields(client: Client) -> None:
    one, two = WriteOptions(manager="one"), WriteOptions(manager="two")
    await client.apply(MAPS, config("a", x="1", y="1"), one)
    error = await refusal(client.apply(MAPS, config("a", x="2"), two))
    assert (error.code, error.reason) == (409, "Conflict")
    assert error.details["causes"][0]["field"] == ".data.x"
    forced = await client.apply(MAPS, config("a", x="2"), WriteOptions(manager="two", force=True))
    assert forced.data == {"x": "2", "y": "1"}
    assert (await client.apply(MAPS, config("a"), one)).data == {"x": "2"}


@_check
async def an_apply_that_changes_nothing_writes_nothing(client: Client) -> None:
    first = await client.apply(MAPS, config("a", x="1"))
    assert (await client.apply(MAPS, config("a", x="1"))).metadata.resourceVersion == first.metadata.resourceVersion


@_check
async def the_patch_kinds(client: Client) -> None:
    await client.create(MAPS, config("a", x="1", y="1"))
    merged = await client.patch(MAPS, key("a"), {"data": {"x": None, "z": "1"}}, PatchType.MERGE)
    assert merged.data == {"y": "1", "z": "1"}
    steps = [{"op": "test", "path": "/data/y", "value": "1"}, {"op": "remove", "path": "/data/y"}]
    assert (await client.patch(MAPS, key("a"), steps, PatchType.JSON)).data == {"z": "1"}
    strategic = await client.patch(MAPS, key("a"), {"data": {"s": "1"}}, PatchType.STRATEGIC)
    assert strategic.data == {"z": "1", "s": "1"}


@_check
async def a_resource_version_in_a_patch_is_a_precondition(client: Client) -> None:
    made = await client.create(MAPS, config("a"))
    guard = {"metadata": {"resourceVersion": made.metadata.resourceVersion}, "data": {"x": "1"}}
    await client.patch(MAPS, key("a"), guard, PatchType.MERGE)
    assert (await refusal(client.patch(MAPS, key("a"), guard, PatchType.MERGE))).reason == "Conflict"


@_check
async def a_status_is_written_apart(client: Client) -> None:
    await client.create(batch.JOBS, builders.job("j").suspended().manifest())
    both = {"spec": {"parallelism": 7}, "status": {"active": 3}}
    main = await client.patch(batch.JOBS, key("j"), both, PatchType.MERGE)
    assert (main.spec.parallelism, main.status.active) == (7, 0)
    options = WriteOptions(subresource="status")
    apart = await client.patch(
        batch.JOBS, key("j"), {"spec": {"parallelism": 9}, "status": {"active": 3}}, PatchType.MERGE, options
    )
    assert (apart.spec.parallelism, apart.status.active) == (7, 3)


@_check
async def a_delete_keeps_its_preconditions(client: Client) -> None:
    made = await client.create(MAPS, config("a"))
    assert (await refusal(client.delete(MAPS, key("a"), DeleteOptions(uid="another")))).reason == "Conflict"
    await client.delete(MAPS, key("a"), DeleteOptions(uid=made.metadata.uid))
    assert (await refusal(client.get(MAPS, key("a")))).reason == "NotFound"


@_check
async def finalizers_hold_an_object(client: Client) -> None:
    await client.create(MAPS, builders.config_map("a").finalizers("example.com/hold").manifest())
    await client.delete(MAPS, key("a"))
    assert (await client.get(MAPS, key("a"))).metadata.deleting
    await client.patch(MAPS, key("a"), {"metadata": {"finalizers": None}}, PatchType.MERGE)
    assert (await refusal(client.get(MAPS, key("a")))).reason == "NotFound"


@_check
async def pods_are_bound_once(client: Client) -> None:
    for name_ in ("a", "b"):
        await client.create(core.PODS, builders.pod(name_).manifest())
    await client.bind([Binding(key("a"), "n"), Binding(key("b"), "n")])
    assert [(await client.get(core.PODS, key(n))).spec.nodeName for n in "ab"] == ["n", "n"]
    assert (await refusal(client.bind([Binding(key("a"), "m")]))).code == 409


@_check
async def kinds_can_be_discovered(client: Client) -> None:
    found = {r.qualified: r for r in await client.resources()}
    assert (found["pods"].kind, found["pods"].namespaced) == ("Pod", True)
    assert (found["jobs.batch"].version, found["nodes"].namespaced) == ("v1", False)
    assert "watch" in found["configmaps"].verbs
    listing = await client.list(found["configmaps"], "default")
    assert listing.revision
