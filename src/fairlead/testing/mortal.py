"""Mortal: a client whose owner dies after a number of writes.

After the last write that it carries out, every call waits for ever: what called it makes no further step and hears no
answer, as in a process that was killed. Reads count for nothing, events for people do not count either.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, NoReturn, TypeVar

from fairlead.api import core
from fairlead.api.meta import Key, Resource
from fairlead.client.protocol import (
    AS_FAIRLEAD,
    BY_DEFAULT,
    EVERYTHING,
    Binding,
    Client,
    DeleteOptions,
    Json,
    Listing,
    ListOptions,
    PatchType,
    WatchEvent,
    WriteOptions,
)

T = TypeVar("T")


class Mortal:
    """See the module's text."""

    def __init__(self, client: Client, writes: int) -> None:
        self._client, self._left = client, writes
        self.dead = False

    async def get(self, resource: Resource[T], key: Key, *, subresource: str = "") -> T:
        await self._live()
        return await self._client.get(resource, key, subresource=subresource)

    async def list(self, resource: Resource[T], namespace: str = "", options: ListOptions = EVERYTHING) -> Listing[T]:
        await self._live()
        return await self._client.list(resource, namespace, options)

    async def watch(
        self, resource: Resource[T], namespace: str = "", options: ListOptions = EVERYTHING
    ) -> AsyncIterator[WatchEvent[T]]:
        await self._live()
        async for event in self._client.watch(resource, namespace, options):
            await self._live()
            yield event

    async def create(
        self, resource: Resource[T], obj: Json, options: WriteOptions = AS_FAIRLEAD, *, name: str = ""
    ) -> T:
        await self._count(resource)
        made = await self._client.create(resource, obj, options, name=name)
        await self._live()
        return made

    async def apply(self, resource: Resource[T], obj: Json, options: WriteOptions = AS_FAIRLEAD) -> T:
        await self._count(resource)
        made = await self._client.apply(resource, obj, options)
        await self._live()
        return made

    async def patch(
        self, resource: Resource[T], key: Key, patch: Any, type_: PatchType, options: WriteOptions = AS_FAIRLEAD
    ) -> T:
        await self._count(resource)
        made = await self._client.patch(resource, key, patch, type_, options)
        await self._live()
        return made

    async def delete(self, resource: Resource[Any], key: Key, options: DeleteOptions = BY_DEFAULT) -> None:
        await self._count(resource)
        await self._client.delete(resource, key, options)
        await self._live()

    async def bind(self, bindings: Sequence[Binding]) -> None:
        await self._count(core.PODS)
        await self._client.bind(bindings)
        await self._live()

    async def resources(self) -> Sequence[Resource[dict[str, Any]]]:
        await self._live()
        return await self._client.resources()

    async def close(self) -> None:
        """The client under it stays open: others use it."""

    async def _count(self, resource: Resource[Any]) -> None:
        """One more write; the last one allowed is carried out, and its answer is never heard."""
        await self._live()
        if resource == core.EVENTS:
            return
        self._left -= 1
        self.dead = self._left <= 0

    async def _live(self) -> None:
        if self.dead:
            await _forever()


async def _forever() -> NoReturn:
    await asyncio.get_running_loop().create_future()
    raise RuntimeError("a future that nobody holds was set")
