"""The form of a `metav1.LabelSelector`, with upstream's complaints."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.apiserver.kinds import metadata, naming
from fairlead.apiserver.kinds.ways import Obj, part, parts
from fairlead.base.errors import Cause
from fairlead.machinery import causes

_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


def validate(selector: Obj, at: str) -> Iterator[Cause]:
    """What is wrong with a selector at that path."""
    yield from metadata.check_labels(f"{at}.matchLabels", part(selector, "matchLabels"))
    for index, expression in enumerate(parts(selector, "matchExpressions")):
        where = f"{at}.matchExpressions[{index}]"
        operator, values = expression.get("operator", ""), expression.get("values")
        if operator not in _OPERATORS:
            yield causes.invalid(f"{where}.operator", operator, "not a valid selector operator")
        elif operator in {"In", "NotIn"} and not values:
            yield causes.required(f"{where}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in {"Exists", "DoesNotExist"} and values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield causes.forbidden(f"{where}.values", detail)
        for complaint in naming.qualified(expression.get("key", "")):
            yield causes.invalid(f"{where}.key", expression.get("key", ""), complaint)
