"""Server-side apply: what an object becomes when a manager applies a configuration, and who owns its fields after.

`apply` merges; `track_update` only does the bookkeeping of any other write (create, replace, patch). Both take the
live object as it is stored and return a new object with `metadata.managedFields`; neither changes its inputs.
Defaulting, validation and which fields a kind's strategy resets are the server's: it passes the reset top-level fields
as `ignored`. Sources: KEP-555, structured-merge-diff's `merge`, apimachinery's `managedfields`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NotRequired, TypedDict, Unpack

import msgspec

from fairlead.base import errors
from fairlead.machinery import fieldset, managers, merge, typed
from fairlead.machinery.fieldset import SELF, FieldSet
from fairlead.machinery.managers import Entry, Manager, Owners
from fairlead.machinery.structure import Structure

Plain = dict[str, Any]

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_BEFORE_FIRST_APPLY: Final = "before-first-apply"
_UNOWNED: Final = frozenset(("apiVersion", "kind"))
_UNOWNED_METADATA: Final = frozenset((
    "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields",
    "resourceVersion",
))  # fmt: skip
_FIELD: Final = "f:"


class Write(TypedDict):
    """Who writes: the field manager, the API version that it speaks, when (RFC 3339), through which subresource."""

    manager: str
    api_version: str
    time: str
    subresource: NotRequired[str]
    ignored: NotRequired[Collection[str]]
    """Top-level fields (or `metadata`) that the kind's strategy resets, so that this write cannot own them."""


class Application(Write):
    """A server-side apply; `force` takes fields over from other managers."""

    force: NotRequired[bool]


class Conflicts(errors.StatusError):
    """Other managers own fields that an applier wants to have different."""

    def __init__(self, found: Sequence[tuple[Manager, str]]) -> None:
        self.found = tuple(found)
        causes = [errors.Cause("FieldManagerConflict", f"conflict with {who}", path) for who, path in found]
        details = {"causes": [c.as_dict() for c in causes]}
        super().__init__(409, "Conflict", _conflict_message(self.found), details)

    @property
    def conflicts(self) -> list[tuple[str, str]]:
        """The other manager as upstream prints it, and the field's path."""
        return [(str(who), path) for who, path in self.found]


def _conflict_message(found: Sequence[tuple[Manager, str]]) -> str:
    if len(found) == 1:
        return f"Apply failed with 1 conflict: conflict with {found[0][0]}: {found[0][1]}"
    lines = []
    for manager in managers.names(found):
        lines.append(f"conflicts with {manager}:")
        lines.extend(f"- {path}" for who, path in found if who == manager)
    return f"Apply failed with {len(found)} conflicts: " + "\n".join(lines)


# --- any other write -----------------------------------------------------------------------------------------------


def track_update(live: Plain | None, new: Plain, structure: Structure | None, **write: Unpack[Write]) -> Plain:
    """The new object with the owners of its fields after a create, a replace or a patch."""
    owners = _owners_before(live, new, write.get("subresource", ""))
    if live is not None and not owners:
        return _with_owners(new, owners)
    try:
        changed, removed = _compare(live or {}, new, structure)
    except ValueError:  # a list without its keys: validation's to refuse, not ours to trip over
        return _with_owners(new, owners)
    if ignored := write.get("ignored"):
        changed, removed = _without_ignored(changed, ignored), _without_ignored(removed, ignored)
    who = managers.identify(
        write["manager"], managers.UPDATE, write["api_version"], write.get("subresource", "")
    )  # fmt: skip
    _record(owners, who, changed, removed, write["time"])
    return _with_owners(new, owners)


def _owners_before(live: Plain | None, new: Plain, subresource: str) -> Owners:
    """The owners that a write starts from: those it brings, where it may and they can be read, or the live ones."""
    have = live.get("metadata", {}).get("managedFields") if live is not None else None
    given = new.get("metadata", {}).get("managedFields")
    if not subresource and given is not None and given is not have and given != have:
        if managers.is_reset(given):
            return {}
        try:
            return managers.decode(given, trusted=False)
        except ValueError:
            pass
    return managers.decode(have, trusted=True)


def _record(owners: Owners, who: Manager, changed: FieldSet, removed: FieldSet, time: str) -> None:
    """Give what changed to one updater, and take it and what is gone from everybody else."""
    others = fieldset.union(changed, removed)
    if owners:
        managers.give_up(owners, others, but=who)
        mine = owners.get(who)
        if mine is not None and removed:
            rest = fieldset.difference(mine.fields, removed)
            if rest is not mine.fields and rest != mine.fields:
                mine = Entry(mine.api_version, rest, mine.time)
                owners[who] = mine
            if not rest:
                del owners[who]
                mine = None
    else:
        mine = None
    if changed:
        fields = fieldset.union(mine.fields, changed) if mine is not None else changed
        owners[who] = Entry(who.api_version, fields, time)
        managers.cap(owners)


def _compare(live: Plain, new: Plain, structure: Structure | None) -> tuple[FieldSet, FieldSet]:
    """What differs between two objects, without the fields that nobody owns."""
    builtin = structure is not None and "x-kubernetes-group-version-kind" in structure.node
    old_body, old_meta = _split(live)
    new_body, new_meta = _split(new)
    changed, removed = typed.compare(old_body, new_body, structure, builtin)
    if old_meta != new_meta:
        metadata = structure.property("metadata") if structure is not None else None
        more, less = typed.compare(old_meta, new_meta, metadata, False)
        if more:
            changed["f:metadata"] = more
        if less:
            removed["f:metadata"] = less
    return changed, removed


def _split(obj: Plain) -> tuple[Plain, Plain]:
    """An object's body and metadata, without what is never owned."""
    body = {k: v for k, v in obj.items() if k != "metadata" and k not in _UNOWNED}
    metadata = obj.get("metadata") or {}
    return body, {k: v for k, v in metadata.items() if k not in _UNOWNED_METADATA}


def _without_ignored(fields: FieldSet, ignored: Collection[str]) -> FieldSet:
    return {k: v for k, v in fields.items() if k.removeprefix(_FIELD) not in ignored}


def _with_owners(obj: Plain, owners: Owners) -> Plain:
    metadata = dict(obj.get("metadata") or {})
    if owners:
        metadata["managedFields"] = managers.encode(owners)
    else:
        metadata.pop("managedFields", None)
    return {**obj, "metadata": metadata}


# --- apply ---------------------------------------------------------------------------------------------------------


def apply(
    live: Plain | None, applied: Plain, structure: Structure | None, **write: Unpack[Application]
) -> Plain:  # fmt: skip
    """The object after a server-side apply. Raises Conflicts (409), or StatusError for a bad configuration (400)."""
    _check(applied, write["api_version"])
    if ignored := write.get("ignored"):
        applied = {k: v for k, v in applied.items() if k not in ignored}
    try:
        return _apply(live, applied, structure, write)
    except Conflicts as conflicts:
        allowed = _left_by_client_side_apply(live, structure, write)
        left = [(who, path) for who, path in conflicts.found if path not in allowed]
        if left:
            raise Conflicts(left) from None
        return _apply(live, applied, structure, {**write, "force": True})


def _check(applied: Plain, api_version: str) -> None:
    if (applied.get("metadata") or {}).get("managedFields") is not None:
        raise errors.bad_request("metadata.managedFields must be nil")
    given = applied.get("apiVersion", api_version)
    if given != api_version:
        raise errors.bad_request(
            "Incorrect version specified in apply patch. "
            f"Specified patch version: {given}, expected: {api_version}"
        )  # fmt: skip


def _apply(live: Plain | None, applied: Plain, structure: Structure | None, write: Application) -> Plain:
    before: Plain = live if live is not None else {}
    owners = managers.decode((before.get("metadata") or {}).get("managedFields"), trusted=True)
    if live is not None and not owners:
        _record(owners, _first(write["api_version"]), _compare({}, live, structure)[0], {}, write["time"])
    who = managers.identify(
        write["manager"], managers.APPLY, write["api_version"], write.get("subresource", "")
    )  # fmt: skip
    last = owners.get(who)
    try:
        mine = _owned(applied, structure)
        result = merge.merged(_unmanaged(before), _unmanaged(applied), structure)
        owners[who] = Entry(write["api_version"], mine, last.time if last is not None else "")
        if last is not None and last.fields:
            owned = fieldset.union(managers.all_fields(owners), typed.fields_of(applied, structure))
            result = _pruned(result, last.fields, owned, structure)
    except ValueError as e:
        raise errors.bad_request(f"failed to create typed patch object: {e}") from None
    changed, removed = _compare(before, result, structure)
    if not write.get("force"):
        _refuse_conflicts(owners, who, changed)
    managers.give_up(owners, fieldset.union(changed, removed), but=who)
    _stamp(owners, who, last, write["time"] if changed or removed or live is None else "")
    return _with_owners(result, owners)


def _first(api_version: str) -> Manager:
    """Who owns what an object had before anybody's ownership was tracked."""
    return managers.identify(_BEFORE_FIRST_APPLY, managers.UPDATE, api_version, "")


def _stamp(owners: Owners, who: Manager, last: Entry | None, now: str) -> None:
    """Write the applier's entry: a new time only if the object changed, its old dict if nothing did."""
    entry = owners[who]
    if not entry.fields:
        del owners[who]
        return
    if now:
        owners[who] = Entry(entry.api_version, entry.fields, now)
    elif last is not None and last.api_version == entry.api_version and fieldset.equal(last.fields, entry.fields):
        owners[who] = last


def _owned(applied: Plain, structure: Structure | None) -> FieldSet:
    """The fields that a configuration names, without those that nobody owns."""
    fields = typed.fields_of(_unmanaged(applied), structure)
    metadata = {k: v for k, v in fields.pop("f:metadata", {}).items() if k[2:] not in _UNOWNED_METADATA and k != SELF}
    fields = {k: v for k, v in fields.items() if k[2:] not in _UNOWNED}
    if metadata:
        fields["f:metadata"] = metadata
    return fields


def _unmanaged(obj: Plain) -> Plain:
    """An object without its managedFields."""
    metadata = obj.get("metadata")
    if not metadata or "managedFields" not in metadata:
        return obj
    return {**obj, "metadata": {k: v for k, v in metadata.items() if k != "managedFields"}}


def _pruned(result: Plain, last: FieldSet, owned: FieldSet, structure: Structure | None) -> Plain:
    """Without the fields that the applier named last time and that nobody owns now."""
    last = typed.with_named(last, structure)
    everything = typed.with_named(typed.fields_of(result, structure), structure)
    kept = typed.with_named(typed.fields_of(merge.without(result, last, structure), structure), structure)
    kept = fieldset.union(kept, typed.with_named(owned, structure))
    pruned = merge.without(result, fieldset.difference(everything, kept), structure)
    kept = typed.with_named(typed.fields_of(pruned, structure), structure)
    gone = fieldset.intersection(fieldset.difference(everything, kept), last)
    pruned = merge.without(result, gone, structure)
    return pruned if isinstance(pruned, dict) else {}


def _refuse_conflicts(owners: Owners, who: Manager, changed: FieldSet) -> None:
    found: list[tuple[Manager, str]] = []
    for other, entry in sorted(owners.items()):
        if other != who:
            both = fieldset.intersection(entry.fields, changed)
            found.extend((other, path) for path in fieldset.paths(both))
    if found:
        raise Conflicts(found)


def _left_by_client_side_apply(live: Plain | None, structure: Structure | None, write: Application) -> set[str]:
    """The fields that `kubectl apply` wrote on the client's side and nobody changed since.

    kubectl may take them over without force when it moves to server-side apply.
    """
    annotations = ((live or {}).get("metadata") or {}).get("annotations") or {}
    text = annotations.get(LAST_APPLIED)
    if live is None or write["manager"] != "kubectl" or not text:
        return set()
    try:
        config = msgspec.json.decode(text)
        if not isinstance(config, dict) or config.get("apiVersion") != write["api_version"]:
            return set()
        owned = _owned(config, structure)
        changed, removed = _compare(config, live, structure)
    except (ValueError, msgspec.DecodeError):
        return set()
    return set(fieldset.paths(fieldset.difference(owned, fieldset.union(changed, removed))))


def owned_by(obj: Mapping[str, Any], manager: str) -> FieldSet:
    """What a field manager owns of an object, by any operation and subresource."""
    entries = (obj.get("metadata") or {}).get("managedFields")
    owners = managers.decode(entries, trusted=True)
    return managers.all_fields({who: entry for who, entry in owners.items() if who.name == manager})
