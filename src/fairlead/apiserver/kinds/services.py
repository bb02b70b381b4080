"""core/v1 Service: defaults and rules. Cluster IPs are given out by admission, not here.

Here every address is IPv4 and single-stack. A headless Service has `clusterIP: None`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

from fairlead.apiserver.kinds import metadata, naming
from fairlead.apiserver.kinds.ways import Obj, Ways, spec_of
from fairlead.base.errors import Cause
from fairlead.machinery import causes

HEADLESS = "None"
TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
EXPOSED = frozenset({"LoadBalancer", "NodePort"})
"""Types with a port on every node."""
PROTOCOLS = ("SCTP", "TCP", "UDP")
AFFINITIES = ("ClientIP", "None")
_ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_RANGE = "must be between 1 and 65535, inclusive"


def default(service: Obj) -> None:
    """Upstream's `SetDefaults_Service`."""
    spec = service.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    if spec["sessionAffinity"] == "ClientIP":
        spec.setdefault("sessionAffinityConfig", {"clientIP": {"timeoutSeconds": 10800}})
    for port in spec.get("ports", ()):
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
    if spec["type"] == "ExternalName":
        return
    spec.setdefault("internalTrafficPolicy", "Cluster")
    if spec["type"] in {"NodePort", "LoadBalancer"}:
        spec.setdefault("externalTrafficPolicy", "Cluster")


def create(service: Obj) -> None:
    """What upstream's allocators give; nobody owns it as a field that was sent."""
    service["status"] = {"loadBalancer": {}}
    _allot(spec_of(service))


def _allot(spec: Obj) -> None:
    if spec.get("type") != "ExternalName":
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        if spec.get("clusterIP"):
            spec.setdefault("clusterIPs", [spec["clusterIP"]])


def update(new: Obj, old: Obj) -> None:
    """What was given to the Service stays its own when an update leaves it out."""
    after, before = spec_of(new), spec_of(old)
    _update_ports(after, before)
    if after.get("type") == "ExternalName":
        for field in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"):
            if after.get(field) == before.get(field):
                after.pop(field, None)
        return
    for field in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if field in before and not after.get(field):
            after[field] = before[field]
    _allot(after)


def _update_ports(after: Obj, before: Obj) -> None:
    """Node ports stay with their ports, and go when the type has none any more (unless they were sent anew)."""
    had = {(p.get("protocol"), p.get("port")): p["nodePort"] for p in before.get("ports", ()) if p.get("nodePort")}
    if after.get("type") in EXPOSED:
        for port in after.get("ports", ()):
            if not port.get("nodePort") and (number := had.get((port.get("protocol"), port.get("port")))):
                port["nodePort"] = number
    elif before.get("type") in EXPOSED:
        sent = {p["nodePort"] for p in after.get("ports", ()) if p.get("nodePort")}
        if sent <= set(had.values()):
            for port in after.get("ports", ()):
                port.pop("nodePort", None)


def rules(service: Obj) -> Iterator[Cause]:
    spec = spec_of(service)
    kind = spec.get("type")
    if kind not in TYPES:
        yield causes.not_supported("spec.type", kind, TYPES)
    if spec.get("sessionAffinity") not in AFFINITIES:
        yield causes.not_supported("spec.sessionAffinity", spec.get("sessionAffinity"), AFFINITIES)
    if kind == "ExternalName":
        yield from _external(spec)
    elif not spec.get("ports") and spec.get("clusterIP") != HEADLESS:
        yield causes.required("spec.ports")
    yield from _addresses(spec.get("clusterIPs", ()))
    if found := spec.get("selector"):
        yield from metadata.check_labels("spec.selector", found)
    yield from _ports(spec.get("ports", ()), kind)


def _addresses(found: Any) -> Iterator[Cause]:
    for index, address in enumerate(found):
        try:
            if address != HEADLESS:
                ipaddress.ip_address(address)
        except ValueError:
            yield causes.invalid(f"spec.clusterIPs[{index}]", address, _ADDRESS)


def _external(spec: Obj) -> Iterator[Cause]:
    if spec.get("clusterIP") not in {None, "", HEADLESS}:
        detail = "may not be set when `type` is 'ExternalName'"
        yield causes.forbidden("spec.clusterIP", detail)
    name = spec.get("externalName", "").removesuffix(".")
    if not name:
        yield causes.required("spec.externalName")
    for complaint in naming.subdomain(name) if name else ():
        yield causes.invalid("spec.externalName", name, complaint)


def _ports(ports: Any, kind: Any) -> Iterator[Cause]:
    names: set[str] = set()
    used: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        at, number, name = f"spec.ports[{index}]", port.get("port", 0), port.get("name", "")
        if not name and len(ports) > 1:
            yield causes.required(f"{at}.name")
        for complaint in naming.label(name) if name else ():
            yield causes.invalid(f"{at}.name", name, complaint)
        if name and name in names:
            yield causes.duplicate(f"{at}.name", name)
        names.add(name)
        if not 1 <= number <= 65535:
            yield causes.invalid(f"{at}.port", number, _RANGE)
        if port.get("protocol") not in PROTOCOLS:
            yield causes.not_supported(f"{at}.protocol", port.get("protocol"), PROTOCOLS)
        if port.get("nodePort") and kind not in EXPOSED:
            yield causes.forbidden(f"{at}.nodePort", f"may not be used when `type` is '{kind}'")
        if (port.get("protocol"), number) in used:
            yield causes.duplicate(at, {"protocol": port.get("protocol"), "port": number})
        used.add((port.get("protocol"), number))
        target = port.get("targetPort")
        if isinstance(target, int) and not 1 <= target <= 65535:
            yield causes.invalid(f"{at}.targetPort", target, _RANGE)


def transitions(new: Obj, old: Obj) -> Iterator[Cause]:
    """A cluster IP (or its absence) is for life, unless the Service changes to or from ExternalName."""
    after, before = spec_of(new), spec_of(old)
    if "ExternalName" in {after.get("type"), before.get("type")}:
        return
    was, wanted = before.get("clusterIP"), after.get("clusterIP")
    if was and wanted != was:
        yield causes.invalid("spec.clusterIPs[0]", [wanted], "may not change once set")


WAYS = {("", "services"): Ways(default, rules, transitions, create=create, update=update, generation=False)}
