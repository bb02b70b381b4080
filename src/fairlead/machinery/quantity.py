"""Quantities: amounts of resources as Kubernetes writes them (`500m`, `1.5Gi`, `2e3`).

A `Quantity` is a whole number of nano-units plus the family of suffixes that it was written with; `str` gives the
canonical form, which keeps the family. Amounts finer than a nano-unit are rounded away from zero, as upstream does.
Which resource a quantity belongs to, and whether it may be negative or fractional, is for validation to decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache, total_ordering
from typing import Final

NANO: Final = 10**9
_MILLI_NANOS: Final = 10**6
_LARGEST: Final = (2**63 - 1) * NANO
_EXPONENT_LIMIT: Final = 400

DECIMAL: Final = "DecimalSI"
BINARY: Final = "BinarySI"
EXPONENT: Final = "DecimalExponent"

_DECIMAL_POWERS: Final = {
    "n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18,
}  # fmt: skip
_BINARY_POWERS: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_SUFFIXES: Final = {power: suffix for suffix, power in _DECIMAL_POWERS.items()}
_BINARY_SUFFIXES: Final = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")

_FORM: Final = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(|[numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)")
_REGULAR: Final = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
_WRONG_FORM: Final = f"quantities must match the regular expression '{_REGULAR}'"
_WRONG_SUFFIX: Final = "unable to parse quantity's suffix"
_WRONG_NUMBER: Final = "unable to parse numeric part of quantity"
_REGULAR_FORM: Final = re.compile(_REGULAR)


@total_ordering
class Quantity:
    """An immutable amount. Equal and ordered by amount; the family of suffixes only matters for `str`."""

    __slots__ = ("family", "nanos")

    def __init__(self, nanos: int, family: str = DECIMAL) -> None:
        self.nanos = nanos
        self.family = family

    def value(self) -> int:
        """Whole units, rounded away from zero."""
        return _divide_up(self.nanos, NANO)

    def milli(self) -> int:
        """Thousandths, rounded away from zero."""
        return _divide_up(self.nanos, _MILLI_NANOS)

    def __add__(self, other: Quantity) -> Quantity:
        """The sum. Zero has no family of its own, so the other side's is taken, as upstream does."""
        return Quantity(self.nanos + other.nanos, self.family if self.nanos else other.family)

    def __sub__(self, other: Quantity) -> Quantity:
        return Quantity(self.nanos - other.nanos, self.family if self.nanos else other.family)

    def __neg__(self) -> Quantity:
        return Quantity(-self.nanos, self.family)

    def __mul__(self, factor: int) -> Quantity:
        return Quantity(self.nanos * factor, self.family)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self.nanos == other.nanos

    def __lt__(self, other: Quantity) -> bool:
        return self.nanos < other.nanos

    def __hash__(self) -> int:
        return hash(self.nanos)

    def __bool__(self) -> bool:
        return self.nanos != 0

    def __repr__(self) -> str:
        return f"Quantity({str(self)!r})"

    def __str__(self) -> str:
        """The canonical form: no fraction, the largest suffix of the family that keeps the amount exact."""
        if not self.nanos:
            return "0"
        if self.family == BINARY and abs(self.nanos) >= 1024 * NANO and not self.nanos % NANO:
            return _binary_text(self.nanos // NANO)
        return _decimal_text(self.nanos, self.family == EXPONENT)


ZERO: Final = Quantity(0)


def parse(value: str | int | float) -> Quantity:
    """The quantity that a manifest gives, as text or as a JSON number. Raises ValueError."""
    match value:
        case str():
            return _parse_text(value)
        case bool():
            raise ValueError(_WRONG_FORM)
        case int():
            return Quantity(value * NANO)
        case float():
            return _parse_text(repr(value))
    raise ValueError(_WRONG_FORM)


def canonical(value: str | int | float) -> str:
    """The canonical text of a quantity: `1.0` is `1`, `0.5` is `500m`, `1024Mi` is `1Gi`. Raises ValueError."""
    return _canonical_text(value) if isinstance(value, str) else str(parse(value))


def fast_milli(value: str | int | float) -> int:
    """Thousandths of a quantity, rounded up; remembers the texts that it has seen. Raises ValueError."""
    return _milli_of_text(value) if isinstance(value, str) else parse(value).milli()


def fast_value(value: str | int | float) -> int:
    """Whole units of a quantity, rounded up; remembers the texts that it has seen. Raises ValueError."""
    return _parse_text(value).value() if isinstance(value, str) else parse(value).value()


def total(values: Iterable[str | int | float | Quantity]) -> Quantity:
    """The sum of quantities; zero for none."""
    result = ZERO
    for value in values:
        result += value if isinstance(value, Quantity) else parse(value)
    return result


@lru_cache(maxsize=8192)
def _parse_text(text: str) -> Quantity:
    text = text.strip()
    found = _FORM.fullmatch(text)
    if found is None or not text:
        raise ValueError(_complaint(text))
    sign, whole, fraction, suffix = found.groups(default="")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        if not whole and not fraction:
            raise ValueError(_WRONG_FORM)
        return Quantity(0, _family(suffix))
    amount = int(digits)
    if suffix in _BINARY_POWERS:
        nanos = min(_shift(amount << _BINARY_POWERS[suffix], 9 - len(fraction)), _LARGEST)
        family = BINARY if nanos >= NANO else DECIMAL
        return Quantity(-nanos if sign == "-" else nanos, family)
    power = _DECIMAL_POWERS[suffix] if suffix in _DECIMAL_POWERS else int(suffix[1:])
    if abs(power) > _EXPONENT_LIMIT:
        raise ValueError(_WRONG_SUFFIX)
    nanos = _shift(amount, power + 9 - len(fraction))
    return Quantity(-nanos if sign == "-" else nanos, _family(suffix))


@lru_cache(maxsize=8192)
def _canonical_text(text: str) -> str:
    return str(_parse_text(text))


@lru_cache(maxsize=8192)
def _milli_of_text(text: str) -> int:
    return _parse_text(text).milli()


def _complaint(text: str) -> str:
    """Which of upstream's three messages fits a text that is no quantity."""
    found = _REGULAR_FORM.match(text)
    if found is None:
        return _WRONG_FORM
    return _WRONG_NUMBER if found.group(1).count(".") > 1 else _WRONG_SUFFIX


def _family(suffix: str) -> str:
    if suffix in _DECIMAL_POWERS:
        return DECIMAL
    return BINARY if suffix in _BINARY_POWERS else EXPONENT


def _shift(amount: int, power: int) -> int:
    """amount × 10^power for a positive amount, rounded up."""
    return int(amount * 10**power) if power >= 0 else -(-amount // 10**-power)


def _divide_up(amount: int, divisor: int) -> int:
    return -(-amount // divisor) if amount >= 0 else amount // divisor


def _binary_text(units: int) -> str:
    step = 0
    while units % 1024 == 0 and step < len(_BINARY_SUFFIXES) - 1:
        units //= 1024
        step += 1
    return f"{units}{_BINARY_SUFFIXES[step]}"


def _decimal_text(nanos: int, exponents: bool) -> str:
    power = -9
    while nanos % 1000 == 0 and (exponents or power < 18):
        nanos //= 1000
        power += 3
    if not exponents:
        return f"{nanos}{_DECIMAL_SUFFIXES[power]}"
    return f"{nanos}e{power}" if power else str(nanos)
