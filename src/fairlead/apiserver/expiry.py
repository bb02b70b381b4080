"""Expiry: Events go an hour after they last happened, as upstream; nothing else expires by itself."""

from __future__ import annotations

import msgspec

from fairlead.apiserver import encoding
from fairlead.apiserver.state import Api
from fairlead.base import telemetry, timestamp
from fairlead.store.mvcc import Delete, Entry, Mismatch, StoreError

PREFIX = "/registry/core/events/"
TTL_SECONDS = 3600.0
SWEEP_SECONDS = 60.0
_BATCH = 200
_log = telemetry.logger("expiry")


class _Metadata(msgspec.Struct):
    creationTimestamp: str | None = None


class _Series(msgspec.Struct):
    lastObservedTime: str | None = None


class _Event(msgspec.Struct):
    metadata: _Metadata
    lastTimestamp: str | None = None
    eventTime: str | None = None
    series: _Series | None = None


_decoder = msgspec.json.Decoder(_Event)


def last_seen(value: bytes) -> float:
    """When an Event last happened, as far as it says."""
    event = _decoder.decode(value)
    observed = event.series.lastObservedTime if event.series is not None else None
    times = (event.metadata.creationTimestamp, event.lastTimestamp, event.eventTime, observed)
    return max((timestamp.parse(text) for text in times if text), default=0.0)


async def sweep(api: Api) -> int:
    """Remove the Events whose time is over; answers how many."""
    oldest = api.clock.now() - TTL_SECONDS
    over = [entry for entry in api.store.list(PREFIX).entries if last_seen(entry.value) < oldest]
    for start in range(0, len(over), _BATCH):
        try:
            await api.store.commit([_removal(entry) for entry in over[start : start + _BATCH]])
        except Mismatch:
            continue  # one of them has just happened again: the next sweep sees to the rest
    return len(over)


async def run(api: Api) -> None:
    """Sweep now and then, until cancelled."""
    while True:
        await api.clock.sleep(SWEEP_SECONDS)
        try:
            await sweep(api)
        except StoreError as error:
            _log.warning("events were not swept: %s", error)


def _removal(entry: Entry) -> Delete:
    return Delete(entry.key, encoding.stamped(encoding.decode(entry.value)), entry.revision)
