"""Addresses: which Service has which cluster IP and node port. The hook of Services.

A Service that names an address gets it if it is free and in the range; one that names none gets the next free address
of the upper part, so that the lower part stays for those who choose (KEP-3070). What is given out holds at once, for
the requests that come meanwhile; if the write then fails, it is free again after a minute.

`start` sets right what another range has left: a state folder that moved to another machine, or to another kind of
network, has Services whose addresses nobody routes; they get new ones.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Any

from fairlead.api.meta import Key
from fairlead.apiserver import encoding
from fairlead.apiserver.state import Plain
from fairlead.base import errors, telemetry
from fairlead.base.clock import Clock
from fairlead.base.errors import Cause
from fairlead.machinery import causes
from fairlead.store.mvcc import Put, Store

log = telemetry.logger("apiserver.services")

Network = ipaddress.IPv4Network
PORTS = range(30000, 32768)
API_SERVER = Key("default", "kubernetes")
"""The Service of the API server itself: it always has the first address."""
_PREFIX = "/registry/core/services/"
_HELD_SECONDS = 60.0
_STATIC_MOST, _STATIC_PORTS = 256, 86


class _Pool:
    """Numbers and who has them. A number is held for a while before it is known to be taken for good."""

    def __init__(self, numbers: range, first: int) -> None:
        self.numbers = numbers
        self._next = self._first = first
        self._holders: dict[int, str] = {}
        self._held: dict[int, float] = {}

    def take(self, number: int, uid: str, now: float) -> bool:
        """Hold a number for somebody; False when another has it."""
        holder = self._holders.get(number, uid)
        if holder != uid and self._held.get(number, now) >= now:
            return False
        if self._holders.get(number) != uid:
            self._held[number] = now + _HELD_SECONDS
        self._holders[number] = uid
        return True

    def draw(self, uid: str, now: float) -> int | None:
        """Hold the next free number, of those from `first` on while there are any."""
        for part in (range(self._next, self.numbers.stop), range(self._first, self._next), self.numbers):
            for number in part:
                if number not in self._holders or self._held.get(number, now) < now:
                    self.drop(self._holders.get(number, ""), (number,))
                    self.take(number, uid, now)
                    self._next = number + 1
                    return number
        return None

    def keep(self, uid: str, numbers: Iterable[int]) -> None:
        """These are taken for good."""
        for number in numbers:
            self._holders[number] = uid
            self._held.pop(number, None)

    def drop(self, uid: str, numbers: Iterable[int]) -> None:
        """These are given back."""
        for number in numbers:
            if self._holders.get(number) == uid:
                del self._holders[number]
                self._held.pop(number, None)


class _Known:
    """What a stored Service has."""

    def __init__(self, service: Plain) -> None:
        self.uid: str = service["metadata"].get("uid", "")
        self.addresses = {int(ipaddress.IPv4Address(a)) for a in _addresses(service)}
        self.ports = {p["nodePort"] for p in service.get("spec", {}).get("ports") or () if p.get("nodePort")}


class Addresses:
    """See the module's text."""

    def __init__(self, store: Store, clock: Clock, network: Network) -> None:
        self._store, self._clock, self.network = store, clock, network
        base, size = int(network.network_address), network.num_addresses
        static = min(max(16, size // 16), _STATIC_MOST)
        self._ips = _Pool(range(base + 2, base + size - 1), base + static)
        self._ports = _Pool(PORTS, PORTS.start + _STATIC_PORTS)
        self._known: dict[str, _Known] = {}

    @property
    def first(self) -> str:
        """The API server's."""
        return str(self.network[1])

    async def start(self) -> None:
        """Take in what is stored, and give new addresses to Services that have none of this network."""
        entries = [(e, encoding.decode(e.value)) for e in self._store.list(_PREFIX).entries]
        for entry, service in entries:
            self._follow(entry.key, service)
        for entry, service in entries:
            strange = [a for a in _addresses(service) if ipaddress.IPv4Address(a) not in self.network]
            if strange or _lacks(service):
                for field in ("clusterIP", "clusterIPs"):
                    service["spec"].pop(field, None)
                self.prepare(service)
                log.info("%s has a new address: %s for %s", entry.key, service["spec"]["clusterIP"], strange)
                await self._store.commit([Put(entry.key, encoding.stamped(service), entry.revision)])
                self._follow(entry.key, service)

    # --- the hook --------------------------------------------------------------------------------------------------

    def prepare(self, obj: Plain) -> None:
        """Give the Service what it asks for, or what it lacks. Raises 422, or 500 when nothing is left."""
        spec, uid, now = obj["spec"], obj["metadata"]["uid"], self._clock.now()
        wrong = list(self._check(obj, uid, now))
        if wrong:
            raise errors.invalid("Service", "", obj["metadata"].get("name", ""), wrong)
        if _lacks(obj):
            spec["clusterIP"] = self._draw_address(obj, uid, now)
            spec["clusterIPs"] = [spec["clusterIP"]]
        if spec.get("type") in ("NodePort", "LoadBalancer"):
            self._draw_ports(spec.get("ports") or (), uid, now)

    def wrote(self, key: str, value: bytes, *, removed: bool) -> None:
        """Follow a write, by what is live now."""
        entry = self._store.get(key)
        self._follow(key, encoding.decode(entry.value) if entry is not None else None)

    def _follow(self, key: str, service: Plain | None) -> None:
        old = self._known.pop(key, None)
        new = _Known(service) if service is not None else None
        if old is not None:
            same = new if new is not None and new.uid == old.uid else None
            self._ips.drop(old.uid, old.addresses - (same.addresses if same else set()))
            self._ports.drop(old.uid, old.ports - (same.ports if same else set()))
        if new is not None:
            self._known[key] = new
            self._ips.keep(new.uid, new.addresses)
            self._ports.keep(new.uid, new.ports)

    # --- giving out ------------------------------------------------------------------------------------------------

    def _check(self, obj: Plain, uid: str, now: float) -> Iterator[Cause]:
        """What is asked for is in range and free."""
        spec = obj["spec"]
        for address in _addresses(obj):
            number = int(ipaddress.IPv4Address(address))
            failed = f"failed to allocate IP {address}: "
            if ipaddress.IPv4Address(address) not in self.network:
                rule = (
                    f"the provided IP ({address}) is not in the valid range. The range of valid IPs is {self.network}"
                )
                yield causes.invalid("spec.clusterIPs", [address], failed + rule)
            elif _is_api_server(obj):
                continue
            elif number not in self._ips.numbers or not self._ips.take(number, uid, now):
                yield causes.invalid("spec.clusterIPs", [address], failed + "provided IP is already allocated")
        for index, port in enumerate(spec.get("ports") or ()):
            at, number = f"spec.ports[{index}].nodePort", port.get("nodePort") or 0
            if number and number not in PORTS:
                rule = f"provided port is not in the valid range. The range of valid ports is {PORTS[0]}-{PORTS[-1]}"
                yield causes.invalid(at, number, rule)
            elif number and not self._ports.take(number, uid, now):
                yield causes.invalid(at, number, "provided port is already allocated")

    def _draw_address(self, obj: Plain, uid: str, now: float) -> str:
        if _is_api_server(obj):
            return self.first
        number = self._ips.draw(uid, now)
        if number is None:
            raise errors.internal("failed to allocate a serviceIP: range is full")
        return str(ipaddress.IPv4Address(number))

    def _draw_ports(self, ports: Iterable[Plain], uid: str, now: float) -> None:
        """One number for all protocols of a port."""
        given: dict[Any, int] = {}
        for port in ports:
            if not port.get("nodePort"):
                number = given.get(port.get("port")) or self._ports.draw(uid, now)
                if number is None:
                    raise errors.internal("failed to allocate a nodePort: range is full")
                port["nodePort"] = number
            given[port.get("port")] = port["nodePort"]


def _addresses(service: Plain) -> list[str]:
    """The IPv4 cluster addresses that a Service has or asks for."""
    spec = service.get("spec", {})
    found = spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else [])
    return [a for a in found if a not in ("None", "") and _is_address(a)]


def _is_address(text: Any) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _lacks(service: Plain) -> bool:
    spec = service.get("spec", {})
    return spec.get("type") != "ExternalName" and not spec.get("clusterIP")


def _is_api_server(service: Plain) -> bool:
    meta = service["metadata"]
    return (meta.get("namespace"), meta.get("name")) == API_SERVER
