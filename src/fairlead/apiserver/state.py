"""What the REST verbs share: `Api` (store, catalog, clock, chance, admission) and `Call` (one request to a kind).

The verbs (`reads`, `writes`, `patches`, `deletes`, `subresources`, `binding`) are functions of these two, and know
neither HTTP nor its in-process twin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from fairlead.apiserver import encoding, fields
from fairlead.apiserver.catalog import Catalog, Served
from fairlead.apiserver.identity import User
from fairlead.apiserver.kinds import ephemeral, strategy
from fairlead.base import errors
from fairlead.base.clock import Clock
from fairlead.store.mvcc import Delete, Entry, Store, Unavailable, Write

if TYPE_CHECKING:
    from fairlead.apiserver.admission.chain import Chain
    from fairlead.apiserver.dynamic.admission import Dynamic
    from fairlead.apiserver.jwt import Tokens

Plain = dict[str, Any]
Decode = Callable[[bytes], Any]


class Chance(Protocol):
    """Where random names and uids come from."""

    def suffix(self) -> str:
        """Five characters for a generated name."""

    def uid(self) -> str:
        """A new UUID."""


class Call(msgspec.Struct):
    """One request to one kind. `namespace` is empty for cluster-scoped kinds and for lists over all namespaces."""

    served: Served
    user: User
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    manager: str = ""
    dry_run: bool = False
    force: bool = False
    validation: str = "Warn"
    warnings: list[str] = []
    repeated: Mapping[str, bool] = {}
    """Where the body names a field twice: all of its fields in order, and whether each is (`bodies.duplicates`)."""
    annotations: dict[str, str] = {}
    """What admission says for the audit log."""
    patched: bool = False
    """The new state is what a patch (no apply) makes of the live one: what is wrong with it is wrong with the patch."""

    @property
    def key(self) -> str:
        """Where the object is in the store."""
        return place(self.served, self.namespace, self.name)

    def missing(self) -> errors.StatusError:
        """404 for the object that the call names."""
        resource = self.served.resource
        return errors.not_found(resource.plural, resource.group, self.name)

    def warn(self, text: str) -> None:
        """Tell the client something in a Warning header."""
        if text not in self.warnings:
            self.warnings.append(text)


class Answer(NamedTuple):
    """A successful write: the object's bytes; whether it was created; whether a delete removed it."""

    value: bytes
    created: bool = False
    removed: bool = False


class Hook(Protocol):
    """What else happens when objects of a kind are written (`crds`)."""

    def prepare(self, obj: Plain) -> None:
        """Fill in what the server knows, before validation."""

    def wrote(self, key: str, value: bytes, *, removed: bool) -> None:
        """A write is durable."""


class Lines:
    """The last lines of watches: an event is encoded once, however many watch. Bounded."""

    def __init__(self, most: int = 1024) -> None:
        self._known: dict[tuple[int, str], bytes] = {}
        self._most = most
        self.get = self._known.get

    def put(self, what: tuple[int, str], line: bytes) -> None:
        """Keep the line of a revision, as that type of event."""
        if len(self._known) >= self._most:
            for old in list(self._known)[: self._most // 2]:
                del self._known[old]
        self._known[what] = line


Source = Callable[[str], Sequence[Entry]]
"""The objects of a kind in one namespace ("": in all), by key."""


class Api:
    """The server's state, one instance a process. It caches what is derived from the catalog by its generation."""

    def __init__(self, store: Store, catalog: Catalog, clock: Clock, chance: Chance, admission: Chain) -> None:
        self.store, self.catalog, self.clock, self.chance, self.admission = store, catalog, clock, chance, admission
        self.hooks: dict[tuple[str, str, str], Hook] = {}
        self.sources: dict[tuple[str, str, str], Source] = {}
        """Kinds that are made when asked for, and not stored."""
        self.dynamic: Dynamic | None = None
        """Webhooks and policies that users define."""
        self.tokens: Tokens | None = None
        """Issues service accounts' tokens, if there is a key to sign them with."""
        self.views: dict[Any, Decode] = {}
        """How `local` decodes to each view; kept here so that all clients of the process share what they decode."""
        self.lines = Lines()
        self.watchers = 0
        """How many watch over HTTP."""
        self._readers: dict[tuple[Any, ...], Callable[[bytes], fields.Facet]] = {}
        self._strategies: dict[tuple[str, str, str], strategy.Strategy] = {}
        self._generation = 0

    def strategy(self, served: Served, subresource: str = "") -> strategy.Strategy:
        """What is particular to the kind, or to one of its subresources."""
        self._forget()
        found = self._strategies.get(served.resource.gvr)
        if found is None:
            found = self._strategies[served.resource.gvr] = strategy.find(served.resource, served.structure)
        return ephemeral.narrowed(found) if subresource == ephemeral.SUBRESOURCE else found

    def facets(self, served: Served, labels: tuple[str, ...]) -> Callable[[bytes], fields.Facet]:
        """A `fields.reader` that remembers: watchers that read the same facets of an event decode it once."""
        self._forget()
        key = (served.resource.gvr, labels)
        found = self._readers.get(key)
        if found is None:
            found = self._readers[key] = _remembering(fields.reader(served, labels))
        return found

    def live(self, call: Call) -> tuple[Entry, Plain]:
        """The stored object of a call, as an entry and decoded, in the version asked for. Raises 404."""
        entry = self.store.get(call.key)
        if entry is None:
            raise call.missing()
        return entry, decoded(call.served, entry.value)

    def prepared(self, served: Served, obj: Plain) -> None:
        """Let the kind's hook fill in what the server knows."""
        hook = self.hooks.get(served.resource.gvr)
        if hook is not None:
            hook.prepare(obj)

    async def commit(self, call: Call, write: Write, beside: Sequence[Write] = ()) -> Entry:
        """One write of the call's kind, and what goes with it (of kinds without hooks).

        Raises Mismatch; 503 when it cannot be made durable.
        """
        entry = (await self.commit_all([write, *beside] if beside else [write]))[0]
        hook = self.hooks.get(call.served.resource.gvr)
        if hook is not None:
            hook.wrote(entry.key, entry.value, removed=isinstance(write, Delete))
        return entry

    async def commit_all(self, writes: Sequence[Write]) -> Sequence[Entry]:
        """All writes or none."""
        try:
            return await self.store.commit(writes)
        except Unavailable as error:
            raise errors.unavailable(f"the write could not be stored: {error}") from error

    def _forget(self) -> None:
        if self._generation != self.catalog.generation:
            self._generation = self.catalog.generation
            self._readers.clear()
            self._strategies.clear()


def place(served: Served, namespace: str, name: str) -> str:
    """The key of an object."""
    return f"{served.prefix}{namespace}/{name}" if namespace else served.prefix + name


def decoded(served: Served, value: bytes) -> Plain:
    """A stored object, decoded, as the version of `served` shows it."""
    obj = encoding.decode(value)
    if served.crd is not None:
        obj["apiVersion"] = served.resource.api_version
    elif served.conversion is not None:
        obj = served.conversion.shown(obj)
    return obj


def stored(served: Served, obj: Plain) -> Plain:
    """An object as it is stored: in the storage version of its kind."""
    if served.conversion is not None:
        return served.conversion.stored(obj)
    if served.crd is not None and served.storage_version not in ("", served.resource.version):
        obj["apiVersion"] = f"{served.resource.group}/{served.storage_version}"
    return obj


def as_stored(served: Served) -> bool:
    """Whether objects are stored in the version of `served`."""
    if served.crd is None:
        return served.conversion is None
    return served.storage_version in ("", served.resource.version)


def seen(served: Served, value: bytes) -> bytes:
    """A stored object as the version of `served` shows it (conversion `None`: only apiVersion differs)."""
    if as_stored(served):
        return value
    return encoding.encode(decoded(served, value))


def _remembering(read: Callable[[bytes], fields.Facet]) -> Callable[[bytes], fields.Facet]:
    known: dict[bytes, fields.Facet] = {}

    def recall(data: bytes) -> fields.Facet:
        facet = known.get(data)
        if facet is None:
            if len(known) >= 512:
                known.clear()
            facet = known[data] = read(data)
        return facet

    return recall
