"""Numbers that may be given as a share: `maxSurge: 2`, `maxUnavailable: 25%`. Pure."""

from __future__ import annotations


def of(value: int | str | None, total: int, *, up: bool) -> int:
    """The number that `value` means of `total`, a broken one rounded up or down; None is 0.

    Raises ValueError for a text that is no percentage.
    """
    if value is None:
        return 0
    if isinstance(value, int):
        return value
    if not value.endswith("%") or not value[:-1].isdigit():
        raise ValueError(f"{value!r} is neither a whole number nor a percentage such as 25%")
    product = int(value[:-1]) * total
    return -(-product // 100) if up else product // 100
