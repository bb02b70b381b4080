"""The checker accepts what could have happened and nothing else."""

from __future__ import annotations

import itertools

import pytest

from fairlead.testing.register import FOREVER, Operation, linearizable


def read(value, called, returned):
    return Operation("read", value, called, returned)


def write(value, called, returned, done=True):
    return Operation("write", value, called, returned, done=done)


def swap(expected, value, called, returned, done=True):
    return Operation("swap", value, called, returned, expected, done)


@pytest.mark.parametrize(
    ("history", "holds"),
    [
        ([write(1, 0, 1), read(1, 2, 3)], True),
        ([write(1, 0, 1), read(None, 2, 3)], False),  # a stale read
        ([write(1, 0, 5), read(None, 1, 2), read(1, 3, 4)], True),
        ([write(1, 0, 5), read(1, 1, 2), read(None, 3, 4)], False),  # back in time
        ([write(1, 0, 1), write(2, 0, 1), read(1, 2, 3), read(1, 4, 5)], True),
        ([write(1, 0, 1), write(2, 0, 1), read(1, 2, 3), read(2, 4, 5)], False),
        ([swap(None, 1, 0, 2), swap(None, 2, 0, 2, False), read(1, 3, 4)], True),
        ([swap(None, 1, 0, 2), swap(None, 2, 0, 2)], False),  # a lost update
        ([swap(None, 1, 0, 1, False)], False),  # refused for nothing
        ([write(1, 0, FOREVER, None), read(None, 2, 3), read(1, 4, 5)], True),  # broken off, then it happened
        ([write(1, 0, FOREVER, None), read(None, 2, 3)], True),
        ([write(1, 0, FOREVER, None), read(1, 2, 3), read(None, 4, 5)], False),
        ([swap(7, 1, 0, FOREVER, None), read(1, 2, 3)], False),
    ],
)
def test_histories(history, holds):
    for order in itertools.permutations(history):
        assert linearizable(order) is holds


def test_a_long_history_is_quick():
    history = []
    for number in range(400):
        base = number * 10.0
        history += [write((number, 0), base, base + 15), write((number, 1), base + 1, base + 14)]
        history.append(read((number, 1), base + 15.5, base + 16))
    assert linearizable(history[:3])
    assert not linearizable([*history[:-1], read((0, 0), 1e6, 1e6 + 1)])
