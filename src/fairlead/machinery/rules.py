"""Checks the rules (x-kubernetes-validations, in CEL) of a custom kind's schema."""

from __future__ import annotations

from typing import Any

from fairlead.base.errors import Cause
from fairlead.machinery.compiled import Node


def broken(structure: Node, obj: dict[str, Any], old: dict[str, Any] | None) -> list[Cause]:
    """The rules that an object breaks; rules that read `oldSelf` count on update only."""
    return []
