"""discovery.k8s.io: EndpointSlice."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.apiserver.kinds import naming
from fairlead.apiserver.kinds.ways import Obj, Ways
from fairlead.base.errors import Cause
from fairlead.machinery import causes

FAMILIES = ("FQDN", "IPv4", "IPv6")
MOST_ENDPOINTS = 1000
MOST_ADDRESSES = 100


def _default(slice_: Obj) -> None:
    for port in slice_.get("ports") or ():
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")
    slice_.setdefault("endpoints", [])


def _rules(slice_: Obj) -> Iterator[Cause]:
    family = slice_.get("addressType")
    if not family:
        yield causes.required("addressType")
    elif family not in FAMILIES:
        yield causes.not_supported("addressType", family, FAMILIES)
    endpoints = slice_.get("endpoints", [])
    if len(endpoints) > MOST_ENDPOINTS:
        yield causes.too_many("endpoints", len(endpoints), MOST_ENDPOINTS)
    for index, endpoint in enumerate(endpoints):
        at, addresses = f"endpoints[{index}]", endpoint.get("addresses") or []
        if not addresses:
            yield causes.required(f"{at}.addresses", "must contain at least 1 address")
        elif len(addresses) > MOST_ADDRESSES:
            yield causes.too_many(f"{at}.addresses", len(addresses), MOST_ADDRESSES)
        for complaint in naming.label(endpoint["hostname"]) if endpoint.get("hostname") else ():
            yield causes.invalid(f"{at}.hostname", endpoint["hostname"], complaint)


def _transitions(new: Obj, old: Obj) -> Iterator[Cause]:
    yield from causes.immutable("addressType", new.get("addressType"), old.get("addressType"))


WAYS = {("discovery.k8s.io", "endpointslices"): Ways(_default, _rules, _transitions)}
