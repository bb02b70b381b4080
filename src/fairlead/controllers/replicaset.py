"""apps/v1 ReplicaSet: keeps so many Pods of one template. See `reconcile.replication`."""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.api import apps, core
from fairlead.api.apps import ReplicaSet
from fairlead.api.core import Pod
from fairlead.machinery import selector
from fairlead.reconcile import replication
from fairlead.reconcile.reconciler import Change, Controller, Owned, Unclaimed, View


def reconcile(view: View[ReplicaSet]) -> Sequence[Change]:
    """See the module's text."""
    found = view.object
    if found is None or not found.spec.selector:
        return []
    wanted = replication.Wanted(
        apps.REPLICA_SETS, found, selector.from_label_selector(found.spec.selector), found.spec.template,
        found.spec.replicas, found.spec.minReadySeconds,
    )  # fmt: skip
    return replication.reconcile(wanted, view.all(core.PODS), found.status, view.now)


def _adopts(found: ReplicaSet, pod: Pod) -> bool:
    if pod.finished or pod.metadata.deleting or not found.spec.selector:
        return False
    return selector.from_label_selector(found.spec.selector).matches(pod.metadata.labels)


CONTROLLER = Controller(
    name="replicaset-controller",
    primary=apps.REPLICA_SETS,
    reconcile=reconcile,
    links=(Owned(core.PODS), Unclaimed(core.PODS, _adopts)),
    embedded=True,
)
