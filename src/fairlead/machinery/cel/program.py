"""Compiles a CEL expression to closures, and runs them.

A closure takes a frame, a list: the variables, what is left of the budget, then one slot for each variable that a
macro binds. Every element that a macro visits costs one; calls cost by the size of what they read. So a rule's work is
bounded whatever it says, apart from what one regular expression does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any, Final

from fairlead.machinery.cel import kubernetes, library, macros, operators, syntax, values
from fairlead.machinery.cel.frame import BUDGET, VARIABLES, Closure, Frame
from fairlead.machinery.cel.library import Function
from fairlead.machinery.cel.values import NONE, TYPES, CelError, Optional

FUNCTIONS: Final[dict[str, Function]] = {**library.FUNCTIONS, **kubernetes.FUNCTIONS}
METHODS: Final[dict[str, Function]] = {**library.METHODS, **kubernetes.METHODS}
DEFAULT_BUDGET: Final = 1_000_000
_FIRST_SLOT: Final = 2
_LAZY: Final = frozenset(("orValue", "or"))


class Program:
    """A compiled expression. `names` are the variables that it reads."""

    __slots__ = ("_run", "_slots", "names", "source")

    def __init__(self, source: str, run: Closure, slots: int, names: frozenset[str]) -> None:
        self.source, self.names = source, names
        self._run, self._slots = run, slots

    def evaluate(self, variables: Mapping[str, Any], budget: int = DEFAULT_BUDGET) -> Any:
        """The expression's value. Raises CelError, BudgetExceeded among others."""
        frame: Frame = [variables, budget]
        if self._slots:
            frame.extend([None] * self._slots)
        try:
            return self._run(frame)
        except RecursionError:
            raise CelError("the expression is nested too deeply") from None

    def __repr__(self) -> str:
        return f"Program({self.source!r})"


@lru_cache(maxsize=2048)
def compile(source: str, names: frozenset[str] | None = None) -> Program:
    """The program of an expression; with `names`, one that reads any other variable is refused. Raises CelError."""
    node = syntax.parse(source)
    compiler = Compiler(names)
    try:
        run = compiler.compile(node)
    except RecursionError:
        raise CelError("the expression is nested too deeply") from None
    return Program(source, run, compiler.slots, frozenset(compiler.free))


class Compiler:
    """Turns nodes into closures; knows which names are bound at this point."""

    def __init__(self, names: Collection[str] | None) -> None:
        self.slots = 0
        self.free: set[str] = set()
        self._names = names
        self._scope: dict[str, int] = {}

    def compile(self, node: syntax.Node) -> Closure:
        match node:
            case syntax.Literal(value):
                return lambda _: value
            case syntax.Name(name):
                return self._name(name)
            case syntax.Select():
                return self._select(node)
            case syntax.Index():
                return self._index(node)
            case syntax.Call():
                return self._call(node)
            case syntax.Operation(operator, operands):
                return operators.compiled(operator, operands, [self.compile(o) for o in operands])
            case syntax.Items(items, optional):
                return _list([self.compile(i) for i in items], optional)
            case syntax.Entries(entries, optional):
                return _map([(self.compile(k), self.compile(v)) for k, v in entries], optional)

    def bound(self, names: Collection[str], body: syntax.Node) -> tuple[Closure, list[int]]:
        """A macro's body, and the slots of the variables that the macro binds for it."""
        before = dict(self._scope)
        slots = []
        for name in names:
            slots.append(_FIRST_SLOT + self.slots)
            self._scope[name] = slots[-1]
            self.slots += 1
        run = self.compile(body)
        self._scope = before
        return run, slots

    def is_bound(self, name: str) -> bool:
        return name in self._scope

    def _name(self, name: str) -> Closure:
        slot = self._scope.get(name)
        if slot is not None:
            return lambda f: f[slot]
        if self._names is not None and name not in self._names:
            if name in TYPES:
                kind = TYPES[name]
                return lambda _: kind
            raise undeclared(name)
        if self._names is None and name in TYPES:
            kind = TYPES[name]
            return lambda f: f[VARIABLES].get(name, kind)
        self.free.add(name)

        def read(f: Frame) -> Any:
            try:
                return f[VARIABLES][name]
            except KeyError:
                raise CelError(f"no such attribute(s): {name}") from None

        return read

    def _select(self, node: syntax.Select) -> Closure:
        if (name := _dotted(node)) in values.NAMED_TYPES and not self.is_bound(name.partition(".")[0]):
            kind = values.Type(name)
            return lambda _: kind
        operand, field = self.compile(node.operand), node.field
        if node.optional:
            return lambda f: _optional(operand(f), field)

        def select(f: Frame) -> Any:
            value = operand(f)
            if type(value) is dict:
                try:
                    return value[field]
                except KeyError:
                    raise CelError(f"no such key: {field}") from None
            if isinstance(value, Optional):
                return _optional(value, field)
            if hasattr(value, "cel_member"):
                return value.cel_member(field)
            raise CelError(f"no such key: {field}" if value is None else f"no such overload: .{field}")

        return select

    def _index(self, node: syntax.Index) -> Closure:
        operand, key = self.compile(node.operand), self.compile(node.key)
        if node.optional:
            return lambda f: _optional(operand(f), key(f))
        return lambda f: _item(operand(f), key(f))

    def _call(self, node: syntax.Call) -> Closure:
        if (made := macros.compiled(self, node)) is not None:
            return made
        name, arguments = node.function, [self.compile(a) for a in node.arguments]
        match node.target:
            case None:
                found = FUNCTIONS.get(name)
            case syntax.Name(space) if f"{space}.{name}" in FUNCTIONS and not self.is_bound(space):
                found = FUNCTIONS[f"{space}.{name}"]
            case target if name in _LAZY and len(arguments) == 1:
                return _lazy(name, self.compile(target), arguments[0])
            case target:
                found = METHODS.get(name)
                arguments.insert(0, self.compile(target))
                if found is not None:
                    found = Function(found.call, found.fewest + 1, found.most + 1)
        if found is None:
            raise undeclared(name)
        if not found.fewest <= len(arguments) <= found.most:
            raise CelError(f"found no matching overload for '{name}' applied to {len(arguments)} arguments")
        return _called(name, found.call, arguments)


def _dotted(node: syntax.Node) -> str:
    """The name that selections from a name spell; "" for anything else."""
    if isinstance(node, syntax.Name):
        return node.name
    inner = _dotted(node.operand) if isinstance(node, syntax.Select) and not node.optional else ""
    return f"{inner}.{node.field}" if inner and isinstance(node, syntax.Select) else ""


def undeclared(name: str) -> CelError:
    return CelError(f"undeclared reference to '{name}' (in container '')")


def _called(name: str, call: Callable[..., Any], arguments: list[Closure]) -> Closure:
    def run(f: Frame) -> Any:
        given = [a(f) for a in arguments]
        if given:
            first = given[0]
            f[BUDGET] -= 1 + (len(first) >> 6 if isinstance(first, str | list | dict) else 0)
            macros.check(f)
        try:
            return call(*given)
        except CelError:
            raise
        except (TypeError, ValueError, AttributeError, LookupError, OverflowError) as e:
            raise CelError(f"no such overload: {name} ({e})") from None

    return run


def _lazy(name: str, target: Closure, other: Closure) -> Closure:
    """`optional.orValue(x)` and `optional.or(y)`, which look at x only when they need it."""

    def run(f: Frame) -> Any:
        value = target(f)
        if not isinstance(value, Optional):
            raise CelError(f"no such overload: {name}")
        if not value.present:
            return other(f)
        return value.value if name == "orValue" else value

    return run


def _list(parts: list[Closure], optional: frozenset[int]) -> Closure:
    if not optional:
        return lambda f: [p(f) for p in parts]

    def run(f: Frame) -> list[Any]:
        found: list[Any] = []
        for at, part in enumerate(parts):
            value = part(f)
            if at not in optional:
                found.append(value)
            elif _given(value).present:
                found.append(value.value)
        return found

    return run


def _map(pairs: list[tuple[Closure, Closure]], optional: frozenset[int]) -> Closure:
    if not optional:
        return lambda f: {_key(k(f)): v(f) for k, v in pairs}

    def run(f: Frame) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for at, (key, part) in enumerate(pairs):
            value = part(f)
            if at not in optional:
                found[_key(key(f))] = value
            elif _given(value).present:
                found[_key(key(f))] = value.value
        return found

    return run


def _given(value: Any) -> Optional:
    if isinstance(value, Optional):
        return value
    raise values.no_overload("optional entry", value)


def _key(key: Any) -> Any:
    if isinstance(key, str | int):
        return key
    raise CelError("unsupported key type")


def _item(container: Any, key: Any) -> Any:
    match container:
        case dict():
            if isinstance(key, str | int | float) and key in container:
                return container[key]
            raise CelError(f"no such key: {key}")
        case list():
            if isinstance(key, bool) or not isinstance(key, int | float) or key != int(key):
                raise CelError("unsupported index type in list")
            if not 0 <= key < len(container):
                raise CelError(f"index out of bounds: {key}")
            return container[int(key)]
        case Optional():
            return _optional(container, key)
    raise CelError("no such overload: _[_]")


def _optional(container: Any, key: Any) -> Optional:
    """`container.?key` and `container[?key]`."""
    if isinstance(container, Optional):
        if not container.present:
            return NONE
        return _optional(container.value, key)
    try:
        return Optional(True, _item(container, key))
    except CelError:
        if isinstance(container, dict | list):
            return NONE
        raise
