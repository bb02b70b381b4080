"""Classes: Pods that every decision treats alike.

A `PodClass` holds all that filters and scores read of a Pod, and nothing else: two Pods of one class get the same masks
and scores, so these are computed once (`evaluation`). A plugin that reads something new adds it here, or its answer for
one Pod would be given to another.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from fairlead.api.core import Affinity, Container, NodeSelector, Pod, PodSpec, Quantities, Toleration
from fairlead.scheduler.columns import Footprint, amount

DEFAULT_MILLICPU, DEFAULT_MEMORY = 100, 200 * 1024 * 1024
"""What a container without a request weighs in scores (not in filters), so that such Pods spread too."""

_REMEMBERED = 50_000


class PodClass(msgspec.Struct, frozen=True):
    """All that a decision reads of a Pod."""

    scheduler: str
    priority: int
    footprint: Footprint
    node_selector: tuple[tuple[str, str], ...] = ()
    affinity: Affinity | None = None
    tolerations: tuple[Toleration, ...] = ()
    unmodelled: tuple[str, ...] = ()
    """Fields that ask for something that no plugin decides yet."""
    volumes: tuple[NodeSelector, ...] = ()
    """Where its persistent volumes are."""

    def request(self, resource: str) -> int:
        return next((taken for name, taken in self.footprint.amounts if name == resource), 0)


class Classes:
    """Finds a Pod's class. Equal classes are one object, so that they are compared and hashed by identity."""

    def __init__(self) -> None:
        self._by_text: dict[bytes, PodClass] = {}
        self._canonical: dict[bytes, PodClass] = {}
        self._encode = msgspec.msgpack.Encoder(order="deterministic").encode

    def of(self, pod: Pod, volumes: tuple[NodeSelector, ...] = ()) -> PodClass:
        """The Pod's class. Raises ValueError for a quantity that is none (admission lets no such Pod in)."""
        text = self._encode((*_read(pod.spec), volumes) if volumes else _read(pod.spec))
        found = self._by_text.get(text)
        if found is None:
            if len(self._by_text) >= _REMEMBERED:
                self._by_text.clear()
                self._canonical.clear()
            made = msgspec.structs.replace(_classify(pod.spec), volumes=volumes)
            found = self._by_text[text] = self._canonical.setdefault(self._encode(made), made)
        return found


def _read(spec: PodSpec) -> tuple[Any, ...]:
    """The parts of a spec that `_classify` reads, cheap to take."""
    return (
        spec.schedulerName, spec.priority, spec.nodeSelector, spec.affinity, spec.tolerations, spec.overhead,
        [(c.resources, c.ports) for c in spec.containers],
        [(c.resources, c.ports, c.restartPolicy) for c in spec.initContainers],
        spec.hostNetwork, spec.resources, spec.topologySpreadConstraints, spec.resourceClaims,
    )  # fmt: skip


def _classify(spec: PodSpec) -> PodClass:
    return PodClass(
        scheduler=spec.schedulerName,
        priority=spec.priority,
        footprint=footprint(spec),
        node_selector=tuple(sorted(spec.nodeSelector.items())),
        affinity=_node_part(spec.affinity),
        tolerations=tuple(spec.tolerations),
        unmodelled=tuple(_unmodelled(spec)),
    )


def _node_part(affinity: Affinity | None) -> Affinity | None:
    if affinity is None or affinity.nodeAffinity is None:
        return None
    return Affinity(nodeAffinity=affinity.nodeAffinity)


def _unmodelled(spec: PodSpec) -> Iterable[str]:
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    if spec.affinity is not None:
        if (spec.affinity.podAffinity or {}).get(required):
            yield f"affinity.podAffinity.{required}"
        if (spec.affinity.podAntiAffinity or {}).get(required):
            yield f"affinity.podAntiAffinity.{required}"
    if any(c.get("whenUnsatisfiable") == "DoNotSchedule" for c in spec.topologySpreadConstraints):
        yield "topologySpreadConstraints with whenUnsatisfiable: DoNotSchedule"
    if spec.resourceClaims:
        yield "resourceClaims"


# --- what a Pod takes ----------------------------------------------------------------------------------------------


def footprint(spec: PodSpec) -> Footprint:
    """What the Pod takes from its node: the larger of its containers together and its init containers in turn.

    An init container that restarts (a sidecar, KEP-753) runs on beside all that start after it.
    """
    amounts = _peak(spec, _requests)
    for name, value in {**spec.resources.limits, **spec.resources.requests}.items() if spec.resources else ():
        amounts[name] = amount(name, value)
    weighed = _peak(spec, _weighed)
    _add(amounts, _amounts(spec.overhead))
    _add(weighed, _amounts(spec.overhead))
    amounts["pods"] = 1
    return Footprint(
        tuple(sorted((name, taken) for name, taken in amounts.items() if taken)),
        (weighed.get("cpu", 0), weighed.get("memory", 0)),
        tuple(sorted({f"{p.protocol}/{p.hostPort}" for c in spec.containers for p in c.ports if p.hostPort})),
    )


def _peak(spec: PodSpec, of: Any) -> dict[str, int]:
    """The most that is asked for at one time, by `of` each container."""
    running: dict[str, int] = {}
    starting: dict[str, int] = {}
    for container in spec.initContainers:
        wanted = dict(of(container))
        if container.restartPolicy == "Always":
            _add(running, wanted)
            wanted = dict(running)
        else:
            _add(wanted, running)
        for name, taken in wanted.items():
            starting[name] = max(starting.get(name, 0), taken)
    for container in spec.containers:
        _add(running, of(container))
    return {name: max(running.get(name, 0), starting.get(name, 0)) for name in running | starting}


def _requests(container: Container) -> dict[str, int]:
    """A limit without a request is a request of that much, as the API's defaulting has it."""
    return _amounts({**container.resources.limits, **container.resources.requests})


def _weighed(container: Container) -> dict[str, int]:
    return {"cpu": DEFAULT_MILLICPU, "memory": DEFAULT_MEMORY} | _requests(container)


def _amounts(quantities: Quantities) -> dict[str, int]:
    return {name: amount(name, value) for name, value in quantities.items()}


def _add(total: dict[str, int], more: dict[str, int]) -> None:
    for name, taken in more.items():
        total[name] = total.get(name, 0) + taken
