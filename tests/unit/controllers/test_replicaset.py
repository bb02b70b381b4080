"""ReplicaSets: how many Pods, whose Pods, which go first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fairlead.api import apps, core
from fairlead.api.meta import Key
from fairlead.controllers import replicaset
from fairlead.reconcile.reconciler import Change, Create, Delete, Patch, SetStatus, View, WakeAt
from fairlead.testing import builders
from fairlead.testing.builders import PodBuilder
from fairlead.testing.clock import START

SET = builders.replica_set("web", 2)


def pod(name: str, **more: Any) -> Any:
    made: PodBuilder = builders.pod(name).labels(app="web").owned_by(SET).on("node-0").ready()
    return made


def reconcile(found: Any, *pods: Any, now: float = START) -> Sequence[Change]:
    view = View(Key("default", "web"), found.view(), {core.PODS: builders.views(pods)}, now)
    return replicaset.reconcile(view)


def of(kind: type[Any], changes: Sequence[Change]) -> list[Any]:
    return [c for c in changes if isinstance(c, kind)]


def test_missing_pods_are_made_with_fixed_names() -> None:
    made = of(Create, reconcile(SET))
    names = [c.object["metadata"]["name"] for c in made]
    assert len(set(names)) == 2
    assert names == [c.object["metadata"]["name"] for c in of(Create, reconcile(SET))]
    assert all(n.startswith("web-") and len(n) == len("web-") + 5 for n in names)
    assert made[0].object["metadata"]["ownerReferences"][0]["uid"] == SET.uid
    assert made[0].object["metadata"]["labels"] == {"app": "web"}


def test_a_pod_on_its_way_out_is_replaced_at_once() -> None:
    assert len(of(Create, reconcile(SET, pod("a"), pod("b").deleting(grace=30)))) == 1


def test_finished_pods_do_not_count() -> None:
    assert len(of(Create, reconcile(SET, pod("a"), pod("b").phase("Failed")))) == 1


def test_the_cheapest_of_equals_goes_first() -> None:
    cheap = pod("b").annotations({"controller.kubernetes.io/pod-deletion-cost": "-5"})
    deleted = of(Delete, reconcile(SET, pod("a"), cheap, pod("c")))
    assert [d.key.name for d in deleted] == ["b"]


def test_pods_that_are_not_ready_go_before_cheap_ones() -> None:
    cheap = pod("b").annotations({"controller.kubernetes.io/pod-deletion-cost": "-5"})
    deleted = of(Delete, reconcile(SET, pod("a").ready(ready=False), cheap, pod("c")))
    assert [d.key.name for d in deleted] == ["a"]


def test_pods_without_a_controller_are_adopted() -> None:
    stray = builders.pod("stray").labels(app="web").ready()
    (adopted,) = of(Patch, reconcile(SET, pod("a"), stray))
    assert adopted.key.name == "stray"
    assert adopted.patch["metadata"]["ownerReferences"][0]["uid"] == SET.uid
    assert adopted.revision == "1"
    assert not of(Create, reconcile(SET, pod("a"), stray))


def test_pods_that_are_not_selected_any_more_are_released() -> None:
    changes = reconcile(SET, pod("a"), pod("b"), pod("c").labels(app="other"))
    (released,) = of(Patch, changes)
    assert released.patch == {"metadata": {"ownerReferences": None}}
    assert not of(Delete, changes)


def test_status_counts_what_is_ready_and_what_is_available() -> None:
    patient = SET.spec(minReadySeconds=10).changed(lambda w: w["metadata"].update(generation=3))
    changes = reconcile(patient, pod("a"), pod("b").ready(ready=False), pod("c").deleting(), now=START + 4)
    (status,) = of(SetStatus, changes)
    assert status.resource == apps.REPLICA_SETS
    assert status.status == {
        "replicas": 2, "fullyLabeledReplicas": 2, "readyReplicas": 1, "terminatingReplicas": 1, "observedGeneration": 3,
    }  # fmt: skip
    assert of(WakeAt, changes) == [WakeAt(START + 10)]


def test_a_set_that_is_being_deleted_makes_nothing() -> None:
    assert not of(Create, reconcile(SET.deleting()))
