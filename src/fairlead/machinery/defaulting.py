"""Defaulting."""

from __future__ import annotations

from typing import Any

from fairlead.machinery.structure import Structure


def default(structure: Structure, obj: dict[str, Any]) -> None:
    """Fill in the schema's defaults, in place, wherever the parent is present."""
    raise NotImplementedError
