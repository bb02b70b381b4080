"""What a compiled expression runs on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fairlead.machinery.cel.values import CelError

Frame = list[Any]
"""The variables, what is left of the budget, and a slot for each variable that a macro binds."""

Closure = Callable[[Frame], Any]

VARIABLES: Final = 0
BUDGET: Final = 1


class BudgetExceeded(CelError):
    """The expression does more work than it may."""
