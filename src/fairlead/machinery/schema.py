"""Schemas: what an object of a kind may say. The door to the modules that do it.

A `Structure` comes from `tables.structure` (built-in kinds) or `tables.custom` (custom kinds). There are two sorts:

- **typed** structures, of built-in definitions. As upstream's decoder into Go types: a wrong type, a malformed
  quantity or time is a decoding problem (400), null means absent, quantities and times are written canonically.
- **untyped** structures, of CustomResourceDefinitions: a wrong type is a broken rule (422 with a path).

The order for a write: `conform` (both sorts), `default` (custom kinds), `validate` (custom kinds; built-in kinds are
validated by `apiserver.kinds`). All of them work on plain dicts in place; none keeps a reference.
"""

from __future__ import annotations

from fairlead.machinery.compiled import compile
from fairlead.machinery.decoding import Conformed, conform, prune, unknown_fields
from fairlead.machinery.defaulting import default
from fairlead.machinery.validation import validate

__all__ = ["Conformed", "compile", "conform", "default", "prune", "unknown_fields", "validate"]
