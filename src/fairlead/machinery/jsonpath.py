"""JSON paths, the subset that printer columns, selectable fields, `kubectl wait` and Katib use.

`.a.b`, `['a.b']`, `[0]`, `[-1]`, `[a:b:c]`, `[*]`, `.*`, `..a`, `[0,2]` and filters `[?(@.type=="Ready")]`. A missing
field finds nothing; it is not an error. A path that means nothing is a ValueError when it is compiled.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

Step = Callable[[list[Any]], list[Any]]

_NAME: Final = re.compile(r"(?:[^.\[\]{}()\s'\"\\]|\\.)+")
_QUOTED: Final = re.compile(r"""\[\s*('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\s*\]""")
_SLICE: Final = re.compile(r"\[\s*(-?\d*)\s*:\s*(-?\d*)\s*(?::\s*(-?\d*)\s*)?\]")
_INDICES: Final = re.compile(r"\[\s*(-?\d+(?:\s*,\s*-?\d+)*)\s*\]")
_EVERY: Final = re.compile(r"\[\s*\*\s*\]")
_FILTER: Final = re.compile(r"\[\?\(\s*(@[^=!<>~)]*?|@)\s*(?:(==|!=|<=|>=|<|>|=)\s*(.+?)\s*)?\)\]")


class Path:
    """A compiled path."""

    __slots__ = ("_steps", "text")

    def __init__(self, text: str, steps: list[Step]) -> None:
        self.text = text
        self._steps = steps

    def find(self, obj: Any) -> list[Any]:
        """Everything that the path leads to, in document order."""
        found = [obj]
        for step in self._steps:
            found = step(found)
        return found

    def first(self, obj: Any) -> Any:
        """What the path leads to first; None if nothing."""
        found = self.find(obj)
        return found[0] if found else None

    def __repr__(self) -> str:
        return f"Path({self.text!r})"


@lru_cache(maxsize=1024)
def compile(text: str) -> Path:  # `re.compile`'s name, used qualified like it
    """The path that a text writes, with or without `{}` and the leading dot or `$`. Raises ValueError."""
    body = text.strip()
    if body.startswith("{") and body.endswith("}"):
        body = body[1:-1].strip()
    body = body.removeprefix("$").removeprefix("@")
    if body and body[0] not in ".[":
        body = "." + body
    steps: list[Step] = []
    at = 0
    while at < len(body):
        step, at = _next(body, at, text)
        if step is not None:
            steps.append(step)
    return Path(text, steps)


def _next(body: str, at: int, text: str) -> tuple[Step | None, int]:
    """The step that starts at a position, and the position after it."""
    if body.startswith("..", at):
        at += 2
        if body.startswith("[", at):
            return _descend, at
        found = _NAME.match(body, at)
        if found is None:
            raise ValueError(f"invalid JSON path {text!r}: a name must follow '..'")
        name = _unescaped(found.group())
        return (lambda nodes: _field(_descend(nodes), name)), found.end()
    if body[at] == ".":
        at += 1
        if at == len(body) or body[at] == "[":
            return None, at
        found = _NAME.match(body, at)
        if found is None:
            raise ValueError(f"invalid JSON path {text!r}: a field name is expected at position {at}")
        name = _unescaped(found.group())
        return _children if name == "*" else (lambda nodes: _field(nodes, name)), found.end()
    return _bracket(body, at, text)


def _bracket(body: str, at: int, text: str) -> tuple[Step, int]:
    if found := _QUOTED.match(body, at):
        name = _literal(found.group(1))
        return (lambda nodes: _field(nodes, name)), found.end()
    if found := _EVERY.match(body, at):
        return _children, found.end()
    if found := _INDICES.match(body, at):
        indices = [int(i) for i in found.group(1).split(",")]
        return (lambda nodes: _at(nodes, indices)), found.end()
    if found := _SLICE.match(body, at):
        chosen = slice(*(int(g) if g else None for g in found.groups()))
        if chosen.step is not None and chosen.step < 1:
            raise ValueError(f"invalid JSON path {text!r}: a slice's step must be positive")
        return (lambda nodes: [e for n in nodes if isinstance(n, list) for e in n[chosen]]), found.end()
    if found := _FILTER.match(body, at):
        holds = _condition(found.group(1), found.group(2), found.group(3), text)
        return (lambda nodes: [e for n in nodes for e in _elements(n) if holds(e)]), found.end()
    raise ValueError(f"invalid JSON path {text!r}: cannot understand {body[at:]!r}")


def _condition(left: str, operator: str | None, right: str | None, text: str) -> Callable[[Any], bool]:
    path = compile(left.strip())
    if operator is None or right is None:
        return lambda e: bool(path.find(e))
    if right.startswith("@"):
        other = compile(right)
        return lambda e: _compare(path.first(e), operator, other.first(e))
    try:
        wanted = _literal(right)
    except ValueError:
        raise ValueError(f"invalid JSON path {text!r}: {right!r} is no literal; quote a text") from None
    return lambda e: any(_compare(v, operator, wanted) for v in path.find(e))


def _compare(left: Any, operator: str, right: Any) -> bool:
    if isinstance(left, bool) is not isinstance(right, bool):
        return operator == "!="
    match operator:
        case "==" | "=":
            return bool(left == right)
        case "!=":
            return bool(left != right)
    comparable = isinstance(left, str) and isinstance(right, str)
    if not comparable and not (isinstance(left, int | float) and isinstance(right, int | float)):
        return False
    match operator:
        case "<":
            return bool(left < right)
        case "<=":
            return bool(left <= right)
        case ">":
            return bool(left > right)
    return bool(left >= right)


def _literal(text: str) -> Any:
    if text[0] == "'" and text[-1] == "'" and len(text) > 1:
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return json.loads(text)


def _unescaped(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name) if "\\" in name else name


def _field(nodes: list[Any], name: str) -> list[Any]:
    """A field of every node that has it."""
    return [n[name] for n in nodes if isinstance(n, dict) and name in n]


def _at(nodes: list[Any], indices: list[int]) -> list[Any]:
    return [n[i] for n in nodes if isinstance(n, list) for i in indices if -len(n) <= i < len(n)]


def _elements(node: Any) -> Iterator[Any]:
    if isinstance(node, list):
        yield from node
    elif isinstance(node, dict):
        yield from node.values()


def _children(nodes: list[Any]) -> list[Any]:
    return [e for n in nodes for e in _elements(n)]


def _descend(nodes: list[Any]) -> list[Any]:
    """Every node with everything below it, parents first."""
    found: list[Any] = []
    stack = list(reversed(nodes))
    while stack:
        node = stack.pop()
        found.append(node)
        stack.extend(reversed(list(_elements(node))))
    return found
