"""Merging by structure: an applied configuration into a live object, and fields out of an object.

The rules are structured-merge-diff's: the configuration wins, maps and keyed lists merge, everything else is replaced.
A merged list keeps the configuration's order, with the live object's other elements where they were among their own.
"""

from __future__ import annotations

from typing import Any

from fairlead.machinery import fieldset, typed
from fairlead.machinery.fieldset import SELF, FieldSet, is_member
from fairlead.machinery.structure import Structure
from fairlead.machinery.typed import ABSENT, LEAF, MAP


def merged(live: Any, config: Any, structure: Structure | None) -> Any:
    """The live value with the configuration's on top; ABSENT where the configuration unsets a field by null."""
    if config is None:
        return _nulled(live, structure)
    kind = typed.shape(config, structure)
    if kind == LEAF:
        return config
    if kind == MAP:
        return _merged_map(live if isinstance(live, dict) else {}, config, structure)
    assert structure is not None
    return _merged_list(live if isinstance(live, list) else [], config, structure)


def _nulled(live: Any, structure: Structure | None) -> Any:
    """What null makes of a live value: a granular map or keyed list stays as it is, anything else is unset."""
    if isinstance(live, dict | list) and live and typed.shape(live, structure) != LEAF:
        return live
    return None if structure is not None and structure.nullable else ABSENT


def _merged_map(live: dict[str, Any], config: dict[str, Any], structure: Structure | None) -> dict[str, Any]:
    result = dict(live)
    for name, value in config.items():
        inner = structure.property(name) if structure is not None else None
        both = merged(live.get(name, ABSENT), value, inner)
        if both is ABSENT:
            result.pop(name, None)
        else:
            result[name] = both
    return result


def _merged_list(live: list[Any], config: list[Any], structure: Structure) -> list[Any]:
    element = structure.element()
    before, wanted = typed.index(live, structure), typed.index(config, structure)
    for path, value in wanted.items():
        if isinstance(value, typed.Duplicates):
            raise ValueError(f"duplicate entries for key {fieldset.element_text(path)}")
    result: list[Any] = []
    for path in _woven([typed.element_path(v, structure) for v in live], list(wanted)):
        if path not in wanted:
            kept = before[path]
            result.extend(kept if isinstance(kept, typed.Duplicates) else (kept,))
        else:
            was = before.get(path, ABSENT)
            result.append(merged(ABSENT if isinstance(was, typed.Duplicates) else was, wanted[path], element))
    return result


def _woven(live: list[str], config: list[str]) -> list[str]:
    """The order of a merged list, each path once.

    Walks both lists at once. A live element that the configuration lacks is taken when it is met; one that the
    configuration has too waits for its turn there, so that the configuration's order always wins.
    """
    have, wanted = set(live), set(config)
    shared = [p for p in config if p in have]
    live = list(dict.fromkeys(live))
    result: list[str] = []
    done: set[str] = set()
    i = j = turn = 0
    while i < len(live) or j < len(config):
        if i < len(live) and j < len(config):
            if live[i] == config[j]:
                result.append(live[i])
                done.add(live[i])
                i, j, turn = i + 1, j + 1, turn + 1
                continue
            if live[i] in wanted and turn < len(shared) and shared[turn] != live[i]:
                i += 1
                continue
        if i < len(live) and live[i] not in wanted:
            result.append(live[i])
            i += 1
            continue
        if i < len(live) and live[i] in done:
            i += 1
        if j < len(config):
            result.append(config[j])
            done.add(config[j])
            turn += turn < len(shared) and shared[turn] == config[j]
            j += 1
    return result


def without(value: Any, gone: FieldSet, structure: Structure | None) -> Any:
    """The value without the members of a set. A container that was emptied stays, unless it is a member too."""
    if not gone or not value:
        return value
    kind = typed.shape(value, structure)
    if kind == LEAF:
        return value
    if kind == MAP:
        result: dict[str, Any] = {}
        for name, below in value.items():
            node = gone.get("f:" + name)
            if node is None:
                result[name] = below
            elif not is_member(node):
                inner = structure.property(name) if structure is not None else None
                result[name] = without(below, node, inner)
        return result
    assert structure is not None
    element = structure.element()
    kept: list[Any] = []
    for item in value:
        node = gone.get(typed.element_path(item, structure))
        if node is None:
            kept.append(item)
        elif not is_member(node):
            kept.append(without(item, {k: v for k, v in node.items() if k != SELF}, element))
    return kept
