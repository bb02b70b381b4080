"""CEL's macros: calls whose arguments are not evaluated first, because they bind a variable or look for a field.

`has`, `all`, `exists`, `exists_one`/`existsOne`, `map`, `filter`, their two-variable forms with `transformList` and
`transformMap`, `sortBy`, `optMap`, `optFlatMap` and `cel.bind`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

from fairlead.machinery.cel import values
from fairlead.machinery.cel.frame import BUDGET, BudgetExceeded, Closure, Frame
from fairlead.machinery.cel.syntax import Call, Name, Node, Select
from fairlead.machinery.cel.values import NONE, CelError, Optional, no_overload


class Compiling(Protocol):
    """What macros need of the compiler."""

    def compile(self, node: Node) -> Closure: ...
    def bound(self, names: Sequence[str], body: Node) -> tuple[Closure, list[int]]: ...
    def is_bound(self, name: str) -> bool: ...


def check(frame: Frame) -> None:
    if frame[BUDGET] < 0:
        raise BudgetExceeded("operation cancelled: actual cost limit exceeded")


def compiled(compiler: Compiling, call: Call) -> Closure | None:
    """The closure of a macro; None if the call is none."""
    count = len(call.arguments)
    if call.target is None:
        return _has(compiler, call.arguments[0]) if call.function == "has" and count == 1 else None
    if call.function == "bind" and call.target == Name("cel") and not compiler.is_bound("cel"):
        return _bind(compiler, call) if count == 3 else None
    macro, counts = _MACROS.get(call.function, (None, ()))
    return macro(compiler, call, call.target) if macro is not None and count in counts else None


def _has(compiler: Compiling, argument: Node) -> Closure:
    if not isinstance(argument, Select):
        raise CelError("invalid argument to has() macro")
    operand, field = compiler.compile(argument.operand), argument.field

    def run(f: Frame) -> bool:
        value = operand(f)
        if type(value) is dict:
            return field in value
        if isinstance(value, Optional):
            return value.present and isinstance(value.value, dict) and field in value.value
        raise CelError(f"no such key: {field}" if value is None else "no such overload: has()")

    return run


def _names(call: Call, count: int) -> list[str]:
    names = [a.name for a in call.arguments[:count] if isinstance(a, Name)]
    if len(names) != count:
        raise CelError(f"argument must be a simple name in {call.function}()")
    return names


def _visit(f: Frame, container: Any, slots: list[int]) -> Iterable[Any]:
    """Walk a list's elements or a map's keys (both key and value for two variables), bound to their slots."""
    if not isinstance(container, list | dict):
        raise CelError(f"expression of type '{values.type_name(container)}' cannot be range of a comprehension")
    f[BUDGET] -= len(container)
    check(f)
    if len(slots) == 1:
        slot = slots[0]
        for item in container:
            f[slot] = item
            yield item
        return
    pairs = container.items() if isinstance(container, dict) else enumerate(container)
    first, second = slots
    for key, item in pairs:
        f[first], f[second] = key, item
        yield key


def _quantified(compiler: Compiling, call: Call, target: Node) -> Closure:
    over = compiler.compile(target)
    bound = len(call.arguments) - 1
    body, slots = compiler.bound(_names(call, bound), call.arguments[bound])
    if call.function in ("exists_one", "existsOne"):
        return lambda f: sum(_truth(body(f)) for _ in _visit(f, over(f), slots)) == 1
    decisive = call.function == "exists"

    def run(f: Frame) -> bool:
        failure: CelError | None = None
        for _ in _visit(f, over(f), slots):
            try:
                value = body(f)
            except CelError as e:
                if f[BUDGET] < 0:
                    raise
                failure = failure or e
                continue
            if value is decisive:
                return bool(value)
            if value is not (not decisive):
                failure = failure or no_overload(call.function, value)
        if failure is not None:
            raise failure
        return not decisive

    return run


def _truth(value: Any) -> bool:
    if value is True or value is False:
        return bool(value)
    raise no_overload("_&&_", value)


def _filter(compiler: Compiling, call: Call, target: Node) -> Closure:
    over = compiler.compile(target)
    body, slots = compiler.bound(_names(call, 1), call.arguments[1])
    return lambda f: [item for item in _visit(f, over(f), slots) if _truth(body(f))]


def _map(compiler: Compiling, call: Call, target: Node) -> Closure:
    """`map(x, e)`, `map(x, condition, e)`, and `transformList` with an index too."""
    over = compiler.compile(target)
    count = 1 if call.function == "map" else 2
    names = _names(call, count)
    body, condition, slots = _transformed(compiler, names, call.arguments[count:])
    if condition is None:
        return lambda f: [body(f) for _ in _visit(f, over(f), slots)]
    holds = condition
    return lambda f: [body(f) for _ in _visit(f, over(f), slots) if _truth(holds(f))]


def _transform_map(compiler: Compiling, call: Call, target: Node) -> Closure:
    over = compiler.compile(target)
    body, condition, slots = _transformed(compiler, _names(call, 2), call.arguments[2:])
    return lambda f: {
        key: body(f) for key in _visit(f, over(f), slots) if condition is None or _truth(condition(f))
    }  # fmt: skip


def _transform_entry(compiler: Compiling, call: Call, target: Node) -> Closure:
    """`transformMapEntry(k, v, [condition,] {key: value})`: each element gives entries of its own."""
    over = compiler.compile(target)
    body, condition, slots = _transformed(compiler, _names(call, 2), call.arguments[2:])

    def run(f: Frame) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for _ in _visit(f, over(f), slots):
            if condition is not None and not _truth(condition(f)):
                continue
            made = body(f)
            if not isinstance(made, dict):
                raise no_overload(call.function, made)
            for key, value in made.items():
                if key in found:
                    raise CelError(f"insert failed: key '{key}' already exists")
                found[key] = value
        return found

    return run


def _transformed(
    compiler: Compiling, names: list[str], rest: Sequence[Node]
) -> tuple[Closure, Closure | None, list[int]]:
    """The result and, before it, the optional condition of a transforming macro, both reading the same slots."""
    body, slots = compiler.bound(names, rest[-1])
    if len(rest) == 1:
        return body, None, slots
    inner, others = compiler.bound(names, rest[0])

    def condition(f: Frame) -> Any:
        for mine, theirs in zip(slots, others, strict=True):
            f[theirs] = f[mine]
        return inner(f)

    return body, condition, slots


def _sort_by(compiler: Compiling, call: Call, target: Node) -> Closure:
    over = compiler.compile(target)
    key, slots = compiler.bound(_names(call, 1), call.arguments[1])

    def run(f: Frame) -> list[Any]:
        keyed = [(key(f), item) for item in _visit(f, over(f), slots)]
        try:
            return [item for _, item in sorted(keyed, key=lambda pair: pair[0])]
        except TypeError:
            raise CelError("no such overload: sortBy, the keys have no order") from None

    return run


def _opt_map(compiler: Compiling, call: Call, target: Node) -> Closure:
    source = compiler.compile(target)
    body, (slot,) = compiler.bound(_names(call, 1), call.arguments[1])
    flat = call.function == "optFlatMap"

    def run(f: Frame) -> Optional:
        value = source(f)
        if not isinstance(value, Optional):
            raise no_overload(call.function, value)
        if not value.present:
            return NONE
        f[slot] = value.value
        result = body(f)
        return result if flat and isinstance(result, Optional) else Optional(True, result)

    return run


def _bind(compiler: Compiling, call: Call) -> Closure:
    value: Callable[[Frame], Any] = compiler.compile(call.arguments[1])
    body, (slot,) = compiler.bound(_names(call, 1), call.arguments[2])

    def run(f: Frame) -> Any:
        f[slot] = value(f)
        return body(f)

    return run


_Macro = Callable[[Compiling, Call, Node], Closure]
_MACROS: Final[dict[str, tuple[_Macro, tuple[int, ...]]]] = {
    **dict.fromkeys(("all", "exists", "exists_one", "existsOne"), (_quantified, (2, 3))),
    "filter": (_filter, (2,)), "map": (_map, (2, 3)), "transformList": (_map, (3, 4)),
    "transformMap": (_transform_map, (3, 4)), "transformMapEntry": (_transform_entry, (3, 4)),
    "sortBy": (_sort_by, (2,)),
    **dict.fromkeys(("optMap", "optFlatMap"), (_opt_map, (2,))),
}  # fmt: skip
