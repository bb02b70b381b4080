"""translation: Pods' way outwards. What they send beyond the host leaves with the host's address (masquerading).

One nf_tables table per bridge, written to the kernel directly, so that no tool has to be installed; `iptables` is the
second choice, for kernels without nf_tables. Forwarding is switched on in the host, which is said when it happens.
Layouts: include/uapi/linux/netfilter/nf_tables.h. A firewall of the host that drops forwarded packets still does.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
import struct
import subprocess

from fairlead.base import telemetry

log = telemetry.logger("agent.network")

_NETFILTER = 12
_BATCH_BEGIN, _BATCH_END, _SUBSYSTEM = 0x10, 0x11, 10
_NEW_TABLE, _DELETE_TABLE, _NEW_CHAIN, _NEW_RULE = 0, 2, 3, 6
_REQUEST, _ACK, _CREATE, _APPEND = 1, 4, 0x400, 0x800
_NESTED = 0x8000
_POSTROUTING, _SOURCE_NAT = 4, 100
_REGISTER, _NETWORK_HEADER, _SOURCE_OFFSET, _OUT_NAME = 1, 1, 12, 7
_EQUAL, _UNEQUAL = 0, 1
_FORWARD = "/proc/sys/net/ipv4/ip_forward"


def enable(bridge: str, network: ipaddress.IPv4Network) -> str:
    """Translate what comes from `network` and leaves by another way than `bridge`. Answers how; empty: not at all."""
    try:
        _forward()
    except OSError as e:
        log.warning("no way outwards for pods: forwarding cannot be switched on: %s", e)
        return ""
    remove_table(bridge)
    try:
        _send(*_table(bridge, network))
    except OSError as e:
        return _by_iptables(bridge, network, e)
    return "nf_tables"


def disable(bridge: str, network: ipaddress.IPv4Network) -> None:
    """Undo `enable` (forwarding stays on: others may have come to need it)."""
    if not remove_table(bridge) and shutil.which("iptables") is not None:
        subprocess.run(["iptables", "-t", "nat", "-D", *_rule(bridge, network)], capture_output=True, check=False)


def remove_table(bridge: str) -> bool:
    """Remove the bridge's table; False when there is none."""
    try:
        _send((_DELETE_TABLE, 0, _text(1, bridge)))
    except OSError:
        return False
    return True


def _forward() -> None:
    with open(_FORWARD) as f:
        if f.read().strip() == "1":
            return
    with open(_FORWARD, "w") as f:
        f.write("1")
    log.info("switched on net.ipv4.ip_forward, so that pods reach the outside")


def _rule(bridge: str, network: ipaddress.IPv4Network) -> list[str]:
    return ["POSTROUTING", "-s", str(network), "!", "-o", bridge, "-j", "MASQUERADE"]


def _by_iptables(bridge: str, network: ipaddress.IPv4Network, error: OSError) -> str:
    if shutil.which("iptables") is None:
        log.warning("no way outwards for pods: nf_tables: %s, and there is no iptables", error)
        return ""
    rule = _rule(bridge, network)
    for command in (["-C", *rule], ["-A", *rule]):
        done = subprocess.run(["iptables", "-t", "nat", *command], capture_output=True, check=False)
        if done.returncode == 0:
            return "iptables"
    log.warning("no way outwards for pods: iptables: %s", done.stderr.decode(errors="replace").strip())
    return ""


# --- messages ------------------------------------------------------------------------------------------------------


def _attribute(kind: int, value: bytes) -> bytes:
    size = 4 + len(value)
    return struct.pack("HH", size, kind) + value + b"\0" * (-size % 4)


def _text(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack(">i", value))


def _nested(kind: int, *parts: bytes) -> bytes:
    return _attribute(kind | _NESTED, b"".join(parts))


def _expression(name: str, *attributes: bytes) -> bytes:
    return _nested(1, _text(1, name), _nested(2, *attributes))


def _compare(operation: int, value: bytes) -> bytes:
    return _expression("cmp", _number(1, _REGISTER), _number(2, operation), _nested(3, _attribute(1, value)))


def _table(bridge: str, network: ipaddress.IPv4Network) -> list[tuple[int, int, bytes]]:
    """table ip <bridge> { chain outwards { type nat hook postrouting priority srcnat;
    ip saddr <network> oifname != <bridge> masquerade } }"""
    mask, name = network.netmask.packed, bridge.encode().ljust(16, b"\0")
    source = _expression(
        "payload", _number(1, _REGISTER), _number(2, _NETWORK_HEADER), _number(3, _SOURCE_OFFSET), _number(4, 4)
    )
    masked = _expression(
        "bitwise", _number(1, _REGISTER), _number(2, _REGISTER), _number(3, 4), _nested(4, _attribute(1, mask)),
        _nested(5, _attribute(1, bytes(4))),
    )  # fmt: skip
    expressions = (
        source, masked, _compare(_EQUAL, network.network_address.packed),
        _expression("meta", _number(1, _REGISTER), _number(2, _OUT_NAME)), _compare(_UNEQUAL, name),
        _expression("masq"),
    )  # fmt: skip
    hook = _nested(4, _number(1, _POSTROUTING), _number(2, _SOURCE_NAT))
    chain = _text(1, bridge) + _text(3, "outwards") + hook + _text(7, "nat")
    rule = _text(1, bridge) + _text(2, "outwards") + _nested(4, *expressions)
    return [
        (_NEW_TABLE, _CREATE, _text(1, bridge)),
        (_NEW_CHAIN, _CREATE, chain),
        (_NEW_RULE, _CREATE | _APPEND, rule),
    ]


def _send(*messages: tuple[int, int, bytes]) -> None:
    """One batch: all of it or nothing. Raises OSError."""
    wanted = [(_BATCH_BEGIN, 0, socket.AF_UNSPEC, _SUBSYSTEM, b"")]
    wanted += ((_SUBSYSTEM << 8 | kind, flags, socket.AF_INET, 0, body) for kind, flags, body in messages)
    wanted[-1] = (wanted[-1][0], wanted[-1][1] | _ACK, *wanted[-1][2:])
    wanted.append((_BATCH_END, 0, socket.AF_UNSPEC, _SUBSYSTEM, b""))
    data = b""
    for number, (kind, flags, family, subsystem, body) in enumerate(wanted):
        data += struct.pack("IHHII", 20 + len(body), kind, _REQUEST | flags, number, 0)
        data += struct.pack(">BBH", family, 0, subsystem) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as s:
        s.bind((0, 0))
        s.settimeout(2)
        s.send(data)
        answer = s.recv(65536)
    error = -int(struct.unpack_from("i", answer, 16)[0])
    if error:
        raise OSError(error, os.strerror(error))
