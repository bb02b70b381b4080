"""`metadata.managedFields`: who owns which fields of an object, and how the owners' list is read and written.

An applier is known by its name and subresource; an updater by its API version too. An entry that nobody touches keeps
its dict, so that a write which changes one manager costs that one manager. Rules: apimachinery's `managedfields`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from fairlead.machinery import fieldset
from fairlead.machinery.fieldset import FieldSet

APPLY: Final = "Apply"
UPDATE: Final = "Update"
MOST_UPDATERS: Final = 10
_OLD_UPDATES: Final = "ancient-changes"


class Manager(NamedTuple):
    """Who an entry belongs to; `api_version` is "" for appliers."""

    name: str
    operation: str
    api_version: str
    subresource: str

    def __str__(self) -> str:
        text = f'"{self.name}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        return f"{text} using {self.api_version}" if self.operation == UPDATE else text


class Entry(NamedTuple):
    """What a manager owns, at which API version, since when."""

    api_version: str
    fields: FieldSet
    time: str
    wire: Mapping[str, Any] | None = None
    """The entry as it was read; None if it has changed since."""


Owners = dict[Manager, Entry]


def identify(name: str, operation: str, api_version: str, subresource: str) -> Manager:
    return Manager(name or "unknown", operation, "" if operation == APPLY else api_version, subresource)


def decode(entries: Any, trusted: bool) -> Owners:
    """The owners in a managedFields list. Raises ValueError; `trusted` entries are our own writing."""
    owners: Owners = {}
    for at, entry in enumerate(entries or ()):
        if not trusted:
            _check(entry, at)
        operation, version = entry["operation"], entry["apiVersion"]
        who = identify(entry.get("manager", ""), operation, version, entry.get("subresource", ""))
        fields = entry.get("fieldsV1") or {}
        if trusted:
            owners[who] = Entry(version, fields, entry.get("time") or "", entry)
        else:
            owners[who] = Entry(version, fieldset.validated(fields), entry.get("time") or "")
    return owners


def _check(entry: Any, at: int) -> None:
    if not isinstance(entry, dict):
        raise ValueError(f"managed fields entry {at} must be an object")
    if entry.get("operation") not in (APPLY, UPDATE):
        raise ValueError("operation must be `Apply` or `Update`")
    if not isinstance(entry.get("apiVersion"), str) or not entry["apiVersion"]:
        raise ValueError("apiVersion must not be empty")
    if not entry.get("fieldsType"):
        raise ValueError(f"missing fieldsType in managed fields entry {at}")
    if entry["fieldsType"] != "FieldsV1":
        raise ValueError(f'invalid fieldsType "{entry["fieldsType"]}" in managed fields entry {at}')
    for name in ("manager", "time", "subresource"):
        if not isinstance(entry.get(name) or "", str):
            raise ValueError(f"{name} must be a string in managed fields entry {at}")


def encode(owners: Owners) -> list[dict[str, Any]]:
    """The managedFields list, ordered as upstream orders it: appliers first, then by time and name."""
    if len(owners) == 1:
        ((who, entry),) = owners.items()
        return [_wire(who, entry)]
    ordered = sorted(owners.items(), key=lambda i: (i[0].operation, i[1].time, i[0].name, i[1].api_version, i[0][3]))
    return [_wire(who, entry) for who, entry in ordered]


def _wire(who: Manager, entry: Entry) -> dict[str, Any]:
    if entry.wire is not None:
        return dict(entry.wire)
    wire: dict[str, Any] = {"manager": who.name, "operation": who.operation, "apiVersion": entry.api_version}
    if entry.time:
        wire["time"] = entry.time
    wire["fieldsType"] = "FieldsV1"
    wire["fieldsV1"] = fieldset.canonical(entry.fields)
    if who.subresource:
        wire["subresource"] = who.subresource
    return wire


def is_reset(entries: Any) -> bool:
    """Whether a writer asks to forget all owners, by `[]` or `[{}]`."""
    return isinstance(entries, list) and (not entries or entries == [{}])


def give_up(owners: Owners, fields: FieldSet, but: Manager | None = None) -> None:
    """Take fields away from everybody, `but` one; who owns nothing more is forgotten."""
    if not fields:
        return
    for who, entry in list(owners.items()):
        if who != but and fieldset.intersection(entry.fields, fields):
            rest = fieldset.difference(entry.fields, fields)
            if rest:
                owners[who] = Entry(entry.api_version, rest, entry.time)
            else:
                del owners[who]


def cap(owners: Owners) -> None:
    """Keep at most ten updaters: the oldest ones of an API version are merged into one entry."""
    updaters = [who for who in owners if who.operation == UPDATE]
    if len(updaters) <= MOST_UPDATERS:
        return
    left = len(updaters)
    first: dict[str, Manager] = {}
    for who in sorted(updaters, key=lambda w: (owners[w].time, w)):
        if left <= MOST_UPDATERS:
            return
        entry = owners[who]
        bucket = identify(_OLD_UPDATES, UPDATE, entry.api_version, "")
        if entry.api_version not in first:
            first[entry.api_version] = who
            continue
        if bucket not in owners:
            owners[bucket] = owners.pop(first[entry.api_version])
        fields = fieldset.union(entry.fields, owners[bucket].fields)
        del owners[who]
        owners[bucket] = Entry(entry.api_version, fields, entry.time)
        left -= 1


def all_fields(owners: Owners) -> FieldSet:
    """What anybody owns."""
    fields: FieldSet = {}
    for entry in owners.values():
        fields = fieldset.union(fields, entry.fields)
    return fields


def names(owners: Sequence[tuple[Manager, str]]) -> list[Manager]:
    """The managers of conflicts, each once, in the order that messages list them."""
    return sorted({who for who, _ in owners})
