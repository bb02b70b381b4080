"""Printer: the columns of a kind, and how an object fills them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from fairlead.apiserver.table import duration

Plain = Mapping[str, Any]
NONE = "<none>"


class Column(msgspec.Struct, frozen=True):
    """A column's definition. Priority 0 is always shown, 1 with `-o wide`."""

    name: str
    type: str = "string"
    format: str = ""
    description: str = ""
    priority: int = 0

    def as_dict(self) -> dict[str, Any]:
        return {f: getattr(self, f) for f in self.__struct_fields__}


class Printer(msgspec.Struct, frozen=True):
    """`cells` gives one value for each column; `conditions` those of the row (Pods that are over)."""

    columns: tuple[Column, ...]
    cells: Callable[[Plain, float], list[Any]]
    conditions: Callable[[Plain], list[dict[str, str]]] | None = None


NAME = Column("Name", format="name", description="Name of the object, unique among its kind in its namespace.")
AGE = Column("Age", description="Time since the object was created.")


def texts(*names: str) -> tuple[Column, ...]:
    """Text columns that are always shown."""
    return tuple(Column(n) for n in names)


def wide(*names: str) -> tuple[Column, ...]:
    """Text columns that only `-o wide` shows."""
    return tuple(Column(n, priority=1) for n in names)


def name(obj: Plain) -> str:
    return str(obj["metadata"].get("name", ""))


def age(obj: Plain, now: float) -> str:
    return duration.since(obj["metadata"].get("creationTimestamp"), now)


def part(obj: Plain, field: str) -> Plain:
    """A field that is an object; empty when it is absent or null."""
    found: Plain = obj.get(field) or {}
    return found


def parts(obj: Plain, field: str) -> Sequence[Plain]:
    """A field that is a list of objects; empty when it is absent or null."""
    found: Sequence[Plain] = obj.get(field) or ()
    return found


def condition(obj: Plain, type_: str) -> Plain | None:
    """The status condition of that type."""
    return next((c for c in parts(part(obj, "status"), "conditions") if c.get("type") == type_), None)


def joined(items: Iterable[str], most: int = 0, empty: str = NONE) -> str:
    """Comma-separated; of more than `most`, only so many and how many more there are."""
    many = list(items)
    if most and len(many) > most:
        return f"{','.join(many[:most])} + {len(many) - most} more..."
    return ",".join(many) or empty


def labels(pairs: Mapping[str, str] | None) -> str:
    """`a=1,b=2`, sorted."""
    return joined(f"{k}={v}" for k, v in sorted((pairs or {}).items()))


def selector(value: Plain | None) -> str:
    """A label selector (matchLabels and matchExpressions) as text."""
    value = value or {}
    texts_ = [f"{k}={v}" for k, v in sorted(part(value, "matchLabels").items())]
    for expression in parts(value, "matchExpressions"):
        key, operator, values = expression["key"], expression["operator"], ",".join(expression.get("values") or ())
        match operator:
            case "Exists":
                texts_.append(key)
            case "DoesNotExist":
                texts_.append(f"!{key}")
            case _:
                texts_.append(f"{key} {'in' if operator == 'In' else 'notin'} ({values})")
    return joined(texts_)
