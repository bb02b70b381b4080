"""LocalClient: `client.protocol.Client` in the server's own process, the same verbs without HTTP.

Objects are decoded from the stored bytes straight into the caller's view; a watch is the store's, with each event
decoded once however many clients of the same view watch. There is no authorization here: whoever holds a LocalClient
is part of the server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, TypeVar, cast

import msgspec

from fairlead.api.meta import Key, Resource
from fairlead.apiserver import binding, deletion, encoding, identity, reads, rest, state, watch
from fairlead.apiserver.catalog import Served
from fairlead.apiserver.state import Api, Call, Decode, Plain
from fairlead.apiserver.watch import Change
from fairlead.base import errors
from fairlead.client.protocol import (
    AS_FAIRLEAD,
    BY_DEFAULT,
    EVERYTHING,
    Binding,
    DeleteOptions,
    Json,
    Listing,
    ListOptions,
    PatchType,
    WatchEvent,
    WriteOptions,
)

T = TypeVar("T")


class LocalClient:
    """A `Client` over an `Api`, acting as `user`."""

    def __init__(self, api: Api, user: identity.User = identity.LOCAL) -> None:
        self._api, self._user = api, user

    async def get(self, resource: Resource[T], key: Key, *, subresource: str = "") -> T:
        call = self._call(resource, key.namespace, key.name, AS_FAIRLEAD)
        call.subresource = subresource
        return self._decoded(resource, rest.get(self._api, call))

    async def list(self, resource: Resource[T], namespace: str = "", options: ListOptions = EVERYTHING) -> Listing[T]:
        call = self._call(resource, namespace, "", AS_FAIRLEAD)
        asked = reads.Query(options.labels, options.fields, options.limit, options.continues, options.revision)
        found = rest.list_(self._api, call, asked)
        items = [self._decoded(resource, state.seen(call.served, e.value)) for e in found.entries]
        return Listing(items, str(found.revision), found.continues, found.remaining)

    async def watch(
        self, resource: Resource[T], namespace: str = "", options: ListOptions = EVERYTHING
    ) -> AsyncIterator[WatchEvent[T]]:
        call = self._call(resource, namespace, "", AS_FAIRLEAD)
        asked = watch.Query(options.labels, options.fields, options.revision, bookmarks=True)
        async with aclosing(rest.changes(self._api, call, asked)) as changes:
            async for batch in changes:
                for change in batch:
                    yield self._event(resource, call.served, change)

    async def create(
        self, resource: Resource[T], obj: Json, options: WriteOptions = AS_FAIRLEAD, *, name: str = ""
    ) -> T:
        body = encoding.copied(obj)
        namespace = body.get("metadata", {}).get("namespace") or ""
        call = self._call(resource, namespace, name, options)
        return self._decoded(resource, (await rest.create(self._api, call, body)).value)

    async def apply(self, resource: Resource[T], obj: Json, options: WriteOptions = AS_FAIRLEAD) -> T:
        metadata = obj["metadata"]
        key = Key(metadata.get("namespace") or "", metadata["name"])
        return await self.patch(resource, key, obj, PatchType.APPLY, options)

    async def patch(
        self, resource: Resource[T], key: Key, patch: Any, type_: PatchType, options: WriteOptions = AS_FAIRLEAD
    ) -> T:
        call = self._call(resource, key.namespace, key.name, options)
        call.force = options.force and type_ is PatchType.APPLY
        body = encoding.copied(patch)
        return self._decoded(resource, (await rest.patch(self._api, call, type_.value, body)).value)

    async def delete(self, resource: Resource[Any], key: Key, options: DeleteOptions = BY_DEFAULT) -> None:
        call = self._call(resource, key.namespace, key.name, AS_FAIRLEAD)
        asked = deletion.Options(options.grace_seconds, options.propagation or "", options.uid, options.revision)
        await rest.delete(self._api, call, asked)

    async def bind(self, bindings: Sequence[Binding]) -> None:
        if bindings:
            await binding.bind(self._api, bindings)

    async def resources(self) -> Sequence[Resource[dict[str, Any]]]:
        preferred = {group: versions[0] for group, versions in self._api.catalog.groups().items()}
        kinds: dict[tuple[str, str], Served] = {}
        for served in self._api.catalog.all():
            place = (served.resource.group, served.resource.plural)
            if place not in kinds or served.resource.version == preferred[served.resource.group]:
                kinds[place] = served
        return [s.resource for s in kinds.values()]

    async def close(self) -> None:
        """Nothing is held."""

    def _call(self, resource: Resource[Any], namespace: str, name: str, options: WriteOptions) -> Call:
        served = self._api.catalog.find(*resource.gvr)
        if served is None:
            raise errors.path_not_found()
        return Call(
            served, self._user, namespace if resource.namespaced else "", name, options.subresource, options.manager,
            options.dry_run, options.force, options.validation, [],
        )  # fmt: skip

    def _decoded(self, resource: Resource[T], value: bytes) -> T:
        decode = self._api.views.get(resource.view)
        if decode is None:
            decode = self._api.views[resource.view] = (
                _decode_plain if resource.view is dict else _remembering(resource.view)
            )
        return cast(T, decode(value))

    def _event(self, resource: Resource[T], served: Served, change: Change) -> WatchEvent[T]:
        revision = str(change.revision)
        match change.type:
            case "BOOKMARK" | "INITIAL_END":
                return WatchEvent("BOOKMARK", None, revision)
            case type_:
                return WatchEvent(type_, self._decoded(resource, state.seen(served, change.value)), revision)


def _decode_plain(value: bytes) -> Plain:
    """A dict of the caller's own, without managedFields."""
    obj = encoding.decode(value)
    obj.get("metadata", {}).pop("managedFields", None)
    return obj


def _remembering(view: Any) -> Decode:
    """Decodes to a view, remembering the last few: several watchers get the same event, and views are frozen."""
    decoder = msgspec.json.Decoder(view)
    recent: dict[bytes, Any] = {}

    def decode(value: bytes) -> Any:
        found = recent.get(value)
        if found is None:
            if len(recent) >= 512:
                recent.clear()
            found = recent[value] = decoder.decode(value)
        return found

    return decode
