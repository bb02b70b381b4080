"""Cache: the objects of one kind as last seen, indexed. Plain memory: it decides nothing and does no I/O.

Objects are typed views (`meta.Object` or a subclass), so they can be handed out without a copy. Every index follows
`put` and `drop` at once. Two indexes are always there, by namespace and by the uid of every owner; others are added by
name, and adding one that exists changes nothing, so that readers can share a cache without knowing each other.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from fairlead.api.meta import Key, Object, Resource

ObjectT = TypeVar("ObjectT", bound=Object)

Terms = Callable[[Any], Iterable[Hashable]]

_NAMESPACE = "namespace"
_OWNER = "owner"


class _Index:
    """Term to the keys of the objects that have it."""

    __slots__ = ("keys", "terms")

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.keys: dict[Hashable, set[Key]] = {}

    def move(self, key: Key, old: Object | None, new: Object | None) -> None:
        before = set(self.terms(old)) if old is not None else set()
        after = set(self.terms(new)) if new is not None else set()
        if before == after:
            return
        for term in before - after:
            known = self.keys[term]
            known.discard(key)
            if not known:
                del self.keys[term]
        for term in after - before:
            self.keys.setdefault(term, set()).add(key)


class Cache(Generic[ObjectT]):
    """See the module's text. `revision` is the newest resourceVersion seen of the kind (0 before the first list)."""

    def __init__(self, resource: Resource[ObjectT]) -> None:
        self.resource = resource
        self.revision = 0
        self._objects: dict[Key, ObjectT] = {}
        self._indexes: dict[str, _Index] = {}
        self.index(_NAMESPACE, lambda obj: (obj.metadata.namespace,))
        self.index(_OWNER, lambda obj: [o.uid for o in obj.metadata.ownerReferences])

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[ObjectT]:
        return iter(self._objects.values())

    def __contains__(self, key: object) -> bool:
        return key in self._objects

    def get(self, key: Key) -> ObjectT | None:
        """The object at `key`."""
        return self._objects.get(key)

    def known(self) -> Sequence[Key]:
        """The keys of all objects."""
        return list(self._objects)

    def in_namespace(self, namespace: str) -> Sequence[ObjectT]:
        """The objects in a namespace; those of a cluster-scoped kind are in the namespace ""."""
        return self.by(_NAMESPACE, namespace)

    def owned_by(self, uid: str) -> Sequence[ObjectT]:
        """The objects with an ownerReference to `uid`, controller or not."""
        return self.by(_OWNER, uid)

    def index(self, name: str, terms: Terms) -> None:
        """Keep an index: `terms(object)` are what `by(name, term)` finds it under."""
        if name in self._indexes:
            return
        made = self._indexes[name] = _Index(terms)
        for key, obj in self._objects.items():
            made.move(key, None, obj)

    def by(self, name: str, term: Hashable) -> Sequence[ObjectT]:
        """The objects that have `term` in the index of that name, by (namespace, name)."""
        keys = self._indexes[name].keys.get(term)
        return [self._objects[key] for key in sorted(keys)] if keys else []

    def put(self, obj: ObjectT) -> ObjectT | None:
        """Remember `obj`; answers what was at its key."""
        key = obj.key
        old = self._objects.get(key)
        self._objects[key] = obj
        for index in self._indexes.values():
            index.move(key, old, obj)
        return old

    def drop(self, key: Key) -> ObjectT | None:
        """Forget the object at `key`; answers what was there."""
        old = self._objects.pop(key, None)
        if old is not None:
            for index in self._indexes.values():
                index.move(key, old, None)
        return old

    def saw(self, revision: str) -> None:
        """Note a resourceVersion. Opaque ones (no number) are let by: then nothing can be waited for by revision."""
        if revision.isdigit():
            self.revision = max(self.revision, int(revision))
