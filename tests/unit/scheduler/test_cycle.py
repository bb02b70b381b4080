"""Decisions and their explanations, on small clusters."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fairlead.api.core import Node, Pod
from fairlead.scheduler import cycle, plugins
from fairlead.scheduler.classes import Classes
from fairlead.scheduler.columns import Columns
from fairlead.scheduler.cycle import Decisions, Pending, Unit
from fairlead.scheduler.evaluation import Evaluations

GPU = "nvidia.com/gpu"


class Room:
    """A cluster to schedule in."""

    def __init__(self, *nodes: Node) -> None:
        self.columns, self.classes = Columns(), Classes()
        self.evaluations = Evaluations(self.columns, plugins.load())
        for made in nodes:
            self.columns.put_node(made)

    def pod(self, name: str = "p", created: float = 0.0, **spec: Any) -> Pending:
        requests = spec.pop("requests", {"cpu": "1"})
        container = {"name": "c", "resources": {"requests": requests}, "ports": spec.pop("ports", [])}
        spec = {"containers": [container]} | spec
        meta = {"name": name, "namespace": "d", "uid": name}
        found = msgspec.convert({"metadata": meta, "spec": spec}, Pod)
        return Pending(found.key, name, self.classes.of(found), created)

    def decide(self, *units: Unit) -> Decisions:
        return cycle.schedule(self.columns, units, 5.0, 1, self.evaluations, log=True)

    def place(self, *pods: Pending) -> list[str]:
        """The nodes of single Pods, empty for those refused."""
        self.decide(*(Unit((pod,)) for pod in pods))
        return [self.columns.node_of(pod.uid) or "" for pod in pods]

    def why(self, **spec: Any) -> str:
        return self.decide(Unit((self.pod(**spec),))).refused[0].message


def node(name: str, labels: dict[str, str] | None = None, spec: dict[str, Any] | None = None, **offered: str) -> Node:
    offered = {"cpu": "4", "memory": "8Gi", "pods": "10"} | offered
    found = {"metadata": {"name": name, "labels": labels or {}}, "spec": spec or {}, "status": {"allocatable": offered}}
    return msgspec.convert(found, Node)


def tainted(name: str, key: str, effect: str = "NoSchedule", value: str = "") -> Node:
    return node(name, spec={"taints": [{"key": key, "value": value, "effect": effect}]})


def requires(*expressions: dict[str, Any], fields: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    term = {"matchExpressions": list(expressions), "matchFields": list(fields)}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}


def prefers(*weighted: tuple[int, str]) -> dict[str, Any]:
    """Prefer nodes whose label `kind` has that value."""
    terms = [
        {"weight": w, "preference": {"matchExpressions": [{"key": "kind", "operator": "In", "values": [v]}]}}
        for w, v in weighted
    ]
    return {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": terms}}


# --- where ---------------------------------------------------------------------------------------------------------


def test_the_emptier_node_is_taken() -> None:
    room = Room(node("small", cpu="2"), node("large", cpu="16"))
    assert room.place(room.pod()) == ["large"]


def test_priority_goes_before_age() -> None:
    room = Room(node("only", cpu="1"))
    old, urgent = room.pod("old", created=1.0), room.pod("urgent", created=2.0, priority=10)
    assert room.place(old, urgent) == ["", "only"]


def test_age_goes_before_name() -> None:
    room = Room(node("only", cpu="1"))
    assert room.place(room.pod("a", created=2.0), room.pod("b", created=1.0)) == ["", "only"]


def test_soft_taints_and_preferences_weigh() -> None:
    room = Room(tainted("spot", "spot", "PreferNoSchedule"), node("firm", cpu="3"))
    assert room.place(room.pod()) == ["firm"]
    room = Room(node("plain", cpu="16"), node("liked", labels={"kind": "x"}))
    assert room.place(room.pod(affinity=prefers((10, "x")))) == ["liked"]


def test_the_scale_of_preferences_follows_the_nodes_that_still_fit() -> None:
    """Once the most preferred node is full, the next has the full weight, against a larger node without any."""
    nodes = [node("first", {"kind": "x"}, cpu="1"), node("second", {"kind": "y"}, cpu="2"), node("large", cpu="64")]
    room = Room(*nodes)
    wish = prefers((100, "x"), (10, "y"))
    assert room.place(room.pod("a", 1.0, affinity=wish), room.pod("b", 2.0, affinity=wish)) == ["first", "second"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"operator": "In", "values": ["3", "9"]}, {"three"}),
        ({"operator": "NotIn", "values": ["3"]}, {"ten", "none"}),
        ({"operator": "Exists"}, {"three", "ten"}),
        ({"operator": "DoesNotExist"}, {"none"}),
        ({"operator": "Gt", "values": ["3"]}, {"ten"}),
        ({"operator": "Lt", "values": ["10"]}, {"three"}),
        ({"operator": "Gt", "values": ["x"]}, set()),
    ],
)
def test_every_operator_of_node_affinity(expression: dict[str, Any], expected: set[str]) -> None:
    room = Room(node("three", {"n": "3"}), node("ten", {"n": "10"}), node("none"))
    pod = room.pod(affinity=requires({"key": "n"} | expression))
    evaluation = room.evaluations.of(pod.pod_class)
    assert {name for name, row in room.columns.rows.items() if evaluation.fits[row]} == expected


def test_match_fields_name_a_node() -> None:
    room = Room(node("a"), node("b"))
    field = {"key": "metadata.name", "operator": "In", "values": ["b"]}
    assert room.place(room.pod(affinity=requires(fields=(field,)))) == ["b"]


def test_a_term_without_expressions_matches_nothing() -> None:
    room = Room(node("a"))
    assert room.place(room.pod(affinity=requires())) == [""]


def test_tolerations() -> None:
    room = Room(tainted("a", "team", value="x"))
    for toleration in ({"key": "team", "value": "x"}, {"key": "team", "operator": "Exists"}, {"operator": "Exists"}):
        assert room.evaluations.of(room.pod(tolerations=[toleration]).pod_class).possible(), toleration
    for toleration in ({"key": "team", "value": "y"}, {"key": "team", "value": "x", "effect": "NoExecute"}):
        assert not room.evaluations.of(room.pod(tolerations=[toleration]).pod_class).possible(), toleration


def test_a_host_port_is_given_once() -> None:
    room = Room(node("a"), node("b"))
    port = [{"containerPort": 80, "hostPort": 80}]
    placed = room.place(*(room.pod(f"p{i}", float(i), ports=port) for i in range(3)))
    assert sorted(placed) == ["", "a", "b"]


# --- gangs ---------------------------------------------------------------------------------------------------------


def test_a_gang_that_does_not_fit_leaves_no_trace() -> None:
    room = Room(node("a", cpu="2"), node("b", cpu="1"))
    before = room.columns.as_values()
    gang = Unit(tuple(room.pod(f"p{i}") for i in range(4)), 4, "train")
    decisions = room.decide(gang)
    assert room.columns.as_values() == before
    assert decisions.placed == ()
    assert decisions.refused[0].message == (
        'pod group "train" needs 4 pods at once; room for 3. 0/2 nodes are available: 2 Insufficient cpu.'
    )


def test_members_beyond_the_minimum_are_placed_as_far_as_they_go() -> None:
    room = Room(node("a", cpu="3"))
    gang = Unit(tuple(room.pod(f"p{i}", float(i)) for i in range(4)), 2, "train")
    decisions = room.decide(gang)
    assert len(decisions.placed[0].placements) == 3
    assert [(r.pods[0].uid, r.message) for r in decisions.refused] == [
        ("p3", "0/1 nodes are available: 1 Insufficient cpu.")
    ]


def test_a_refused_gang_does_not_hold_up_others() -> None:
    room = Room(node("a", cpu="2"))
    gang = Unit(tuple(room.pod(f"p{i}", priority=9) for i in range(3)), 3, "big")
    decisions = room.decide(gang, Unit((room.pod("single", 9.0),)))
    assert [p.placements[0].pod.uid for p in decisions.placed] == ["single"]


def test_a_mixed_gang_that_spreading_misses_is_packed() -> None:
    room = Room(node("four", cpu="4"), node("six", cpu="6"))
    sizes = {"a": "4", "b": "3", "c": "3"}
    gang = Unit(tuple(room.pod(name, requests={"cpu": cpu}) for name, cpu in sizes.items()), 3, "mixed")
    assert room.decide(gang).refused == ()
    assert [room.columns.node_of(name) for name in sizes] == ["four", "six", "six"]


# --- why not -------------------------------------------------------------------------------------------------------


def test_no_nodes() -> None:
    assert Room().why() == "no nodes available to schedule pods"


def test_reasons_are_counted_as_upstream_does() -> None:
    room = Room(node("gpu", **{GPU: "1"}), tainted("t1", "team", value="a"), tainted("t2", "team", value="a"))
    assert room.place(room.pod("first", requests={GPU: "1"})) == ["gpu"]
    assert room.why(requests={GPU: "1"}) == (
        "0/3 nodes are available: 1 Insufficient nvidia.com/gpu, 2 node(s) had untolerated taint {team: a}."
    )


def test_one_node_may_be_short_of_several_things() -> None:
    room = Room(node("a", pods="1"))
    room.place(room.pod("first", requests={"cpu": "3", "memory": "7Gi"}))
    assert room.why(requests={"cpu": "2", "memory": "2Gi"}) == (
        "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, 1 Too many pods."
    )


def test_a_cordoned_node() -> None:
    room = Room(node("a", spec={"unschedulable": True}))
    assert room.why() == (
        "0/1 nodes are available: 1 node(s) were unschedulable. "
        "Every node is cordoned: uncordon one (kubectl uncordon NODE)."
    )


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"requests": {GPU: "8"}}, "the pod asks for 8 nvidia.com/gpu, the largest node has 4"),
        ({"requests": {"memory": "1Ti"}}, "asks for 1Ti memory, the largest node has 8Gi"),
        ({"requests": {"example.com/none": "1"}}, "No node offers example.com/none: remove the request or add a node"),
        ({"nodeSelector": {"kubernetes.io/os": "windows"}}, "kubernetes.io/os=windows (nodes have linux): change"),
        ({"nodeSelector": {"disk": "ssd"}}, "No node has the label disk=ssd (no node has the label)"),
        ({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{}]}}}, "not decide"),
        ({"resourceClaims": [{"name": "x"}]}, "does not decide resourceClaims yet: remove it from the pod"),
    ],
)
def test_what_no_node_could_ever_run_is_told_with_a_remedy(spec: dict[str, Any], text: str) -> None:
    room = Room(node("a", {"kubernetes.io/os": "linux"}, **{GPU: "4"}))
    assert text in room.why(**spec)


def test_a_pod_that_fits_an_empty_node_gets_no_remedy() -> None:
    room = Room(node("a", cpu="1"))
    room.place(room.pod("first"))
    assert room.why() == "0/1 nodes are available: 1 Insufficient cpu."


def test_the_log_says_what_was_chosen() -> None:
    room = Room(node("a", cpu="1"), node("b", cpu="8"))
    decisions = room.decide(Unit((room.pod("p"),)), Unit((room.pod("q", 1.0, requests={"cpu": "9"}),)))
    assert [(c.uid, c.node, c.fitting) for c in decisions.log] == [("p", "b", 2), ("q", "", 0)]


def test_scores_are_those_of_kube_scheduler() -> None:
    """LeastAllocated (75 for cpu and 75 for memory) and balance (100). What is equal for all nodes is left out."""
    room = Room(node("a"))
    found = room.evaluations.of(room.pod(requests={"cpu": "1", "memory": "2Gi"}).pod_class)
    assert int(found.total[room.columns.rows["a"]]) == 75 + 100
