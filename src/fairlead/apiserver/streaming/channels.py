"""Sessions with a process: what a client sends goes in, what the process says goes out, until one of them is done.

How the channels are on the wire is a `Client`'s business: `websocket` and `remotecommand` have one each.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Protocol

from fairlead.base import telemetry
from fairlead.client.node import Duplex

_log = telemetry.logger("streaming")


class Client(Protocol):
    """The client's side of a session."""

    def __aiter__(self) -> AsyncIterator[tuple[int, bytes]]:
        """What it sends, by channel, until it goes away. No bytes: it has ended that channel."""

    async def send(self, channel: int, data: bytes) -> None:
        """Send it something. Raises ConnectionError when it has gone."""

    async def finish(self) -> None:
        """All was sent: say so, and close."""


async def pump(client: Client, session: Duplex) -> None:
    """Let them talk, and close the session when either is done."""
    inwards = asyncio.ensure_future(_inwards(client, session))
    outwards = asyncio.ensure_future(_outwards(client, session))
    try:
        await asyncio.wait((inwards, outwards), return_when=asyncio.FIRST_COMPLETED)
    finally:
        complete = outwards.done() and not outwards.cancelled() and outwards.exception() is None
        inwards.cancel()
        outwards.cancel()
        for result in await asyncio.gather(inwards, outwards, return_exceptions=True):
            _tell(result)
        await session.close()
    if complete:
        with contextlib.suppress(ConnectionError):
            await client.finish()


async def _inwards(client: Client, session: Duplex) -> None:
    async for channel, data in client:
        await session.send(channel, data)


async def _outwards(client: Client, session: Duplex) -> None:
    async for channel, data in session:
        await client.send(channel, data)


def _tell(result: object) -> None:
    """A client that goes away is no news, everything else is."""
    if isinstance(result, Exception) and not isinstance(result, ConnectionError):
        _log.warning("a session ended: %s: %s", type(result).__name__, result)
