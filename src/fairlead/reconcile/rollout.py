"""How many Pods each ReplicaSet of a Deployment is to have, as arithmetic. Pure.

`plan` answers the sizes after the next step. A step either scales (the Deployment's own size has changed, or it is
paused) or rolls: the new set grows within `surge`, old ones shrink within `unavailable`, unhealthy Pods first.
The figures are upstream's, so that a rollout takes the same steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from fairlead.api.apps import Deployment, ReplicaSet
from fairlead.machinery import share

DESIRED = "deployment.kubernetes.io/desired-replicas"
MOST = "deployment.kubernetes.io/max-replicas"

Sizes = dict[str, int]
"""Names of ReplicaSets to their `spec.replicas`."""


class Bounds(msgspec.Struct, frozen=True):
    """How far a rollout may go above and below the Deployment's size."""

    replicas: int
    surge: int
    unavailable: int

    @property
    def most(self) -> int:
        return self.replicas + self.surge

    @property
    def least(self) -> int:
        return self.replicas - self.unavailable


def bounds(deployment: Deployment) -> Bounds:
    """`maxSurge` rounds up, `maxUnavailable` down; they cannot both be nothing."""
    spec = deployment.spec
    if spec.strategy.type != "RollingUpdate":
        return Bounds(spec.replicas, 0, 0)
    rolling = spec.strategy.rollingUpdate
    surge = share.of(rolling.maxSurge, spec.replicas, up=True)
    down = share.of(rolling.maxUnavailable, spec.replicas, up=False)
    if surge == 0 and down == 0:
        down = 1
    return Bounds(spec.replicas, surge, min(down, spec.replicas))


def plan(deployment: Deployment, new: ReplicaSet | None, old: Sequence[ReplicaSet]) -> Sizes:
    """The sizes that are to change; `new` is None while the set for the present template is not there yet."""
    every = [*old, *([new] if new is not None else ())]
    sizes = {r.metadata.name: r.spec.replicas for r in every}
    if deployment.spec.paused or is_scaled(deployment, every):
        wanted = _scale(deployment, new, old, sizes)
    elif deployment.spec.strategy.type == "Recreate":
        wanted = _recreate(deployment, new, old, sizes)
    else:
        wanted = _roll(deployment, new, old, sizes)
    return {name: size for name, size in wanted.items() if size != sizes[name]}


def is_scaled(deployment: Deployment, every: Sequence[ReplicaSet]) -> bool:
    """Whether the Deployment's size has changed since its sets were sized."""
    for one in every:
        desired = one.metadata.annotations.get(DESIRED)
        if one.spec.replicas > 0 and desired is not None and desired != str(deployment.spec.replicas):
            return True
    return False


def new_size(deployment: Deployment, size: int, total: int) -> int:
    """What the new set may grow to, when all sets together have `total`."""
    limits = bounds(deployment)
    if deployment.spec.strategy.type == "Recreate":
        return deployment.spec.replicas
    if total >= limits.most:
        return size
    return size + min(limits.most - total, max(0, deployment.spec.replicas - size))


# --- rolling -------------------------------------------------------------------------------------------------------


def _roll(deployment: Deployment, new: ReplicaSet | None, old: Sequence[ReplicaSet], sizes: Sizes) -> Sizes:
    if new is None:
        return sizes
    name, target = new.metadata.name, deployment.spec.replicas
    size = new.spec.replicas
    grown = target if size > target else new_size(deployment, size, sum(sizes.values()))
    if grown != size:
        return {**sizes, name: grown}
    return _shrink(deployment, new, old, sizes)


def _shrink(deployment: Deployment, new: ReplicaSet, old: Sequence[ReplicaSet], sizes: Sizes) -> Sizes:
    """Make old sets smaller: first by what is not available anyway, then by what may be missed."""
    limits, sizes = bounds(deployment), dict(sizes)
    oldest = sorted((r for r in old if r.spec.replicas > 0), key=_age)
    unready = new.spec.replicas - new.status.availableReplicas
    room = sum(sizes.values()) - limits.least - unready
    if room <= 0 or not oldest:
        return sizes
    for one in oldest:
        sick = min(room, max(0, one.spec.replicas - one.status.availableReplicas))
        sizes[one.metadata.name] -= sick
        room -= sick
    spare = sum(r.status.availableReplicas for r in (*old, new)) - limits.least
    for one in oldest:
        healthy = min(max(0, spare), sizes[one.metadata.name])
        sizes[one.metadata.name] -= healthy
        spare -= healthy
    return sizes


def _recreate(deployment: Deployment, new: ReplicaSet | None, old: Sequence[ReplicaSet], sizes: Sizes) -> Sizes:
    if any(r.spec.replicas > 0 for r in old):
        return {**sizes, **{r.metadata.name: 0 for r in old}}
    if new is None or not is_gone(old):
        return sizes
    return {**sizes, new.metadata.name: deployment.spec.replicas}


def is_gone(old: Sequence[ReplicaSet]) -> bool:
    """Whether no Pod of the old sets is left, so that Recreate may go on."""
    return not any(
        r.spec.replicas or r.status.replicas or r.status.terminatingReplicas
        or r.status.observedGeneration < r.metadata.generation
        for r in old
    )  # fmt: skip


# --- scaling -------------------------------------------------------------------------------------------------------


def _scale(deployment: Deployment, new: ReplicaSet | None, old: Sequence[ReplicaSet], sizes: Sizes) -> Sizes:
    """The only set that has Pods gets the Deployment's size; several share the difference by their sizes."""
    every = [*old, *([new] if new is not None else ())]
    active = [r for r in every if r.spec.replicas > 0]
    only = active[0] if len(active) == 1 else (new or _newest(old)) if not active else None
    if len(active) <= 1:
        return {**sizes, only.metadata.name: deployment.spec.replicas} if only is not None else sizes
    if new is not None and _is_saturated(deployment, new):
        return {**sizes, **{r.metadata.name: 0 for r in old}}
    if deployment.spec.strategy.type != "RollingUpdate":
        return sizes
    return _proportion(deployment, active, sizes)


def _proportion(deployment: Deployment, active: Sequence[ReplicaSet], sizes: Sizes) -> Sizes:
    limits, total = bounds(deployment), sum(r.spec.replicas for r in active)
    allowed = limits.most if deployment.spec.replicas > 0 else 0
    to_add = allowed - total
    if to_add == 0:
        return sizes
    newest_first = sorted(active, key=_age, reverse=to_add > 0)
    ordered = sorted(newest_first, key=lambda r: -r.spec.replicas)
    added = 0
    sizes = dict(sizes)
    for one in ordered:
        part = _part(one, limits, allowed, to_add, added)
        sizes[one.metadata.name] = one.spec.replicas + part
        added += part
    first = ordered[0].metadata.name
    sizes[first] = max(0, sizes[first] + to_add - added)
    return sizes


def _part(one: ReplicaSet, limits: Bounds, allowed: int, to_add: int, added: int) -> int:
    """A set's share of what is added (or, below zero, taken)."""
    if one.spec.replicas == 0 or to_add == added:
        return 0
    most = one.metadata.annotations.get(MOST, "")
    before = int(most) if most.isdigit() and int(most) else limits.most
    grown = _rounded(one.spec.replicas * limits.most, before) if limits.replicas else 0
    fraction, left = grown - one.spec.replicas, to_add - added
    return min(fraction, left) if to_add > 0 else max(fraction, left)


def _rounded(product: int, divisor: int) -> int:
    """The nearest whole number, halves up."""
    return (2 * product + divisor) // (2 * divisor)


def _is_saturated(deployment: Deployment, one: ReplicaSet) -> bool:
    size = deployment.spec.replicas
    desired = one.metadata.annotations.get(DESIRED)
    return one.spec.replicas == size and desired == str(size) and one.status.availableReplicas == size


def _newest(old: Sequence[ReplicaSet]) -> ReplicaSet | None:
    return max(old, key=_age, default=None)


def _age(one: ReplicaSet) -> tuple[str, str]:
    """Sorts by creation, the oldest first."""
    return one.metadata.creationTimestamp or "", one.metadata.name
