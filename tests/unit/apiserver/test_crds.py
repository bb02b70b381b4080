import asyncio

import pytest

from fairlead.api.apiextensions import CRDS
from fairlead.api.meta import Key, Resource
from fairlead.apiserver import assembly, identity, rest
from fairlead.apiserver.state import Call
from fairlead.base.errors import StatusError
from fairlead.client.protocol import ListOptions, PatchType, WriteOptions

NAME = "widgets.example.io"
WIDGETS = Resource("example.io", "v1", "Widget", "widgets", dict)
OLD_WIDGETS = Resource("example.io", "v1alpha1", "Widget", "widgets", dict)
W = Key("default", "w")


def definition(**names):
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "size": {"type": "integer", "minimum": 1},
                    "color": {"type": "string", "default": "red"},
                    "replicas": {"type": "integer", "default": 1},
                },
            },
            "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
        },
    }
    scale = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
    version = {
        "served": True, "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}, "scale": scale},
        "selectableFields": [{"jsonPath": ".spec.color"}],
    }  # fmt: skip
    versions = [{**version, "name": "v1alpha1", "storage": False}, {**version, "name": "v1", "storage": True}]
    names = {"plural": "widgets", "kind": "Widget", **names}
    group = "example.io"
    return {
        "metadata": {"name": f"{names['plural']}.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": versions},
    }


def widget(name="w", **spec):
    return {"metadata": {"namespace": "default", "name": name}, "spec": spec}


async def test_a_kind_is_served_right_after_its_definition(client):
    made = await client.create(CRDS, definition())
    assert {c.type: c.status for c in made.status.conditions} == {"NamesAccepted": "True", "Established": "True"}
    assert made.status.storedVersions == ["v1"]
    assert (made.spec.names.singular, made.spec.names.listKind) == ("widget", "WidgetList")
    created = await client.create(WIDGETS, widget(size=2))
    assert created["spec"] == {"size": 2, "color": "red", "replicas": 1}
    assert created["metadata"]["generation"] == 1
    assert WIDGETS in await client.resources()


async def test_an_unknown_kind(client):
    with pytest.raises(StatusError, match="could not find the requested resource"):
        await client.list(WIDGETS)


async def test_rules_of_the_schema(client):
    await client.create(CRDS, definition())
    with pytest.raises(StatusError, match=r'Widget.example.io "w" is invalid: spec.size: Invalid value: 0') as caught:
        await client.create(WIDGETS, widget(size=0))
    assert caught.value.code == 422
    with pytest.raises(StatusError, match=r'unknown field "spec\.siz"'):
        await client.create(WIDGETS, widget(siz=0))


async def test_versions_show_the_same_object(client, server):
    await client.create(CRDS, definition())
    assert (await client.create(OLD_WIDGETS, widget(size=2)))["apiVersion"] == "example.io/v1alpha1"
    assert b'"apiVersion":"example.io/v1"' in server.api.store.get("/registry/example.io/widgets/default/w").value
    assert (await client.get(WIDGETS, W))["apiVersion"] == "example.io/v1"
    assert (await client.list(OLD_WIDGETS)).items[0]["apiVersion"] == "example.io/v1alpha1"


async def test_generation_counts_changes_of_the_spec(client):
    await client.create(CRDS, definition())
    await client.create(WIDGETS, widget(size=2))
    status = WriteOptions(subresource="status")
    after = await client.patch(WIDGETS, W, {"status": {"replicas": 1}}, PatchType.MERGE, status)
    assert after["metadata"]["generation"] == 1
    after = await client.patch(WIDGETS, W, {"spec": {"size": 3}}, PatchType.MERGE)
    assert after["metadata"]["generation"] == 2
    assert after["status"] == {"replicas": 1}
    managers = {(e["manager"], e.get("subresource", "")) for e in decoded(client, W)["metadata"]["managedFields"]}
    assert managers == {("fairlead", ""), ("fairlead", "status")}


def decoded(client, key):
    call = Call(client._api.catalog.find("example.io", "v1", "widgets"), identity.LOCAL, key.namespace, key.name)
    return client._api.live(call)[1]


async def test_a_strategic_merge_patch_is_not_accepted(client):
    await client.create(CRDS, definition())
    await client.create(WIDGETS, widget())
    with pytest.raises(StatusError, match="accepted media types") as caught:
        await client.patch(WIDGETS, W, {"spec": {"size": 1}}, PatchType.STRATEGIC)
    assert caught.value.code == 415


async def test_an_update_needs_a_revision(client, server):
    await client.create(CRDS, definition())
    await client.create(WIDGETS, widget())
    call = Call(server.api.catalog.find("example.io", "v1", "widgets"), identity.LOCAL, "default", "w")
    with pytest.raises(StatusError, match="must be specified for an update"):
        await rest.update(server.api, call, widget(size=1))


async def test_scale(client):
    await client.create(CRDS, definition())
    await client.create(WIDGETS, widget(replicas=2))
    scale = WriteOptions(subresource="scale")
    assert (await client.get(WIDGETS, W, subresource="scale"))["spec"] == {"replicas": 2}
    after = await client.patch(WIDGETS, W, {"spec": {"replicas": 5}}, PatchType.MERGE, scale)
    assert (after["kind"], after["spec"], after["status"]) == ("Scale", {"replicas": 5}, {"replicas": 0})
    assert (await client.get(WIDGETS, W))["spec"]["replicas"] == 5
    with pytest.raises(StatusError, match=r"spec.replicas: Invalid value: -1"):
        await client.patch(WIDGETS, W, {"spec": {"replicas": -1}}, PatchType.MERGE, scale)


async def test_selectable_fields(client):
    await client.create(CRDS, definition())
    await client.create(WIDGETS, widget("a"))
    await client.create(WIDGETS, widget("b", color="blue"))
    found = await client.list(WIDGETS, "", ListOptions(fields="spec.color=blue"))
    assert [o["metadata"]["name"] for o in found.items] == ["b"]


async def test_names_in_use_are_not_accepted(client):
    await client.create(CRDS, definition())
    other = await client.create(CRDS, definition(plural="gadgets"))
    assert [(c.type, c.status, c.message) for c in other.status.conditions] == [
        ("NamesAccepted", "False", '"Widget" is already in use')
    ]
    with pytest.raises(StatusError, match="could not find the requested resource"):
        await client.list(Resource("example.io", "v1", "Widget", "gadgets", dict))


async def test_deleting_a_definition_deletes_its_objects_first(client, server):
    await client.create(CRDS, definition())
    await client.create(WIDGETS, {**widget(), "metadata": {**widget()["metadata"], "finalizers": ["x.io/y"]}})
    await client.create(WIDGETS, widget("other"))
    await client.delete(CRDS, Key("", NAME))
    await asyncio.sleep(0.01)
    assert [o["metadata"]["name"] for o in (await client.list(WIDGETS)).items] == ["w"]
    with pytest.raises(StatusError, match="custom resource definition is terminating"):
        await client.create(WIDGETS, widget("new"))
    gone = client.watch(CRDS, "", ListOptions(revision=str(server.api.store.revision)))
    await client.patch(WIDGETS, W, {"metadata": {"finalizers": None}}, PatchType.MERGE)
    assert (await asyncio.wait_for(anext(gone), 5)).type == "DELETED"
    await gone.aclose()
    with pytest.raises(StatusError, match="could not find the requested resource"):
        await client.list(WIDGETS)


async def test_definitions_are_served_again_after_a_restart(client, server, clock):
    await client.create(CRDS, definition())
    await client.create(WIDGETS, widget(size=2))
    again = assembly.assemble(server.api.store, assembly.Settings(clock=clock))
    again.definitions.start()
    assert (await again.client().get(WIDGETS, W))["spec"]["size"] == 2
