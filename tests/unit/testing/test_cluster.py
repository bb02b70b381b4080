import pytest

from fairlead.api import core
from fairlead.api.meta import Key
from fairlead.base.errors import StatusError
from fairlead.testing import builders
from fairlead.testing.cluster import Cluster
from fairlead.testing.kubelet import Script, parse


def test_scripts() -> None:
    assert parse("") == Script()
    assert parse("run=2s, exit=1,start=0.5s,fails=2,ready=never") == Script(2.0, 1, 0.5, 2, None)
    with pytest.raises(ValueError, match="'runs=2' is not one of"):
        parse("runs=2")


async def test_a_pod_runs_its_script() -> None:
    async with Cluster() as cluster:
        await cluster.apply(builders.pod("p").simulate("start=1s,ready=2s,run=10s,exit=3"))
        seen = []
        for seconds in (0, 1, 2, 7):
            await cluster.run_until_quiet(seconds)
            pod = await cluster.get(core.PODS, "p")
            ready = pod.condition("Ready")
            seen.append((pod.status.phase, ready is not None and ready.status == "True"))
        assert seen == [("Pending", False), ("Running", False), ("Running", True), ("Running", True)]
        await cluster.run_until_quiet()
        pod = await cluster.get(core.PODS, "p")
        ended = pod.status.containerStatuses[0].state.terminated
        assert ended is not None
        assert (pod.status.phase, ended.exitCode, cluster.clock.monotonic()) == ("Failed", 3, 11.0)


async def test_failures_are_restarted_in_place() -> None:
    async with Cluster() as cluster:
        await cluster.apply(builders.pod("p").restart("OnFailure").simulate("run=1s,exit=1,fails=2"))
        await cluster.run_until_quiet()
        pod = await cluster.get(core.PODS, "p")
        assert (pod.status.phase, pod.status.containerStatuses[0].restartCount) == ("Succeeded", 2)


async def test_a_pod_may_be_ended_and_deleted_by_hand() -> None:
    async with Cluster(nodes=2) as cluster:
        for name in ("a", "b", "c"):
            await cluster.apply(builders.pod(name))
        await cluster.run_until_quiet()
        assert [p.spec.nodeName for p in await cluster.list(core.PODS)] == ["node-0", "node-1", "node-0"]
        cluster.finish("a", 7)
        await cluster.run_until_quiet()
        assert (await cluster.get(core.PODS, "a")).status.phase == "Failed"
        await cluster.delete(core.PODS, "b")
        await cluster.run_until_quiet()
        assert await cluster.find(core.PODS, "b") is None
        assert cluster.clock.monotonic() == 0


async def test_gated_pods_wait() -> None:
    async with Cluster() as cluster:
        await cluster.apply(builders.pod("p").spec(schedulingGates=[{"name": "example.com/wait"}]))
        await cluster.run_until_quiet()
        assert (await cluster.get(core.PODS, "p")).spec.nodeName == ""


async def test_manifests_may_be_yaml() -> None:
    async with Cluster() as cluster:
        made = await cluster.apply("""
apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: default}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: b, namespace: default}
""")
        assert [m["metadata"]["name"] for m in made] == ["a", "b"]
        with pytest.raises(LookupError, match="is not served"):
            await cluster.apply({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}})
        with pytest.raises(StatusError, match="not found"):
            await cluster.get(core.CONFIG_MAPS, "c")


def test_builders_share_beginnings() -> None:
    base = builders.pod("p").labels(app="x")
    one, other = base.requests(cpu="1").on("n"), base.labels(tier="y")
    assert one.view().spec.containers[0].resources.requests == {"cpu": "1"}
    assert base.view().spec.nodeName == ""
    assert other.view().metadata.labels == {"app": "x", "tier": "y"}
    assert other.key == Key("default", "p")
    assert other.manifest() == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "default", "labels": {"app": "x", "tier": "y"}},
        "spec": {"containers": [{"name": "main", "image": "example"}], "restartPolicy": "Never"},
    }
    owned = base.owned_by(builders.job("j")).view().metadata.controller
    assert owned is not None
    assert (owned.kind, owned.uid) == ("Job", "uid-job-j")
