"""Conform."""

from __future__ import annotations

from typing import Any

import msgspec

from fairlead.machinery.structure import Structure


class Conformed(msgspec.Struct):
    """What became of an object."""

    obj: dict[str, Any]
    """The same dict: unknown fields are gone, quantities and times canonical."""
    unknown: list[str]
    """`unknown field "spec.foo"`: for `fieldValidation` Strict (400 `strict decoding error: …`) and Warn."""
    problems: list[str]
    """Decoding problems of typed parts: any is a 400; the text starts at `json: cannot unmarshal …`."""


def conform(structure: Structure, obj: dict[str, Any]) -> Conformed:
    """Bring an object into the form of its schema, in place, in one walk."""
    raise NotImplementedError


def unknown_fields(structure: Structure, obj: dict[str, Any]) -> list[str]:
    """`unknown field "spec.foo"` for each field that the schema does not know; the object is left as it is."""
    raise NotImplementedError


def prune(structure: Structure, obj: dict[str, Any]) -> None:
    """Remove the fields that the schema does not know."""
    raise NotImplementedError
