"""Expectations: which keys may not be reconciled yet, because the caches have not seen what was written for them. Pure.

Why: a reconcile right after its own writes would see the world before them and count wrong (a Pod that was created and
is not in the cache would be created again under another name). So a key stays in flight until every cache that its
controller reads has seen the revisions written, or an object that was deleted is gone from it or marked as deleting; at
most `PATIENCE` seconds, because a write may never be seen (another writer undid it while the watch was broken).
Writes to kinds that the controller does not read are not waited for.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Generic, TypeVar

from fairlead.api.meta import Key, Object, Resource
from fairlead.client.cache import Cache
from fairlead.reconcile.applier import Deleted, Outcome, Written

K = TypeVar("K", bound=Hashable)

PATIENCE = 5.0

Lookup = Callable[[Resource[Any]], Cache[Any] | None]


class _Need:
    __slots__ = ("count", "deadline")

    def __init__(self, deadline: float) -> None:
        self.count, self.deadline = 0, deadline


class Expectations(Generic[K]):
    """See the module's text. `cache(resource)` is None for a kind that the controller does not read."""

    def __init__(self, cache: Lookup) -> None:
        self._cache = cache
        self._needs: dict[K, _Need] = {}
        self._writes: dict[Resource[Any], list[tuple[int, int, K, _Need]]] = {}
        self._deletes: dict[tuple[Resource[Any], Key], list[tuple[str, K, _Need]]] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._needs)

    def expect(self, key: K, outcome: Outcome, now: float) -> bool:
        """Wait for what was written for `key`; False when the caches have seen it all already."""
        need = _Need(now + PATIENCE)
        for written in outcome.written:
            self._await_write(key, written, need)
        for deleted in outcome.deleted:
            self._await_delete(key, deleted, need)
        if not need.count:
            return False
        self._needs.pop(key, None)
        self._needs[key] = need
        return True

    def saw(self, resource: Resource[Any], key: Key, new: Object | None) -> Iterable[K]:
        """A cache took a change in; answers the keys that have nothing left to wait for."""
        freed: list[K] = []
        writes, cache = self._writes.get(resource), self._cache(resource)
        while writes and cache is not None and writes[0][0] <= cache.revision:
            _, _, waiting, need = heapq.heappop(writes)
            self._meet(waiting, need, freed)
        if self._deletes and (resource, key) in self._deletes:
            kept = []
            for uid, waiting, need in self._deletes.pop((resource, key)):
                if _leaving(new, uid):
                    self._meet(waiting, need, freed)
                else:
                    kept.append((uid, waiting, need))
            if kept:
                self._deletes[resource, key] = kept
        return freed

    def overdue(self, now: float) -> Iterable[K]:
        """The keys that have waited long enough; they are freed."""
        late = [key for key, need in self._needs.items() if need.deadline <= now]
        for key in late:
            del self._needs[key]
        return late

    def next_time(self) -> float | None:
        """When the first key will have waited long enough."""
        first = next(iter(self._needs.values()), None)  # needs are kept in the order they arose
        return first.deadline if first is not None else None

    def _await_write(self, key: K, written: Written, need: _Need) -> None:
        cache = self._cache(written.resource)
        if cache is None or written.revision <= cache.revision:
            return
        need.count += 1
        self._count += 1
        heapq.heappush(self._writes.setdefault(written.resource, []), (written.revision, self._count, key, need))

    def _await_delete(self, key: K, deleted: Deleted, need: _Need) -> None:
        cache = self._cache(deleted.resource)
        if cache is None or _leaving(cache.get(deleted.key), deleted.uid):
            return
        need.count += 1
        self._deletes.setdefault((deleted.resource, deleted.key), []).append((deleted.uid, key, need))

    def _meet(self, key: K, need: _Need, freed: list[K]) -> None:
        need.count -= 1
        if need.count == 0 and self._needs.get(key) is need:
            del self._needs[key]
            freed.append(key)


def _leaving(obj: Object | None, uid: str) -> bool:
    return obj is None or obj.metadata.uid != uid or obj.metadata.deleting
