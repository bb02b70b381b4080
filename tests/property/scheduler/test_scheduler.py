"""What holds of the scheduler for any cluster, any Pods and any order of events."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairlead.api.core import Node, Pod
from fairlead.scheduler import cycle, explain, plugins
from fairlead.scheduler.classes import Classes, PodClass
from fairlead.scheduler.columns import Columns
from fairlead.scheduler.cycle import Decisions, Pending, Unit
from fairlead.scheduler.evaluation import Evaluation, Evaluations

BOUNDED = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
PLUGINS = plugins.load()
EFFECTS = ("PreferNoSchedule", "PreferNoSchedule", "NoSchedule", "NoExecute")

# --- any cluster ---------------------------------------------------------------------------------------------------

often = st.integers(0, 1).map(bool)
"""True for half, and shrinks to False."""
rarely = st.integers(0, 5).map(lambda n: n == 5)
zones = st.sampled_from(["a", "b", "7", "12"])
taints = st.builds(
    lambda k, v, e: {"key": k, "value": v, "effect": e}, st.sampled_from("pq"), zones, st.sampled_from(EFFECTS)
)


@st.composite
def nodes(draw: st.DrawFn, name: str = "") -> dict[str, Any]:
    name = name or f"n{draw(st.integers(0, 7))}"
    offered = {"cpu": f"{(10 - draw(st.integers(0, 10))) * 500}m", "memory": f"{8 - draw(st.integers(0, 8))}Gi"}
    offered["pods"] = str(8 - draw(st.integers(0, 8)))
    if draw(st.booleans()):
        offered["nvidia.com/gpu"] = str(draw(st.integers(0, 4)))
    labels = {"kubernetes.io/hostname": name} | ({"zone": draw(zones)} if draw(often) else {})
    spec = {"unschedulable": draw(rarely), "taints": draw(st.lists(taints, max_size=2)) if draw(often) else []}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec, "status": {"allocatable": offered}}


requirements = st.one_of(
    st.builds(
        lambda o, v: {"key": "zone", "operator": o, "values": v},
        st.sampled_from(["In", "NotIn"]),
        st.lists(zones, min_size=1, max_size=2),
    ),
    st.builds(lambda o: {"key": "zone", "operator": o}, st.sampled_from(["Exists", "DoesNotExist"])),
    st.builds(
        lambda o, v: {"key": "zone", "operator": o, "values": [v]},
        st.sampled_from(["Gt", "Lt"]),
        st.sampled_from(["7", "10"]),
    ),
)
terms = st.builds(lambda r: {"matchExpressions": r}, st.lists(requirements, max_size=2))


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    asked = {"cpu": f"{draw(st.integers(0, 4)) * 250}m"} if draw(st.booleans()) else {}
    if draw(st.booleans()):
        asked["memory"] = f"{draw(st.integers(0, 3)) * 512}Mi"
    if draw(rarely):
        asked["nvidia.com/gpu"] = str(draw(st.integers(1, 5)))
    container: dict[str, Any] = {"name": "c", "resources": {"requests": asked}}
    if draw(often):
        container["ports"] = [{"containerPort": 80, "hostPort": draw(st.sampled_from([80, 81]))}]
    spec: dict[str, Any] = {"containers": [container], "priority": draw(st.integers(0, 2))}
    if draw(rarely):
        spec["nodeSelector"] = {"zone": draw(zones)}
    affinity: dict[str, Any] = {}
    if draw(rarely):
        affinity["requiredDuringSchedulingIgnoredDuringExecution"] = {
            "nodeSelectorTerms": draw(st.lists(terms, min_size=1, max_size=2))
        }
    if draw(st.booleans()):
        affinity["preferredDuringSchedulingIgnoredDuringExecution"] = [
            {"weight": draw(st.integers(1, 100)), "preference": draw(terms)}
        ]
    if affinity:
        spec["affinity"] = {"nodeAffinity": affinity}
    if draw(st.booleans()):
        spec["tolerations"] = [{"key": draw(st.sampled_from(["p", "q", ""])), "operator": "Exists"}]
    return spec


def node(plain: dict[str, Any]) -> Node:
    return msgspec.convert(plain, Node)


def pod(number: int, spec: dict[str, Any]) -> Pod:
    return msgspec.convert(
        {"metadata": {"name": f"p{number}", "namespace": "d", "uid": f"u{number}"}, "spec": spec}, Pod
    )


def pending(classes: Classes, number: int, spec: dict[str, Any]) -> Pending:
    made = pod(number, spec)
    return Pending(made.key, made.metadata.uid, classes.of(made), float(number))


def cluster(found: list[dict[str, Any]]) -> Columns:
    columns = Columns(capacity=2)
    for plain in found:
        columns.put_node(node(plain))
    return columns


many_nodes = st.integers(0, 5).flatmap(lambda n: st.tuples(*(nodes(f"n{i}") for i in range(n)))).map(list)
many_specs = st.lists(specs(), min_size=1, max_size=12)


@st.composite
def many_units(draw: st.DrawFn) -> list[Unit]:
    """Single Pods and gangs, of one class or several."""
    classes = Classes()
    pool = draw(st.lists(specs(), min_size=1, max_size=3))
    found = [pending(classes, i, spec) for i, spec in enumerate(draw(st.lists(st.sampled_from(pool), max_size=14)))]
    units: list[Unit] = []
    while found:
        size = draw(st.integers(1, min(4, len(found))))
        part, found = tuple(found[:size]), found[size:]
        if size > 1:
            if draw(st.booleans()):
                part = tuple(p._replace(pod_class=part[0].pod_class) for p in part)
            units.append(Unit(part, draw(st.integers(2, size)), f"g{len(units)}"))
        else:
            units.append(Unit(part))
    return units


def schedule(columns: Columns, units: list[Unit], *, seed: int = 1, cached: bool = True) -> Decisions:
    return cycle.schedule(columns, units, 0.0, seed, Evaluations(columns, PLUGINS, cached=cached), log=True)


# --- what holds ----------------------------------------------------------------------------------------------------


@BOUNDED
@given(many_nodes, many_units())
def test_no_node_is_over_committed(found: list[dict[str, Any]], units: list[Unit]) -> None:
    columns = cluster(found)
    decisions = schedule(columns, units)
    asked: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    ports: dict[str, list[str]] = defaultdict(list)
    for placed in decisions.placed:
        for placement in placed.placements:
            for name, taken in placement.pod.pod_class.footprint.amounts:
                asked[placement.node][name] += taken
            ports[placement.node] += placement.pod.pod_class.footprint.ports
    for name, wanted in asked.items():
        row = columns.rows[name]
        assert all(taken <= columns.allocatable[columns.resource(r), row] for r, taken in wanted.items())
        assert len(ports[name]) == len(set(ports[name]))


@BOUNDED
@given(many_nodes, many_units())
def test_gangs_are_placed_whole_or_not_at_all(found: list[dict[str, Any]], units: list[Unit]) -> None:
    columns = cluster(found)
    decisions = schedule(columns, units)
    placed = {p.pod.uid for d in decisions.placed for p in d.placements}
    refused = [p.uid for r in decisions.refused for p in r.pods]
    assert sorted([*placed, *refused]) == sorted(p.uid for u in units for p in u.pods)
    for unit in units:
        members = {p.uid for p in unit.pods}
        assert not members & placed or len(members & placed) >= unit.needed
        assert all((columns.node_of(uid) is not None) == (uid in placed) for uid in members)


@BOUNDED
@given(many_nodes, many_units())
def test_a_refused_gang_of_one_class_has_no_room(found: list[dict[str, Any]], units: list[Unit]) -> None:
    columns = cluster(found)
    schedule(columns, units)
    after = schedule(columns, [u for u in units if columns.node_of(u.pods[0].uid) is None])
    for refusal in after.refused:
        unit = refusal.unit
        evaluation = Evaluations(columns, PLUGINS).of(unit.pods[0].pod_class)
        if len({id(p.pod_class) for p in unit.pods}) == 1 and len(refusal.pods) == len(unit.pods):
            assert evaluation.room(unit.needed) < unit.needed


@BOUNDED
@given(many_nodes, many_units(), st.integers(0, 3))
def test_the_same_seed_decides_the_same_whatever_the_order_of_nodes(
    found: list[dict[str, Any]], units: list[Unit], seed: int
) -> None:
    by_name = {n["metadata"]["name"]: n for n in found}
    forward, backward = cluster(list(by_name.values())), cluster(list(reversed(by_name.values())))
    assert schedule(forward, units, seed=seed) == schedule(backward, list(reversed(units)), seed=seed)
    assert forward.as_values() == backward.as_values()


@BOUNDED
@given(many_nodes, many_units())
def test_the_class_cache_changes_nothing(found: list[dict[str, Any]], units: list[Unit]) -> None:
    assert schedule(cluster(found), units) == schedule(cluster(found), units, cached=False)


@BOUNDED
@given(many_nodes, many_specs)
def test_an_explanation_counts_every_node_once(found: list[dict[str, Any]], asked: list[dict[str, Any]]) -> None:
    columns, classes = cluster(found), Classes()
    evaluations = Evaluations(columns, PLUGINS)
    for number, spec in enumerate(asked):
        member = pending(classes, number, spec)
        evaluation = evaluations.of(member.pod_class)
        diagnosis = explain.diagnose(columns, evaluation)
        assert sum(diagnosis.refused.values()) + diagnosis.fitting == len(columns)
        assert diagnosis.fitting == int(evaluation.fits.sum())
        assert all(0 < count <= len(columns) for count in diagnosis.reasons.values())
        if diagnosis.remedy:
            assert not somewhere(found, member.pod_class), diagnosis.remedy
        schedule(columns, [Unit((member,))])


def somewhere(found: list[dict[str, Any]], pod_class: PodClass) -> bool:
    """Whether some node of an empty cluster would run the Pod."""
    empty = cluster(found)
    return Evaluations(empty, PLUGINS).of(pod_class).possible()


# --- any history ---------------------------------------------------------------------------------------------------

events = st.lists(
    st.one_of(
        st.tuples(st.just("node"), nodes()),
        st.tuples(st.just("no node"), st.integers(0, 7)),
        st.tuples(st.just("pod"), st.tuples(st.integers(0, 9), st.integers(0, 7), specs())),
        st.tuples(st.just("no pod"), st.integers(0, 9)),
        st.tuples(st.just("trial"), st.tuples(st.integers(0, 9), st.integers(0, 7), specs())),
        st.tuples(st.just("look"), st.none()),
    ),
    max_size=30,
)


class History:
    """Columns that live through events, looked at in between; and what should be there afterwards."""

    def __init__(self, classes: Classes, watched: list[PodClass]) -> None:
        self.columns, self.classes, self.watched = Columns(capacity=1), classes, watched
        self.evaluations = Evaluations(self.columns, PLUGINS)
        self.there: dict[str, dict[str, Any]] = {}
        self.placed: dict[int, tuple[int, dict[str, Any]]] = {}

    def apply(self, event: str, what: Any) -> None:
        match event:
            case "node":
                self.there[what["metadata"]["name"]] = what
                self.columns.put_node(node(what))
            case "no node":
                self.there.pop(f"n{what}", None)
                self.columns.drop_node(f"n{what}")
            case "pod":
                self.placed[what[0]] = what[1:]
                put_pod(self.columns, self.classes, *what)
            case "no pod":
                self.placed.pop(what, None)
                self.columns.remove_pod(f"u{what}")
            case "trial":
                with self.columns.trial():
                    put_pod(self.columns, self.classes, *what)
                    self.columns.remove_pod("u0")
                    self.look()
            case "look":
                self.look()

    def look(self) -> None:
        for pod_class in self.watched:
            self.evaluations.of(pod_class)


@BOUNDED
@given(events, st.lists(specs(), min_size=1, max_size=3))
def test_columns_by_deltas_are_those_made_from_scratch(history: list[Any], asked: list[dict[str, Any]]) -> None:
    classes = Classes()
    watched = [classes.of(pod(i, spec)) for i, spec in enumerate(asked)]
    lived = History(classes, watched)
    for event, what in history:
        lived.apply(event, what)
    columns, there, placed = lived.columns, lived.there, lived.placed
    scratch = Columns(capacity=64)
    for number, (name, spec) in placed.items():
        put_pod(scratch, classes, number, name, spec)
    for plain in there.values():
        scratch.put_node(node(plain))
    assert columns.as_values() == scratch.as_values()
    for pod_class in watched:
        assert by_name(columns, lived.evaluations.of(pod_class)) == by_name(
            scratch, Evaluations(scratch, PLUGINS).of(pod_class)
        )


def put_pod(columns: Columns, classes: Classes, number: int, name: int, spec: dict[str, Any]) -> None:
    columns.add_pod(f"u{number}", f"n{name}", classes.of(pod(number, spec)).footprint)


def by_name(columns: Columns, evaluation: Evaluation) -> dict[str, int]:
    return {name: int(evaluation.total[row]) for name, row in columns.rows.items()}
