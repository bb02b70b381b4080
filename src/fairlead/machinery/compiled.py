"""Compiles schema nodes to Structures, lazily: a node is compiled when it is first reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fairlead.machinery.structure import Structure

Resolve = Callable[[str], Structure]
"""Finds the Structure of a definition by its name (what follows `#/definitions/`)."""


def compile(node: Mapping[str, Any], resolve: Resolve | None = None, definition: str = "") -> Structure:
    """The Structure of a schema node.

    With `definition` (the name of a built-in definition) it is a typed structure and `$ref`s go through `resolve`.
    """
    raise NotImplementedError
