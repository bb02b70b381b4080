"""CustomResourceDefinitions: from objects in the store to kinds that are served.

`Definitions` is the hook of that kind. Before a definition is stored it is given its status (names accepted,
established, stored versions); right after, the catalog serves its versions, so that an object of the kind can be
created by the next request. Schemas are compiled when a kind is first used.
A definition whose deletion was asked for keeps its cleanup finalizer until all its objects are gone; then it goes, and
the catalog forgets it. `start` takes up what a restart interrupted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from fairlead.api.apiextensions import CRDS, CustomResourceDefinition, Version
from fairlead.api.meta import Resource
from fairlead.apiserver import deletes, deletion, encoding, identity, reads
from fairlead.apiserver.catalog import Served
from fairlead.apiserver.state import Api, Call, Plain
from fairlead.base import errors, telemetry, timestamp
from fairlead.machinery import tables
from fairlead.store.mvcc import Delete, Mismatch, Put

PREFIX = "/registry/apiextensions.k8s.io/customresourcedefinitions/"
_log = telemetry.logger("crds")
_decoder = msgspec.json.Decoder(CustomResourceDefinition)


class Definitions:
    """Keeps the catalog in step with the definitions in the store."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._cleaning: dict[str, asyncio.Task[None]] = {}
        self._served_as: dict[str, bytes] = {}

    def start(self) -> None:
        """Serve what is stored. Needs a running event loop when a deletion has to be taken up."""
        for entry in self._api.store.list(PREFIX).entries:
            self.wrote(entry.key, entry.value, removed=False)

    async def close(self) -> None:
        """Stop cleaning up (it is taken up at the next start)."""
        for task in list(self._cleaning.values()):
            task.cancel()
        await asyncio.gather(*self._cleaning.values(), return_exceptions=True)

    def prepare(self, obj: Plain) -> None:
        """Complete names and status."""
        names = obj.get("spec", {}).get("names")
        if not isinstance(names, dict):
            return
        names.setdefault("singular", str(names.get("kind", "")).lower())
        names.setdefault("listKind", f"{names.get('kind', '')}List")
        status = obj["status"] = encoding.copied(obj.get("status") or {})
        now = timestamp.seconds(self._api.clock.now())
        problem = self._taken(obj)
        accepted = (
            problem is None,
            "NoConflicts" if problem is None else "NotAccepted",
            problem or "no conflicts found",
        )
        _set_condition(status, "NamesAccepted", accepted, now)
        if problem is None:
            _set_condition(
                status, "Established", (True, "InitialNamesAccepted", "the initial names have been accepted"), now
            )
            status["acceptedNames"] = dict(names)
        storage = [v["name"] for v in obj["spec"].get("versions") or [] if isinstance(v, dict) and v.get("storage")]
        stored = status.get("storedVersions") or []
        status["storedVersions"] = [*stored, *(name for name in storage if name not in stored)]

    def wrote(self, key: str, value: bytes, *, removed: bool) -> None:
        """Serve a definition as it now is, or no longer."""
        name = key[len(PREFIX) :]
        if removed:
            self._api.catalog.drop_crd(name)
            self._served_as.pop(name, None)
            return
        crd = _decoder.decode(value)
        if any(c.type == "Established" and c.status == "True" for c in crd.status.conditions):
            self._serve(name, crd)
        if crd.metadata.deleting and deletion.CRD_CLEANUP in crd.metadata.finalizers and name not in self._cleaning:
            task = asyncio.get_running_loop().create_task(self._clean_up(name, crd))
            self._cleaning[name] = task
            task.add_done_callback(lambda _: self._cleaning.pop(name, None))

    def _serve(self, name: str, crd: CustomResourceDefinition) -> None:
        """Tell the catalog, unless only the definition's status has changed."""
        essence = encoding.encode([crd.spec, crd.metadata.deleting])
        if self._served_as.get(name) != essence:
            self._served_as[name] = essence
            self._api.catalog.put_crd(name, served(crd))

    def _taken(self, obj: Plain) -> str | None:
        """Why the definition's names cannot be accepted: another one of its group has them."""
        spec, own = obj["spec"], obj["metadata"].get("name")
        names = spec["names"]
        for other in self._api.catalog.all():
            resource = other.resource
            if resource.group != spec.get("group") or (other.crd is not None and other.crd.metadata.name == own):
                continue
            if names.get("plural") == resource.plural:
                return f'"{resource.plural}" is already in use'
            if names.get("kind") == resource.kind:
                return f'"{resource.kind}" is already in use'
        return None

    async def _clean_up(self, name: str, crd: CustomResourceDefinition) -> None:
        """Delete every object of the kind, wait until they are gone, then let the definition go."""
        kind = served(crd)
        if kind:
            call = Call(kind[0], identity.LOCAL)
            subscription = self._api.store.watch(kind[0].prefix, after=self._api.store.revision)
            try:
                await deletes.delete_collection(self._api, call, deletion.Options(), reads.Query())
                while self._api.store.list(kind[0].prefix, limit=1).entries:
                    await anext(aiter(subscription))
            except StopAsyncIteration:
                return
            except errors.StatusError:
                _log.exception("custom objects of %s cannot be deleted", name)
                return
            finally:
                subscription.close()
        await self._release(name)

    async def _release(self, name: str) -> None:
        while (entry := self._api.store.get(PREFIX + name)) is not None:
            obj = encoding.decode(entry.value)
            kept = [f for f in obj["metadata"].get("finalizers") or [] if f != deletion.CRD_CLEANUP]
            obj["metadata"]["finalizers"] = kept
            how = Put if kept else Delete
            crds = self._api.catalog.find(*CRDS.gvr)
            try:
                if crds is not None:
                    await self._api.commit(
                        Call(crds, identity.LOCAL), how(entry.key, encoding.stamped(obj), entry.revision)
                    )
                return
            except Mismatch:
                continue


def served(crd: CustomResourceDefinition) -> Sequence[Served]:
    """The versions of a definition that are served."""
    storage = next((v.name for v in crd.spec.versions if v.storage), "")
    return tuple(_version(crd, version, storage) for version in crd.spec.versions if version.served)


def _version(crd: CustomResourceDefinition, version: Version, storage: str) -> Served:
    names, subresources = crd.spec.names, version.subresources
    resource: Resource[dict[str, Any]] = Resource(
        crd.spec.group, version.name, names.kind, names.plural, dict,
        singular=names.singular or names.kind.lower(), namespaced=crd.spec.scope == "Namespaced",
        short=tuple(names.shortNames), categories=tuple(names.categories),
        status=subresources.status is not None, scale=subresources.scale is not None,
    )  # fmt: skip
    return Served(
        resource, tables.custom(version.schema.openAPIV3Schema), crd, tuple(version.additionalPrinterColumns),
        subresources.scale, tuple(f.jsonPath for f in version.selectableFields), storage,
    )  # fmt: skip


def _set_condition(status: Plain, type_: str, state: tuple[bool, str, str], now: str) -> None:
    conditions = status.setdefault("conditions", [])
    true, reason, message = state
    text = "True" if true else "False"
    found = next((c for c in conditions if c.get("type") == type_), None)
    if found is None:
        found = {"type": type_, "lastTransitionTime": now}
        conditions.append(found)
    elif found.get("status") != text:
        found["lastTransitionTime"] = now
    found.update(status=text, reason=reason, message=message)
