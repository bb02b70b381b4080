"""What a new store contains beside what every API server has: the stock training runtimes, and Kubeflow's mark."""

from __future__ import annotations

from typing import Any

from fairlead.api import core, discovery, trainer
from fairlead.api.meta import Key, Resource
from fairlead.apiserver.local import LocalClient
from fairlead.base import errors
from fairlead.client.protocol import WriteOptions
from fairlead.machinery import tables

NAMESPACE = "kubeflow-system"
TRAINER_VERSION = "v2.3.0"
"""The release of Kubeflow Trainer whose API is served; its SDK looks for it in a ConfigMap."""

_AS_BOOTSTRAP = WriteOptions(manager="fairlead-bootstrap")


async def fill(client: LocalClient, ca_pem: bytes) -> None:
    """Create what is missing; what a user has changed stays. The server's authority is always the present one."""
    authority = {"name": "kube-root-ca.crt", "namespace": "kube-system"}
    await _apply(client, core.CONFIG_MAPS, {"metadata": authority, "data": {"ca.crt": ca_pem.decode()}})
    await _ensure(client, core.NAMESPACES, {"metadata": {"name": NAMESPACE}})
    mark = {"name": "kubeflow-trainer-public", "namespace": NAMESPACE}
    await _ensure(client, core.CONFIG_MAPS, {"metadata": mark, "data": {"kubeflow_trainer_version": TRAINER_VERSION}})
    for runtime in tables.stock_runtimes():
        await _ensure(client, trainer.CLUSTER_TRAINING_RUNTIMES, runtime)


async def publish(client: LocalClient, address: str, port: int) -> None:
    """The Service by which Pods find this API server, and what is behind it."""
    place = {"name": "kubernetes", "namespace": "default"}
    labels = {"component": "apiserver", "provider": "kubernetes"}
    ports = [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}]
    service = {"metadata": {**place, "labels": labels}, "spec": {"ports": ports}}
    behind = [{"name": "https", "port": port, "protocol": "TCP"}]
    subset = {"addresses": [{"ip": address}], "ports": behind}
    skipped = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    slice_ = {
        "metadata": {**place, "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": behind,
    }
    await _apply(client, core.SERVICES, service)
    await _apply(client, core.ENDPOINTS, {"metadata": {**place, "labels": skipped}, "subsets": [subset]})
    await _apply(client, discovery.ENDPOINT_SLICES, slice_)


async def _apply(client: LocalClient, resource: Resource[Any], obj: dict[str, Any]) -> None:
    whole = {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
    await client.apply(resource, whole, WriteOptions(manager="fairlead-bootstrap", force=True))


async def _ensure(client: LocalClient, resource: Resource[Any], obj: dict[str, Any]) -> None:
    meta = obj["metadata"]
    try:
        await client.get(resource.plain, Key(meta.get("namespace", ""), meta["name"]))
    except errors.StatusError as error:
        if error.code != 404:
            raise
        whole = {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
        await client.create(resource.plain, whole, _AS_BOOTSTRAP)
