"""JSON patch (RFC 6902), with the messages that evanphx/json-patch gives upstream.

Inputs are never changed; what a patch leaves alone is shared with the result, not copied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

_JSON_PATCH_LIMIT: Final = 10_000


class PatchError(ValueError):
    """A patch that cannot be applied."""

    def __init__(self, message: str, code: int = 422) -> None:
        super().__init__(message)
        self.code = code


class TestFailed(PatchError):
    """A JSON patch's `test` found another value."""

    __test__ = False  # not a test of ours, whatever pytest thinks of the name


def json_patch(obj: Any, ops: Any) -> Any:
    """The object after a JSON patch. Raises PatchError (TestFailed for a `test` that fails)."""
    if not isinstance(ops, list):
        raise PatchError("a JSON patch must be a list of operations", 400)
    if len(ops) > _JSON_PATCH_LIMIT:
        raise PatchError(f"the allowed maximum operations in a JSON patch is {_JSON_PATCH_LIMIT}, got {len(ops)}", 413)
    for op in ops:
        obj = _operate(obj, op)
    return obj


def _operate(obj: Any, op: Any) -> Any:
    if not isinstance(op, dict) or not isinstance(op.get("path"), str):
        raise PatchError(f"a JSON patch operation needs op and path, got {op!r}", 400)
    kind, path = op.get("op"), _pointer(op["path"])
    match kind:
        case "add":
            return _add(obj, path, _needed(op, "value"))
        case "remove":
            return _edit(obj, path, kind, _removed)
        case "replace":
            value = _needed(op, "value")
            return _edit(obj, path, kind, lambda node, key: _replaced(node, key, value)) if path else value
        case "move":
            source = _pointer(_needed(op, "from"))
            if path[: len(source)] == source and path != source:
                raise PatchError(f"move operation does not apply: {op['from']} cannot move into itself")
            value = _get(obj, source, kind)
            return _add(_edit(obj, source, kind, _removed), path, value)
        case "copy":
            return _add(obj, path, _get(obj, _pointer(_needed(op, "from")), kind))
        case "test":
            if not _same(_get(obj, path, kind, missing=None), op.get("value")):
                raise TestFailed(f"testing path {op['path']} failed: test failed")
            return obj
    raise PatchError(f"Unexpected kind: {kind}", 400)


def _needed(op: Mapping[str, Any], name: str) -> Any:
    if name not in op or (name == "from" and not isinstance(op[name], str)):
        raise PatchError(f"{op.get('op')} operation does not apply: {name} is missing", 400)
    return op[name]


def _pointer(text: str) -> list[str]:
    """The parts of an RFC 6901 pointer."""
    if text and not text.startswith("/"):
        raise PatchError(f"a JSON pointer must start with '/', got {text!r}", 400)
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


_ABSENT: Final[Any] = object()


def _get(obj: Any, path: Sequence[str], kind: str, missing: Any = _ABSENT) -> Any:
    for at, part in enumerate(path):
        if isinstance(obj, dict) and part in obj:
            obj = obj[part]
        elif isinstance(obj, list):
            obj = obj[_index(obj, part, kind)]
        elif missing is not _ABSENT and isinstance(obj, dict) and at == len(path) - 1:
            return missing
        else:
            raise _no_path(kind, path)
    return obj


def _edit(obj: Any, path: Sequence[str], kind: str, change: Callable[[Any, Any], Any]) -> Any:
    """A copy of the object in which the last part's container is what `change` makes of it."""
    if not path:
        raise PatchError(f"{kind} operation does not apply: the whole document has no parent")
    part, rest = path[0], path[1:]
    if isinstance(obj, list):
        key: Any = _index(obj, part, kind)
    elif isinstance(obj, dict) and part in obj:
        key = part
    else:
        raise _no_path(kind, path)
    return change(obj, key) if not rest else _replaced(obj, key, _edit(obj[key], rest, kind, change))


def _add(obj: Any, path: Sequence[str], value: Any) -> Any:
    if not path:
        return value
    part, rest = path[0], path[1:]
    if rest:
        key: Any = _index(obj, part, "add") if isinstance(obj, list) else part
        if isinstance(obj, dict) and part not in obj:
            raise _no_path("add", path)
        if not isinstance(obj, dict | list):
            raise _no_path("add", path)
        return _replaced(obj, key, _add(obj[key], rest, value))
    if isinstance(obj, dict):
        return {**obj, part: value}
    if not isinstance(obj, list):
        raise _no_path("add", path)
    at = len(obj) if part == "-" else _index(obj, part, "add", slack=1)
    return [*obj[:at], value, *obj[at:]]


def _removed(node: Any, key: Any) -> Any:
    if isinstance(node, list):
        return [*node[:key], *node[key + 1 :]]
    return {k: v for k, v in node.items() if k != key}


def _replaced(node: Any, key: Any, value: Any) -> Any:
    if isinstance(node, list):
        return [*node[:key], value, *node[key + 1 :]]
    return {**node, key: value}


def _index(node: Sequence[Any], part: str, kind: str, slack: int = 0) -> int:
    if not part.isdecimal() or (part[0] == "0" and part != "0") or int(part) >= len(node) + slack:
        raise PatchError(f"{kind} operation does not apply: Unable to access invalid index: {part}: invalid index")
    return int(part)


def _no_path(kind: str, path: Sequence[str]) -> PatchError:
    pointer = "/" + "/".join(path)
    if kind == "remove":
        return PatchError(f"remove operation does not apply: doc is missing path: {pointer}: missing value")
    return PatchError(f"{kind} operation does not apply: doc is missing path: {pointer}: missing path")


def _same(left: Any, right: Any) -> bool:
    """JSON equality: unlike Python's, true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(v, right[k]) for k, v in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right)
