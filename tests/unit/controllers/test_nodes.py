from typing import Any

from fairlead.api import coordination, core
from fairlead.api.meta import Key
from fairlead.base import timestamp
from fairlead.controllers import nodes
from fairlead.reconcile.reconciler import Absent, Change, Delete, Patch, Record, SetStatus, View, WakeAt
from fairlead.testing import builders
from fairlead.testing.clock import START
from fairlead.testing.cluster import Cluster

NODE = builders.node("n")
HEARD = builders.lease("n", "kube-node-lease", "n", START)
UNREACHABLE = "node.kubernetes.io/unreachable"


def reconcile(node: Any, now: float, *pods: Any, lease: Any = HEARD) -> list[Change]:
    linked = {core.PODS: builders.views(list(pods)), coordination.LEASES: [lease.view()] if lease else []}
    return list(nodes.reconcile(View(Key("", "n"), node.view() if node else None, linked, now)))


def silent(added: float = START) -> Any:
    tainted = NODE.taint(UNREACHABLE, "NoSchedule").taint(UNREACHABLE, "NoExecute", added=added)
    return tainted.ready("Unknown")


def test_a_node_that_is_heard_of_needs_nothing() -> None:
    assert reconcile(NODE, START + 10) == [WakeAt(START + 40)]


def test_a_silent_node_becomes_unknown_and_its_pods_not_ready() -> None:
    pod = builders.pod("p").on("n").ready()
    change, event, lost = reconcile(NODE, START + 40, pod)
    assert isinstance(change, SetStatus)
    (condition,) = change.status["conditions"]
    assert condition == {
        "type": "Ready",
        "status": "Unknown",
        "reason": "NodeStatusUnknown",
        "message": "Kubelet stopped posting node status.",
        "lastTransitionTime": timestamp.seconds(START + 40),
    }
    assert isinstance(event, Record)
    assert isinstance(lost, SetStatus)
    assert [(c["type"], c["status"]) for c in lost.status["conditions"]] == [("Ready", "False")]


def test_an_unknown_node_is_tainted() -> None:
    (change,) = reconcile(NODE.ready("Unknown"), START + 40)
    added = timestamp.seconds(START + 40)
    taints = [{"key": UNREACHABLE, "effect": "NoSchedule"}, {"key": UNREACHABLE, "effect": "NoExecute"}]
    taints[1]["timeAdded"] = added
    assert change == Patch(core.NODES, Key("", "n"), {"spec": {"taints": taints}}, "uid-node-n", "1")


def test_a_node_that_is_ready_again_loses_our_taints_only() -> None:
    (change, _) = reconcile(silent().taint("mine", "NoSchedule").ready("True"), START + 1)
    assert isinstance(change, Patch)
    assert change.patch == {"spec": {"taints": [{"key": "mine", "effect": "NoSchedule"}]}}


def test_pods_stay_as_long_as_they_tolerate_it() -> None:
    now = START + 100
    for_a_time = builders.pod("a").on("n").tolerates(UNREACHABLE, "NoExecute", 300)
    for_ever = builders.pod("b").on("n").tolerates(UNREACHABLE)
    not_at_all = builders.pod("c").on("n")
    changes = reconcile(silent(START + 50), now, for_a_time, for_ever, not_at_all)
    assert [c for c in changes if not isinstance(c, Record)] == [
        WakeAt(START + 350),
        Delete(core.PODS, Key("default", "c"), "uid-pod-c"),
    ]


def test_silence_counts_from_the_controllers_start() -> None:
    linked = {core.PODS: [], coordination.LEASES: [HEARD.view()]}
    now = START + 3600
    view: View[core.Node] = View(Key("", "n"), NODE.view(), linked, now, started=now - 1)
    assert list(nodes.reconcile(view)) == [WakeAt(now + 39)]


def test_pods_of_a_node_that_is_gone_are_removed() -> None:
    pod = builders.pod("p").on("n")
    absent = (Absent(core.NODES, Key("", "n")),)
    assert reconcile(None, START, pod) == [Delete(core.PODS, pod.key, pod.uid, grace_seconds=0, absent=absent)]


def test_nobody_is_evicted_for_a_silence_that_is_over() -> None:
    heard = builders.lease("n", "kube-node-lease", "n", START + 99)
    assert reconcile(silent(), START + 100, builders.pod("c").on("n"), lease=heard) == [WakeAt(START + 139)]


async def test_a_node_falls_silent_and_comes_back() -> None:
    async with Cluster([nodes.CONTROLLER], nodes=2, leases=True) as cluster:
        for name in ("a", "b"):
            await cluster.apply(builders.pod(name))
        await cluster.run_until_quiet(60)
        assert [n.spec.taints for n in await cluster.list(core.NODES)] == [[], []]
        cluster.kubelet.down.add("node-0")
        await cluster.run_until_quiet(60)
        lost = await cluster.get(core.NODES, "node-0")
        assert {t.key for t in lost.spec.taints} == {UNREACHABLE}
        await cluster.run_until_quiet(301)
        pods = {p.spec.nodeName: p.metadata.deleting for p in await cluster.list(core.PODS)}
        assert pods == {"node-0": True, "node-1": False}
        cluster.kubelet.down.clear()
        await cluster.run_until_quiet(10)
        await cluster.report_ready("node-0")
        await cluster.run_until_quiet(60)
        assert [n.spec.taints for n in await cluster.list(core.NODES)] == [[], []]
