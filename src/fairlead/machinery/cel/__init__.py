"""CEL, the Common Expression Language, as the rules of CustomResourceDefinitions need it.

`compile(text)` gives a `Program`, `program.evaluate({"self": …})` its value. Types are checked while evaluating, not
before: what upstream refuses when a rule is created, for a type, fails here when the rule is used. `self.x__dash__y`
and the like reach fields whose names CEL cannot write.
"""

from __future__ import annotations

from fairlead.machinery.cel.frame import BudgetExceeded
from fairlead.machinery.cel.program import DEFAULT_BUDGET, Program, compile
from fairlead.machinery.cel.values import CelError, Duration, Optional, Type, UInt

__all__ = [
    "DEFAULT_BUDGET", "BudgetExceeded", "CelError", "Duration", "Optional", "Program", "Type", "UInt", "compile",
]  # fmt: skip
