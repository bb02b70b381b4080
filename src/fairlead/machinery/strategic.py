"""Strategic merge patch: a merge patch whose lists merge by a key that the schema names.

What a list does comes from `Structure` (patchMergeKey, patchStrategy); a patch steers with directives: `$patch: replace
| delete`, `$deleteFromPrimitiveList/<field>`, `$setElementOrder/<field>`, `$retainKeys`. The order of merged lists is
upstream's: patched elements in the patch's order, among them the others where they were.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from fairlead.machinery.jsonpatch import PatchError
from fairlead.machinery.structure import Structure

_DIRECTIVE: Final = "$patch"
_RETAIN: Final = "$retainKeys"
_DELETE: Final = "$deleteFromPrimitiveList/"
_ORDER: Final = "$setElementOrder/"

Plain = Mapping[str, Any]


def strategic_merge(obj: Plain, patch: Plain, structure: Structure | None) -> dict[str, Any]:
    """The object after a strategic merge patch. Raises PatchError. Inputs are never changed."""
    if not isinstance(patch, dict):
        raise PatchError("a strategic merge patch must be an object", 400)
    return _merge_map(obj, patch, structure)


def _merge_map(original: Plain, patch: Plain, structure: Structure | None) -> dict[str, Any]:
    if (directive := patch.get(_DIRECTIVE)) is not None:
        if directive == "replace":
            return {k: v for k, v in patch.items() if k != _DIRECTIVE}
        if directive == "delete":
            return {}
        raise PatchError(f"unknown patch type: {directive!r} in map {dict(patch)!r}", 400)
    merged = _retained(original, patch)
    for key, value in patch.items():
        if key.startswith(_DELETE):
            _delete_primitives(merged, key.removeprefix(_DELETE), value)
    for key, value in patch.items():
        if key.startswith("$"):
            continue
        if value is None:
            merged.pop(key, None)
        else:
            _merge_field(merged, key, value, _of(structure, key))
    for key, order in patch.items():
        if key.startswith(_ORDER):
            name = key.removeprefix(_ORDER)
            _enforce_order(merged, name, order, original.get(name), patch.get(name), _of(structure, name))
    return merged


def _of(structure: Structure | None, name: str) -> Structure | None:
    return structure.property(name) if structure is not None else None


def _retained(original: Plain, patch: Plain) -> dict[str, Any]:
    keys = patch.get(_RETAIN)
    if keys is None:
        return dict(original)
    named = [k for k, v in patch.items() if v is not None and not k.startswith("$")]
    if not isinstance(keys, list) or any(k not in keys for k in named):
        raise PatchError("invalid patch format of retainKeys: every field of the patch must be in the list", 400)
    return {k: v for k, v in original.items() if k in keys}


def _merge_field(merged: dict[str, Any], key: str, value: Any, structure: Structure | None) -> None:
    """Merge one field of a patch; without an original, or with one of another type, the patch's value is taken."""
    original = merged.get(key)
    strategies = structure.strategies if structure is not None else frozenset()
    match original, value:
        case dict(), dict():
            merged[key] = value if "replace" in strategies else _merge_map(original, value, structure)
        case list(), list():
            merged[key] = _merge_list(original, value, structure) if "merge" in strategies else _bare_list(value)
        case _, dict() if value.get(_DIRECTIVE) == "delete":
            merged.pop(key, None)
        case _:
            merged[key] = _bare(value)


def _bare(value: Any) -> Any:
    """A patch's value where there is nothing to merge it with: without directives and without nulls."""
    if isinstance(value, list):
        return _bare_list(value)
    if not isinstance(value, dict):
        return value
    return {
        k: _bare(v) for k, v in value.items()
        if v is not None and not k.startswith((_DELETE, _ORDER)) and k not in (_DIRECTIVE, _RETAIN)
        and not (isinstance(v, dict) and v.get(_DIRECTIVE) == "delete")
    }  # fmt: skip


def _bare_list(values: Sequence[Any]) -> list[Any]:
    marked = [v for v in values if not (isinstance(v, dict) and v.get(_DIRECTIVE) is not None)]
    return [_bare(v) for v in marked]


def _merge_list(original: list[Any], patch: list[Any], structure: Structure | None) -> list[Any]:
    if not any(isinstance(v, dict) for v in (*original, *patch)):
        merged = list(dict.fromkeys(map(_itself, [*original, *patch])))
        return _ordered(merged, patch, original, _itself)
    key = structure.merge_key if structure is not None else ""
    if not key:
        raise PatchError("cannot merge lists of maps without a merge key", 400)
    kept, changes, replaced = _special(original, patch, key)
    if replaced:
        return [_bare(v) for v in changes]
    element = structure.element() if structure is not None else None
    merged = list(kept)
    places = {_key_of(v, key): at for at, v in reversed(list(enumerate(merged)))}
    for change in changes:
        name = _key_of(change, key)
        if name in places:
            merged[places[name]] = _merge_map(merged[places[name]], change, element)
        else:
            places[name] = len(merged)
            merged.append(_bare(change))
    return _ordered(merged, changes, kept, lambda v: _key_of(v, key))


def _special(original: list[Any], patch: list[Any], key: str) -> tuple[list[Any], list[Any], bool]:
    """What a list patch's `$patch` elements leave: the originals, the plain changes, and whether they replace all."""
    changes: list[Any] = []
    gone: list[Any] = []
    replaced = False
    for element in patch:
        match element.get(_DIRECTIVE) if isinstance(element, dict) else None:
            case None:
                changes.append(element)
            case "delete":
                gone.append(_key_of(element, key))
            case "replace":
                replaced = True
            case other:
                raise PatchError(f"unknown patch type: {other!r} in map {element!r}", 400)
    kept = [v for v in original if _key_of(v, key) not in gone] if gone else original
    return kept, changes, replaced


def _key_of(element: Any, key: str) -> Any:
    if not isinstance(element, dict) or key not in element:
        raise PatchError(f"map: {element!r} does not contain declared merge key: {key}", 400)
    return _itself(element[key])


def _itself(value: Any) -> Any:
    """What an element is known by."""
    if isinstance(value, list | dict):
        raise PatchError(f"{value!r} is no scalar, and elements of this list are told apart by scalars", 400)
    return value


def _ordered(merged: list[Any], wanted: Sequence[Any], before: Sequence[Any], name: Callable[[Any], Any]) -> list[Any]:
    """Order a merged list: `wanted` elements in that order, the others as in `before`, woven by `before`'s order."""
    order = {name(v): at for at, v in reversed(list(enumerate(wanted)))}
    was = {name(v): at for at, v in reversed(list(enumerate(before)))}
    patched = sorted((v for v in merged if name(v) in order), key=lambda v: order[name(v)])
    others = sorted((v for v in merged if name(v) not in order), key=lambda v: was.get(name(v), len(was)))
    woven: list[Any] = []
    i = j = 0
    while i < len(others) and j < len(patched):
        left, right = was.get(name(others[i])), was.get(name(patched[j]))
        if left is not None and right is not None and left < right:
            woven.append(others[i])
            i += 1
        else:
            woven.append(patched[j])
            j += 1
    return [*woven, *others[i:], *patched[j:]]


def _delete_primitives(merged: dict[str, Any], name: str, gone: Any) -> None:
    if not isinstance(gone, list):
        raise PatchError(f"invalid patch format of primitive list: {_DELETE}{name} must be a list", 400)
    if isinstance(merged.get(name), list):
        merged[name] = [v for v in merged[name] if v not in gone]


def _enforce_order(
    merged: dict[str, Any], name: str, order: Any, before: Any, changes: Any, structure: Structure | None
) -> None:
    if not isinstance(order, list):
        raise PatchError(f"invalid patch format of setElementOrder list: {_ORDER}{name} must be a list", 400)
    key = structure.merge_key if structure is not None else ""
    named: Callable[[Any], Any] = (lambda v: _key_of(v, key)) if key else _itself
    listed = [named(v) for v in order]
    for change in changes if isinstance(changes, list) else ():
        deleted = isinstance(change, dict) and change.get(_DIRECTIVE) is not None
        if not deleted and named(change) not in listed:
            raise PatchError(f"the list {name} has {named(change)!r}, which {_ORDER}{name} does not list", 400)
    if isinstance(merged.get(name), list):
        merged[name] = _ordered(merged[name], order, before if isinstance(before, list) else (), named)
