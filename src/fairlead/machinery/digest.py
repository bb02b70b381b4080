"""Short names from long values: the same value has the same word for ever, whatever the order of its keys. Pure."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""The letters and digits of Kubernetes' generated names: no vowels, nothing to be mistaken."""


def word(value: Any, length: int = 5) -> str:
    """A word of letters and digits for anything that JSON can hold."""
    digest = hashlib.sha256(msgspec.json.encode(value, order="sorted")).digest()
    return "".join(ALPHABET[byte % len(ALPHABET)] for byte in digest[:length])
