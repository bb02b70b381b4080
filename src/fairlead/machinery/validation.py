"""Validation."""

from __future__ import annotations

from typing import Any

from fairlead.base.errors import Cause
from fairlead.machinery.structure import Structure


def validate(structure: Structure, obj: dict[str, Any], old: dict[str, Any] | None = None) -> list[Cause]:
    """The rules of the schema that an object breaks; `old` is given on update, for transition rules."""
    raise NotImplementedError
