"""The `format`s of strings that upstream checks in custom objects."""

from __future__ import annotations

import binascii
import ipaddress
import re
from collections.abc import Callable
from datetime import date

from fairlead.base import timestamp

_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_HOSTNAME = re.compile(
    r"(?=.{1,255}$)([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*"
)
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:\S+|/\S*)")
_MAC = re.compile(r"([0-9A-Fa-f]{2}[:-]){5,7}[0-9A-Fa-f]{2}|([0-9A-Fa-f]{4}\.){2,3}[0-9A-Fa-f]{4}")
_DURATION = re.compile(r"[+-]?((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+|0")
_COLOR = re.compile(r"#?([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})")
_STAMP = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:?\d\d)?")


def valid(name: str, text: str) -> bool:
    """Whether a text has a format. An unknown format allows everything, as upstream does."""
    check = _CHECKS.get(name)
    return check is None or check(text)


def _pattern(form: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda text: form.fullmatch(text) is not None


def _accepts(parse: Callable[[str], object]) -> Callable[[str], bool]:
    """True when a parser takes the text without a ValueError."""

    def check(text: str) -> bool:
        try:
            parse(text)
        except ValueError:
            return False
        return True

    return check


def _stamp(text: str) -> None:
    if _STAMP.fullmatch(text) is None:
        raise ValueError(text)
    timestamp.parse(text.upper() if text[-1] in "zZ" or text[-6:-5] in "+-" else text + "Z")


def _day(text: str) -> None:
    if len(text) != len("2006-01-02"):
        raise ValueError(text)
    date.fromisoformat(text)


def _cidr(text: str) -> None:
    if "/" not in text:
        raise ValueError(text)
    ipaddress.ip_interface(text)


def _base64(text: str) -> None:
    binascii.a2b_base64(text.replace("\n", ""), strict_mode=True)


_CHECKS: dict[str, Callable[[str], bool]] = {
    "date-time": _accepts(_stamp), "datetime": _accepts(_stamp), "date": _accepts(_day),
    "duration": _pattern(_DURATION), "byte": _accepts(_base64), "email": _pattern(_EMAIL),
    "ipv4": _accepts(ipaddress.IPv4Address), "ipv6": _accepts(ipaddress.IPv6Address), "cidr": _accepts(_cidr),
    "mac": _pattern(_MAC), "uuid": _pattern(_UUID), "uri": _pattern(_URI), "hostname": _pattern(_HOSTNAME),
    "hexcolor": _pattern(_COLOR),
}  # fmt: skip
