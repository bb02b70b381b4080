"""Bodies: what clients send, from bytes to JSON values. Everything that is wrong with them is a 400.

A body may be hostile. Nesting is limited, because whoever walks an object later does so by recursion; YAML may use
aliases, but not to grow far beyond what was sent. JSON with a key twice is read as everybody reads it, the last one
wins; which ones those were is found out apart (`duplicates`), for a body with none pays next to nothing for it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import yaml

from fairlead.base import errors

DEPTH = 150
"""How deep objects may be nested. Definitions of the richest kinds are at about 60."""
_GROWTH, _SMALL = 10, 50_000
"""How many times as many nodes aliases may make of a YAML body; not asked of results smaller than that."""
_SPACED = re.compile(rb'"[ \t\r\n]+:')

_CSafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Loader: Any = type("_Loader", (_CSafeLoader,), {})
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in _CSafeLoader.yaml_implicit_resolvers.items()
}


def json_object(data: bytes) -> dict[str, Any]:
    """A JSON object."""
    value = json_value(data)
    if not isinstance(value, dict):
        raise errors.bad_request("the request's body is not a JSON object")
    return value


def json_value(data: bytes) -> Any:
    """Any JSON."""
    try:
        value = msgspec.json.decode(data)
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:  # msgspec's are ValueErrors, and so is what is not UTF-8
        raise errors.bad_request(f"the request's body is not JSON: {error}") from None
    if data.count(b"{") + data.count(b"[") > DEPTH:
        _check_depth(value)
    return value


def any_value(data: bytes) -> Any:
    """JSON, or YAML where it is not JSON."""
    try:
        return json_value(data)
    except errors.StatusError as problem:
        if data[:1] in (b"{", b"["):  # meant as JSON: its own error tells more
            raise
        try:
            return yaml_value(data)
        except errors.StatusError:
            raise problem from None


def yaml_value(data: bytes) -> Any:
    """YAML 1.1 to JSON values, as Kubernetes reads it: times stay text, keys become text."""
    try:
        _check_events(data)
        loader = _Loader(data)
        try:
            node = loader.get_single_node()
            _check_growth(node)
            return _keyed(loader.construct_document(node)) if node is not None else None
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, TypeError, OverflowError) as error:
        raise errors.bad_request(f"the request's body is not YAML: {error}") from None


def yaml_object(data: bytes) -> dict[str, Any]:
    """A YAML mapping."""
    value = yaml_value(data)
    if not isinstance(value, dict):
        raise errors.bad_request("the request's body is not an object")
    return value


def limited(value: dict[str, Any]) -> dict[str, Any]:
    """An object that was read elsewhere, if it is not nested too deep."""
    _check_depth(value)
    return value


def duplicates(data: bytes, value: Any) -> Mapping[str, bool]:
    """Nothing, or the paths of all fields in the order of the JSON text: whether each is named more than once.

    Whether any is shows in the number of keys: what was read (`value`) has fewer of them than what was sent.
    """
    if data.count(b'":') == msgspec.json.encode(value).count(b'":') and _SPACED.search(data) is None:
        return {}
    try:
        pairs = json.loads(data, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):  # it is YAML
        return {}
    found: dict[str, bool] = {}
    for path in _paths(pairs, ""):
        found[path] = path in found
    return found if any(found.values()) else {}


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with all of its keys."""


def _paths(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, _Pairs):
        last = dict(value)
        for key, item in value:
            below = f"{path}.{key}" if path else key
            yield below
            if item is last[key]:  # of what was named before, nothing is read
                yield from _paths(item, below)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _paths(item, f"{path}[{index}]")


# --- limits --------------------------------------------------------------------------------------------------------


def _too_deep() -> errors.StatusError:
    return errors.bad_request(f"the request's body exceeds the maximum depth: objects are nested {DEPTH} deep at most")


def _check_depth(value: Any) -> None:
    """Level by level, because this must not recurse."""
    level = [value]
    for _ in range(DEPTH):
        level = [v for each in level for v in _children(each) if v.__class__ is dict or v.__class__ is list]
        if not level:
            return
    raise _too_deep()


def _children(value: Any) -> Any:
    return value.values() if value.__class__ is dict else value


def _check_events(data: bytes) -> None:
    """The parser of events does not recurse; what composes them does."""
    depth = 0
    for event in yaml.parse(data, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEPTH:
                raise _too_deep()
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _check_growth(root: Any) -> None:
    """Refuse aliases that make much of little, and those that contain themselves."""
    sizes: dict[int, int | None] = {}

    def measure(node: Any) -> int:
        if id(node) in sizes:
            size = sizes[id(node)]
            if size is None:
                raise errors.bad_request("the request's body is not YAML: an anchor's value contains itself")
            return size
        sizes[id(node)] = None
        total = 1
        for item in node.value if isinstance(node, yaml.CollectionNode) else ():
            total += sum(map(measure, item)) if isinstance(item, tuple) else measure(item)
        sizes[id(node)] = total
        return total

    if root is not None:
        size = measure(root)
        if size > _SMALL and size > _GROWTH * len(sizes):
            raise errors.bad_request("the request's body is not YAML: document contains excessive aliasing")


def _keyed(value: Any) -> Any:
    if isinstance(value, dict):
        return {k if isinstance(k, str) else msgspec.json.encode(k).decode(): _keyed(v) for k, v in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no number of JSON")
    return [_keyed(v) for v in value] if isinstance(value, list) else value
