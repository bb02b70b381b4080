"""The arithmetic of autoscalers: proposals, windows, policies."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.api.autoscaling import Behavior, MetricTarget, ScalingPolicy, ScalingRules
from fairlead.base import timestamp
from fairlead.reconcile import autoscaling
from fairlead.reconcile.autoscaling import Held, Memory, Question, Reading, Unknown
from fairlead.testing import builders
from fairlead.testing.clock import START

HALF = Question("cpu", MetricTarget("Utilization", averageUtilization=50))


def pod(name: str, ready: bool = True, started: float = START - 1000) -> Any:
    made = builders.pod(name).requests(cpu="1").ready(ready=ready)
    since = timestamp.seconds(started)
    return made.status(startTime=since).condition("Ready", "True" if ready else "False", time=started + 5).view()


def propose(milli: list[int | None], current: int | None = None, asked: Question = HALF, pods: Any = None) -> int:
    found = pods or [pod(f"p{i}") for i in range(len(milli))]
    readings = {f"p{i}": Reading(m, START, 10.0) for i, m in enumerate(milli) if m is not None}
    return autoscaling.propose(asked, current or len(found), found, readings, START).count


@pytest.mark.parametrize(
    ("milli", "expected"),
    [
        ([500, 500], 2),
        ([540, 540], 2),  # within the tolerance
        ([600, 600], 3),
        ([1000, 1000, 1000], 6),
        ([100, 100, 100, 100], 1),
        ([250, 250, None], 3),  # the one without figures may be using all of its request
        ([1000, 1000, None], 4),  # and here nothing
        ([400, None], 2),
    ],
)
def test_by_utilization(milli: list[int | None], expected: int) -> None:
    assert propose(milli) == expected


def test_pods_that_are_not_ready_do_not_make_it_grow_further() -> None:
    pods = [pod("p0"), pod("p1", ready=False, started=START - 10)]
    assert propose([1500, 1500], pods=pods) == 3
    assert propose([1500, 1500]) == 6


def test_by_average_value() -> None:
    asked = Question("memory", MetricTarget("AverageValue", averageValue="100"))
    assert propose([150_000, 150_000], asked=asked) == 3


def test_what_cannot_be_known_is_said() -> None:
    with pytest.raises(Unknown, match="no pods returned"):
        autoscaling.propose(HALF, 1, [], {}, START)
    with pytest.raises(Unknown, match="did not receive metrics"):
        propose([None])
    bare = builders.pod("p0").ready().status(startTime=timestamp.seconds(START - 1000)).view()
    with pytest.raises(Unknown, match="missing request for cpu in container main of Pod p0"):
        propose([100], pods=[bare])


def hold(memory: Memory, current: int, desired: int, behavior: Behavior | None = None, now: float = START) -> Held:
    return autoscaling.hold(memory, current, desired, (1, 100), behavior, now)


def test_growing_doubles_or_adds_four() -> None:
    assert hold(Memory(), 1, 50).count == 5
    assert hold(Memory(), 10, 50).count == 20
    limited = hold(Memory(changed=[(START - 5, 10)]), 20, 50)
    assert limited.count == 20
    assert limited.limit is not None
    assert limited.limit[0] == "ScaleUpLimit"
    assert hold(Memory(changed=[(START - 16, 10)]), 20, 50).count == 40


def test_shrinking_waits_for_its_window() -> None:
    memory = autoscaling.remember(Memory(), 2, 10, None, START)
    assert memory.recommended == [(START, 10), (START, 2)]
    assert hold(memory, 10, 2).count == 10
    assert hold(memory, 10, 2).stabilized == "ScaleDownStabilized"
    later = autoscaling.remember(memory, 3, 10, None, START + 301)
    assert hold(later, 10, 3, now=START + 301).count == 3
    assert autoscaling.remember(memory, 10, 10, None, START + 20) == Memory()


def test_behaviors_hold_back_further() -> None:
    slow = Behavior(scaleDown=ScalingRules(0, "Max", [ScalingPolicy("Pods", 1, 60)]))
    held = hold(Memory(), 10, 2, slow)
    assert held.count == 9
    assert held.limit is not None
    assert held.limit[0] == "ScaleDownLimit"
    assert hold(Memory(changed=[(START - 30, -1)]), 9, 2, slow).count == 9
    never = Behavior(scaleDown=ScalingRules(0, "Disabled", []))
    assert hold(Memory(), 10, 2, never).count == 10
    least = Behavior(scaleUp=ScalingRules(0, "Min", [ScalingPolicy("Pods", 1, 60), ScalingPolicy("Percent", 100, 60)]))
    assert hold(Memory(), 10, 20, least).count == 11


def test_bounds() -> None:
    held = autoscaling.hold(Memory(), 4, 9, (2, 5), None, START)
    assert (held.count, held.limit is not None and held.limit[0]) == (5, "TooManyReplicas")
