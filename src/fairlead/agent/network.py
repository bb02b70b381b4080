"""network: each Pod's address, behind one interface.

- `netns`: a network namespace per Pod, joined by a pair of virtual interfaces to a bridge of this node. Ports of
  different Pods never collide. Outwards through the host, when it can translate addresses.
- `loopback`: an address of its own from 127.0.0.0/8 per Pod. The network is the host's: a process that listens on all
  addresses takes the port from everybody, one that listens on its own host name does not.

Both write down what they made before making it (`network.json` in the Pod's directory), so that a restarted agent goes
on with it and nothing is left behind. What runs keeps its network while the agent is away. A Pod with hostNetwork has
the host's address and none of this.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import os
import shutil
import socket
from collections.abc import Iterable
from typing import Protocol

import msgspec

from fairlead.agent import netlink, translation
from fairlead.base import telemetry

log = telemetry.logger("agent.network")

NAMESPACES = "/run/netns"
_ALIAS = "fairlead "
"""What a bridge's alias begins with; the state directory follows."""


class Attachment(msgspec.Struct, frozen=True):
    """A Pod's place in the network."""

    ip: str
    namespace: str = ""
    """The network namespace's file; empty for the host's network."""
    link: str = ""
    """The host's end of the pair of interfaces."""


class Network(Protocol):
    """One way to give Pods addresses. Not thread-safe; every call is short."""

    name: str
    gateway: str
    """The address at which Pods reach this host."""
    services: ipaddress.IPv4Network
    """What Services' addresses are from; what is behind them is a balancer's business."""
    detail: str

    def attach(self, uid: str) -> Attachment:
        """The Pod's place, made if there is none yet. Raises OSError."""

    def release(self, uid: str) -> None:
        """Take a Pod's place away. Nothing happens when there is none."""

    def close(self) -> None:
        """Remove what is shared by all Pods, if none is attached any more."""


class _Book:
    """Who has which address: `network.json` of every Pod's directory, and an index of it in memory."""

    def __init__(self, state: str, network: ipaddress.IPv4Network, taken: Iterable[str]) -> None:
        self._pods = os.path.join(os.path.abspath(state), "pods")
        self._network = network
        self._taken = set(taken)
        self.attached: dict[str, Attachment] = {}
        self._next = 2
        self._load()

    def _load(self) -> None:
        for uid in os.listdir(self._pods) if os.path.isdir(self._pods) else ():
            try:
                with open(self._file(uid), "rb") as f:
                    found = msgspec.json.decode(f.read(), type=Attachment)
            except (OSError, msgspec.DecodeError):
                continue
            if ipaddress.IPv4Address(found.ip) in self._network:
                self.attached[uid] = found
                self._taken.add(found.ip)

    def _file(self, uid: str) -> str:
        return f"{self._pods}/{uid}/network.json"

    def allocate(self) -> str:
        """The next free address; one that was given back is the last to be given again."""
        size = self._network.num_addresses
        for _ in range(size):
            address = str(self._network[self._next])
            self._next = self._next + 1 if self._next + 2 < size else 2
            if address not in self._taken:
                self._taken.add(address)
                return address
        raise OSError(f"all addresses of {self._network} are taken")

    def put(self, uid: str, attachment: Attachment) -> None:
        os.makedirs(f"{self._pods}/{uid}", exist_ok=True)
        with open(self._file(uid) + ".new", "wb") as f:
            f.write(msgspec.json.encode(attachment))
        os.rename(self._file(uid) + ".new", self._file(uid))
        self.attached[uid] = attachment

    def drop(self, uid: str) -> Attachment | None:
        found = self.attached.pop(uid, None)
        if found is not None:
            self._taken.discard(found.ip)
        with contextlib.suppress(OSError):
            os.unlink(self._file(uid))
        return found


class Loopback:
    """See the module's text."""

    name = "loopback"
    gateway = "127.0.0.1"
    detail = "Pods share the host's ports; each has an address of its own in 127.0.0.0/8"

    def __init__(self, state: str) -> None:
        second = 64 + _digest(state)[0] % 63
        self.services = ipaddress.IPv4Network(f"127.{second + 64}.0.0/16")
        self._book = _Book(state, ipaddress.IPv4Network(f"127.{second}.0.0/16"), ())

    def attach(self, uid: str) -> Attachment:
        known = self._book.attached.get(uid)
        if known is None:
            known = Attachment(self._book.allocate())
            self._book.put(uid, known)
        return known

    def release(self, uid: str) -> None:
        self._book.drop(uid)

    def close(self) -> None:
        return None


class Namespaces:
    """See the module's text. Root only."""

    name = "netns"

    def __init__(self, state: str) -> None:
        digest = _digest(state)
        self._state = os.path.abspath(state)
        self._mark = digest.hex()[:6]
        self.bridge = f"fl{self._mark}"
        self._network = self._choose("network.json", digest)
        self.services = self._choose("services.json", bytes((digest[0] + 128 & 0xFF, digest[1])), self._network)
        self.gateway = str(self._network[1])
        self._book = _Book(state, self._network, ())
        self._seen: set[str] = set()
        """Whose place this agent has seen to be whole."""
        self._mtu = _host_mtu()
        os.makedirs(NAMESPACES, exist_ok=True)
        _sweep()
        netlink.add_bridge(self.bridge, _ALIAS + self._state)
        netlink.add_address(self.bridge, self.gateway, self._network.prefixlen)
        self.outwards = translation.enable(self.bridge, self._network)
        self.detail = f"bridge {self.bridge}, {self._network}; " + (
            f"outwards by {self.outwards}" if self.outwards else "no way outwards: this kernel translates no addresses"
        )

    @property
    def pods(self) -> ipaddress.IPv4Network:
        """What Pods' addresses are from."""
        return self._network

    def _choose(self, name: str, digest: bytes, *taken: ipaddress.IPv4Network) -> ipaddress.IPv4Network:
        """The network that this state directory had before, or one that overlaps with no route of the host."""
        kept = os.path.join(self._state, name)
        with contextlib.suppress(OSError, ValueError), open(kept) as f:
            return ipaddress.IPv4Network(f.read().strip())
        used = [*_routes(), *taken]
        for i in range(256):
            candidate = ipaddress.IPv4Network(f"10.{(digest[0] + i) % 256}.{digest[1] & 0xF0}.0/20")
            if not any(candidate.overlaps(u) for u in used):
                os.makedirs(self._state, exist_ok=True)
                with open(kept, "w") as f:
                    f.write(str(candidate))
                return candidate
        raise OSError("no part of 10.0.0.0/8 is free for Pods and Services")

    def attach(self, uid: str) -> Attachment:
        known = self._book.attached.get(uid)
        if known is None:
            short = hashlib.blake2s(uid.encode(), digest_size=4).hexdigest()
            link = f"f{self._mark}{short}"[:15]
            known = Attachment(self._book.allocate(), f"{NAMESPACES}/fl-{self._mark}-{short}", link)
            self._book.put(uid, known)
            self._make(known)
        elif uid not in self._seen and not self._whole(known):
            self._unmake(known)
            self._make(known)
        self._seen.add(uid)
        return known

    def _whole(self, a: Attachment) -> bool:
        """Whether the namespace and its interface are there (a restarted machine has lost both)."""
        try:
            netlink.index(a.link)
            with netlink.inside(a.namespace):
                netlink.index("eth0")
        except OSError:
            return False
        return True

    def _make(self, a: Attachment) -> None:
        netlink.create_namespace(a.namespace)
        netlink.add_pair(a.link, self.bridge, "eth0", a.namespace, self._mtu)
        netlink.reflect(a.link)
        with netlink.inside(a.namespace):
            netlink.add_address("eth0", a.ip, self._network.prefixlen)
            if self.outwards:
                # Without a way outwards there is no route: a name server is then unreachable at once, not after 10 s.
                netlink.add_default_route(self.gateway)
            else:
                netlink.add_route("eth0", self.services, self.gateway)

    def _unmake(self, a: Attachment) -> None:
        netlink.remove_link(a.link)
        netlink.remove_namespace(a.namespace)

    def release(self, uid: str) -> None:
        found = self._book.attached.get(uid)
        if found is not None:
            # The interfaces go with the namespace, in the kernel's own time: removing them here takes 30 ms each.
            netlink.remove_namespace(found.namespace)
        self._seen.discard(uid)
        self._book.drop(uid)

    def close(self) -> None:
        if not self._book.attached:
            netlink.remove_link(self.bridge)
            translation.disable(self.bridge, self._network)
            translation.remove_table(translation.services_table(self.bridge))


def choose(mode: str, state: str) -> tuple[Network, str]:
    """The network that was asked for (`auto`: the best that works), and why it is not a better one."""
    if mode == "loopback":
        return Loopback(state), "asked for"
    try:
        if os.geteuid() != 0:
            raise PermissionError("needs root")
        network = Namespaces(state)
        network.attach("try")
        network.release("try")
        shutil.rmtree(os.path.join(state, "pods", "try"), ignore_errors=True)
    except (OSError, AttributeError) as e:
        if mode == "netns":
            raise
        return Loopback(state), f"network namespaces are not to be had: {e}"
    return network, ""


def host_address() -> str:
    """The address by which others would reach this host; 127.0.0.1 when it has no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))  # RFC 5737: nothing is sent, the kernel only chooses a route.
        except OSError:
            return "127.0.0.1"
        return str(s.getsockname()[0])


def _digest(state: str) -> bytes:
    """Tells the networks of several nodes on one machine apart."""
    return hashlib.blake2s(os.path.abspath(state).encode(), digest_size=8).digest()


def _sweep() -> None:
    """Remove what nodes have left behind whose state directory is gone (they were killed, then erased)."""
    for bridge in os.listdir("/sys/class/net"):
        try:
            with open(f"/sys/class/net/{bridge}/ifalias") as f:
                owner = f.read().strip()
        except OSError:
            continue
        if not owner.startswith(_ALIAS) or os.path.isdir(owner.removeprefix(_ALIAS)):
            continue
        log.info("removing what is left of a node that is gone: bridge=%s state=%s", bridge, owner)
        mark = bridge.removeprefix("fl")
        for name in os.listdir(NAMESPACES):
            if name.startswith(f"fl-{mark}-"):
                netlink.remove_namespace(f"{NAMESPACES}/{name}")
        translation.remove_table(bridge)
        translation.remove_table(translation.services_table(bridge))
        netlink.remove_link(bridge)


def _host_mtu() -> int:
    """The largest packet on the host's way outwards, so that what Pods send is never too large for it."""
    with open("/proc/net/route") as f:
        fields = [line.split() for line in f.read().splitlines()[1:]]
    device = next((name for name, destination, *_ in fields if destination == "00000000"), "lo")
    with open(f"/sys/class/net/{device}/mtu") as f:
        return min(int(f.read()), 65535)


def _routes() -> list[ipaddress.IPv4Network]:
    """The networks that the host has routes to, the default aside."""
    found = []
    with open("/proc/net/route") as f:
        for line in f.read().splitlines()[1:]:
            _, destination, _, _, _, _, _, mask = line.split()[:8]
            address, bits = (int.from_bytes(bytes.fromhex(x), "little") for x in (destination, mask))
            if bits:
                found.append(ipaddress.IPv4Network((address, bits.bit_count())))
    return found
