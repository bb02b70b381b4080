"""Register: is a history of reads and writes of one object linearizable?

A history is what clients saw: each operation has the moments of its call and of its return (infinity when its outcome
is not known), what it was and what it answered. It is linearizable when every operation can be given one moment between
the two, so that done in that order, one at a time, all of them would have answered just that. The check tries orders
depth first and remembers what it has tried (Wing and Gong; Lowe), which is quick while few operations overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

FOREVER = float("inf")


class Operation(msgspec.Struct, frozen=True):
    """`read` answered `value`; `write` wrote it; `swap` wrote it if `expected` was there, and says whether it was.

    `done` None: nobody knows whether it happened (its call broke off).
    """

    what: str
    value: Any
    called: float
    returned: float = FOREVER
    expected: Any = None
    done: bool | None = True


def linearizable(history: Iterable[Operation], initial: Any = None) -> bool:
    """Whether there is such an order, for a register that began with `initial`. (Values must be hashable.)"""
    operations = sorted(history, key=lambda o: (o.called, o.returned))
    everything = (1 << len(operations)) - 1
    must = sum(1 << i for i, o in enumerate(operations) if o.done is not None)
    tried: set[tuple[int, Any]] = set()
    open_ = [(0, initial)]
    while open_:
        state = open_.pop()
        if state in tried:
            continue
        tried.add(state)
        chosen, value = state
        if chosen & must == must:
            return True
        for index in _next(operations, everything & ~chosen):
            after = _after(operations[index], value)
            open_ += [(chosen | 1 << index, a) for a in after]
    return False


def _next(operations: Sequence[Operation], left: int) -> list[int]:
    """Those that may come first: none of the others returned before they were called. The likeliest is last."""
    first, found = FOREVER, []
    while left:
        lowest = left & -left
        left ^= lowest
        index = lowest.bit_length() - 1
        if operations[index].called > first:
            break
        found.append(index)
        first = min(first, operations[index].returned)
    return sorted(found, key=lambda i: -operations[i].returned)


def _after(operation: Operation, value: Any) -> list[Any]:
    """What the register may hold after the operation; nothing when it could not have answered so."""
    match operation.what:
        case "read":
            return [value] if operation.value == value else []
        case "write":
            return [operation.value]
        case "swap":
            would = value == operation.expected
            if operation.done is None:
                return [operation.value] if would else [value]
            return ([operation.value] if would else [value]) if would == operation.done else []
    raise ValueError(f"{operation.what} is no operation of a register")
