"""netlink: the few requests to the kernel that Pod networks need. Linux only.

Written out instead of calling `ip`, because a Pod's start must not wait for two more programs, and because small
systems come without one. Every request is synchronous and answered within a millisecond or so. Message layouts:
rtnetlink(7), veth(4).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import ipaddress
import os
import socket
import struct
from collections.abc import Iterator

_NEWLINK, _DELLINK, _NEWADDR, _NEWROUTE, _DELROUTE = 16, 17, 20, 24, 25
_REQUEST, _ACK, _EXCL, _CREATE = 1, 4, 0x200, 0x400
_IFNAME, _MTU, _MASTER, _LINKINFO, _IFALIAS, _NET_NS_FD = 3, 4, 10, 18, 20, 28
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_UP = 1
_CLONE_NEWNET = 0x40000000
_MS_BIND, _MNT_DETACH = 4096, 2
_THREAD_NETWORK = "/proc/thread-self/ns/net"
_SIOCGIFINDEX = 0x8933

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _attribute(kind: int, value: bytes) -> bytes:
    size = 4 + len(value)
    return struct.pack("HH", size, kind) + value + b"\0" * (-size % 4)


def _text(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")


def _link(index: int = 0, flags: int = 0) -> bytes:
    return struct.pack("BxHiII", socket.AF_UNSPEC, 0, index, flags, flags)


def _request(kind: int, flags: int, body: bytes) -> None:
    """Send one request in the calling thread's network namespace and wait for its acknowledgement."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as s:
        s.send(struct.pack("IHHII", 16 + len(body), kind, _REQUEST | _ACK | flags, 1, 0) + body)
        answer = s.recv(65536)
    error = -int(struct.unpack_from("i", answer, 16)[0])
    if error:
        raise OSError(error, f"netlink request {kind}: {os.strerror(error)}")


def index(name: str) -> int:
    """A link's number in the calling thread's network namespace. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        answer = fcntl.ioctl(s, _SIOCGIFINDEX, struct.pack("16s16x", name.encode()))
    return int(struct.unpack_from("i", answer, 16)[0])


def add_bridge(name: str, alias: str) -> None:
    """Make a bridge, up, with a text that says whose it is. One that is there already is fine."""
    info = _attribute(_LINKINFO, _text(_INFO_KIND, "bridge"))
    with _fine(errno.EEXIST):
        _request(_NEWLINK, _CREATE | _EXCL, _link(flags=_UP) + _text(_IFNAME, name) + info)
    _request(_NEWLINK, 0, _link(index(name)) + _attribute(_IFALIAS, alias.encode()[:255]))


def add_pair(name: str, bridge: str, peer: str, namespace: str, mtu: int) -> None:
    """Make a pair of virtual interfaces: `name` here, up and on the bridge; `peer` in the namespace's file."""
    fd = os.open(namespace, os.O_RDONLY)
    try:
        size = _attribute(_MTU, struct.pack("I", mtu))
        there = _text(_IFNAME, peer) + size + _attribute(_NET_NS_FD, struct.pack("i", fd))
        other = _attribute(_VETH_PEER, _link() + there)
        info = _attribute(_LINKINFO, _text(_INFO_KIND, "veth") + _attribute(_INFO_DATA, other))
        master = _attribute(_MASTER, struct.pack("i", index(bridge)))
        _request(_NEWLINK, _CREATE | _EXCL, _link(flags=_UP) + _text(_IFNAME, name) + size + master + info)
    finally:
        os.close(fd)


def reflect(name: str) -> None:
    """Let a bridge's port send back what has come in by it: a Pod may be its own Service's endpoint."""
    with contextlib.suppress(OSError), open(f"/sys/class/net/{name}/brport/hairpin_mode", "w") as f:
        f.write("1")


def add_address(name: str, address: str, prefix: int) -> None:
    """Give a link an IPv4 address, and bring it up."""
    packed = socket.inet_aton(address)
    body = struct.pack("BBBBi", socket.AF_INET, prefix, 0, 0, index(name))
    with _fine(errno.EEXIST):
        _request(_NEWADDR, _CREATE | _EXCL, body + _attribute(2, packed) + _attribute(1, packed))
    set_up(name)


def set_up(name: str) -> None:
    _request(_NEWLINK, 0, _link(index(name), _UP))


def add_default_route(gateway: str) -> None:
    """All that is not local goes to the gateway."""
    body = struct.pack("BBBBBBBBI", socket.AF_INET, 0, 0, 0, 254, 3, 0, 1, 0)
    _request(_NEWROUTE, _CREATE | _EXCL, body + _attribute(5, socket.inet_aton(gateway)))


def add_route(name: str, network: ipaddress.IPv4Network, gateway: str = "") -> None:
    """A network is reached by that link (and that gateway)."""
    scope = 0 if gateway else 253
    body = struct.pack("BBBBBBBBI", socket.AF_INET, network.prefixlen, 0, 0, 254, 3, scope, 1, 0)
    body += _attribute(1, network.network_address.packed) + _attribute(4, struct.pack("i", index(name)))
    if gateway:
        body += _attribute(5, socket.inet_aton(gateway))
    with _fine(errno.EEXIST):
        _request(_NEWROUTE, _CREATE | _EXCL, body)


def add_local_route(network: ipaddress.IPv4Network) -> None:
    """Every address of a network is this host's own."""
    with _fine(errno.EEXIST):
        _request(_NEWROUTE, _CREATE | _EXCL, _local(network))


def remove_local_route(network: ipaddress.IPv4Network) -> None:
    """Undo `add_local_route`, if it was done."""
    with _fine(errno.ESRCH):
        _request(_DELROUTE, 0, _local(network))


def _local(network: ipaddress.IPv4Network) -> bytes:
    body = struct.pack("BBBBBBBBI", socket.AF_INET, network.prefixlen, 0, 0, 255, 3, 254, 2, 0)
    return body + _attribute(1, network.network_address.packed) + _attribute(4, struct.pack("i", index("lo")))


def remove_link(name: str) -> None:
    """Remove a link; one that is gone is fine."""
    with _fine(errno.ENODEV):
        _request(_DELLINK, 0, _link(index(name)))


# --- network namespaces --------------------------------------------------------------------------------------------


@contextlib.contextmanager
def inside(path: str) -> Iterator[None]:
    """Run the body, in this thread, in the namespace that the file is. The body must not await."""
    with _returning():
        fd = os.open(path, os.O_RDONLY)
        try:
            _check(_libc.setns(fd, _CLONE_NEWNET), f"setns {path}")
        finally:
            os.close(fd)
        yield


def create_namespace(path: str) -> None:
    """Make a network namespace that lives as long as the file does, with its loopback up."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDONLY, 0o444))
    with _returning():
        _check(_libc.unshare(_CLONE_NEWNET), "unshare")
        source, target = _THREAD_NETWORK.encode(), os.fsencode(path)
        _check(_libc.mount(source, target, b"none", ctypes.c_ulong(_MS_BIND), None), f"bind {path}")
        set_up("lo")


def remove_namespace(path: str) -> None:
    """Let go of a namespace; the kernel removes it, and its interfaces, with its last process."""
    _libc.umount2(os.fsencode(path), _MNT_DETACH)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


@contextlib.contextmanager
def _returning() -> Iterator[None]:
    """Come back to the present namespace, whatever happens."""
    home = os.open(_THREAD_NETWORK, os.O_RDONLY)
    try:
        yield
    finally:
        _check(_libc.setns(home, _CLONE_NEWNET), "setns")
        os.close(home)


@contextlib.contextmanager
def _fine(number: int) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        if e.errno != number:
            raise
