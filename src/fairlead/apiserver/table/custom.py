"""Custom kinds: the columns that a CustomResourceDefinition declares (`additionalPrinterColumns`).

A cell is the first thing its JSON path finds, shown as the column's type says; what is missing, or is of another type
than declared, is an empty cell and no error. Without declared columns there is the age.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from fairlead.api.apiextensions import Column as Declared
from fairlead.apiserver.table import duration, printer
from fairlead.apiserver.table.printer import NAME, Column, Plain, Printer
from fairlead.machinery import jsonpath

_AGE = Declared("Age", "date", ".metadata.creationTimestamp")


@lru_cache(maxsize=512)
def columns(declared: tuple[Declared, ...]) -> Printer:
    """The printer of declared columns."""
    shown = declared or (_AGE,)
    paths = [(jsonpath.compile(c.jsonPath), c.type) for c in shown]

    def cells(obj: Plain, now: float) -> list[Any]:
        return [printer.name(obj), *(_cell(path.first(obj), type_, now) for path, type_ in paths)]

    return Printer(
        (NAME, *(Column(c.name, c.type, c.format, c.description, c.priority) for c in shown)), cells
    )  # fmt: skip


def _cell(value: Any, type_: str, now: float) -> Any:
    match type_, value:
        case _, None:
            return None
        case "string", str():
            return value
        case "string", _:
            return msgspec.json.encode(value).decode()
        case "date", str():
            return duration.since(value, now)
        case "boolean", bool():
            return value
        case (("integer" | "number"), bool()):
            return None
        case "integer", int() | float():
            return int(value)
        case "number", int() | float():
            return value
    return None
