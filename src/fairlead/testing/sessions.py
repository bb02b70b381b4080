"""Session: a `client.node.Duplex` that a test drives, in place of a Pod's process or port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

Item = tuple[int, bytes]


class Session:
    """`say` what comes from it; what it was sent is in `heard`; `closed` is set when it was let go."""

    def __init__(self) -> None:
        self.heard: list[Item] = []
        self.closed = asyncio.Event()
        self._said: asyncio.Queue[Item | None] = asyncio.Queue()
        self._news = asyncio.Event()

    def say(self, *items: Item | None) -> None:
        """None is the end."""
        for item in items:
            self._said.put_nowait(item)

    async def __aiter__(self) -> AsyncIterator[Item]:
        while (item := await self._said.get()) is not None:
            yield item

    async def send(self, channel: int, data: bytes) -> None:
        self.heard.append((channel, data))
        self._news.set()

    async def hears(self, *items: Item, seconds: float = 5.0) -> None:
        """Return once it was sent that many items; they must be these."""
        await self.listens(lambda heard: len(heard) >= len(items), seconds)
        assert self.heard == list(items)

    async def listens(self, enough: Callable[[Sequence[Item]], bool], seconds: float = 5.0) -> None:
        """Return once it has heard enough."""
        async with asyncio.timeout(seconds):
            while not enough(self.heard):
                self._news.clear()
                await self._news.wait()

    async def close(self) -> None:
        self.closed.set()
