"""events.k8s.io/v1: the Events of core/v1 by other names of their fields."""

from __future__ import annotations

from typing import Any

from fairlead.api.meta import Object, Resource

EVENTS: Resource[Object] = Resource(
    "events.k8s.io", "v1", "Event", "events", Object, singular="event", short=("ev",),
    schema="io.k8s.api.events.v1.Event",
)  # fmt: skip

RESOURCES: tuple[Resource[Any], ...] = (EVENTS,)
