"""Storage: what upstream's StorageObjectInUseProtection, DefaultStorageClass and PersistentVolumeClaimResize do.

A claim and a volume get the finalizer that keeps them while they are in use. A claim without a class gets the default
one (the newest, when several are marked). A claim grows only where its class allows that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from fairlead.api.core import CLAIMS, PERSISTENT_VOLUMES
from fairlead.api.meta import Resource
from fairlead.api.storage import StorageClass
from fairlead.apiserver.admission.review import Operation, Review
from fairlead.apiserver.state import Api, Plain
from fairlead.machinery import quantity

CLAIM_FINALIZER, VOLUME_FINALIZER = "kubernetes.io/pvc-protection", "kubernetes.io/pv-protection"
DEFAULT = "storageclass.kubernetes.io/is-default-class"
_OLD_DEFAULT, _OLD_CLASS = "storageclass.beta.kubernetes.io/is-default-class", "volume.beta.kubernetes.io/storage-class"
_PREFIX = "/registry/storage.k8s.io/storageclasses/"
_decoder = msgspec.json.Decoder(StorageClass)


class Storage:
    name = "PersistentVolumeClaim"

    def handles(self, resource: Resource[Any], operation: Operation, subresource: str) -> bool:
        if subresource or operation is Operation.DELETE:
            return False
        return resource == CLAIMS or (resource == PERSISTENT_VOLUMES and operation is Operation.CREATE)

    def admit(self, api: Api, review: Review) -> None:
        if review.operation is not Operation.CREATE:
            return
        claims = review.call.served.resource == CLAIMS
        finalizer = CLAIM_FINALIZER if claims else VOLUME_FINALIZER
        meta = review.obj["metadata"]
        if finalizer not in (present := meta.get("finalizers") or []):
            meta["finalizers"] = [*present, finalizer]
        if claims and "storageClassName" not in review.spec and _OLD_CLASS not in (meta.get("annotations") or {}):
            found = default(api)
            if found is not None:
                review.spec["storageClassName"] = found.metadata.name

    def validate(self, api: Api, review: Review) -> None:
        if review.operation is not Operation.UPDATE or _size(review.obj) <= _size(review.old):
            return
        name = review.spec.get("storageClassName") or ""
        found = next((c for c in _classes(api) if c.metadata.name == name), None)
        if found is None or not found.allowVolumeExpansion:
            raise review.forbid(
                "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must "
                "support resize"
            )


def default(api: Api) -> StorageClass | None:
    """The class of claims that name none."""
    marked = [c for c in _classes(api) if "true" in (c.metadata.annotations.get(a) for a in (DEFAULT, _OLD_DEFAULT))]
    newest = max((c.metadata.creationTimestamp or "" for c in marked), default="")
    return min((c for c in marked if c.metadata.creationTimestamp == newest), key=lambda c: c.key, default=None)


def _classes(api: Api) -> Iterator[StorageClass]:
    return (_decoder.decode(entry.value) for entry in api.store.list(_PREFIX).entries)


def _size(claim: Plain) -> quantity.Quantity:
    return quantity.parse(claim.get("spec", {}).get("resources", {}).get("requests", {}).get("storage", 0))
