"""The ServiceAccount `default` of every namespace, which Pods run as unless they name another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fairlead.api import core
from fairlead.api.core import Namespace, ServiceAccount
from fairlead.api.meta import Key
from fairlead.reconcile.reconciler import Change, Controller, Create, Keyed, View

NAME = "default"


def _namespaces(account: ServiceAccount) -> Iterable[Key]:
    if account.metadata.name == NAME:
        yield Key("", account.metadata.namespace)


def reconcile(view: View[Namespace]) -> Sequence[Change]:
    namespace = view.object
    if namespace is None or namespace.metadata.deleting or view.all(core.SERVICE_ACCOUNTS):
        return []
    metadata = {"name": NAME, "namespace": namespace.metadata.name}
    return [Create(core.SERVICE_ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})]


CONTROLLER: Controller[Namespace] = Controller(
    "serviceaccount-controller",
    core.NAMESPACES,
    reconcile,
    (Keyed(core.SERVICE_ACCOUNTS, _namespaces),),
    embedded=True,
)
