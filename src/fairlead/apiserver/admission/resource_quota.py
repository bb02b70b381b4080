"""ResourceQuota: nothing is created that would take a namespace beyond one of its quotas.

What is used is read from the store and not from the quotas' status, which a controller writes a moment later. Objects
that were let in and are not stored yet count, too: the chain is synchronous, the write that follows it is not.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from fairlead.api.core import QUOTAS
from fairlead.api.meta import Resource
from fairlead.apiserver import encoding
from fairlead.apiserver.admission.review import Operation, Review
from fairlead.apiserver.state import Api, Plain
from fairlead.machinery import quantity, quotas
from fairlead.machinery.quantity import ZERO, Quantity

_PREFIX = "/registry/core/resourcequotas/"
PENDING_SECONDS = 5.0
"""How long an object that was let in counts without being stored: its write may have failed."""


class _Book:
    """What is remembered of one server's objects."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[int, Plain]] = {}
        """Objects that count, decoded, by key and revision."""
        self.pending: dict[str, tuple[float, Plain]] = {}
        """Objects that were let in, and until when they count unseen."""


class ResourceQuota:
    name = "ResourceQuota"

    def __init__(self) -> None:
        self._books: WeakKeyDictionary[Api, _Book] = WeakKeyDictionary()

    def handles(self, resource: Resource[Any], operation: Operation, subresource: str) -> bool:
        if subresource or not resource.namespaced or resource.qualified == "events":
            return False
        return operation is Operation.CREATE or (operation is Operation.UPDATE and _grows(resource))

    def admit(self, api: Api, review: Review) -> None:
        """Nothing to change."""

    def validate(self, api: Api, review: Review) -> None:
        namespace = review.call.namespace
        entries = api.store.list(f"{_PREFIX}{namespace}/").entries
        for entry in entries:
            self._check(api, review, encoding.decode(entry.value))
        if entries and review.operation is Operation.CREATE and not review.call.dry_run:
            key = review.call.served.prefix + f"{namespace}/{review.obj['metadata']['name']}"
            self._books.setdefault(api, _Book()).pending[key] = (api.clock.now() + PENDING_SECONDS, review.obj)

    def _check(self, api: Api, review: Review, quota: Plain) -> None:
        resource, spec = review.call.served.resource, quota.get("spec") or {}
        place, hard = (resource.group, resource.plural), spec.get("hard") or {}
        if resource == QUOTAS and review.operation is Operation.UPDATE:
            return
        if not quotas.concerns(spec, *place, review.obj):
            return
        name = quota["metadata"]["name"]
        if place == ("", "pods") and review.operation is Operation.CREATE:
            missing = quotas.unspecified(spec, review.obj)
            if missing:
                says = "; ".join(f"{r} for: {','.join(c)}" for r, c in missing.items())
                raise review.forbid(f"failed quota: {name}: must specify {says}")
        asked = quotas.only(quotas.counts(*place, review.obj), hard)
        before = quotas.only(quotas.counts(*place, review.old), hard) if review.old else {}
        delta = {n: a - before.get(n, ZERO) for n, a in asked.items() if a != before.get(n, ZERO)}
        if not any(amount > ZERO for amount in delta.values()):
            return
        used = self._used(api, review, spec, set(delta))
        over = sorted(n for n, a in delta.items() if used.get(n, ZERO) + a > quantity.parse(hard[n]))
        if over:
            raise review.forbid(
                f"exceeded quota: {name}, requested: {_listed(delta, over)}, used: {_listed(used, over)}, "
                f"limited: {','.join(f'{n}={hard[n]}' for n in over)}"
            )

    def _used(self, api: Api, review: Review, spec: Plain, names: set[str]) -> dict[str, Quantity]:
        """What the namespace's objects of that kind use already."""
        served, namespace, book = review.call.served, review.call.namespace, self._books.setdefault(api, _Book())
        place, prefix = (served.resource.group, served.resource.plural), f"{served.prefix}{namespace}/"
        total: dict[str, Quantity] = {}
        stored = set()
        for entry in api.store.list(prefix).entries:
            stored.add(entry.key)
            known = book.known.get(entry.key)
            if known is None or known[0] != entry.revision:
                known = book.known[entry.key] = (entry.revision, encoding.decode(entry.value))
            if quotas.concerns(spec, *place, known[1]):
                total = quotas.added(total, quotas.only(quotas.counts(*place, known[1]), names))
        for key in [k for k in book.known if k.startswith(prefix) and k not in stored]:
            del book.known[key]
        _expire(book, api.clock.now(), stored)
        for key, (_, obj) in book.pending.items():
            if key.startswith(prefix) and quotas.concerns(spec, *place, obj):
                total = quotas.added(total, quotas.only(quotas.counts(*place, obj), names))
        return total


def _expire(book: _Book, now: float, stored: set[str]) -> None:
    for key in [k for k, (until, _) in book.pending.items() if until <= now or k in stored]:
        del book.pending[key]


def _grows(resource: Resource[Any]) -> bool:
    """Kinds of which an update may take more than the object took before."""
    return resource.qualified in ("services", "persistentvolumeclaims")


def _listed(amounts: dict[str, Quantity], names: list[str]) -> str:
    return ",".join(f"{n}={amounts.get(n, ZERO)}" for n in names)
