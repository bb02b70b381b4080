import asyncio
import itertools
from typing import Any

import pytest

from fairlead.api import core
from fairlead.api.core import ConfigMap
from fairlead.api.meta import Key, Object, Resource
from fairlead.base import errors
from fairlead.client.protocol import WriteOptions
from fairlead.controllers import garbage
from fairlead.reconcile import manager
from fairlead.reconcile.lease import Candidate, Elector
from fairlead.reconcile.manager import Manager
from fairlead.reconcile.reconciler import Change, Controller, Create, Owned, Patch, View, WakeAt
from fairlead.testing import builders
from fairlead.testing.cluster import Cluster

WIDGETS: Resource[Object] = Resource("example.com", "v1", "Widget", "widgets", Object)
WIDGET_CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
        ],
    },
}


def controller(reconcile: Any, primary: Any = core.CONFIG_MAPS, name: str = "c", **more: Any) -> Controller[Any]:
    return Controller(name, primary, reconcile, **more)


def test_controllers_are_selected_by_place_and_name() -> None:
    ours, theirs = controller(None, name="train"), controller(None, name="job", embedded=True)

    def names(**how: Any) -> list[str]:
        return [c.name for c in manager.select([ours, theirs], **how)]

    assert names(embedded=True) == ["train", "job"]
    assert names(embedded=False) == ["train"]
    assert names(embedded=False, names=["*", "job"]) == ["train", "job"]
    assert names(embedded=True, names=["*", "-job"]) == ["train"]
    assert names(embedded=True, names=["job"]) == ["job"]
    with pytest.raises(ValueError, match="no controller is named jbo"):
        names(embedded=True, names=["jbo"])


async def test_views_of_one_kind_must_include_each_other() -> None:
    narrow, wide = core.PODS.seen_as(Object), core.PODS
    made = [controller(None, narrow, "a"), controller(None, wide, "b")]
    async with Cluster() as cluster:
        Manager(cluster.client, cluster.clock, made)
        with pytest.raises(TypeError, match="neither includes the other"):
            Manager(cluster.client, cluster.clock, [*made, controller(None, core.PODS.seen_as(ConfigMap), "c")])


async def test_a_failure_is_tried_again_with_back_off(caplog: pytest.LogCaptureFixture) -> None:
    times: list[float] = []

    def reconcile(view: View[ConfigMap]) -> list[Change]:
        if view.key.name == "bad":
            times.append(view.now)
            if len(times) < 5:
                raise RuntimeError("not yet")
        return []

    async with Cluster([controller(reconcile)]) as cluster:
        await cluster.create(builders.config_map("bad"))
        await cluster.run_until_quiet()
    waits = [round((b - a) * 1000) for a, b in itertools.pairwise(times)]
    assert waits == [5, 10, 20, 40]
    assert "reconciling configmaps default/bad failed" in caplog.text


async def test_an_object_is_looked_at_again_when_asked_for() -> None:
    times: list[float] = []

    def reconcile(view: View[ConfigMap]) -> list[Change]:
        times.append(view.now)
        return [WakeAt(times[0] + 30)] if view.now < times[0] + 30 else []

    async with Cluster([controller(reconcile)]) as cluster:
        await cluster.create(builders.config_map("c"))
        await cluster.run_until_quiet()
    assert [t - times[0] for t in times] == [0, 30]


async def test_a_controller_sees_its_own_writes() -> None:
    """One that counts its children makes exactly as many as it wants, under names that nobody could guess."""
    wanted = 5

    def reconcile(view: View[ConfigMap]) -> list[Change]:
        owner = view.object
        if owner is None or "parent" not in owner.metadata.labels:
            return []
        missing = wanted - len(view.all(core.PODS))
        child = builders.pod("x").owned_by(builders.config_map(owner.metadata.name).with_uid(owner.metadata.uid))
        manifest = child.manifest()
        del manifest["metadata"]["name"]
        return [
            Create(core.PODS, {**manifest, "metadata": {**manifest["metadata"], "generateName": "x-"}})
            for _ in range(min(2, missing))
        ]

    async with Cluster([controller(reconcile, links=(Owned(core.PODS),))]) as cluster:
        await cluster.create(builders.config_map("c").labels(parent="yes"))
        await cluster.run_until_quiet()
        assert len(await cluster.list(core.PODS)) == wanted


async def test_a_kind_that_comes_later_is_taken_up() -> None:
    seen: list[Key] = []

    def reconcile(view: View[Object]) -> list[Change]:
        seen.append(view.key)
        return []

    async with Cluster([controller(reconcile, WIDGETS)]) as cluster:
        await cluster.run_until_quiet(5)
        assert cluster.manager.synced
        await cluster.create(WIDGET_CRD)
        await cluster.create(builders.any_of(WIDGETS, "w"))
        await cluster.run_until_quiet(60)
        assert seen == [Key("default", "w")]


async def test_links_across_kinds_follow_the_definitions() -> None:
    async with Cluster([garbage.CONTROLLER]) as cluster:
        await cluster.create(WIDGET_CRD)
        await cluster.run_until_quiet(1)
        widget = builders.any_of(WIDGETS, "w")
        made = await cluster.create(widget)
        await cluster.create(builders.config_map("c").owned_by(widget.with_uid(made["metadata"]["uid"])))
        await cluster.run_until_quiet(1)
        assert await cluster.find(core.CONFIG_MAPS, "c") is not None
        await cluster.delete(WIDGETS, "w")
        await cluster.run_until_quiet(1)
        assert await cluster.find(core.CONFIG_MAPS, "c") is None


async def test_failures_that_need_a_person_are_told_on_the_object() -> None:
    def reconcile(view: View[ConfigMap]) -> list[Change]:
        if view.key.name != "c":
            return []
        return [Create(core.PODS, builders.pod("p").spec(containers=[]).manifest())]

    async with Cluster([controller(reconcile)]) as cluster:
        await cluster.create(builders.config_map("c"))
        await cluster.run_until_quiet(1)
        (event,) = await cluster.list(core.EVENTS)
        assert (event.involvedObject.name, event.type, event.count > 3) == ("c", "Warning", True)


async def test_only_the_leader_works() -> None:
    led: list[str] = []
    async with Cluster() as cluster:

        def made(name: str) -> Manager:
            def reconcile(view: View[ConfigMap]) -> list[Change]:
                led.append(name)
                return []

            elector = Elector(cluster.client, cluster.clock, Candidate(name, Key("kube-system", "m")))
            return Manager(cluster.client, cluster.clock, [controller(reconcile)], elector=elector)

        first, second = made("first"), made("second")
        tasks = [asyncio.create_task(m.run()) for m in (first, second)]
        await cluster.create(builders.config_map("c"))
        await cluster.run_until_quiet(5)
        assert set(led) == {"first"}
        first.stop()
        await cluster.run_until_quiet(5)
        assert set(led) == {"first", "second"}
        second.stop()
        await asyncio.gather(*tasks)


async def test_a_conflict_is_decided_again_on_what_is_there() -> None:
    rival = WriteOptions(manager="rival")
    attempts = 0

    async with Cluster() as cluster:

        class Racing:
            """Before the first patch of the controller, somebody else writes."""

            def __getattr__(self, name: str) -> Any:
                return getattr(cluster.client, name)

            async def patch(self, resource: Any, key: Key, patch: Any, type_: Any, options: WriteOptions) -> Any:
                nonlocal attempts
                attempts += 1
                if attempts == 1:
                    await cluster.client.patch(resource, key, {"data": {"rival": "x"}}, type_, rival)
                return await cluster.client.patch(resource, key, patch, type_, options)

        def reconcile(view: View[ConfigMap]) -> list[Change]:
            obj = view.object
            if obj is None or obj.metadata.name != "c" or "mine" in obj.data:
                return []
            data = {"data": {"mine": str(len(obj.data))}}
            return [Patch(core.CONFIG_MAPS, view.key, data, obj.metadata.uid, obj.metadata.resourceVersion)]

        made = Manager(Racing(), cluster.clock, [controller(reconcile)])  # type: ignore[arg-type]
        task = asyncio.create_task(made.run())
        await cluster.create(builders.config_map("c"))
        await cluster.run_until_quiet(5)
        assert (await cluster.get(core.CONFIG_MAPS, "c")).data == {"rival": "x", "mine": "1"}
        assert attempts == 2
        made.stop()
        await task


async def test_a_server_that_is_away_for_a_while_is_waited_for() -> None:
    seen: list[str] = []

    def reconcile(view: View[ConfigMap]) -> list[Change]:
        seen.append(view.key.name)
        return []

    async with Cluster() as cluster:
        away = True

        class Away:
            def __getattr__(self, name: str) -> Any:
                if away:
                    raise errors.unavailable("not up yet")
                return getattr(cluster.client, name)

        made = Manager(Away(), cluster.clock, [controller(reconcile)])  # type: ignore[arg-type]
        task = asyncio.create_task(made.run())
        await cluster.create(builders.config_map("c"))
        await cluster.run_until_quiet(5)
        assert seen == []
        away = False
        await cluster.run_until_quiet(30)
        assert seen == ["c"]
        made.stop()
        await task
