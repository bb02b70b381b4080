"""forward: connections to Pods' ports, made from where the Pod itself would make them. `client.node.Duplex`.

In a network namespace of the Pod's own that is its loopback first, as upstream, then its address: a server is found
whichever it listens on. Where Pods share the host's network it is the Pod's address first; what answers at 127.0.0.1
there may be anybody's, and is what is left for servers that listen on nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Sequence

from fairlead.agent import netlink
from fairlead.agent.network import Attachment
from fairlead.base import errors
from fairlead.client.node import Forward

_CHUNK = 1 << 16
_SECONDS = 10.0
_LOOPBACK = "127.0.0.1"


def addresses(place: Attachment) -> Sequence[str]:
    """Where to look for a Pod's server, in order."""
    if place.namespace:
        return (_LOOPBACK, place.ip, "::1")
    return tuple(dict.fromkeys((place.ip, _LOOPBACK)))


async def connect(place: Attachment, port: int) -> Connection:
    """A connection to a port of the Pod. Raises StatusError with the reasons when nothing answers."""
    reasons = []
    for address in addresses(place):
        try:
            async with asyncio.timeout(_SECONDS):
                return Connection(*await _dial(place.namespace, address, port), port)
        except TimeoutError:
            reasons.append(f"{address}: no answer")
        except OSError as e:
            reasons.append(f"{address}: {os.strerror(e.errno) if e.errno else e}")
    text = f"failed to connect to port {port} of the pod ({', '.join(reasons)})"
    raise errors.StatusError(500, "InternalError", text)


async def _dial(namespace: str, address: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with netlink.inside(namespace) if namespace else contextlib.nullcontext():
        sock = socket.socket(family, socket.SOCK_STREAM)  # It stays in the namespace that it was made in.
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except BaseException:
        sock.close()
        raise
    try:
        return await asyncio.open_connection(sock=sock)
    except BaseException:
        sock.detach()  # The transport has the descriptor, and has closed it.
        raise


class Connection:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        self._reader, self._writer, self._port = reader, writer, port

    async def __aiter__(self) -> AsyncIterator[tuple[int, bytes]]:
        try:
            while data := await self._reader.read(_CHUNK):
                yield Forward.DATA, data
        except OSError as e:
            yield Forward.ERROR, f"port {self._port} of the pod: {e.strerror or e}".encode()

    async def send(self, channel: int, data: bytes) -> None:
        if channel != Forward.DATA:
            return
        with contextlib.suppress(OSError, RuntimeError):  # It is gone; reading says why.
            if data:
                self._writer.write(data)
                await self._writer.drain()
            else:
                self._writer.write_eof()

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
