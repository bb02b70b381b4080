"""nftables: the kernel's packet rules, written to it directly, so that no tool has to be installed.

Only the vocabulary: messages (`Message`) are made by pure functions, `send` delivers them, all or nothing. Layouts:
include/uapi/linux/netfilter/nf_tables.h. Register 1 is where every expression works unless it says otherwise.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import sys
from typing import NamedTuple

_NETFILTER = 12
_BATCH_BEGIN, _BATCH_END, _SUBSYSTEM = 0x10, 0x11, 10
_NEW_TABLE, _DELETE_TABLE, _NEW_CHAIN, _NEW_RULE = 0, 2, 3, 6
_REQUEST, _ACK, _CREATE, _APPEND = 1, 4, 0x400, 0x800
_NESTED = 0x8000
_SEND_BUFFER_FORCE = 32
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
SOURCE, DESTINATION = 12, 16
"""Where an IPv4 header has its addresses."""
_DESTINATION_PORT = 2
PREROUTING, FORWARD, OUTPUT, POSTROUTING = 0, 2, 3, 4
"""Hooks."""
_REGISTER, _SECOND, _ADDRESS, _PORT = 1, 2, 8, 9
_OUT_NAME, _PROTOCOL = 7, 16
_CT_STATUS, _DESTINATION_WAS_TRANSLATED = 2, 1 << 5
_ADDRESS_TYPE, _OF_DESTINATION, _LOCAL = 3, 2, 2
_JUMP, _GOTO = -3, -4
_PORT_UNREACHABLE = 3


class Message(NamedTuple):
    """One change."""

    kind: int
    flags: int
    body: bytes


# --- attributes ----------------------------------------------------------------------------------------------------


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


def _value(kind: int, value: bytes) -> bytes:
    return _nested(kind, _attribute(1, value))


def _native(value: int) -> bytes:
    return value.to_bytes(4, sys.byteorder)


# --- tables, chains, rules -----------------------------------------------------------------------------------------


def table(name: str) -> Message:
    """Make a table, if it is not there."""
    return Message(_NEW_TABLE, _CREATE, _text(1, name))


def without_table(name: str) -> Message:
    """Remove a table and all that is in it."""
    return Message(_DELETE_TABLE, 0, _text(1, name))


def chain(table_: str, name: str) -> Message:
    """Make a chain that others jump to."""
    return Message(_NEW_CHAIN, _CREATE, _text(1, table_) + _text(3, name))


def hook(table_: str, name: str, kind: str, at: int, priority: int) -> Message:
    """Make a chain that packets come to; `kind` is `nat` or `filter`."""
    place = _nested(4, _number(1, at), _number(2, priority))
    return Message(_NEW_CHAIN, _CREATE, _text(1, table_) + _text(3, name) + place + _text(7, kind))


def rule(table_: str, chain_: str, *expressions: bytes) -> Message:
    """Add a rule at a chain's end."""
    body = _text(1, table_) + _text(2, chain_) + _nested(4, *expressions)
    return Message(_NEW_RULE, _CREATE | _APPEND, body)


# --- what a rule asks ----------------------------------------------------------------------------------------------


def _compare(value: bytes, *, equal: bool = True, register: int = _REGISTER) -> bytes:
    return _expression("cmp", _number(1, register), _number(2, 0 if equal else 1), _value(3, value))


def _load(base: int, offset: int, size: int) -> bytes:
    return _expression("payload", _number(1, _REGISTER), _number(2, base), _number(3, offset), _number(4, size))


def _masked(mask: bytes) -> bytes:
    size = _number(3, len(mask))
    return _expression(
        "bitwise", _number(1, _REGISTER), _number(2, _REGISTER), size, _value(4, mask), _value(5, bytes(len(mask)))
    )


def within(field: int, network: ipaddress.IPv4Network, *, equal: bool = True) -> bytes:
    """The address at SOURCE or DESTINATION is (not) in the network."""
    compared = _compare(network.network_address.packed, equal=equal)
    return _load(_NETWORK_HEADER, field, 4) + _masked(network.netmask.packed) + compared


def address(field: int, ip: str) -> bytes:
    """The address at SOURCE or DESTINATION is that one."""
    return _load(_NETWORK_HEADER, field, 4) + _compare(socket.inet_aton(ip))


def protocol(number: int) -> bytes:
    """The packet is of that protocol."""
    return _expression("meta", _number(1, _REGISTER), _number(2, _PROTOCOL)) + _compare(bytes([number]))


def port(number: int) -> bytes:
    """The packet goes to that port."""
    return _load(_TRANSPORT_HEADER, _DESTINATION_PORT, 2) + _compare(struct.pack(">H", number))


def leaves_by(device: str, *, equal: bool = True) -> bytes:
    """The packet leaves (not) by that device."""
    name = device.encode().ljust(16, b"\0")
    return _expression("meta", _number(1, _REGISTER), _number(2, _OUT_NAME)) + _compare(name, equal=equal)


def to_this_host() -> bytes:
    """The packet is for an address of this host."""
    found = _expression("fib", _number(1, _REGISTER), _number(2, _ADDRESS_TYPE), _number(3, _OF_DESTINATION))
    return found + _compare(_native(_LOCAL))


def was_redirected() -> bytes:
    """The connection was given another destination."""
    status = _expression("ct", _number(1, _REGISTER), _number(2, _CT_STATUS))
    return status + _masked(_native(_DESTINATION_WAS_TRANSLATED)) + _compare(bytes(4), equal=False)


def chance(of: int) -> bytes:
    """True for one connection of that many, by lot."""
    drawn = _expression("numgen", _number(1, _REGISTER), _number(2, of), _number(3, 1), _number(4, 0))
    return drawn + _compare(bytes(4))


def falls_to(index: int, of: int) -> bytes:
    """True for the senders, about one of so many, that are always the same ones."""
    hashed = _expression(
        "hash", _number(1, _REGISTER), _number(2, _SECOND), _number(3, 4), _number(4, of), _number(5, 0), _number(6, 0),
        _number(7, 0),
    )  # fmt: skip
    return _load(_NETWORK_HEADER, SOURCE, 4) + hashed + _compare(_native(index), register=_SECOND)


# --- what a rule does ----------------------------------------------------------------------------------------------


def _verdict(code: int, chain_: str) -> bytes:
    verdict = _nested(2, _number(1, code), _text(2, chain_))
    return _expression("immediate", _number(1, 0), _nested(2, verdict))


def jump(chain_: str) -> bytes:
    """Go through a chain and come back."""
    return _verdict(_JUMP, chain_)


def goto(chain_: str) -> bytes:
    """Go on in a chain."""
    return _verdict(_GOTO, chain_)


def redirect(ip: str, number: int) -> bytes:
    """Send the connection to another address and port."""
    to = _expression("immediate", _number(1, _ADDRESS), _value(2, socket.inet_aton(ip)))
    at = _expression("immediate", _number(1, _PORT), _value(2, struct.pack(">H", number)))
    attributes = (_number(1, 1), _number(2, socket.AF_INET), _number(3, _ADDRESS), _number(5, _PORT))
    return to + at + _expression("nat", *attributes)


def masquerade() -> bytes:
    """Let the connection come from this host."""
    return _expression("masq")


def reset() -> bytes:
    """Answer that nobody listens, as TCP does: a client's connect fails at once."""
    return _expression("reject", _number(1, 1), _attribute(2, b"\0"))


def refuse() -> bytes:
    """Answer that nobody listens. The kernel limits how often it says so to one client."""
    return _expression("reject", _number(1, 0), _attribute(2, bytes([_PORT_UNREACHABLE])))


# --- delivery ------------------------------------------------------------------------------------------------------


def send(*messages: Message) -> None:
    """One batch: all of it or nothing. Raises OSError."""
    wanted = [(_BATCH_BEGIN, 0, socket.AF_UNSPEC, _SUBSYSTEM, b"")]
    wanted += ((_SUBSYSTEM << 8 | kind, flags, socket.AF_INET, 0, body) for kind, flags, body in messages)
    wanted[-1] = (wanted[-1][0], wanted[-1][1] | _ACK, *wanted[-1][2:])
    wanted.append((_BATCH_END, 0, socket.AF_UNSPEC, _SUBSYSTEM, b""))
    data = bytearray()
    for number, (kind, flags, family, subsystem, body) in enumerate(wanted):
        data += struct.pack("IHHII", 20 + len(body), kind, _REQUEST | flags, number, 0)
        data += struct.pack(">BBH", family, 0, subsystem) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as s:
        if len(data) > 1 << 16:
            s.setsockopt(socket.SOL_SOCKET, _SEND_BUFFER_FORCE, 2 * len(data))
        s.bind((0, 0))
        s.settimeout(2)
        s.send(data)
        answer = s.recv(65536)
    error = -int(struct.unpack_from("i", answer, 16)[0])
    if error:
        raise OSError(error, os.strerror(error))
