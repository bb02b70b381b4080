"""The order of those that wait, and how many are looked at."""

from __future__ import annotations

import msgspec

from fairlead.api.core import Pod
from fairlead.api.meta import Key
from fairlead.scheduler import gangs
from fairlead.scheduler.classes import Classes
from fairlead.scheduler.cycle import Pending
from fairlead.scheduler.gangs import Form, Group, Members
from fairlead.scheduler.queue import Queue, Waiter

TRAIN = Group(Form.NATIVE, Key("d", "train"))
CLASSES = Classes()


def pending(name: str, created: float = 0.0, priority: int = 0) -> Pending:
    pod_class = CLASSES.of(msgspec.convert({"spec": {"priority": priority}}, Pod))
    return Pending(Key("d", name), name, pod_class, created)


def taken(queue: Queue, most: int = 100) -> list[str]:
    """The names of the Pods in the units that are taken; groups need two."""
    units, _ = queue.take(most, lambda group: gangs.units(group, 2, Members(queue.members(group), 0)))
    return [pod.uid for unit in units for pod in unit.pods]


def filled(*pods: Pending, group: Group | None = None) -> Queue:
    queue = Queue()
    for pod in pods:
        queue.enter(Waiter(pod, group))
    return queue


def test_by_priority_then_age_then_name() -> None:
    queue = filled(pending("b"), pending("a"), pending("old", -1.0), pending("urgent", 5.0, priority=1))
    assert taken(queue) == ["urgent", "old", "a", "b"]
    assert not queue.active
    assert len(queue) == 4


def test_what_is_not_taken_comes_next() -> None:
    queue = filled(*(pending(f"p{i}", float(i)) for i in range(5)))
    queue.enter(Waiter(pending("m1", 1.5), TRAIN))
    queue.enter(Waiter(pending("m2", 1.6), TRAIN))
    assert taken(queue, 2) == ["p0", "p1"]
    assert taken(queue, 3) == ["m1", "m2", "p2"]
    assert taken(queue, 3) == ["p3", "p4"]
    assert not queue.active


def test_a_gang_larger_than_a_round_is_taken_whole() -> None:
    queue = filled(pending("m1"), pending("m2"), pending("m3"), group=TRAIN)
    assert taken(queue, 1) == ["m1", "m2", "m3"]


def test_a_group_with_units_left_stays_active() -> None:
    queue = filled(pending("first", -1.0))
    queue.enter(Waiter(pending("m1"), TRAIN))
    queue.enter(Waiter(pending("m2"), TRAIN))
    assert taken(queue, 1) == ["first"]
    assert queue.active
    assert taken(queue, 1) == ["m1", "m2"]


def test_room_for_one_wakes_one() -> None:
    queue = filled(pending("a", 1.0), pending("b", 2.0), pending("urgent", 3.0, priority=1))
    taken(queue)
    queue.wake_for_room(lambda pod_class, most: 0 if pod_class.priority else 1)
    assert taken(queue) == ["a"]
    queue.wake_all()
    assert taken(queue) == ["urgent", "a", "b"]


def test_those_who_leave_are_not_looked_at() -> None:
    queue = filled(pending("a"), pending("b"))
    queue.leave("a")
    assert queue.leave("a") is None
    assert taken(queue) == ["b"]
    group = filled(pending("m"), group=TRAIN)
    group.leave("m")
    group.wake_group(TRAIN)
    assert not group.active
