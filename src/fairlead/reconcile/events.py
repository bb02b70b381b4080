"""Events: what controllers and others tell people about an object (core/v1 Event). Pure.

Equal events (same object, type, reason and message) within `WINDOW` seconds are one Event whose `count` grows. An Event
is a courtesy: losing one is no error, so nothing here is kept across restarts, and the memory of it is bounded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import msgspec

from fairlead.api.meta import Key, Object, Resource
from fairlead.base import timestamp

WINDOW = 600.0
REMEMBERED = 4096
MESSAGE_LIMIT = 1024


class Note(msgspec.Struct, frozen=True):
    """What to write: create `object` when `count` is 1, else merge-patch it to `patch` at `key`."""

    key: Key
    count: int
    object: Mapping[str, Any]
    patch: Mapping[str, Any]


class _Series(msgspec.Struct):
    name: str
    first: float
    last: float
    count: int


class Recorder:
    """Counts one component's events. `component` is the event source."""

    def __init__(self, component: str, host: str = "") -> None:
        self._source = {"component": component} | ({"host": host} if host else {})
        self._series: OrderedDict[tuple[str, str, str, str], _Series] = OrderedDict()
        self._number = sum(component.encode())  # two components may speak of one object at one moment

    def note(self, resource: Resource[Any], about: Object, says: tuple[str, str, str], now: float) -> Note:
        """The Event that `says` (type, reason, message) of `about`, new or counted up."""
        series = self._count(resource, about, says, now)
        key = Key(about.metadata.namespace or "default", series.name)
        last = timestamp.seconds(now)
        return Note(
            key,
            series.count,
            self._event(key, involved(resource, about), says, series),
            {"count": series.count, "lastTimestamp": last, "message": says[2][:MESSAGE_LIMIT]},
        )

    def forget(self, key: Key) -> None:
        """The Event at `key` is gone (Events expire): the next equal one starts anew."""
        for identity, series in self._series.items():
            if series.name == key.name:
                del self._series[identity]
                return

    def _count(self, resource: Resource[Any], about: Object, says: tuple[str, str, str], now: float) -> _Series:
        identity = (about.metadata.uid or f"{resource.qualified}/{about.key}", *says)
        series = self._series.pop(identity, None)
        if series is None or now - series.last > WINDOW:
            self._number += 1
            name = f"{about.metadata.name}.{int(now * 1e6) * 1000 + self._number % 1000:x}"
            series = _Series(name, now, now, 0)
        series.count += 1
        series.last = now
        self._series[identity] = series
        if len(self._series) > REMEMBERED:
            self._series.popitem(last=False)
        return series

    def _event(
        self, key: Key, about: Mapping[str, str], says: tuple[str, str, str], series: _Series
    ) -> Mapping[str, Any]:
        type_, reason, message = says
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": key.name, "namespace": key.namespace},
            "involvedObject": about,
            "type": type_,
            "reason": reason,
            "message": message[:MESSAGE_LIMIT],
            "source": self._source,
            "reportingComponent": self._source["component"],
            "reportingInstance": self._source.get("host", ""),
            "firstTimestamp": timestamp.seconds(series.first),
            "lastTimestamp": timestamp.seconds(series.last),
            "count": series.count,
        }


def involved(resource: Resource[Any], about: Object) -> Mapping[str, str]:
    """The `ObjectReference` to an object, without the fields that are empty."""
    meta = about.metadata
    reference = {
        "apiVersion": resource.api_version, "kind": resource.kind, "namespace": meta.namespace,
        "name": meta.name, "uid": meta.uid, "resourceVersion": meta.resourceVersion,
    }  # fmt: skip
    return {k: v for k, v in reference.items() if v}
