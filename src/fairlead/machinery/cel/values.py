"""CEL's values and its operators on them.

Bool, int, double, string, bytes, list, map and null are Python's own; what Python lacks is here: `UInt`, `Duration`,
`Type`, `Optional`. Timestamps are aware datetimes. Integers are of 64 bits: what does not fit is an error.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from functools import total_ordering
from typing import Any, Final

from fairlead.machinery.quantity import Quantity

INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1
UINT_MAX: Final = 2**64 - 1
_SECOND: Final = 10**9
_UNITS: Final = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": _SECOND, "m": 60 * _SECOND, "h": 3600 * _SECOND}
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")
_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.(\d+))?(?:[Zz]|[+-]\d\d:\d\d)")


class CelError(ValueError):
    """An expression that is no CEL, or whose evaluation fails."""


class UInt(int):
    """An unsigned integer. Arithmetic gives plain ints back; `operate` makes them UInts again."""


@total_ordering
class Duration:
    """A span of time in nanoseconds."""

    __slots__ = ("nanos",)

    def __init__(self, nanos: int) -> None:
        if not INT_MIN <= nanos <= INT_MAX:
            raise CelError("duration out of range")
        self.nanos = nanos

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Duration) and self.nanos == other.nanos

    def __lt__(self, other: Duration) -> bool:
        return self.nanos < other.nanos

    def __hash__(self) -> int:
        return hash(self.nanos)

    def __str__(self) -> str:
        seconds, rest = divmod(abs(self.nanos), _SECOND)
        fraction = f".{rest:09}".rstrip("0") if rest else ""
        return f"{'-' if self.nanos < 0 else ''}{seconds}{fraction}s"


class Type:
    """What `type(x)` gives, and what names such as `int` stand for."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Type) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


class Optional:
    """A value that may be missing: `optional.of(x)`, `optional.none()`, `a.?b`."""

    __slots__ = ("present", "value")

    def __init__(self, present: bool, value: Any = None) -> None:
        self.present, self.value = present, value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Optional) and (self.present, self.value) == (other.present, other.value)

    def __hash__(self) -> int:
        return hash(self.present)


NONE: Final = Optional(False)

TYPES: Final = {
    name: Type(name)
    for name in ("bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type")
}  # fmt: skip
_TYPE_OF: Final[dict[type, str]] = {
    bool: "bool", int: "int", UInt: "uint", float: "double", str: "string", bytes: "bytes", list: "list", dict: "map",
    type(None): "null_type", Type: "type", Duration: "google.protobuf.Duration", datetime: "google.protobuf.Timestamp",
    Optional: "optional_type", Quantity: "kubernetes.Quantity",
}  # fmt: skip


NAMED_TYPES: Final = frozenset((
    "google.protobuf.Duration", "google.protobuf.Timestamp", "net.IP", "net.CIDR", "kubernetes.URL",
    "kubernetes.Quantity",
))  # fmt: skip
"""Types whose names have dots, so that the parser takes them for selections."""
_LIBRARY_TYPES: Final = {
    "IPv4Address": "net.IP", "IPv6Address": "net.IP", "IPv4Interface": "net.CIDR", "IPv6Interface": "net.CIDR",
    "SplitResult": "kubernetes.URL",
}  # fmt: skip


def type_name(value: Any) -> str:
    name = type(value).__name__
    return _TYPE_OF.get(type(value)) or _LIBRARY_TYPES.get(name, name)


def no_overload(what: str, *operands: Any) -> CelError:
    return CelError(f"no such overload: {what}({', '.join(map(type_name, operands))})")


def parse_duration(text: str) -> Duration:
    """A duration as Go writes it, such as `1h30m`. Raises CelError."""
    body = text[1:] if text[:1] in "+-" else text
    nanos, at = 0, 0
    for found in _DURATION.finditer(body):
        if found.start() != at:
            break
        whole, _, fraction = found.group(1).partition(".")
        scale = _UNITS[found.group(2)]
        nanos += int(whole or "0") * scale + (int(fraction) * scale // 10 ** len(fraction) if fraction else 0)
        at = found.end()
    if (at != len(body) or not body) and body != "0":
        raise CelError(f'time: invalid duration "{text}"')
    return Duration(-nanos if text[:1] == "-" else nanos)


def parse_timestamp(text: str) -> datetime:
    """An RFC 3339 time. Raises CelError."""
    found = _RFC3339.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        moment = datetime.fromisoformat(text.upper().replace("Z", "+00:00"))
    except ValueError:
        raise CelError(f'parsing time "{text}" as RFC 3339 failed') from None
    return moment.astimezone(UTC)


def equals(a: Any, b: Any) -> bool:
    """Equality: numbers by value whatever their type, other types never equal each other."""
    if a is None or b is None or isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(equals, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return len(a) == len(b) and all(k in b and equals(v, b[k]) for k, v in a.items())
    return bool(a == b)


def less(a: Any, b: Any, operator: str) -> bool:
    """Whether a < b. Raises CelError for values without an order."""
    kind = type(a)
    if kind is type(b) and kind in (int, str, float, bool, bytes, UInt, Duration, datetime, Quantity):
        return bool(a < b)
    if _is_number(a) and _is_number(b):
        return bool(a < b)
    raise no_overload(f"_{operator}_", a, b)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def operate(operator: str, a: Any, b: Any) -> Any:
    """`+ - * / %`. Raises CelError for overflow, division by zero and operands that do not go together."""
    if isinstance(a, bool) or isinstance(b, bool):
        raise no_overload(f"_{operator}_", a, b)
    if isinstance(a, int) and isinstance(b, int):
        if isinstance(a, UInt) is not isinstance(b, UInt):
            raise no_overload(f"_{operator}_", a, b)
        return bounded(_of_ints(operator, a, b), isinstance(a, UInt))
    if isinstance(a, int | float) and isinstance(b, int | float) and operator != "%":
        return _of_floats(operator, float(a), float(b))
    if operator == "+":
        return _sum(a, b)
    if operator == "-":
        return _differ(a, b)
    raise no_overload(f"_{operator}_", a, b)


def _of_ints(operator: str, a: int, b: int) -> int:
    match operator:
        case "+":
            return int(a) + int(b)
        case "-":
            return int(a) - int(b)
        case "*":
            return int(a) * int(b)
    if b == 0:
        raise CelError("division by zero" if operator == "/" else "modulus by zero")
    quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    return quotient if operator == "/" else int(a) - quotient * int(b)


def _of_floats(operator: str, a: float, b: float) -> float:
    match operator:
        case "+":
            return a + b
        case "-":
            return a - b
        case "*":
            return a * b
    if b == 0:
        return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a)
    return a / b


def bounded(number: int, unsigned: bool) -> int:
    """An integer of 64 bits. Raises CelError."""
    if unsigned:
        if not 0 <= number <= UINT_MAX:
            raise CelError("unsigned integer overflow")
        return UInt(number)
    if not INT_MIN <= number <= INT_MAX:
        raise CelError("integer overflow")
    return number


def _sum(a: Any, b: Any) -> Any:
    match a, b:
        case (str(), str()) | (bytes(), bytes()) | (list(), list()):
            return a + b
        case Duration(), Duration():
            return Duration(a.nanos + b.nanos)
        case datetime(), Duration():
            return _moved(a, b.nanos)
        case Duration(), datetime():
            return _moved(b, a.nanos)
    raise no_overload("_+_", a, b)


def _differ(a: Any, b: Any) -> Any:
    match a, b:
        case Duration(), Duration():
            return Duration(a.nanos - b.nanos)
        case datetime(), Duration():
            return _moved(a, -b.nanos)
        case datetime(), datetime():
            return Duration((a - b) // timedelta(microseconds=1) * 1000)
    raise no_overload("_-_", a, b)


def _moved(moment: datetime, nanos: int) -> datetime:
    try:
        return moment + timedelta(microseconds=nanos // 1000)
    except OverflowError:
        raise CelError("timestamp overflow") from None


def contains(container: Any, item: Any) -> bool:
    """`item in container`. Raises CelError for what contains nothing."""
    if isinstance(container, dict):
        return isinstance(item, str | int | float) and item in container
    if isinstance(container, list):
        if type(item) is str:
            return item in container
        return any(equals(item, v) for v in container)
    raise no_overload("@in", item, container)
