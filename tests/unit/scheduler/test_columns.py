"""Columns, their log and their labels."""

from __future__ import annotations

import msgspec
import pytest

from fairlead.api.core import Node
from fairlead.scheduler.changelog import ChangeLog
from fairlead.scheduler.columns import Columns, Footprint
from fairlead.scheduler.labels import LabelColumn

ONE_CPU = Footprint((("cpu", 1000), ("pods", 1)), (1000, 0))


def node(name: str, cpu: str = "4", labels: dict[str, str] | None = None, **spec: object) -> Node:
    offered = {"cpu": cpu, "memory": "1Gi", "pods": "10"}
    meta = {"name": name, "labels": labels or {}}
    return msgspec.convert({"metadata": meta, "spec": spec, "status": {"allocatable": offered}}, Node)


def free(columns: Columns, name: str) -> dict[str, int]:
    return columns.as_values()[name]["free"]  # type: ignore[no-any-return]


def test_a_pod_takes_and_gives_back() -> None:
    columns = Columns()
    columns.put_node(node("a"))
    columns.add_pod("u", "a", ONE_CPU)
    assert free(columns, "a") == {"cpu": 3000, "memory": 2**30, "pods": 9}
    assert columns.remove_pod("u")
    assert not columns.remove_pod("u")
    assert free(columns, "a") == {"cpu": 4000, "memory": 2**30, "pods": 10}


def test_a_pod_may_be_known_before_its_node_and_survives_it() -> None:
    columns = Columns()
    columns.add_pod("u", "a", ONE_CPU)
    columns.put_node(node("a"))
    assert free(columns, "a")["cpu"] == 3000
    columns.drop_node("a")
    columns.put_node(node("a", cpu="2"))
    assert free(columns, "a")["cpu"] == 1000


def test_a_moved_pod_is_counted_once() -> None:
    columns = Columns()
    columns.put_node(node("a"))
    columns.put_node(node("b"))
    columns.add_pod("u", "a", ONE_CPU)
    columns.add_pod("u", "b", ONE_CPU)
    assert (free(columns, "a")["cpu"], free(columns, "b")["cpu"]) == (4000, 3000)


def test_a_pod_may_be_resized() -> None:
    columns = Columns()
    columns.put_node(node("a"))
    assert columns.add_pod("u", "a", ONE_CPU)
    assert not columns.add_pod("u", "a", ONE_CPU)
    assert columns.add_pod("u", "a", Footprint((("cpu", 500), ("pods", 1))))
    assert free(columns, "a")["cpu"] == 3500


def test_a_heartbeat_is_no_change() -> None:
    columns = Columns()
    assert columns.put_node(node("a"))
    head = columns.usage.head
    assert not columns.put_node(node("a"))
    assert columns.usage.head == head


def test_rows_are_used_again() -> None:
    columns = Columns(capacity=2)
    for round_ in range(5):
        columns.put_node(node(f"n{round_}", labels={"kubernetes.io/hostname": f"n{round_}"}, unschedulable=True))
        columns.drop_node(f"n{round_}")
    columns.put_node(node("last"))
    assert columns.capacity == 2
    assert columns.as_values()["last"]["labels"] == {}
    assert not columns.as_values()["last"]["unschedulable"]


def test_a_trial_leaves_nothing_unless_committed() -> None:
    columns = Columns()
    columns.put_node(node("a"))
    columns.put_node(node("b"))
    columns.add_pod("u", "a", ONE_CPU)
    before = columns.as_values()
    with columns.trial():
        columns.add_pod("v", "a", Footprint((("example.com/new", 1), ("pods", 1))))
        columns.add_pod("u", "b", ONE_CPU)
        columns.remove_pod("u")
    assert columns.as_values() == before
    with columns.trial() as trial:
        columns.add_pod("v", "a", ONE_CPU)
        trial.commit()
    assert free(columns, "a")["cpu"] == 2000


def test_trials_do_not_nest() -> None:
    columns = Columns()
    with columns.trial(), pytest.raises(RuntimeError, match="already under way"), columns.trial():
        pass


def test_more_than_64_taints() -> None:
    columns = Columns()
    for number in range(70):
        columns.put_node(node(f"n{number}", taints=[{"key": f"k{number}", "effect": "NoSchedule"}]))
    assert columns.taint_bits.shape[0] == 2
    assert [t.key for t in columns.as_values()["n69"]["taints"]] == ["k69"]


def test_amounts_are_cut_before_they_overflow() -> None:
    columns = Columns()
    columns.put_node(node("a", cpu="9223372036854775807"))
    assert free(columns, "a")["cpu"] == 2**53


def test_the_log_tells_each_row_once_and_forgets_what_is_old() -> None:
    log = ChangeLog(limit=4)
    for row in (1, 2, 1):
        log.add(row)
    assert sorted(log.since(0)) == [1, 2]  # type: ignore[arg-type]
    assert list(log.since(log.head)) == []  # type: ignore[arg-type]
    for row in (3, 4):
        log.add(row)
    assert log.since(0) is None
    assert sorted(log.since(3)) == [3, 4]  # type: ignore[arg-type]


def test_label_values_give_their_numbers_back() -> None:
    column = LabelColumn(4)
    for number in range(100):
        column.put(0, f"v{number}")
        column.clear(0, f"v{number}")
    column.put(1, "x")
    column.put(2, "y")
    assert len(column.present()) <= 3
    assert column.values() == ["x", "y"]
    assert list(column.among(["y", "nobody"])[column.ids]) == [False, False, True, False]
