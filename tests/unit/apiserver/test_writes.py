import pytest

from fairlead.api.core import CONFIG_MAPS, NAMESPACES, NODES, PODS
from fairlead.api.meta import Key
from fairlead.api.scheduling import PRIORITY_CLASSES
from fairlead.apiserver import identity, rest
from fairlead.apiserver.state import Call
from fairlead.base.errors import StatusError
from fairlead.client.protocol import Binding, DeleteOptions, PatchType, WriteOptions

A = Key("default", "a")
CONTAINERS = [{"name": "main", "image": "i"}]


def config_map(**metadata):
    return {"metadata": {"namespace": "default", "name": "a", **metadata}, "data": {"k": "v"}}


def pod(name="a", **spec):
    return {"metadata": {"namespace": "default", "name": name}, "spec": {"containers": CONTAINERS, **spec}}


def call(server, kind, name="", subresource="", **options):
    return Call(server.api.catalog.find("", "v1", kind), identity.LOCAL, "default", name, subresource, **options)


async def test_what_the_server_gives_a_new_object(client):
    made = await client.create(CONFIG_MAPS, config_map(uid="mine", deletionTimestamp="2026-01-01T00:00:00Z"))
    assert (made.metadata.uid, made.metadata.resourceVersion, made.kind) == ("uid-3", "3", "ConfigMap")
    assert (made.metadata.creationTimestamp, made.metadata.deleting) == ("2026-01-01T00:00:00Z", False)


async def test_a_taken_name(client):
    await client.create(CONFIG_MAPS, config_map())
    with pytest.raises(StatusError, match='configmaps "a" already exists') as caught:
        await client.create(CONFIG_MAPS, config_map())
    assert (caught.value.code, caught.value.reason) == (409, "AlreadyExists")


async def test_a_generated_name_that_is_taken_is_generated_anew(client):
    await client.create(CONFIG_MAPS, config_map(name="a-00001"))
    made = await client.create(CONFIG_MAPS, config_map(name="", generateName="a-"))
    assert made.metadata.name == "a-00002"


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        ({"kind": "Secret"}, r"the kind in the data \(Secret\) does not match the expected kind \(ConfigMap\)"),
        ({"apiVersion": "v2"}, r"the API version in the data \(v2\) does not match the expected API version \(v1\)"),
        ({"data": 3}, 'ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal'),
        ({"dta": {}}, 'strict decoding error: unknown field "dta"'),
    ],
)
async def test_bodies_that_do_not_fit(client, obj, message):
    with pytest.raises(StatusError, match=message) as caught:
        await client.create(CONFIG_MAPS, {**config_map(), **obj})
    assert caught.value.code == 400


async def test_unknown_fields_warn_or_are_ignored(server):
    warned = call(server, "configmaps", validation="Warn")
    await rest.create(server.api, warned, {**config_map(), "dta": {}})
    assert warned.warnings == ['unknown field "dta"']
    ignored = call(server, "configmaps", validation="Ignore")
    await rest.create(server.api, ignored, {**config_map(name="b"), "dta": {}})
    assert ignored.warnings == []


async def test_a_dry_run_stores_nothing(client, server):
    made = await client.create(CONFIG_MAPS, config_map(), WriteOptions(dry_run=True))
    assert made.metadata.uid
    assert server.api.store.revision == 2
    await client.create(CONFIG_MAPS, config_map())
    with pytest.raises(StatusError, match="already exists"):
        await client.create(CONFIG_MAPS, config_map(), WriteOptions(dry_run=True))
    await client.delete(CONFIG_MAPS, A)


async def test_namespaces_must_exist_and_stay(client, server):
    with pytest.raises(StatusError, match='namespaces "other" not found'):
        await client.create(CONFIG_MAPS, config_map(namespace="other"))
    await client.create(NAMESPACES, {"metadata": {"name": "other"}})
    await client.delete(NAMESPACES, Key("", "other"))
    with pytest.raises(StatusError, match="because it is being terminated") as caught:
        await client.create(CONFIG_MAPS, config_map(namespace="other"))
    assert caught.value.details["causes"][0]["reason"] == "NamespaceTerminating"
    with pytest.raises(StatusError, match="this namespace may not be deleted"):
        await client.delete(NAMESPACES, Key("", "default"))


async def test_a_namespace_goes_when_it_is_finalized(client, server):
    await client.create(NAMESPACES, {"metadata": {"name": "other"}})
    await client.delete(NAMESPACES, Key("", "other"))
    found = await client.get(NAMESPACES, Key("", "other"))
    assert (found.status.phase, found.spec.finalizers) == ("Terminating", ["kubernetes"])
    namespaces = Call(server.api.catalog.find("", "v1", "namespaces"), identity.LOCAL, "", "other", "finalize")
    answer = await rest.update(server.api, namespaces, {"metadata": {"name": "other"}, "spec": {"finalizers": []}})
    assert answer.removed
    with pytest.raises(StatusError, match="not found"):
        await client.get(NAMESPACES, Key("", "other"))


async def test_an_update_names_the_revision_it_was_made_from(client, server):
    made = await client.create(CONFIG_MAPS.plain, config_map())
    stale = made["metadata"]["resourceVersion"]
    made["data"] = {"k": "w"}
    await rest.update(server.api, call(server, "configmaps", "a"), made)
    made["metadata"]["resourceVersion"] = stale
    with pytest.raises(StatusError, match="the object has been modified; please apply your changes") as caught:
        await rest.update(server.api, call(server, "configmaps", "a"), made)
    assert caught.value.code == 409


async def test_an_update_that_changes_nothing_is_not_written(client, server):
    made = await client.create(CONFIG_MAPS.plain, config_map())
    answer = await rest.update(server.api, call(server, "configmaps", "a"), made)
    assert b'"resourceVersion":"3"' in answer.value
    await client.patch(CONFIG_MAPS, A, {"data": {"k": "v"}}, PatchType.MERGE)
    assert server.api.store.revision == 3


async def test_updates_create_nothing(server):
    with pytest.raises(StatusError, match='configmaps "a" not found'):
        await rest.update(server.api, call(server, "configmaps", "a"), config_map())


async def test_another_name_or_namespace_than_the_url(server, client):
    await client.create(CONFIG_MAPS, config_map())
    with pytest.raises(StatusError, match="does not match the name on the URL"):
        await rest.update(server.api, call(server, "configmaps", "a"), config_map(name="b"))
    with pytest.raises(StatusError, match="does not match the namespace sent on the request"):
        await rest.update(server.api, call(server, "configmaps", "a"), config_map(namespace="b"))


async def test_status_and_spec_are_written_apart(client):
    made = await client.create(PODS, {**pod(), "status": {"phase": "Running"}})
    assert made.status.phase == "Pending"
    status = WriteOptions(subresource="status", manager="agent")
    patch = {"spec": {"activeDeadlineSeconds": 1}, "status": {"phase": "Running"}}
    changed = await client.patch(PODS.plain, A, patch, PatchType.MERGE, status)
    assert (changed["status"]["phase"], changed["spec"].get("activeDeadlineSeconds")) == ("Running", None)
    again = await client.patch(PODS, A, {"status": {"phase": "Failed"}}, PatchType.MERGE)
    assert again.status.phase == "Running"


async def test_the_last_finalizer_removes_what_is_being_deleted(client):
    await client.create(CONFIG_MAPS, config_map(finalizers=["x.io/y"]))
    await client.delete(CONFIG_MAPS, A)
    assert (await client.get(CONFIG_MAPS, A)).metadata.deleting
    await client.patch(CONFIG_MAPS, A, {"metadata": {"finalizers": None}}, PatchType.MERGE)
    with pytest.raises(StatusError, match="not found"):
        await client.get(CONFIG_MAPS, A)


async def test_a_pod_on_a_node_waits_for_its_agent(client):
    await client.create(PODS, pod(nodeName="n"))
    await client.delete(PODS, A)
    assert (await client.get(PODS, A)).metadata.deletionGracePeriodSeconds == 30
    await client.delete(PODS, A, DeleteOptions(grace_seconds=0))
    with pytest.raises(StatusError, match="not found"):
        await client.get(PODS, A)


# --- patches -------------------------------------------------------------------------------------------------------


async def test_the_four_kinds_of_patches(client):
    await client.create(CONFIG_MAPS, config_map())
    await client.patch(CONFIG_MAPS, A, {"data": {"m": "1"}}, PatchType.MERGE)
    await client.patch(CONFIG_MAPS, A, {"data": {"s": "1", "k": None}}, PatchType.STRATEGIC)
    await client.patch(CONFIG_MAPS, A, [{"op": "add", "path": "/data/j", "value": "1"}], PatchType.JSON)
    applied = {"apiVersion": "v1", "kind": "ConfigMap", **config_map(), "data": {"a": "1"}}
    made = await client.apply(CONFIG_MAPS, applied, WriteOptions(manager="me"))
    assert made.data == {"m": "1", "s": "1", "j": "1", "a": "1"}


async def test_a_failed_test_is_unprocessable(client):
    await client.create(CONFIG_MAPS, config_map())
    with pytest.raises(StatusError) as caught:
        await client.patch(CONFIG_MAPS, A, [{"op": "test", "path": "/data/k", "value": "x"}], PatchType.JSON)
    assert (caught.value.code, caught.value.reason) == (422, "Invalid")


async def test_a_revision_in_a_patch_is_a_precondition(client):
    await client.create(CONFIG_MAPS, config_map())
    patch = {"metadata": {"resourceVersion": "1"}, "data": {"k": "w"}}
    with pytest.raises(StatusError, match="the object has been modified"):
        await client.patch(CONFIG_MAPS, A, patch, PatchType.MERGE)


async def test_an_apply_creates_owns_and_conflicts(client, server):
    applied = {"apiVersion": "v1", "kind": "ConfigMap", **config_map()}
    await client.apply(CONFIG_MAPS, applied, WriteOptions(manager="one"))
    with pytest.raises(StatusError, match='conflict with "one"') as caught:
        await client.apply(CONFIG_MAPS, {**applied, "data": {"k": "w"}}, WriteOptions(manager="two"))
    assert caught.value.code == 409
    forced = WriteOptions(manager="two", force=True)
    assert (await client.apply(CONFIG_MAPS, {**applied, "data": {"k": "w"}}, forced)).data == {"k": "w"}
    revision = server.api.store.revision
    await client.apply(CONFIG_MAPS, {**applied, "data": {"k": "w"}}, forced)
    assert server.api.store.revision == revision


async def test_an_apply_needs_a_manager(client):
    with pytest.raises(StatusError, match="fieldManager: Required value: is required for apply patch"):
        await client.apply(CONFIG_MAPS, config_map(), WriteOptions(manager=""))


# --- admission and bindings ----------------------------------------------------------------------------------------


async def test_admission_completes_a_pod(client):
    urgent = {"metadata": {"name": "urgent"}, "value": 7, "preemptionPolicy": "Never"}
    await client.create(PRIORITY_CLASSES, urgent)
    made = await client.create(PODS, pod(priorityClassName="urgent"))
    assert (made.spec.priority, made.spec.preemptionPolicy, made.spec.serviceAccountName) == (7, "Never", "default")
    assert [(t.key, t.tolerationSeconds) for t in made.spec.tolerations] == [
        ("node.kubernetes.io/not-ready", 300),
        ("node.kubernetes.io/unreachable", 300),
    ]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"priorityClassName": "missing"}, "no PriorityClass with name missing was found"),
        ({"priority": 5}, "must not be provided in pod spec"),
        ({"serviceAccountName": "missing"}, 'serviceaccount "missing" not found'),
    ],
)
async def test_admission_refuses_a_pod(client, spec, message):
    with pytest.raises(StatusError, match=message) as caught:
        await client.create(PODS, pod(**spec))
    assert caught.value.code == 403


async def test_the_default_priority_class(client):
    await client.create(PRIORITY_CLASSES, {"metadata": {"name": "usual"}, "value": 3, "globalDefault": True})
    made = await client.create(PODS, pod())
    assert (made.spec.priority, made.spec.priorityClassName) == (3, "usual")
    with pytest.raises(StatusError, match="usual is already marked as default"):
        await client.create(PRIORITY_CLASSES, {"metadata": {"name": "two"}, "value": 3, "globalDefault": True})


async def test_a_gang_is_bound_in_one_commit_or_not_at_all(client, server):
    await client.create(NODES, {"metadata": {"name": "n"}})
    for name in ("a", "b"):
        await client.create(PODS, pod(name))
    revision = server.api.store.revision
    gang = [Binding(Key("default", name), "n") for name in ("a", "missing", "b")]
    with pytest.raises(StatusError, match='pods "missing" not found'):
        await client.bind(gang)
    assert server.api.store.revision == revision
    await client.bind([gang[0], gang[2]])
    assert [p.spec.nodeName for p in (await client.list(PODS)).items] == ["n", "n"]
    assert (await client.get(PODS, A)).condition("PodScheduled").status == "True"


@pytest.mark.parametrize(
    ("spec", "binding", "message"),
    [
        ({"nodeName": "m"}, Binding(A, "n"), 'pod a is already assigned to node "m"'),
        ({"schedulingGates": [{"name": "g"}]}, Binding(A, "n"), "non-empty .spec.schedulingGates"),
        ({}, Binding(A, "n", "other"), "UID in precondition: other"),
    ],
)
async def test_pods_that_cannot_be_bound(client, spec, binding, message):
    await client.create(PODS, pod(**spec))
    with pytest.raises(StatusError, match=message) as caught:
        await client.bind([binding])
    assert caught.value.code == 409


async def test_an_eviction_deletes(client):
    await client.create(PODS, pod())
    await client.create(PODS.plain, {"metadata": {"namespace": "default", "name": "a"}},
                        WriteOptions(subresource="eviction"), name="a")  # fmt: skip
    with pytest.raises(StatusError, match="not found"):
        await client.get(PODS, A)
