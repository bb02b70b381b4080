import asyncio
from typing import Any

from fairlead.api import batch, core, coscheduling
from fairlead.api.meta import Key
from fairlead.client.protocol import WriteOptions
from fairlead.reconcile.applier import TOGETHER, Applier, Deleted, NameTaken, NotServed
from fairlead.reconcile.reconciler import Absent, Apply, Change, Create, Delete, Patch, Record, SetStatus, WakeAt
from fairlead.testing import builders
from fairlead.testing.cluster import Cluster

CONFIG = builders.config_map("c", data={"a": "1"})
JOB = builders.job("j")


def create(b: Any) -> Create:
    return Create(b.resource, b.manifest())


async def apply(cluster: Cluster, *changes: Change, primary: Any = None) -> Any:
    return await Applier(cluster.client, "tester", cluster.clock).apply(batch.JOBS, primary, changes)


async def test_each_kind_of_change() -> None:
    async with Cluster() as cluster:
        pod = builders.pod("p")
        outcome = await apply(cluster, Apply(core.CONFIG_MAPS, CONFIG.manifest()), create(pod), WakeAt(9), WakeAt(5))
        assert (outcome.error, outcome.wake, len(outcome.written)) == (None, 5, 2)
        live = await cluster.get(core.PODS, "p")
        meta = live.metadata
        outcome = await apply(
            cluster,
            Patch(core.PODS, live.key, {"metadata": {"labels": {"x": "y"}}}, meta.uid, meta.resourceVersion),
            Delete(core.CONFIG_MAPS, CONFIG.key, (await cluster.get(core.CONFIG_MAPS, "c")).metadata.uid),
        )
        assert outcome.error is None
        assert [(d.resource, d.key) for d in outcome.deleted] == [(core.CONFIG_MAPS, CONFIG.key)]
        patched = await cluster.get(core.PODS, "p")
        assert patched.metadata.labels == {"x": "y"}
        status = SetStatus(core.PODS, live.key, {"reason": "Told"}, patched.metadata.resourceVersion)
        assert (await apply(cluster, status)).error is None
        assert (await cluster.get(core.PODS, "p")).status.reason == "Told"


async def test_a_stale_status_is_a_conflict_and_ends_the_run() -> None:
    async with Cluster() as cluster:
        await cluster.create(CONFIG)
        await cluster.create(builders.pod("p"))
        old = SetStatus(core.PODS, Key("default", "p"), {"reason": "x"}, "1")
        outcome = await apply(cluster, old, create(builders.pod("q")))
        assert outcome.error.reason == "Conflict"
        assert await cluster.find(core.PODS, "q") is None


async def test_what_is_gone_needs_no_change() -> None:
    async with Cluster() as cluster:
        key = Key("default", "gone")
        outcome = await apply(
            cluster,
            Patch(core.PODS, key, {"metadata": {"labels": {}}}),
            SetStatus(core.PODS, key, {"phase": "Failed"}, "1"),
            Delete(core.PODS, key, "uid"),
        )
        assert outcome.error is None
        assert outcome.deleted == [Deleted(core.PODS, key, "uid")]


async def test_an_object_that_was_replaced_is_not_deleted() -> None:
    async with Cluster() as cluster:
        await cluster.create(CONFIG)
        assert (await apply(cluster, Delete(core.CONFIG_MAPS, CONFIG.key, "an-earlier-one"))).error is None
        assert await cluster.find(core.CONFIG_MAPS, "c") is not None


async def test_what_must_be_absent_is_asked_of_the_server() -> None:
    async with Cluster() as cluster:
        await cluster.create(CONFIG)
        uid = (await cluster.get(core.CONFIG_MAPS, "c")).metadata.uid
        node = (Absent(core.NODES, Key("", "node-0")),)
        await apply(cluster, Delete(core.CONFIG_MAPS, CONFIG.key, uid, absent=node))
        assert await cluster.find(core.CONFIG_MAPS, "c") is not None
        other = (Absent(core.NODES, Key("", "node-0"), "another-uid"), Absent(core.NODES, Key("", "node-9")))
        await apply(cluster, Delete(core.CONFIG_MAPS, CONFIG.key, uid, absent=other))
        assert await cluster.find(core.CONFIG_MAPS, "c") is None


async def test_a_create_repeated_is_done_and_a_name_taken_is_told() -> None:
    async with Cluster() as cluster:
        child = builders.pod("p").owned_by(JOB)
        assert (await apply(cluster, create(child))).error is None
        assert (await apply(cluster, create(child))).error is None
        rival = builders.job("j2")
        outcome = await apply(cluster, create(builders.pod("p").owned_by(rival)), primary=rival.view())
        assert isinstance(outcome.error, NameTaken)
        (event,) = await cluster.list(core.EVENTS)
        assert (event.type, event.involvedObject.name, event.count) == ("Warning", "j2", 1)


async def test_a_kind_that_is_not_served_is_told_with_the_remedy() -> None:
    group = {"metadata": {"name": "g", "namespace": "default"}}
    async with Cluster() as cluster:
        outcome = await apply(cluster, Apply(coscheduling.POD_GROUPS, group), primary=JOB.view())
        assert isinstance(outcome.error, NotServed)
        (event,) = await cluster.list(core.EVENTS)
        assert (event.type, event.reason) == ("Warning", "FailedReconcile")
        assert "podgroups.scheduling.x-k8s.io" in event.message
        assert "install its CustomResourceDefinition" in event.message


async def test_events_are_written_last_and_counted() -> None:
    async with Cluster() as cluster:
        applier = Applier(cluster.client, "tester", cluster.clock)
        record = Record(core.PODS, builders.pod("p").view(), "Normal", "Seen", "it was seen")
        for _ in range(3):
            assert (await applier.apply(core.PODS, None, [record])).error is None
        (event,) = await cluster.list(core.EVENTS)
        assert (event.count, event.source.component) == (3, "tester")


class Counting:
    """How many creates are under way at once."""

    def __init__(self, client: Any) -> None:
        self._client, self.now, self.most, self.begun = client, 0, 0, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def create(self, resource: Any, obj: Any, options: WriteOptions) -> Any:
        self.begun += 1
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        try:
            return await self._client.create(resource, obj, options)
        finally:
            self.now -= 1


async def test_neighbouring_creates_go_together_and_stop_at_a_failure() -> None:
    async with Cluster() as cluster:
        client = Counting(cluster.client)
        applier = Applier(client, "tester", cluster.clock)  # type: ignore[arg-type]
        pods = [create(builders.pod(f"p{i:03}")) for i in range(100)]
        outcome = await applier.apply(batch.JOBS, None, pods)
        assert (outcome.error, len(outcome.written), client.most) == (None, 100, TOGETHER)
        client.begun = 0
        bad = [Create(core.PODS, builders.pod(f"q{i}").spec(containers=[]).manifest()) for i in range(100)]
        outcome = await applier.apply(batch.JOBS, None, bad)
        assert outcome.error.reason == "Invalid"
        assert client.begun <= TOGETHER
