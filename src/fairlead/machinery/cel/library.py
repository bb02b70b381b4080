"""CEL's standard functions, with cel-go's string and list extensions and Kubernetes' list library.

A function here takes evaluated arguments; a method's first one is its target. Those that need an unevaluated argument
(`has`, `all`, `map`, …) are macros and live in `cel.program`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from fairlead.machinery import regex
from fairlead.machinery.cel import values
from fairlead.machinery.cel.values import NONE, CelError, Duration, Optional, Type, no_overload
from fairlead.machinery.quantity import Quantity

_LONGEST_RANGE: Final = 100_000


class Function(NamedTuple):
    """What to call, and with how many arguments (a method's target not counted)."""

    call: Callable[..., Any]
    fewest: int
    most: int


# --- conversions ---------------------------------------------------------------------------------------------------


def _size(value: Any) -> int:
    if isinstance(value, str | bytes | list | dict):
        return len(value)
    raise no_overload("size", value)


def _int(value: Any) -> int:
    match value:
        case bool():
            raise no_overload("int", value)
        case float():
            if math.isnan(value) or abs(value) >= 2**63:
                raise CelError("integer overflow")
            return int(value)
        case datetime():
            return int(value.timestamp())
        case Duration():
            return value.nanos
        case int() | str():
            return values.bounded(_whole(value), False)
    raise no_overload("int", value)


def _whole(value: int | str) -> int:
    try:
        return int(value)
    except ValueError:
        raise CelError(f'strconv.ParseInt: parsing "{value}": invalid syntax') from None


def _uint(value: Any) -> int:
    match value:
        case bool():
            raise no_overload("uint", value)
        case float() | int() | str():
            return values.bounded(int(value) if isinstance(value, float) else _whole(value), True)
    raise no_overload("uint", value)


def _double(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise no_overload("double", value)
    try:
        return float(value)
    except ValueError:
        raise CelError(f'strconv.ParseFloat: parsing "{value}": invalid syntax') from None


def _string(value: Any) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case float():
            return repr(value).removesuffix(".0")
        case bytes():
            return value.decode()
        case datetime():
            text = value.isoformat().replace("+00:00", "Z")
            return text.rstrip("0") if "." in text and not text.endswith("Z") else text
        case int() | Duration() | Quantity():
            return str(value)
    return str(value) if hasattr(value, "compressed") else _fail("string", value)


def _fail(name: str, *operands: Any) -> Any:
    raise no_overload(name, *operands)


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if value in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise CelError(f'strconv.ParseBool: parsing "{value}": invalid syntax')


def _duration(value: Any) -> Duration:
    return value if isinstance(value, Duration) else values.parse_duration(value)


def _timestamp(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, int):
        return datetime.fromtimestamp(value, UTC)
    return values.parse_timestamp(value)


def _type(value: Any) -> Type:
    return Type(values.type_name(value))


# --- strings -------------------------------------------------------------------------------------------------------


def _matches(text: str, pattern: str) -> bool:
    try:
        return regex.compile(pattern).search(text) is not None
    except ValueError as e:
        raise CelError(str(e)) from None


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found = [m.group() for m in regex.compile(pattern).finditer(text)]
    return found if limit < 0 else found[:limit]


def _index_of(where: Any, item: Any, start: int = 0) -> int:
    if isinstance(where, list):
        return next((i for i, v in enumerate(where) if values.equals(v, item)), -1)
    if not 0 <= start <= len(where):
        raise CelError(f"index out of range: {start}")
    return int(where.find(item, start))


def _last_index_of(where: Any, item: Any, start: int | None = None) -> int:
    if isinstance(where, list):
        return next((i for i in range(len(where) - 1, -1, -1) if values.equals(where[i], item)), -1)
    return int(where.rfind(item) if start is None else where.rfind(item, 0, start + len(item)))


def _char_at(text: str, at: int) -> str:
    if not 0 <= at <= len(text):
        raise CelError(f"index out of range: {at}")
    return text[at : at + 1]


def _substring(text: str, start: int, end: int | None = None) -> str:
    last = len(text) if end is None else end
    if not 0 <= start <= len(text) or not 0 <= last <= len(text):
        raise CelError(f"index out of range: {start if not 0 <= start <= len(text) else last}")
    if start > last:
        raise CelError(f"invalid substring range. start: {start}, end: {last}")
    return text[start:last]


def _split(text: str, by: str, limit: int = -1) -> list[str]:
    if limit == 0:
        return []
    if not by:
        return list(text) if limit < 0 else [*text[: limit - 1], text[limit - 1 :]]
    return text.split(by) if limit < 0 else text.split(by, limit - 1)


def _join(parts: list[str], by: str = "") -> str:
    return by.join(parts)


def _replace(text: str, old: str, new: str, limit: int = -1) -> str:
    return text.replace(old, new, limit)


def _ascii(upper: bool) -> Callable[[str], str]:
    def cased(text: str) -> str:
        return "".join((c.upper() if upper else c.lower()) if c.isascii() else c for c in text)

    return cased


def _format(text: str, arguments: list[Any]) -> str:
    """`%s`, `%d`, `%x` and their like, as cel-go's strings.format takes them."""
    left = list(arguments)
    parts: list[str] = []
    at = 0
    while (mark := text.find("%", at)) >= 0:
        parts.append(text[at:mark])
        end = mark + 1
        while end < len(text) and text[end] in ".0123456789":
            end += 1
        verb = text[end : end + 1]
        if verb == "%":
            parts.append("%")
        elif not left:
            raise CelError("index out of range: too few arguments to format")
        else:
            parts.append(_formatted(verb, text[mark + 1 : end], left.pop(0)))
        at = end + 1
    return "".join([*parts, text[at:]])


def _formatted(verb: str, precision: str, value: Any) -> str:
    match verb:
        case "s":
            return _shown(value)
        case "d":
            return str(int(value))
        case "f" | "e":
            return format(float(value), f"{precision or '.6'}{verb}")
        case "b" | "o" | "x" | "X":
            return format(value.encode().hex() if isinstance(value, str) else value, "" if _textual(value) else verb)
    raise CelError(f'could not parse formatting clause: unrecognized formatting clause "{verb}"')


def _textual(value: Any) -> bool:
    return isinstance(value, str)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_shown, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_shown(k)}: {_shown(v)}" for k, v in sorted(value.items())) + "}"
    return "null" if value is None else _string(value)


# --- lists ---------------------------------------------------------------------------------------------------------


def _is_sorted(items: list[Any]) -> bool:
    return not any(values.less(b, a, "<") for a, b in itertools.pairwise(items))


def _sum_of(items: list[Any]) -> Any:
    total = items[0] if items else 0
    for item in items[1:]:
        total = values.operate("+", total, item)
    return total


def _extreme(largest: bool) -> Callable[[list[Any]], Any]:
    def pick(items: list[Any]) -> Any:
        if not items:
            raise CelError(f"{'max' if largest else 'min'} called on empty list")
        best = items[0]
        for item in items[1:]:
            if values.less(best, item, "<") if largest else values.less(item, best, "<"):
                best = item
        return best

    return pick


def _distinct(items: list[Any]) -> list[Any]:
    found: list[Any] = []
    for item in items:
        if not values.contains(found, item):
            found.append(item)
    return found


def _slice(items: list[Any], start: int, end: int) -> list[Any]:
    if not 0 <= start <= end <= len(items):
        raise CelError(f"cannot slice({start}, {end}) a list of {len(items)}")
    return items[start:end]


def _sorted(items: list[Any]) -> list[Any]:
    if items:
        _extreme(False)(items)  # refuses what has no order
    return sorted(items)


def _range(count: int) -> list[int]:
    if count > _LONGEST_RANGE:
        raise CelError(f"lists.range: {count} is more than {_LONGEST_RANGE}")
    return list(range(count))


def _end(items: list[Any], at: int) -> Optional:
    return Optional(True, items[at]) if items else NONE


def _flatten(items: list[Any], depth: int = 1) -> list[Any]:
    flat = [e for item in items for e in (item if isinstance(item, list) else [item])]
    return flat if depth <= 1 or not any(isinstance(e, list) for e in flat) else _flatten(flat, depth - 1)


def _sets(name: str) -> Callable[[list[Any], list[Any]], bool]:
    def holds(a: list[Any], b: list[Any]) -> bool:
        match name:
            case "contains":
                return all(values.contains(a, v) for v in b)
            case "intersects":
                return any(values.contains(a, v) for v in b)
        return all(values.contains(a, v) for v in b) and all(values.contains(b, v) for v in a)

    return holds


def _extreme_of(largest: bool) -> Callable[..., Any]:
    pick = _extreme(largest)
    return lambda *items: pick(items[0] if len(items) == 1 and isinstance(items[0], list) else list(items))


# --- time ----------------------------------------------------------------------------------------------------------


def _clock(field: str) -> Callable[..., int]:
    """`getHours` and its like, of a duration or of a timestamp in a time zone."""

    def get(value: Any, zone: str = "UTC") -> int:
        if isinstance(value, Duration):
            return _of_duration(value, field)
        moment = value.astimezone(_zone(zone))
        match field:
            case "getFullYear":
                return int(moment.year)
            case "getMonth":
                return int(moment.month) - 1
            case "getDate":
                return int(moment.day)
            case "getDayOfMonth":
                return int(moment.day) - 1
            case "getDayOfWeek":
                return int(moment.isoweekday()) % 7
            case "getDayOfYear":
                return int(moment.timetuple().tm_yday) - 1
        return int({"getHours": moment.hour, "getMinutes": moment.minute, "getSeconds": moment.second}.get(
            field, moment.microsecond // 1000
        ))  # fmt: skip

    return get


def _of_duration(value: Duration, field: str) -> int:
    unit = {"getHours": 3600 * 10**9, "getMinutes": 60 * 10**9, "getSeconds": 10**9, "getMilliseconds": 10**6}
    if field not in unit:
        raise no_overload(field, value)
    if field == "getMilliseconds":
        return abs(value.nanos) % 10**9 // 10**6
    return abs(value.nanos) // unit[field] * (-1 if value.nanos < 0 else 1)


def _zone(name: str) -> Any:
    sign = -1 if name.startswith("-") else 1
    hours, colon, minutes = name.lstrip("+-").partition(":")
    if colon and hours.isdecimal() and minutes.isdecimal():
        return timezone(sign * timedelta(hours=int(hours), minutes=int(minutes)))
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise CelError(f"unknown time zone {name}") from None


FUNCTIONS: Final[dict[str, Function]] = {
    "size": Function(_size, 1, 1), "int": Function(_int, 1, 1), "uint": Function(_uint, 1, 1),
    "double": Function(_double, 1, 1), "string": Function(_string, 1, 1), "bool": Function(_bool, 1, 1),
    "bytes": Function(lambda v: v if isinstance(v, bytes) else v.encode(), 1, 1), "dyn": Function(lambda v: v, 1, 1),
    "duration": Function(_duration, 1, 1), "timestamp": Function(_timestamp, 1, 1), "type": Function(_type, 1, 1),
    "matches": Function(_matches, 2, 2), "lists.range": Function(_range, 1, 1),
    "math.greatest": Function(_extreme_of(True), 1, 99), "math.least": Function(_extreme_of(False), 1, 99),
    "sets.contains": Function(_sets("contains"), 2, 2), "sets.intersects": Function(_sets("intersects"), 2, 2),
    "sets.equivalent": Function(_sets("equivalent"), 2, 2),
}  # fmt: skip

METHODS: Final[dict[str, Function]] = {
    "size": Function(_size, 0, 0), "matches": Function(_matches, 1, 1),
    "startsWith": Function(str.startswith, 1, 1), "endsWith": Function(str.endswith, 1, 1),
    "contains": Function(str.__contains__, 1, 1), "charAt": Function(_char_at, 1, 1),
    "indexOf": Function(_index_of, 1, 2), "lastIndexOf": Function(_last_index_of, 1, 2),
    "join": Function(_join, 0, 1), "split": Function(_split, 1, 2), "substring": Function(_substring, 1, 2),
    "replace": Function(_replace, 2, 3), "trim": Function(str.strip, 0, 0),
    "lowerAscii": Function(_ascii(False), 0, 0), "upperAscii": Function(_ascii(True), 0, 0),
    "format": Function(_format, 1, 1), "reverse": Function(lambda v: v[::-1], 0, 0),
    "find": Function(lambda t, p: next(iter(_find_all(t, p, 1)), ""), 1, 1), "findAll": Function(_find_all, 1, 2),
    "isSorted": Function(_is_sorted, 0, 0), "sum": Function(_sum_of, 0, 0),
    "min": Function(_extreme(False), 0, 0), "max": Function(_extreme(True), 0, 0),
    "distinct": Function(_distinct, 0, 0), "slice": Function(_slice, 2, 2), "sort": Function(_sorted, 0, 0),
    "first": Function(lambda v: _end(v, 0), 0, 0), "last": Function(lambda v: _end(v, -1), 0, 0),
    "flatten": Function(_flatten, 0, 1),
    **{name: Function(_clock(name), 0, 1) for name in (
        "getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getHours",
        "getMinutes", "getSeconds", "getMilliseconds",
    )},
}  # fmt: skip
