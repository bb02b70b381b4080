"""pipes: waiting on descriptors of pipes and terminals. They are set not to block; the event loop says when to go on.

Whoever closes a descriptor must not be waiting for it.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterable

CHUNK = 1 << 16


async def ready(fds: Iterable[int], *, writing: bool = False) -> None:
    """Return when one of them can be read (or written)."""
    loop = asyncio.get_running_loop()
    able: asyncio.Future[None] = loop.create_future()
    add, remove = (loop.add_writer, loop.remove_writer) if writing else (loop.add_reader, loop.remove_reader)
    watched = tuple(fds)
    for fd in watched:
        add(fd, lambda: None if able.done() else able.set_result(None))
    try:
        await able
    finally:
        for fd in watched:
            remove(fd)


async def write_all(fd: int, data: bytes) -> None:
    """Write all, as fast as it is read. Raises BrokenPipeError when nobody reads."""
    os.set_blocking(fd, False)
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            await ready((fd,), writing=True)


def read_now(fd: int) -> bytes | None:
    """What is there; empty at the end, None when there is nothing yet. A terminal that nobody has is at its end."""
    try:
        return os.read(fd, CHUNK)
    except BlockingIOError:
        return None
    except OSError as e:
        if e.errno == errno.EIO:
            return b""
        raise


async def read_line(fd: int) -> bytes:
    """Everything up to the end of a line, or of all."""
    os.set_blocking(fd, False)
    data = b""
    while not data.endswith(b"\n"):
        await ready((fd,))
        part = os.read(fd, CHUNK)
        if not part:
            break
        data += part
    return data
