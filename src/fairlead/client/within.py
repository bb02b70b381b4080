"""Within: a Client that lists and watches one namespace only.

For whoever may read no more than that (a Role, no ClusterRole), or is to work on no more. Kinds without a namespace are
seen as ever. Single objects are not checked: what is never listed is never asked for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, TypeVar

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


class Within:
    """See the module's text. `close` closes the client within."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client, self.namespace = client, namespace

    async def get(self, resource: Resource[T], key: Key, *, subresource: str = "") -> T:
        return await self._client.get(resource, key, subresource=subresource)

    async def list(self, resource: Resource[T], namespace: str = "", options: ListOptions = EVERYTHING) -> Listing[T]:
        return await self._client.list(resource, namespace or self._place(resource), options)

    def watch(
        self, resource: Resource[T], namespace: str = "", options: ListOptions = EVERYTHING
    ) -> AsyncIterator[WatchEvent[T]]:
        return self._client.watch(resource, namespace or self._place(resource), options)

    async def create(
        self, resource: Resource[T], obj: Json, options: WriteOptions = AS_FAIRLEAD, *, name: str = ""
    ) -> T:
        return await self._client.create(resource, obj, options, name=name)

    async def apply(self, resource: Resource[T], obj: Json, options: WriteOptions = AS_FAIRLEAD) -> T:
        return await self._client.apply(resource, obj, options)

    async def patch(
        self, resource: Resource[T], key: Key, patch: Any, type_: PatchType, options: WriteOptions = AS_FAIRLEAD
    ) -> T:
        return await self._client.patch(resource, key, patch, type_, options)

    async def delete(self, resource: Resource[Any], key: Key, options: DeleteOptions = BY_DEFAULT) -> None:
        await self._client.delete(resource, key, options)

    async def bind(self, bindings: Sequence[Binding]) -> None:
        await self._client.bind(bindings)

    async def resources(self) -> Sequence[Resource[dict[str, Any]]]:
        return await self._client.resources()

    async def close(self) -> None:
        await self._client.close()

    def _place(self, resource: Resource[Any]) -> str:
        return self.namespace if resource.namespaced else ""
