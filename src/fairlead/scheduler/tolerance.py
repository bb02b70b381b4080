"""Which taints a Pod's tolerations cover."""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.api.core import Toleration
from fairlead.scheduler.columns import TaintKey


def tolerates(tolerations: Sequence[Toleration], taint: TaintKey) -> bool:
    """Whether one of the tolerations covers the taint."""
    return any(_covers(toleration, taint) for toleration in tolerations)


def _covers(toleration: Toleration, taint: TaintKey) -> bool:
    """An empty key or effect covers every one; an empty operator is Equal."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    match toleration.operator:
        case "Exists":
            return True
        case "Equal" | "":
            return toleration.value == taint.value
        case "Gt" | "Lt":
            return _compares(toleration, taint)
    return False


def _compares(toleration: Toleration, taint: TaintKey) -> bool:
    """KEP-5471: the taint's value is greater or less than the toleration's, as whole numbers."""
    try:
        mine, theirs = int(toleration.value), int(taint.value)
    except ValueError:
        return False
    return theirs > mine if toleration.operator == "Gt" else theirs < mine
