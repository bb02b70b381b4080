"""Namespaces: empties one whose deletion was asked for, then lets it go.

Everything in it is deleted, whatever its kind; when nothing is left, the finalizer `kubernetes` is taken out of
`spec.finalizers`, after a fresh look at every kind. New objects are refused by admission from the moment on that the
namespace is Terminating. Objects with finalizers of others hold it up, and the status says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from fairlead.api import core
from fairlead.api.core import Namespace
from fairlead.api.meta import Condition
from fairlead.base import timestamp
from fairlead.reconcile.reconciler import (
    Change,
    Contained,
    Controller,
    Delete,
    Finalize,
    Found,
    SetStatus,
    View,
    WakeAt,
)

FINALIZER = "kubernetes"
REMAINING = "NamespaceContentRemaining"
PATIENCE = 10.0
"""Seconds that objects may take to go before the status names them."""


def reconcile(view: View[Namespace]) -> Sequence[Change]:
    namespace = view.object
    if namespace is None or not namespace.metadata.deleting or FINALIZER not in namespace.spec.finalizers:
        return []
    found = view.across.contained
    if not found:
        kept = tuple(f for f in namespace.spec.finalizers if f != FINALIZER)
        return [Finalize(core.NAMESPACES, namespace.key, kept, namespace.metadata.resourceVersion)]
    going = [Delete(f.resource, f.object.key, f.object.metadata.uid) for f in found if not f.object.metadata.deleting]
    return going or _explain(namespace, found, view.now)


def _explain(namespace: Namespace, found: Sequence[Found], now: float) -> Sequence[Change]:
    """Say what is still there and waits for others, once that has taken a while."""
    due = timestamp.parse(namespace.metadata.deletionTimestamp or timestamp.seconds(now)) + PATIENCE
    if now < due:
        return [WakeAt(due)]
    counts = Counter(f.resource.qualified for f in found)
    listed = ", ".join(f"{kind} has {count} resource instances" for kind, count in sorted(counts.items()))
    message = f"Some resources are remaining: {listed}"
    known = next((c for c in namespace.status.conditions if c.type == REMAINING), None)
    if known is not None and (known.status, known.message) == ("True", message):
        return []
    since = known.lastTransitionTime if known is not None and known.status == "True" else timestamp.seconds(now)
    condition = Condition(REMAINING, "True", "SomeResourcesRemain", message, since)
    kept = [c for c in namespace.status.conditions if c.type != REMAINING]
    status = {"conditions": [msgspec.to_builtins(c) for c in (*kept, condition)]}
    return [SetStatus(core.NAMESPACES, namespace.key, status, namespace.metadata.resourceVersion)]


CONTROLLER: Controller[Namespace] = Controller(
    "namespace-controller", core.NAMESPACES, reconcile, (Contained(),), embedded=True
)
