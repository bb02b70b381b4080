"""The ConfigMap `kube-root-ca.crt` of every namespace: the certificate by which Pods know the API server.

Its original is the one in `kube-system`, which the server writes when it starts; this controller copies it, and puts a
copy right that was changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fairlead.api import core
from fairlead.api.core import ConfigMap, Namespace
from fairlead.api.meta import Key
from fairlead.reconcile.reconciler import Apply, Change, Controller, Keyed, Referred, View

NAME = "kube-root-ca.crt"
ORIGINAL = Key("kube-system", NAME)


def _namespaces(copy: ConfigMap) -> Iterable[Key]:
    if copy.metadata.name == NAME:
        yield Key("", copy.metadata.namespace)


def _original(namespace: Namespace) -> Iterable[Key]:
    return (ORIGINAL,)


def reconcile(view: View[Namespace]) -> Sequence[Change]:
    namespace, original = view.object, view.find(core.CONFIG_MAPS, ORIGINAL)
    if namespace is None or namespace.metadata.deleting or original is None:
        return []
    key = Key(namespace.metadata.name, NAME)
    copy = view.find(core.CONFIG_MAPS, key)
    if key == ORIGINAL or (copy is not None and original.data.items() <= copy.data.items()):
        return []
    wanted = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": key.name, "namespace": key.namespace},
        "data": original.data,
    }
    return [Apply(core.CONFIG_MAPS, wanted)]


CONTROLLER: Controller[Namespace] = Controller(
    "root-ca-certificate-publisher-controller",
    core.NAMESPACES,
    reconcile,
    (Keyed(core.CONFIG_MAPS, _namespaces), Referred(core.CONFIG_MAPS, _original)),
    embedded=True,
)
