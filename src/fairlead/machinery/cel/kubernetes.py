"""Kubernetes' additions to CEL: quantities, addresses, URLs, named formats, and optional values."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import SplitResult, quote, unquote_plus, urlsplit

from fairlead.machinery import quantity, selector
from fairlead.machinery.cel.library import Function
from fairlead.machinery.cel.values import NONE, CelError, Duration, Optional
from fairlead.machinery.quantity import Quantity

_ZERO_TIME: Final = datetime(1, 1, 1, tzinfo=UTC)
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _succeeds(parse: Callable[[str], Any]) -> Callable[[Any], bool]:
    def succeeds(text: Any) -> bool:
        try:
            parse(text)
        except ValueError:
            return False
        return True

    return succeeds


# --- quantities ----------------------------------------------------------------------------------------------------


def _quantity(text: str) -> Quantity:
    try:
        return quantity.parse(text)
    except ValueError as e:
        raise CelError(str(e)) from None


def _as_integer(value: Quantity) -> int:
    if value.nanos % quantity.NANO:
        raise CelError("cannot convert value to integer")
    return value.value()


def _other(value: Quantity | int) -> Quantity:
    return value if isinstance(value, Quantity) else quantity.parse(value)


def _compare(a: Any, b: Any) -> int:
    other = _other(b) if isinstance(a, Quantity) else b
    return int(a > other) - int(a < other)


# --- addresses -----------------------------------------------------------------------------------------------------


def _ip(text: str) -> Address:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise CelError(f"IP Address {text!r} parse error during conversion from string") from None
    if isinstance(address, ipaddress.IPv6Address) and (address.ipv4_mapped or address.scope_id):
        raise CelError(f"IP Address {text!r} is IPv4-mapped or has a zone, which is not allowed")
    return address


def _cidr(text: str) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    try:
        if not re.fullmatch(r"[^/]+/\d{1,3}", text):
            raise ValueError
        return ipaddress.ip_interface(text)
    except ValueError:
        raise CelError(f"network address parse error during conversion from string: {text!r}") from None


def _contains_ip(where: Any, address: Any) -> bool:
    return (_ip(address) if isinstance(address, str) else address) in where.network


def _contains_cidr(where: Any, inner: Any) -> bool:
    network = (_cidr(inner) if isinstance(inner, str) else inner).network
    return network.version == where.version and bool(network.subnet_of(where.network))


def _global_unicast(address: Any) -> bool:
    return not (address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local
                or str(address) == "255.255.255.255")  # fmt: skip


def _link_local_multicast(address: Any) -> bool:
    network = "224.0.0.0/24" if address.version == 4 else "ff02::/16"
    return address in ipaddress.ip_network(network)


def _masked(where: Any) -> Any:
    return ipaddress.ip_interface(str(where.network))


# --- URLs ----------------------------------------------------------------------------------------------------------


def _url(text: str) -> SplitResult:
    """A URL as Go's ParseRequestURI takes it: absolute, or an absolute path."""
    try:
        parts = urlsplit(text)
        int(parts.port or 0)  # reading it checks it
    except ValueError as e:
        raise CelError(f"URL parse error during conversion from string: {e}") from None
    if not (parts.scheme or text.startswith("/")) or re.search(r"[\x00-\x1f\x7f]", text):
        raise CelError(f"URL parse error during conversion from string: invalid URI for request: {text!r}")
    return parts


def _query(url: SplitResult) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for pair in filter(None, url.query.split("&")):
        name, _, value = pair.partition("=")
        found.setdefault(unquote_plus(name), []).append(unquote_plus(value))
    return found


# --- named formats -------------------------------------------------------------------------------------------------

_LABEL: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_FORMATS: Final[dict[str, tuple[str, int]]] = {
    "dns1123Label": (_LABEL, 63),
    "dns1123Subdomain": (rf"{_LABEL}(\.{_LABEL})*", 253),
    "dns1035Label": (r"[a-z]([-a-z0-9]*[a-z0-9])?", 63),
    "dns1123LabelPrefix": (r"[a-z0-9]([-a-z0-9]*[a-z0-9])?-?", 63),
    "dns1123SubdomainPrefix": (rf"{_LABEL}(\.{_LABEL})*(\.?-|\.)?", 253),
    "dns1035LabelPrefix": (r"[a-z]([-a-z0-9]*[a-z0-9])?-?", 63),
    "uuid": (r"[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}", 40),
    "byte": (r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", 10**9),
    "date": (r"\d{4}-(0\d|1[0-2])-([0-2]\d|3[01])", 10),
    "datetime": (r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", 64),
}
_FORMAT_NAMES: Final = (*_FORMATS, "qualifiedName", "labelValue", "uri")


class Format:
    """A named format; `validate` gives what is wrong with a text, or nothing."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def validate(self, text: str) -> Optional:
        wrong = self._wrong(text)
        return Optional(True, [wrong]) if wrong else NONE

    def _wrong(self, text: str) -> str:
        match self.name:
            case "qualifiedName":
                return selector.check_key(text)
            case "labelValue":
                return selector.check_value(text)
            case "uri":
                return "" if _succeeds(_url)(text) else "invalid URI"
        pattern, most = _FORMATS[self.name]
        if len(text) > most:
            return f"must be no more than {most} bytes"
        return "" if re.fullmatch(pattern, text) else f"must match the regular expression '{pattern}' ({self.name})"


def _named_format(name: str) -> Optional:
    return Optional(True, Format(name)) if name in _FORMAT_NAMES else NONE


# --- optional values -----------------------------------------------------------------------------------------------


def _value(optional: Optional) -> Any:
    if not optional.present:
        raise CelError("optional.none() dereference")
    return optional.value


def _of_non_zero(value: Any) -> Optional:
    zero = not value.nanos if isinstance(value, Duration) else not value or value == _ZERO_TIME
    return NONE if zero else Optional(True, value)


def _attribute(name: str) -> Function:
    return Function(lambda a: getattr(a, name), 0, 0)


def _asked(name: str) -> Function:
    """A step of a question to an `authorizer`: whoever puts one among the variables answers (`cel_call`)."""
    return Function(lambda target, *given: target.cel_call(name, *given), 0, 2)


FUNCTIONS: Final[dict[str, Function]] = {
    "quantity": Function(_quantity, 1, 1), "isQuantity": Function(_succeeds(_quantity), 1, 1),
    "ip": Function(_ip, 1, 1), "isIP": Function(_succeeds(_ip), 1, 1),
    "ip.isCanonical": Function(lambda text: str(_ip(text)) == text, 1, 1),
    "cidr": Function(_cidr, 1, 1), "isCIDR": Function(_succeeds(_cidr), 1, 1),
    "url": Function(_url, 1, 1), "isURL": Function(_succeeds(_url), 1, 1),
    "format.named": Function(_named_format, 1, 1),
    **{f"format.{name}": Function(lambda name=name: Format(name), 0, 0) for name in _FORMAT_NAMES},
    "optional.of": Function(lambda v: Optional(True, v), 1, 1), "optional.none": Function(lambda: NONE, 0, 0),
    "optional.ofNonZeroValue": Function(_of_non_zero, 1, 1),
}  # fmt: skip

METHODS: Final[dict[str, Function]] = {
    "isInteger": Function(lambda q: not q.nanos % quantity.NANO, 0, 0), "asInteger": Function(_as_integer, 0, 0),
    "asApproximateFloat": Function(lambda q: q.nanos / quantity.NANO, 0, 0),
    "sign": Function(lambda q: (q.nanos > 0) - (q.nanos < 0), 0, 0),
    "add": Function(lambda a, b: a + _other(b), 1, 1), "sub": Function(lambda a, b: a - _other(b), 1, 1),
    "isLessThan": Function(lambda a, b: a < b, 1, 1), "isGreaterThan": Function(lambda a, b: a > b, 1, 1),
    "compareTo": Function(_compare, 1, 1),
    "family": _attribute("version"), "isUnspecified": _attribute("is_unspecified"),
    "isLoopback": _attribute("is_loopback"), "isLinkLocalUnicast": _attribute("is_link_local"),
    "isLinkLocalMulticast": Function(_link_local_multicast, 0, 0),
    "isGlobalUnicast": Function(_global_unicast, 0, 0),
    "containsIP": Function(_contains_ip, 1, 1), "containsCIDR": Function(_contains_cidr, 1, 1),
    "ip": _attribute("ip"), "masked": Function(_masked, 0, 0),
    "prefixLength": Function(lambda c: c.network.prefixlen, 0, 0),
    "getScheme": _attribute("scheme"), "getHost": Function(lambda u: u.netloc.rpartition("@")[2], 0, 0),
    "getHostname": Function(lambda u: u.hostname or "", 0, 0),
    "getPort": Function(lambda u: "" if u.port is None else str(u.port), 0, 0),
    "getEscapedPath": Function(lambda u: quote(u.path, safe="/%:@!$&'()*+,;=~"), 0, 0),
    "getQuery": Function(_query, 0, 0),
    "validate": Function(lambda f, text: f.validate(text), 1, 1),
    "hasValue": _attribute("present"), "value": Function(_value, 0, 0),
    **{name: _asked(name) for name in (
        "group", "resource", "subresource", "namespace", "name", "path", "serviceAccount", "check",
        "allowed", "reason", "errored", "error", "fieldSelector", "labelSelector",
    )},
}  # fmt: skip
