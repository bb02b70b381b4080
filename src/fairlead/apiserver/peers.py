"""Peers: who is at the other end of the local unix socket, by the uid that the kernel vouches for.

The owner of the state folder and root are system:masters. Anybody else who can reach the socket is a user of their own
(`unix:<login name>`, with their groups), who has what roles give them. A request with credentials is judged by these.
"""

from __future__ import annotations

import grp
import os
import pwd
import socket
import struct
from functools import lru_cache
from typing import Any

from fairlead.apiserver import identity
from fairlead.apiserver.identity import User

_CREDENTIALS = struct.Struct("3i")
ROOT = 0


class Peers:
    """`owner` is the uid that the server's state belongs to."""

    def __init__(self, owner: int) -> None:
        self._masters = frozenset((owner, ROOT))

    def user(self, uid: int) -> User:
        """The user that a uid stands for."""
        name, groups = _account(uid)
        if uid in self._masters:
            groups = (identity.MASTERS, *groups)
        return User(f"unix:{name}", str(uid), (*groups, identity.AUTHENTICATED))


def uid_of(transport: Any) -> int | None:
    """The uid of the process that has connected; None where the kernel does not say."""
    connected = transport.get_extra_info("socket") if transport is not None else None
    if connected is None or not hasattr(socket, "SO_PEERCRED"):
        return None
    with socket.socket(fileno=os.dup(connected.fileno())) as own:
        if own.family != socket.AF_UNIX:
            return None
        told = own.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(told)[1])


@lru_cache(maxsize=256)
def _account(uid: int) -> tuple[str, tuple[str, ...]]:
    """Login name and groups of a uid; the number itself for one that has no name."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return str(uid), ()
    names = []
    for gid in os.getgrouplist(entry.pw_name, entry.pw_gid):
        try:
            names.append(f"unix:{grp.getgrgid(gid).gr_name}")
        except KeyError:
            names.append(f"unix:{gid}")
    return entry.pw_name, tuple(names)
