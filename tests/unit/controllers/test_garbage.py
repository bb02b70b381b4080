from typing import Any

from fairlead.api import core
from fairlead.api.batch import JOBS
from fairlead.api.meta import Key, Object
from fairlead.client.protocol import DeleteOptions
from fairlead.controllers import garbage
from fairlead.reconcile.reconciler import Absent, Across, Change, Delete, Found, Owner, Patch, View, WakeAt
from fairlead.testing import builders
from fairlead.testing.builders import Builder
from fairlead.testing.clock import START
from fairlead.testing.cluster import Cluster

JOB = builders.job("j")
OTHER = builders.config_map("other")
PODS = core.PODS
FOREGROUND = JOB.deleting().finalizers("foregroundDeletion")


def owner(b: Builder[Any], at: Builder[Any] | None) -> Owner:
    (reference,) = builders.pod("x").owned_by(b).view().metadata.ownerReferences
    return Owner(reference, b.resource, b.key, at.view() if at is not None else None)


def reconcile(obj: Builder[Any], *owners: Owner, dependents: tuple[Builder[Any], ...] = ()) -> list[Change]:
    found = tuple(Found(d.resource, d.view()) for d in dependents)
    across = Across(obj.resource, dependents=found, owners=owners)
    view: View[Object] = View(obj.key, obj.view(), {}, START, across=across)
    return list(garbage.reconcile(view))


def references(patch: Change) -> Any:
    assert isinstance(patch, Patch)
    return [(r["name"], r.get("blockOwnerDeletion", False)) for r in patch.patch["metadata"]["ownerReferences"]]


def test_an_object_whose_owner_is_gone_is_deleted_if_a_fresh_read_agrees() -> None:
    absent = (Absent(JOBS, Key("default", "j"), "uid-job-j"),)
    pod = builders.pod("p").owned_by(JOB)
    expected = [Delete(PODS, Key("default", "p"), "uid-pod-p", absent=absent)]
    assert reconcile(pod, owner(JOB, None)) == expected
    assert reconcile(pod, owner(JOB, JOB.with_uid("another"))) == expected


def test_an_object_with_a_living_owner_stays_and_loses_the_other_references() -> None:
    pod = builders.pod("p").owned_by(JOB).owned_by(OTHER, controller=False)
    assert reconcile(builders.pod("p").owned_by(JOB), owner(JOB, JOB)) == []
    (change,) = reconcile(pod, owner(JOB, JOB), owner(OTHER, None))
    assert references(change) == [("j", True)]


def test_nothing_is_done_about_an_owner_of_an_unknown_kind() -> None:
    (reference,) = builders.pod("x").owned_by(JOB).view().metadata.ownerReferences
    assert reconcile(builders.pod("p").owned_by(JOB), Owner(reference)) == [WakeAt(START + 30)]


def test_a_dependent_of_a_waiting_owner_is_deleted() -> None:
    pod, config = builders.pod("p").owned_by(JOB), OTHER.owned_by(builders.pod("p"))
    assert reconcile(pod, owner(JOB, FOREGROUND)) == [Delete(PODS, pod.key, pod.uid)]
    assert reconcile(pod, owner(JOB, FOREGROUND), dependents=(config,)) == [
        Delete(PODS, pod.key, pod.uid, "Foreground")
    ]


def test_objects_that_own_each_other_do_not_wait_in_a_circle() -> None:
    pod = builders.pod("p").owned_by(JOB)
    first, second = reconcile(pod, owner(JOB, FOREGROUND), dependents=(FOREGROUND.owned_by(pod),))
    assert references(first) == [("j", False)]
    assert second == Delete(PODS, pod.key, pod.uid, "Foreground")


def test_a_waiting_owner_goes_when_nothing_blocks_it() -> None:
    blocking = builders.pod("p").owned_by(JOB)
    assert reconcile(FOREGROUND, dependents=(blocking,)) == []
    patch = {"metadata": {"finalizers": []}}
    free = builders.pod("p").owned_by(JOB, block=False)
    assert reconcile(FOREGROUND, dependents=(free,)) == [Patch(JOBS, JOB.key, patch, JOB.uid, "1")]


def test_orphans_lose_the_reference_before_the_owner_goes() -> None:
    going = JOB.deleting().finalizers("orphan", "kept")
    pod = builders.pod("p").owned_by(OTHER, controller=False).owned_by(JOB)
    (change,) = reconcile(going, dependents=(pod,))
    assert references(change) == [("other", True)]
    assert reconcile(going) == [Patch(JOBS, JOB.key, {"metadata": {"finalizers": ["kept"]}}, JOB.uid, "1")]


def test_only_changes_of_owners_and_deletions_that_wait_matter() -> None:
    plain, owned = builders.pod("p").view(), builders.pod("p").owned_by(JOB).view()
    assert not garbage.heeds(None, plain)
    assert garbage.heeds(None, owned)
    assert not garbage.heeds(owned, owned)
    assert not garbage.heeds(owned, None)
    assert garbage.heeds(plain, FOREGROUND.view())


async def owned(cluster: Cluster, kind: Builder[Any], by: Builder[Any]) -> None:
    """Create an object owned by one that exists."""
    real = await cluster.get(by.resource.seen_as(Object), by.key)
    await cluster.create(kind.owned_by(by.with_uid(real.metadata.uid)))


async def test_dependents_go_after_their_owner() -> None:
    async with Cluster([garbage.CONTROLLER]) as cluster:
        await cluster.create(OTHER)
        await owned(cluster, builders.config_map("child"), OTHER)
        await owned(cluster, builders.pod("grandchild"), builders.config_map("child"))
        await cluster.run_until_quiet()
        assert await cluster.find(core.CONFIG_MAPS, "child") is not None
        await cluster.delete(core.CONFIG_MAPS, "other")
        await cluster.run_until_quiet()
        assert await cluster.list(core.CONFIG_MAPS) == []
        assert await cluster.list(PODS) == []


async def test_a_child_of_an_object_that_was_replaced_goes() -> None:
    async with Cluster([garbage.CONTROLLER]) as cluster:
        await cluster.create(OTHER)
        await cluster.create(builders.config_map("child").owned_by(OTHER.with_uid("an-earlier-one")))
        await cluster.run_until_quiet()
        assert [c.metadata.name for c in await cluster.list(core.CONFIG_MAPS)] == ["other"]


async def test_foreground_and_orphan() -> None:
    async with Cluster([garbage.CONTROLLER]) as cluster:
        for policy, left in (("Foreground", []), ("Orphan", ["child"])):
            await cluster.create(OTHER)
            await owned(cluster, builders.config_map("child"), OTHER)
            await owned(cluster, builders.config_map("grandchild"), builders.config_map("child"))
            await cluster.run_until_quiet()
            options = DeleteOptions(propagation=policy)  # type: ignore[arg-type]
            await cluster.delete(core.CONFIG_MAPS, "other", options)
            await cluster.run_until_quiet()
            found = await cluster.list(core.CONFIG_MAPS)
            assert [c.metadata.name for c in found if c.metadata.name != "grandchild"] == left
            assert len(found) == 2 * len(left)
            assert all(not c.metadata.ownerReferences for c in found if c.metadata.name == "child")


async def test_a_circle_of_owners_goes() -> None:
    async with Cluster([garbage.CONTROLLER]) as cluster:
        await cluster.create(builders.config_map("a"))
        await owned(cluster, builders.config_map("b"), builders.config_map("a"))
        b = await cluster.get(core.CONFIG_MAPS, "b")
        a = builders.config_map("a").owned_by(builders.config_map("b").with_uid(b.metadata.uid))
        await cluster.apply(a)
        await cluster.run_until_quiet()
        await cluster.delete(core.CONFIG_MAPS, "a", DeleteOptions(propagation="Foreground"))
        await cluster.run_until_quiet()
        assert await cluster.list(core.CONFIG_MAPS) == []
