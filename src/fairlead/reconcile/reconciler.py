"""The vocabulary of controllers: what one sees (`View`), what it wants (`Change`), how it is declared (`Controller`).

    def reconcile(view: View[Job]) -> Sequence[Change]: ...

A reconciler has no await, no client and no clock. It must be *settled by its own changes*: apply them, reconcile again,
and it asks for nothing. Child names are deterministic, so acting on a stale cache repeats a create (a conflict, which
the applier takes for done) and never makes a duplicate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar

import msgspec

from fairlead.api.meta import Key, Object, OwnerReference, Resource

T = TypeVar("T")
U = TypeVar("U")

Json = Mapping[str, Any]

# --- what a controller declares ------------------------------------------------------------------------------------
# A link says which other objects belong to the view of a primary. One declaration serves both directions: a change of
# the other object wakes the primaries that it concerns, and the view of a primary holds the objects that concern it.


class Owned(msgspec.Struct, frozen=True):
    """Objects whose controller ownerReference names the primary (kind, name).

    `View.all` has those with the primary's uid, `View.orphans` those of an earlier object of that name: the
    primary is gone, or was made anew.
    """

    resource: Resource[Any]


class Keyed(msgspec.Struct, frozen=True):
    """Objects that name the primaries that they concern: `keys(object)`."""

    resource: Resource[Any]
    keys: Callable[[Any], Iterable[Key]]


class Referred(msgspec.Struct, frozen=True):
    """Objects that the primary names: `refs(primary)`."""

    resource: Resource[Any]
    refs: Callable[[Any], Iterable[Key]]


class Selected(msgspec.Struct, frozen=True):
    """Objects in the primary's namespace (anywhere, for a cluster-scoped primary) that `selects(primary, object)`."""

    resource: Resource[Any]
    selects: Callable[[Any, Any], bool]


class Unclaimed(msgspec.Struct, frozen=True):
    """Objects without a controller, in the primary's namespace, that `selects(primary, object)`: it may adopt them."""

    resource: Resource[Any]
    selects: Callable[[Any, Any], bool]


class Everywhere(msgspec.Struct, frozen=True):
    """All objects of a kind, in the primary's namespace where both have one. A change that is heeded,
    `heeds(old, new)` (None: all), wakes every primary there."""

    resource: Resource[Any]
    heeds: Callable[[Any, Any], bool] | None = None


class Contained(msgspec.Struct, frozen=True):
    """Metadata of whatever is in the namespace that is the primary: `View.across.contained`."""


class Dependents(msgspec.Struct, frozen=True):
    """The metadata of objects of every kind with an ownerReference to the primary's uid: `View.across.dependents`."""


class Owners(msgspec.Struct, frozen=True):
    """What is known of the objects that the primary's ownerReferences name: `View.across.owners`."""


Link = Owned | Keyed | Referred | Selected | Unclaimed | Everywhere | Contained | Dependents | Owners

EVERY: Resource[Object] = Resource("*", "*", "*", "*", Object)
"""As a controller's primary: it reconciles objects of every kind that is served, seen as metadata."""


class Found(msgspec.Struct, frozen=True):
    """An object of whichever kind, as metadata."""

    resource: Resource[Any]
    object: Object


class Owner(msgspec.Struct, frozen=True):
    """An ownerReference of the primary and what became of it.

    `resource` is None for a kind that is not served or not listed yet, and for a namespaced owner of a cluster-scoped
    object (which cannot be): then nothing is known of the owner. `object` is
    what has the owner's name now; it is the owner only if `alive`.
    """

    reference: OwnerReference
    resource: Resource[Any] | None = None
    key: Key = Key("", "")
    object: Object | None = None

    @property
    def alive(self) -> bool:
        return self.object is not None and self.object.metadata.uid == self.reference.uid


class Across(msgspec.Struct, frozen=True):
    """What links across kinds bring (`Contained`, `Dependents`, `Owners`), and the kind of the primary."""

    resource: Resource[Any] | None = None
    contained: tuple[Found, ...] = ()
    dependents: tuple[Found, ...] = ()
    owners: tuple[Owner, ...] = ()


NOTHING = Across()


class View(Generic[T]):
    """All that a reconciler may know: the primary (None when it is gone), what its links bring, and the time.

    `started` is when the controller began to watch: what should have happened before may have happened unseen, so
    nobody's silence is counted from an earlier time.
    """

    __slots__ = ("_linked", "_orphans", "across", "key", "now", "object", "started")

    def __init__(
        self,
        key: Key,
        obj: T | None,
        linked: Mapping[Resource[Any], Sequence[Any]],
        now: float,
        orphans: Mapping[Resource[Any], Sequence[Any]] | None = None,
        across: Across | None = None,
        started: float = 0.0,
    ) -> None:
        self.key, self.object, self._linked, self.now, self.started = key, obj, linked, now, started
        self._orphans = orphans or {}
        self.across = across or NOTHING

    def all(self, resource: Resource[U]) -> Sequence[U]:
        """The linked objects of that kind, by (namespace, name). Raises KeyError for a kind that is not linked."""
        return self._linked[resource]

    def orphans(self, resource: Resource[U]) -> Sequence[U]:
        """Objects of an `Owned` kind that name the primary but belong to an earlier object of that name."""
        return self._orphans.get(resource, ())

    def find(self, resource: Resource[U], key: Key) -> U | None:
        """The linked object of that kind and key."""
        return next((o for o in self._linked[resource] if o.key == key), None)


# --- what a reconciler wants ---------------------------------------------------------------------------------------


class Apply(msgspec.Struct, frozen=True):
    """Server-side apply of `object` (with apiVersion, kind, metadata) as the controller's field manager."""

    resource: Resource[Any]
    object: Json


class Create(msgspec.Struct, frozen=True):
    """Create `object` unless it exists.

    For children that are never changed once made (Pods, Jobs): an apply would resurrect one that was deleted
    in between or fight over its fields; a create that finds the name taken is done.
    """

    resource: Resource[Any]
    object: Json


class Absent(msgspec.Struct, frozen=True):
    """An object that must not exist. A cache may be behind; what cannot be undone is decided on a fresh read."""

    resource: Resource[Any]
    key: Key
    uid: str = ""
    """Empty: no object of that name at all."""


class Patch(msgspec.Struct, frozen=True):
    """JSON merge patch of a few fields, such as finalizers or labels. `uid` guards against a replaced object."""

    resource: Resource[Any]
    key: Key
    patch: Json
    uid: str = ""
    revision: str = ""
    """The resourceVersion that the decision was made on. Needed whenever a list (finalizers) is replaced."""
    absent: tuple[Absent, ...] = ()
    """Asked of the server first: if one of these is there, nothing is patched."""


class Finalize(msgspec.Struct, frozen=True):
    """Set a namespace's `spec.finalizers`, provided that fresh lists of all kinds find nothing in it."""

    resource: Resource[Any]
    key: Key
    finalizers: tuple[str, ...]
    revision: str


class Delete(msgspec.Struct, frozen=True):
    """Delete that very object (`uid`), if it is still there."""

    resource: Resource[Any]
    key: Key
    uid: str
    propagation: Literal["Background", "Foreground", "Orphan"] = "Background"
    grace_seconds: int | None = None
    absent: tuple[Absent, ...] = ()
    """Asked of the server first: if one of these is there, nothing is deleted."""


class SetStatus(msgspec.Struct, frozen=True):
    """Merge-patch the status subresource. `revision` is the resourceVersion that the decision was made on: if the
    object has moved on, the patch conflicts and the key is reconciled again. A field set to None is removed."""

    resource: Resource[Any]
    key: Key
    status: Json
    revision: str


class Record(msgspec.Struct, frozen=True):
    """A core/v1 Event on `about`. Equal events within some minutes are counted up, not repeated."""

    resource: Resource[Any]
    about: Object
    type: Literal["Normal", "Warning"]
    reason: str
    message: str


class WakeAt(msgspec.Struct, frozen=True):
    """Reconcile this key again at `time` (seconds since the epoch), if nothing wakes it before."""

    time: float


Change = Apply | Create | Patch | Delete | Finalize | SetStatus | Record | WakeAt


class Controller(msgspec.Struct, Generic[T], frozen=True):
    """One controller. `name` is its field manager, event source and lease; `on` says where it belongs.

    `embedded`: real Kubernetes brings its own (job, endpoints, garbage, …), so it runs only against the embedded
    server unless asked for by name.
    """

    name: str
    primary: Resource[T]
    reconcile: Callable[[View[T]], Sequence[Change]]
    links: tuple[Link, ...] = ()
    embedded: bool = False
    heeds: Callable[[Any, Any], bool] | None = None
    """Which changes of a primary, `heeds(old, new)`, are worth a look; None: all. Links wake it in any case."""
