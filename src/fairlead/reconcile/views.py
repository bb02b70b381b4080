"""Views out of caches, by a controller's links; and which primaries a changed object concerns. Pure given the caches.

A link is read in both directions here and nowhere else, so the two cannot drift apart: whatever `view` would show of an
object, `concerned` finds the primary of. Both states of a change count: an object that stops concerning a primary
concerns it once more. Reverse lookups are indexes of the caches, which follow every change by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar, assert_never

from fairlead.api.meta import Key, Object, OwnerReference, Resource
from fairlead.client.cache import Cache
from fairlead.reconcile import reconciler
from fairlead.reconcile.reconciler import (
    Across,
    Contained,
    Controller,
    Dependents,
    Everywhere,
    Found,
    Keyed,
    Link,
    Owned,
    Owner,
    Owners,
    Referred,
    Selected,
    Unclaimed,
    View,
)  # fmt: skip

ObjectT = TypeVar("ObjectT", bound=Object)


class Item(NamedTuple):
    """A primary: what a controller's queue holds."""

    resource: Resource[Any]
    key: Key


class Caches:
    """The caches that links read: one per declared kind, and of every kind that is served and completely listed."""

    def __init__(self) -> None:
        self._declared: dict[Resource[Any], Cache[Any]] = {}
        self._every: dict[tuple[str, str], Cache[Any]] = {}

    def declare(self, cache: Cache[Any]) -> None:
        """Offer a cache to links that name its kind."""
        self._declared[cache.resource] = cache

    def of(self, resource: Resource[ObjectT]) -> Cache[ObjectT]:
        """The cache of a kind that a link names."""
        return self._declared[resource]

    def show(self, cache: Cache[Any]) -> None:
        """Offer a cache to links across kinds. It must be complete."""
        self._every[cache.resource.group, cache.resource.kind] = cache

    def hide(self, resource: Resource[Any]) -> None:
        """A kind is no longer served."""
        self._every.pop((resource.group, resource.kind), None)

    def every(self) -> Iterable[Cache[Any]]:
        """The caches of all kinds."""
        return self._every.values()

    def kind(self, api_version: str, kind: str) -> Cache[Any] | None:
        """The cache of the kind that an owner reference names, whichever of its versions that says."""
        group = api_version.rpartition("/")[0]
        return self._every.get((group, kind))

    def at(self, resource: Resource[Any]) -> Cache[Any] | None:
        """The cache of that kind, declared or not; None for a kind that is not served (any more)."""
        declared = self._declared.get(resource)
        return declared if declared is not None else self._every.get((resource.group, resource.kind))


Wake = Callable[[Any], Iterable[Item]]
"""The primaries that one state of an object concerns."""

CONTROLLER = "controller"
UNCLAIMED = "unclaimed"


def declared(controller: Controller[Any]) -> Sequence[Resource[Any]]:
    """The kinds that a controller names: its primary's and those of its links."""
    named = [link.resource for link in controller.links if not isinstance(link, Contained | Dependents | Owners)]
    return named if controller.primary == reconciler.EVERY else [controller.primary, *named]


def _controller_terms(obj: Object) -> Iterator[tuple[str, str, str]]:
    owner = obj.metadata.controller
    if owner is not None:
        yield owner.apiVersion.rpartition("/")[0], owner.kind, owner.name


def _unclaimed_terms(obj: Object) -> tuple[str, ...]:
    return (obj.metadata.namespace,) if obj.metadata.controller is None else ()


class Links(Generic[ObjectT]):
    """One controller's links over the caches."""

    def __init__(self, controller: Controller[ObjectT], caches: Caches) -> None:
        self.controller, self.caches = controller, caches
        self.everywhere = controller.primary == reconciler.EVERY
        self._wakes: dict[Resource[Any], list[Wake]] = {}
        self._wakes_across: list[Wake] = []
        self._everywhere = {k.resource: k for k in controller.links if isinstance(k, Everywhere)}
        for number, link in enumerate(controller.links):
            self._prepare(f"{controller.name}:{number}", link)

    def kinds(self) -> Sequence[Resource[Any]]:
        """The kinds that the controller declares: its primary's and those of its links."""
        named = [
            link.resource for link in self.controller.links if not isinstance(link, Contained | Dependents | Owners)
        ]
        return named if self.everywhere else [self.controller.primary, *named]

    @property
    def across(self) -> bool:
        """Whether the controller sees every kind."""
        return self.everywhere or any(isinstance(k, Contained | Dependents | Owners) for k in self.controller.links)

    # --- which primaries a change concerns -------------------------------------------------------------------------

    def concerned(self, resource: Resource[Any], old: Object | None, new: Object | None) -> Iterable[Item]:
        """The primaries that a change concerns. The cache has the change already."""
        if self.everywhere or resource == self.controller.primary:
            heeds = self.controller.heeds
            state = new if new is not None else old
            if state is not None and (heeds is None or heeds(old, new)):
                yield Item(resource, state.key)
        for wake in self._wakes.get(resource, ()):
            if old is not None:
                yield from wake(old)
            if new is not None:
                yield from wake(new)
        everywhere = self._everywhere.get(resource)
        if everywhere is not None and (everywhere.heeds is None or everywhere.heeds(old, new)):
            yield from self._neighbours(resource, new if new is not None else old)
        if self._wakes_across:
            yield from self._concerned_across(old, new)

    def _concerned_across(self, old: Object | None, new: Object | None) -> Iterable[Item]:
        for wake in self._wakes_across:
            if old is not None:
                yield from wake(old)
            if new is not None:
                yield from wake(new)
        if self.everywhere and (owner := new or old) is not None and _leaves(old, new):
            yield from (Item(d.resource, d.object.key) for d in self._dependents(owner.metadata.uid))

    def _neighbours(self, resource: Resource[Any], obj: Object | None) -> Iterator[Item]:
        """The primaries that see all objects of a kind: everywhere, or in the namespace of the one that changed."""
        primary = self.controller.primary
        cache = self.caches.of(primary)
        here = primary.namespaced and resource.namespaced and obj is not None
        among: Iterable[ObjectT] = cache.in_namespace(obj.metadata.namespace) if here and obj is not None else cache
        yield from (Item(primary, one.key) for one in among)

    def _prepare(self, name: str, link: Link) -> None:
        """Make the indexes that a link needs, and the function that reads it backwards."""
        match link:
            case Owned():
                self.caches.of(link.resource).index(CONTROLLER, _controller_terms)
                self._wake(link.resource, self._controller)
            case Keyed():
                self.caches.of(link.resource).index(name, link.keys)
                self._wake(link.resource, partial(self._named, link))
            case Referred():
                self.caches.of(self.controller.primary).index(name, link.refs)
                self._wake(link.resource, partial(self._referring, name))
            case Selected():
                self._wake(link.resource, partial(self._selecting, link))
            case Unclaimed():
                self.caches.of(link.resource).index(UNCLAIMED, _unclaimed_terms)
                self._wake(link.resource, partial(self._adopting, link))
            case Everywhere():
                pass  # `concerned` sees to it, because it looks at both states of a change
            case Contained():
                self._wakes_across.append(self._terminating_namespace)
            case Dependents():
                self._wakes_across.append(self._waiting_owners)
            case Owners():
                pass  # an owner that leaves wakes its dependents: `_concerned_across`
            case _:  # pragma: no cover
                assert_never(link)

    def _wake(self, resource: Resource[Any], wake: Wake) -> None:
        self._wakes.setdefault(resource, []).append(wake)

    def _controller(self, obj: Object) -> Iterator[Item]:
        primary, owner = self.controller.primary, obj.metadata.controller
        if owner is not None and owner.kind == primary.kind and owner.apiVersion.rpartition("/")[0] == primary.group:
            yield Item(primary, Key(obj.metadata.namespace if primary.namespaced else "", owner.name))

    def _named(self, link: Keyed, obj: Object) -> Iterator[Item]:
        for key in link.keys(obj):
            yield Item(self.controller.primary, key)

    def _referring(self, index: str, obj: Object) -> Iterator[Item]:
        primary = self.controller.primary
        for referring in self.caches.of(primary).by(index, obj.key):
            yield Item(primary, referring.key)

    def _selecting(self, link: Selected, obj: Object) -> Iterator[Item]:
        primary = self.controller.primary
        cache = self.caches.of(primary)
        for candidate in cache.in_namespace(obj.metadata.namespace) if primary.namespaced else cache:
            if link.selects(candidate, obj):
                yield Item(primary, candidate.key)

    def _adopting(self, link: Unclaimed, obj: Object) -> Iterator[Item]:
        if obj.metadata.controller is None:
            primary = self.controller.primary
            for candidate in self.caches.of(primary).in_namespace(obj.metadata.namespace):
                if link.selects(candidate, obj):
                    yield Item(primary, candidate.key)

    def _terminating_namespace(self, obj: Object) -> Iterator[Item]:
        if not obj.metadata.namespace:
            return
        key = Key("", obj.metadata.namespace)
        namespace = self.caches.of(self.controller.primary).get(key)
        if namespace is not None and namespace.metadata.deleting:
            yield Item(self.controller.primary, key)

    def _waiting_owners(self, obj: Object) -> Iterator[Item]:
        for owner in self._owners(obj):
            if owner.resource is not None and owner.object is not None and owner.object.metadata.deleting:
                yield Item(owner.resource, owner.key)

    # --- what a primary sees ---------------------------------------------------------------------------------------

    def view(self, item: Item, now: float, started: float = 0.0) -> View[ObjectT]:
        """All that the reconciler may know of that primary."""
        cache = self.caches.at(item.resource)
        obj = cache.get(item.key) if cache is not None else None
        linked: dict[Resource[Any], Sequence[Any]] = {}
        orphans: dict[Resource[Any], Sequence[Any]] = {}
        for number, link in enumerate(self.controller.links):
            match link:
                case Contained() | Dependents() | Owners():
                    continue
                case Owned():
                    found, orphans[link.resource] = self._owned(link, item.key, obj)
                case Everywhere():
                    found = self._all(link.resource, item.key.namespace)
                case Unclaimed():
                    free = self.caches.of(link.resource).by(UNCLAIMED, item.key.namespace) if obj is not None else ()
                    found = [o for o in free if link.selects(obj, o)]
                case Keyed() | Referred() | Selected():
                    found = self._linked(f"{self.controller.name}:{number}", link, item.key, obj)
            linked[link.resource] = _union(linked[link.resource], found) if link.resource in linked else found
        across = self._across(item, obj) if self.across else None
        return View(item.key, obj, linked, now, orphans, across, started)

    def _all(self, resource: Resource[Any], namespace: str) -> Sequence[Any]:
        cache = self.caches.of(resource)
        if self.controller.primary.namespaced and resource.namespaced:
            return cache.in_namespace(namespace)
        return sorted(cache, key=lambda o: o.key)

    def _owned(self, link: Owned, key: Key, obj: Object | None) -> tuple[Sequence[Any], Sequence[Any]]:
        primary = self.controller.primary
        named = self.caches.of(link.resource).by(CONTROLLER, (primary.group, primary.kind, key.name))
        uid = obj.metadata.uid if obj is not None else ""
        ours: list[Any] = []
        others: list[Any] = []
        for child in named:
            owner = child.metadata.controller
            if not primary.namespaced or child.metadata.namespace == key.namespace:
                (ours if owner is not None and owner.uid == uid else others).append(child)
        return ours, others

    def _linked(self, index: str, link: Keyed | Referred | Selected, key: Key, obj: Any) -> Sequence[Any]:
        cache = self.caches.of(link.resource)
        match link:
            case Keyed():
                return cache.by(index, key)
            case Referred():
                keys = sorted(set(link.refs(obj))) if obj is not None else ()
                return [found for ref in keys if (found := cache.get(ref)) is not None]
            case Selected():
                if obj is None:
                    return []
                here = (
                    cache.in_namespace(key.namespace)
                    if self.controller.primary.namespaced
                    else sorted(cache, key=lambda o: o.key)
                )
                return [o for o in here if link.selects(obj, o)]

    def _across(self, item: Item, obj: Object | None) -> Across:
        links = self.controller.links
        contained = any(isinstance(link, Contained) for link in links)
        return Across(
            item.resource,
            tuple(self._contained(item.key.name)) if contained else (),
            tuple(self._dependents(obj.metadata.uid)) if obj is not None and Dependents() in links else (),
            tuple(self._owners(obj)) if obj is not None and Owners() in links else (),
        )

    def _contained(self, namespace: str) -> Iterator[Found]:
        for cache in self.caches.every():
            if cache.resource.namespaced:
                yield from (Found(cache.resource, obj) for obj in cache.in_namespace(namespace))

    def _dependents(self, uid: str) -> Iterator[Found]:
        for cache in self.caches.every():
            yield from (Found(cache.resource, obj) for obj in cache.owned_by(uid))

    def _owners(self, obj: Object) -> Iterator[Owner]:
        for reference in obj.metadata.ownerReferences:
            yield self._owner(obj, reference)

    def _owner(self, obj: Object, reference: OwnerReference) -> Owner:
        cache = self.caches.kind(reference.apiVersion, reference.kind)
        if cache is None or (cache.resource.namespaced and not obj.metadata.namespace):
            return Owner(reference)
        key = Key(obj.metadata.namespace if cache.resource.namespaced else "", reference.name)
        return Owner(reference, cache.resource, key, cache.get(key))


def _leaves(old: Object | None, new: Object | None) -> bool:
    """Whether an object is gone, or its deletion has just been asked for."""
    return new is None or (new.metadata.deleting and not (old is not None and old.metadata.deleting))


def _union(some: Sequence[Any], more: Sequence[Any]) -> Sequence[Any]:
    """Both, each object once, by (namespace, name)."""
    found = {obj.key: obj for obj in (*some, *more)}
    return [found[key] for key in sorted(found)]
