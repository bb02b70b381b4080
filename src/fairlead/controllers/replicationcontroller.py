"""core/v1 ReplicationController: the ReplicaSet's forerunner, with a selector of plain labels."""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.api import core
from fairlead.api.core import Pod, ReplicationController
from fairlead.machinery import selector
from fairlead.reconcile import replication
from fairlead.reconcile.reconciler import Change, Controller, Owned, Unclaimed, View


def reconcile(view: View[ReplicationController]) -> Sequence[Change]:
    """See the module's text."""
    found = view.object
    if found is None or not found.spec.selector:
        return []
    wanted = replication.Wanted(
        core.REPLICATION_CONTROLLERS, found, selector.from_labels(found.spec.selector), found.spec.template,
        found.spec.replicas, found.spec.minReadySeconds,
    )  # fmt: skip
    return replication.reconcile(wanted, view.all(core.PODS), found.status, view.now)


def _adopts(found: ReplicationController, pod: Pod) -> bool:
    if pod.finished or pod.metadata.deleting or not found.spec.selector:
        return False
    return selector.from_labels(found.spec.selector).matches(pod.metadata.labels)


CONTROLLER = Controller(
    name="replication-controller",
    primary=core.REPLICATION_CONTROLLERS,
    reconcile=reconcile,
    links=(Owned(core.PODS), Unclaimed(core.PODS, _adopts)),
    embedded=True,
)
