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

from fairlead.api.meta import Key, Object, Resource

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


Link = Owned | Keyed | Referred | Selected


class View(Generic[T]):
    """All that a reconciler may know: the primary (None when it is gone), what its links bring, and the time."""

    __slots__ = ("_linked", "_orphans", "key", "now", "object")

    def __init__(
        self,
        key: Key,
        obj: T | None,
        linked: Mapping[Resource[Any], Sequence[Any]],
        now: float,
        orphans: Mapping[Resource[Any], Sequence[Any]] | None = None,
    ) -> None:
        self.key, self.object, self._linked, self.now = key, obj, linked, now
        self._orphans = orphans or {}

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


class Patch(msgspec.Struct, frozen=True):
    """JSON merge patch of a few fields, such as finalizers or labels. `uid` guards against a replaced object."""

    resource: Resource[Any]
    key: Key
    patch: Json
    uid: str = ""
    revision: str = ""
    """The resourceVersion that the decision was made on. Needed whenever a list (finalizers) is replaced."""


class Delete(msgspec.Struct, frozen=True):
    """Delete that very object (`uid`), if it is still there."""

    resource: Resource[Any]
    key: Key
    uid: str
    propagation: Literal["Background", "Foreground", "Orphan"] = "Background"
    grace_seconds: int | None = None


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


Change = Apply | Create | Patch | Delete | SetStatus | Record | WakeAt


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
