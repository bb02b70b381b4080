"""CEL's operators as closures. `&&` and `||` forgive an error on one side when the other side decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fairlead.machinery.cel import values
from fairlead.machinery.cel.frame import BUDGET, Closure, Frame
from fairlead.machinery.cel.syntax import Literal, Node
from fairlead.machinery.cel.values import CelError, no_overload


def compiled(operator: str, operands: Sequence[Node], parts: list[Closure]) -> Closure:
    """The closure of an operator on compiled operands; `operands` shows which of them are constants."""
    match operator:
        case "&&" | "||":
            return _logical(parts, operator == "||")
        case "?:":
            return _conditional(*parts)
        case "!":
            return _not(parts[0])
        case "neg":
            return _negated(parts[0])
        case "==" | "!=":
            return _equality(parts[0], parts[1], operands[1], operator == "==")
        case "<" | "<=" | ">" | ">=":
            return _ordering(operator, parts[0], parts[1])
        case "in":
            return _membership(parts[0], parts[1])
    return _arithmetic(operator, parts[0], parts[1])


def _logical(parts: list[Closure], decisive: bool) -> Closure:
    name = "_||_" if decisive else "_&&_"

    def run(f: Frame) -> bool:
        failure: CelError | None = None
        for part in parts:
            try:
                value = part(f)
            except CelError as e:
                if f[BUDGET] < 0:
                    raise
                failure = failure or e
                continue
            if value is decisive:
                return bool(value)
            if value is not (not decisive):
                failure = failure or no_overload(name, value)
        if failure is not None:
            raise failure
        return not decisive

    return run


def _conditional(condition: Closure, then: Closure, otherwise: Closure) -> Closure:
    def run(f: Frame) -> Any:
        value = condition(f)
        if value is True:
            return then(f)
        if value is False:
            return otherwise(f)
        raise no_overload("_?_:_", value)

    return run


def _not(part: Closure) -> Closure:
    def run(f: Frame) -> bool:
        value = part(f)
        if value is True:
            return False
        if value is False:
            return True
        raise no_overload("!_", value)

    return run


def _negated(part: Closure) -> Closure:
    def run(f: Frame) -> Any:
        value = part(f)
        if type(value) is int:
            return values.bounded(-value, False)
        if type(value) is float:
            return -value
        if isinstance(value, values.Duration):
            return values.Duration(-value.nanos)
        raise no_overload("-_", value)

    return run


def _equality(left: Closure, right: Closure, node: Node, equal: bool) -> Closure:
    if isinstance(node, Literal) and type(node.value) is str:
        constant = node.value
        return lambda f: (left(f) == constant) is equal
    equals = values.equals
    return lambda f: equals(left(f), right(f)) is equal


def _ordering(operator: str, left: Closure, right: Closure) -> Closure:
    less = values.less
    match operator:
        case "<":
            return lambda f: less(left(f), right(f), operator)
        case ">":
            return lambda f: less(right(f), left(f), operator)
        case "<=":
            return lambda f: _at_most(left(f), right(f), operator)
    return lambda f: _at_most(right(f), left(f), operator)


def _at_most(a: Any, b: Any, operator: str) -> bool:
    if values.less(a, b, operator):
        return True
    return bool(a == b)  # not `not less(b, a)`: NaN is neither


def _membership(item: Closure, container: Closure) -> Closure:
    def run(f: Frame) -> bool:
        wanted, where = item(f), container(f)
        if type(where) is list:
            f[BUDGET] -= len(where) >> 4
        return values.contains(where, wanted)

    return run


def _arithmetic(operator: str, left: Closure, right: Closure) -> Closure:
    operate = values.operate
    if operator == "+":

        def plus(f: Frame) -> Any:
            a, b = left(f), right(f)
            if type(a) is str and type(b) is str:
                f[BUDGET] -= (len(a) + len(b)) >> 6
                return a + b
            return operate("+", a, b)

        return plus
    return lambda f: operate(operator, left(f), right(f))
