"""Ownership: who owns which fields after a write (`metadata.managedFields`), by `machinery.apply`.

A write through one endpoint cannot own what another endpoint writes: `status` belongs to the status subresource where
a kind has one, everything else to the object itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fairlead.apiserver.state import Api, Call, Plain
from fairlead.base import timestamp
from fairlead.machinery import apply

Own = Callable[[Api, Call, Plain, Plain], None]
"""Brings the managedFields of a new state up to date: (api, call, new, live)."""


def created(api: Api, call: Call, obj: Plain) -> None:
    """The managedFields of an object that is being created by anything but an apply."""
    seen = {k: v for k, v in obj.items() if k != "status"} if call.served.resource.status else obj
    tracked = apply.track_update(None, seen, call.served.structure, **_write(api, call))
    _take(obj, tracked)


def updated(api: Api, call: Call, new: Plain, live: Plain) -> None:
    """The managedFields after a replace or a patch."""
    seen = new
    if call.subresource == "status":
        seen = {**live, "metadata": live["metadata"] if call.served.crd is not None else new["metadata"]}
        _move("status", new, seen)
    elif call.served.resource.status:
        seen = dict(new)
        _move("status", live, seen)
    tracked = apply.track_update(live, seen, call.served.structure, **_write(api, call))
    _take(new, tracked)


def applied(api: Api, call: Call, live: Plain | None, body: Plain) -> Plain:
    """The object after a server-side apply, with its managedFields. Raises 409 for conflicts."""
    ignored: tuple[str, ...] = ()
    if call.subresource == "status":
        ignored = tuple(k for k in body if k not in ("apiVersion", "kind", "status"))
    elif call.served.resource.status:
        ignored = ("status",)
    write: apply.Application = {**_write(api, call), "force": call.force, "ignored": ignored}
    return apply.apply(live, body, call.served.structure, **write)


def same(new: Plain, live: Plain) -> bool:
    """Whether two states differ in nothing but the times in managedFields."""
    if new == live:
        return True
    if any(new.get(k) != live.get(k) for k in {*new, *live} if k != "metadata"):
        return False
    sent, have = new["metadata"], live["metadata"]
    if any(sent.get(k) != have.get(k) for k in {*sent, *have} if k != "managedFields"):
        return False
    return _untimed(sent) == _untimed(have)


def _untimed(metadata: Plain) -> list[dict[str, Any]]:
    return [{k: v for k, v in e.items() if k != "time"} for e in metadata.get("managedFields") or []]


def _write(api: Api, call: Call) -> apply.Write:
    return {
        "manager": call.manager or "unknown", "api_version": call.served.resource.api_version,
        "time": timestamp.seconds(api.clock.now()), "subresource": call.subresource,
    }  # fmt: skip


def _move(field: str, source: Plain, target: Plain) -> None:
    if field in source:
        target[field] = source[field]
    else:
        target.pop(field, None)


def _take(obj: Plain, tracked: Plain) -> None:
    fields = tracked["metadata"].get("managedFields")
    if fields:
        obj["metadata"]["managedFields"] = fields
    else:
        obj["metadata"].pop("managedFields", None)
