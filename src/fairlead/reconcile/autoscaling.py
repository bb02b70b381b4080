"""How many Pods there should be for what they use: the arithmetic of HorizontalPodAutoscalers. Pure.

Upstream's algorithm. Pods that are not ready yet count as using nothing when that would grow the set further; Pods
without figures count as using all they asked for when the set would shrink and nothing when it would grow; within the
tolerance nothing changes. What is proposed is then held back by the stabilisation windows and by the policies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from fairlead.api.autoscaling import Behavior, MetricTarget, ScalingPolicy, ScalingRules
from fairlead.api.core import Pod
from fairlead.base import timestamp
from fairlead.machinery import quantity

TOLERANCE = 0.1
WARM_UP = 300.0
"""Seconds after a Pod's start in which its CPU is believed only if it has been ready for a whole reading."""
FIRST_READY = 30.0
DOWN_WINDOW = 300
"""Seconds for which the highest recommendation counts before shrinking, unless the autoscaler says otherwise."""

UP = ScalingRules(0, "Max", [ScalingPolicy("Pods", 4, 15), ScalingPolicy("Percent", 100, 15)])
DOWN = ScalingRules(DOWN_WINDOW, "Max", [ScalingPolicy("Percent", 100, 15)])


class Unknown(Exception):
    """A metric cannot be had; the text says why."""


class Reading(msgspec.Struct, frozen=True):
    """What a Pod uses of one resource, in thousandths; `time` and `window` of the measurement in seconds."""

    milli: int
    time: float
    window: float


class Proposal(msgspec.Struct, frozen=True):
    """A count, and the metric's present value: its average in thousandths, and in percent of what is requested."""

    count: int
    average: int
    percent: int | None = None


class _Groups(msgspec.Struct):
    ready: list[Pod] = []
    unready: list[Pod] = []
    missing: list[Pod] = []
    ignored: list[Pod] = []


class Question(msgspec.Struct, frozen=True):
    """One resource metric. `container`: only that one's. `tolerances`: downwards, upwards."""

    resource: str
    target: MetricTarget
    container: str = ""
    tolerances: tuple[float, float] = (TOLERANCE, TOLERANCE)


def propose(
    asked: Question, current: int, pods: Sequence[Pod], readings: Mapping[str, Reading], now: float
) -> Proposal:
    """The count for one metric, of readings by Pods' names. Raises Unknown."""
    if not pods:
        raise Unknown("no pods returned by selector while calculating replica count")
    groups = _groups(pods, readings, asked.resource, now)
    used = {p.metadata.name: readings[p.metadata.name].milli for p in groups.ready}
    if not used:
        raise Unknown("did not receive metrics for targeted pods (pods might be unready)")
    if asked.target.averageUtilization is not None:
        return _by_utilization(asked, current, groups, used)
    if asked.target.averageValue is None:
        raise Unknown("invalid resource metric source: neither an average utilization nor an average value was set")
    even = dict.fromkeys((p.metadata.name for p in pods), quantity.fast_milli(asked.target.averageValue))
    count = _count(asked, current, groups, used, _Base(even, even))
    return Proposal(count, sum(used.values()) // len(used))


class _Base(msgspec.Struct, frozen=True):
    """What Pods' use is measured by: what is wanted of each, and what one without figures may be using."""

    wanted: Mapping[str, int]
    full: Mapping[str, int]


def _by_utilization(asked: Question, current: int, groups: _Groups, used: Mapping[str, int]) -> Proposal:
    percent = asked.target.averageUtilization or 0
    considered = [*groups.ready, *groups.unready, *groups.missing]
    requested = {p.metadata.name: request_of(p, asked.resource, asked.container) for p in considered}
    total = sum(requested[name] for name in used)
    if total == 0:
        raise Unknown("no metrics returned matched known pods")
    wanted = {name: amount * percent // 100 for name, amount in requested.items()}
    full = {name: amount * max(100, percent) // 100 for name, amount in requested.items()}
    count = _count(asked, current, groups, used, _Base(wanted, full))
    return Proposal(count, sum(used.values()) // len(used), sum(used.values()) * 100 // total)


def _count(asked: Question, current: int, groups: _Groups, used: Mapping[str, int], base: _Base) -> int:
    """The count, by the ratio of what is used to what is wanted."""
    ratio = _ratio(used, base.wanted)
    growing = bool(groups.unready) and ratio > 1
    if not growing and not groups.missing:
        return current if _tolerated(ratio, asked.tolerances) else math.ceil(ratio * len(groups.ready))
    filled = dict(used)
    for pod in groups.missing if ratio != 1 else ():
        filled[pod.metadata.name] = base.full[pod.metadata.name] if ratio < 1 else 0
    if growing:
        filled |= {p.metadata.name: 0 for p in groups.unready}
    second = _ratio(filled, base.wanted)
    turned = (ratio < 1 < second) or (second < 1 < ratio)
    if _tolerated(second, asked.tolerances) or turned:
        return current
    count = math.ceil(second * len(filled))
    backwards = (second < 1 and count > current) or (second > 1 and count < current)
    return current if backwards else count


def _ratio(used: Mapping[str, int], wanted: Mapping[str, int]) -> float:
    goal = sum(wanted[name] for name in used)
    return sum(used.values()) / goal if goal else 0.0


def _tolerated(ratio: float, tolerances: tuple[float, float]) -> bool:
    down, up = tolerances
    return 1.0 - down <= ratio <= 1.0 + up


def _groups(pods: Sequence[Pod], readings: Mapping[str, Reading], resource: str, now: float) -> _Groups:
    groups = _Groups()
    for pod in pods:
        reading = readings.get(pod.metadata.name)
        if pod.metadata.deleting or pod.finished:
            groups.ignored.append(pod)
        elif pod.status.phase == "Pending":
            groups.unready.append(pod)
        elif reading is None:
            groups.missing.append(pod)
        elif resource == "cpu" and _is_warming_up(pod, reading, now):
            groups.unready.append(pod)
        else:
            groups.ready.append(pod)
    return groups


def _is_warming_up(pod: Pod, reading: Reading, now: float) -> bool:
    ready, started = pod.condition("Ready"), pod.status.startTime
    if ready is None or started is None:
        return True
    since = timestamp.parse(ready.lastTransitionTime) if ready.lastTransitionTime else 0.0
    begun = timestamp.parse(started)
    if begun + WARM_UP > now:
        return ready.status == "False" or reading.time < since + reading.window
    return ready.status == "False" and begun + FIRST_READY > since


def request_of(pod: Pod, resource: str, container: str = "") -> int:
    """What a Pod (or one of its containers) asks for, in thousandths. Raises Unknown where it does not say."""
    sidecars = [c for c in pod.spec.initContainers if c.restartPolicy == "Always"]
    total = 0
    for one in (*pod.spec.containers, *sidecars):
        if container and one.name != container:
            continue
        amount = one.resources.requests.get(resource)
        if amount is None:
            raise Unknown(f"missing request for {resource} in container {one.name} of Pod {pod.metadata.name}")
        total += quantity.fast_milli(amount)
    return total


# --- holding back --------------------------------------------------------------------------------------------------


class Memory(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an autoscaler must remember: (time, count) of recommendations that were not followed, (time, change) of
    changes that were made."""

    recommended: list[tuple[float, int]] = []
    changed: list[tuple[float, int]] = []


class Held(msgspec.Struct, frozen=True):
    """The count after holding back; why it was held by the windows, and what limits it (reason, message)."""

    count: int
    stabilized: str = ""
    limit: tuple[str, str] | None = None


def rules(behavior: Behavior | None) -> tuple[ScalingRules, ScalingRules]:
    """Downwards, upwards."""
    down = (behavior.scaleDown if behavior is not None else None) or DOWN
    up = (behavior.scaleUp if behavior is not None else None) or UP
    return down, up


def tolerances(behavior: Behavior | None) -> tuple[float, float]:
    """Downwards, upwards."""
    down, up = (
        quantity.fast_milli(r.tolerance) / 1000 if r.tolerance is not None else TOLERANCE for r in rules(behavior)
    )
    return down, up


def remember(memory: Memory, desired: int, current: int, behavior: Behavior | None, now: float) -> Memory:
    """The memory with this recommendation. One that is followed anyway leaves nothing to remember."""
    longest = max(windows(behavior))
    if desired == current:
        return Memory([], _recent(memory.changed, behavior, now))
    before = memory.recommended or [(now, current)]
    kept = [(t, n) for t, n in before if t > now - longest]
    if not kept or kept[-1] != (now, desired):
        kept.append((now, desired))
    return Memory(kept, _recent(memory.changed, behavior, now))


def changed(memory: Memory, by: int, behavior: Behavior | None, now: float) -> Memory:
    """The memory with a change that was made."""
    return Memory(memory.recommended, [*_recent(memory.changed, behavior, now), (now, by)])


def _recent(events: Sequence[tuple[float, int]], behavior: Behavior | None, now: float) -> list[tuple[float, int]]:
    longest = max((p.periodSeconds for r in rules(behavior) for p in r.policies), default=0)
    return [(t, n) for t, n in events if t > now - longest]


def windows(behavior: Behavior | None) -> tuple[int, int]:
    """The stabilisation windows in seconds: downwards, upwards."""
    down, up = rules(behavior)
    below = DOWN_WINDOW if down.stabilizationWindowSeconds is None else down.stabilizationWindowSeconds
    return below, up.stabilizationWindowSeconds or 0


def hold(
    memory: Memory, current: int, desired: int, bounds: tuple[int, int], behavior: Behavior | None, now: float
) -> Held:
    """What of a proposal may be done now; `bounds` are the smallest and the largest count."""
    count, why = _stabilized(memory, current, desired, windows(behavior), now)
    down, up = rules(behavior)
    least, most = bounds
    if count > current:
        limit = max(current, up_limit(memory, current, up, now))
        if limit < most and count > limit:
            says = "the desired replica count is increasing faster than the maximum scale rate"
            return Held(limit, why, ("ScaleUpLimit", says))
    elif count < current:
        limit = min(current, down_limit(memory, current, down, now))
        if limit > least and count < limit:
            says = "the desired replica count is decreasing faster than the maximum scale rate"
            return Held(limit, why, ("ScaleDownLimit", says))
    if count > most:
        return Held(most, why, ("TooManyReplicas", "the desired replica count is more than the maximum replica count"))
    if count < least:
        says = "the desired replica count is less than the minimum replica count"
        return Held(least, why, ("TooFewReplicas", says))
    return Held(count, why)


def _stabilized(
    memory: Memory, current: int, desired: int, spans: tuple[int, int], now: float
) -> tuple[int, str]:  # fmt: skip
    below, above = spans
    highest = max([desired, *(n for t, n in memory.recommended if t > now - below)])
    lowest = min([desired, *(n for t, n in memory.recommended if t > now - above)])
    if current < lowest:
        return lowest, "ScaleUpStabilized" if lowest != desired else ""
    if current > highest:
        return highest, "ScaleDownStabilized" if highest != desired else ""
    if desired == current:
        return current, ""
    return current, "ScaleUpStabilized" if desired > current else "ScaleDownStabilized"


def up_limit(memory: Memory, current: int, up: ScalingRules, now: float) -> int:
    """The largest count that the policies allow by now."""
    if up.selectPolicy == "Disabled":
        return current
    limits = []
    for policy in up.policies:
        start = current - sum(n for t, n in memory.changed if n > 0 and t > now - policy.periodSeconds)
        grown = start + policy.value if policy.type == "Pods" else math.ceil(start * (1 + policy.value / 100))
        limits.append(grown)
    return (min if up.selectPolicy == "Min" else max)(limits, default=current)


def down_limit(memory: Memory, current: int, down: ScalingRules, now: float) -> int:
    """The smallest count that the policies allow by now."""
    if down.selectPolicy == "Disabled":
        return current
    limits = []
    for policy in down.policies:
        start = current - sum(n for t, n in memory.changed if n < 0 and t > now - policy.periodSeconds)
        shrunk = start - policy.value if policy.type == "Pods" else int(start * (1 - policy.value / 100))
        limits.append(shrunk)
    return (max if down.selectPolicy == "Min" else min)(limits, default=current)
