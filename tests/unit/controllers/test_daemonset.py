"""DaemonSets: which nodes, and how they are updated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fairlead.api import apps, core
from fairlead.api.meta import Key
from fairlead.controllers import daemonset
from fairlead.reconcile import revisions
from fairlead.reconcile.reconciler import Change, Create, Delete, SetStatus, View
from fairlead.testing import builders
from fairlead.testing.clock import START
from fairlead.testing.cluster import Cluster

SET = builders.daemon_set("logs")


def label(found: Any = SET) -> str:
    view = found.view()
    return revisions.present(revisions.Owner(apps.DAEMON_SETS, view, view.spec.template, word_only=True), []).label


def pod(name: str, node: str, revision: str | None = None) -> Any:
    made = builders.pod(name).labels(app="logs").owned_by(SET).on(node).ready()
    return made.labels({revisions.HASH: label() if revision is None else revision})


def reconcile(found: Any, nodes: Sequence[Any], *pods: Any) -> Sequence[Change]:
    linked: dict[Any, Sequence[Any]] = {
        core.PODS: builders.views(pods), core.NODES: builders.views(nodes), apps.CONTROLLER_REVISIONS: [],
    }  # fmt: skip
    return daemonset.reconcile(View(Key("default", "logs"), found.view(), linked, START))


def of(kind: type[Any], changes: Sequence[Change], resource: Any = core.PODS) -> list[Any]:
    return [c for c in changes if isinstance(c, kind) and c.resource == resource]


def nodes(*names: str) -> list[Any]:
    return [builders.node(n) for n in names]


def pinned(change: Create) -> str:
    terms = change.object["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    found: str = terms["nodeSelectorTerms"][0]["matchFields"][0]["values"][0]
    return found


def test_every_node_gets_a_pod_pinned_to_it() -> None:
    made = of(Create, reconcile(SET, nodes("a", "b"), pod("x", "a")))
    assert [pinned(c) for c in made] == ["b"]
    tolerated = {t["key"] for t in made[0].object["spec"]["tolerations"]}
    assert "node.kubernetes.io/unschedulable" in tolerated


def test_taints_and_labels_decide() -> None:
    tainted = builders.node("tainted").taint("gpu", "NoSchedule")
    labelled = builders.node("labelled").labels(disk="ssd")
    made = of(Create, reconcile(SET, [tainted, labelled]))
    assert [pinned(c) for c in made] == ["labelled"]
    choosy = SET.changed(lambda w: w["spec"]["template"]["spec"].update(nodeSelector={"disk": "ssd"}))
    made = of(Create, reconcile(choosy, [labelled, *nodes("plain")]))
    assert [pinned(c) for c in made] == ["labelled"]


def test_a_pod_may_stay_where_a_new_one_would_not_go() -> None:
    tainted = builders.node("a").taint("gpu", "NoSchedule")
    changes = reconcile(SET, [tainted], pod("x", "a"))
    assert not of(Delete, changes)
    (status,) = of(SetStatus, changes, apps.DAEMON_SETS)
    assert status.status["numberMisscheduled"] == 1
    gone = builders.node("a").taint("gpu", "NoExecute")
    assert [d.key.name for d in of(Delete, reconcile(SET, [gone], pod("x", "a")))] == ["x"]


def test_a_failed_pod_is_replaced_and_duplicates_go() -> None:
    changes = reconcile(SET, nodes("a"), pod("x", "a").phase("Failed"))
    assert [d.key.name for d in of(Delete, changes)] == ["x"]
    assert len(of(Create, changes)) == 1
    changes = reconcile(SET, nodes("a"), pod("x", "a").created(START - 9), pod("y", "a"))
    assert [d.key.name for d in of(Delete, changes)] == ["y"]


def test_an_update_takes_one_node_at_a_time() -> None:
    old = [pod("x", "a", "old"), pod("y", "b", "old"), pod("z", "c", "old")]
    assert len(of(Delete, reconcile(SET, nodes("a", "b", "c"), *old))) == 1
    sick = [old[0], old[1], pod("z", "c", "old").ready(ready=False)]
    assert [d.key.name for d in of(Delete, reconcile(SET, nodes("a", "b", "c"), *sick))] == ["z"]
    waits = [old[0], old[1], pod("z", "c").ready(ready=False)]
    assert not of(Delete, reconcile(SET, nodes("a", "b", "c"), *waits))


def test_with_a_surge_the_new_pod_comes_first() -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    surging = SET.spec(updateStrategy=strategy)
    old = pod("x", "a", "old")
    changes = reconcile(surging, nodes("a"), old)
    assert (len(of(Create, changes)), len(of(Delete, changes))) == (1, 0)
    changes = reconcile(surging, nodes("a"), old, pod("y", "a").ready(ready=False))
    assert (len(of(Create, changes)), len(of(Delete, changes))) == (0, 0)
    changes = reconcile(surging, nodes("a"), old, pod("y", "a"))
    assert [d.key.name for d in of(Delete, changes)] == ["x"]


async def test_a_node_that_joins_gets_a_pod() -> None:
    async with Cluster([daemonset.CONTROLLER]) as up:
        await up.apply(SET)
        await up.run_until_quiet()
        status = (await up.get(apps.DAEMON_SETS, "logs")).status
        assert (status.desiredNumberScheduled, status.numberAvailable, status.updatedNumberScheduled) == (1, 1, 1)
        await up.create(builders.node("late"))
        await up.run_until_quiet()
        assert (await up.get(apps.DAEMON_SETS, "logs")).status.desiredNumberScheduled == 2
