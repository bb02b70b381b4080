"""Chance: the random parts of names and uids. Tests use a counting twin."""

from __future__ import annotations

import secrets
import uuid

ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Without vowels and look-alikes, as upstream: a generated name says nothing by accident."""


class SystemChance:
    """The machine's randomness."""

    def suffix(self) -> str:
        return "".join(secrets.choice(ALPHABET) for _ in range(5))

    def uid(self) -> str:
        return str(uuid.uuid4())
