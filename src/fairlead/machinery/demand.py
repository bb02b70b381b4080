"""What a Pod asks for at its peak, from its plain spec: the sum that queues and gangs count with. Upstream's rule.

Containers run together; init containers run one after another before them, each beside the sidecars (init containers
that always restart, KEP-753) that started earlier. A limit without a request is a request of that much. Resources of
the Pod as a whole (KEP-2837) stand above its containers'; `overhead` comes on top.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fairlead.machinery import quantity
from fairlead.machinery.quantity import ZERO, Quantity

Amounts = dict[str, Quantity]


def of_pod(spec: Mapping[str, Any]) -> Amounts:
    """Resource to amount. Raises ValueError for what is no quantity."""
    running: Amounts = {}
    starting: Amounts = {}
    for container in spec.get("initContainers") or ():
        wanted = of_container(container)
        if container.get("restartPolicy") == "Always":
            running = added(running, wanted)
            wanted = running
        else:
            wanted = added(wanted, running)
        starting = _most(starting, wanted)
    for container in spec.get("containers") or ():
        running = added(running, of_container(container))
    peak = {**_most(running, starting), **of_container(spec)}
    return added(peak, {name: quantity.parse(v) for name, v in (spec.get("overhead") or {}).items()})


def of_container(container: Mapping[str, Any]) -> Amounts:
    """The requests of something with `resources`."""
    resources = container.get("resources") or {}
    asked = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: quantity.parse(value) for name, value in asked.items()}


def added(some: Amounts, more: Amounts) -> Amounts:
    """Both, resource by resource."""
    return {**some, **{name: some.get(name, ZERO) + amount for name, amount in more.items()}}


def times(amounts: Amounts, count: int) -> Amounts:
    """That much for each of `count`."""
    return {name: amount * count for name, amount in amounts.items()}


def _most(some: Amounts, more: Amounts) -> Amounts:
    return {**some, **{name: max(some.get(name, ZERO), amount) for name, amount in more.items()}}
