"""storage.k8s.io/v1: StorageClass, and the provisioner that is part of this project."""

from __future__ import annotations

from typing import Any

from fairlead.api.meta import Object, Resource

LOCAL_PATH = "fairlead.dev/local-path"
"""The provisioner that is part of every agent: volumes are folders of its node."""


class StorageClass(Object, frozen=True):
    provisioner: str = ""
    parameters: dict[str, str] = {}
    reclaimPolicy: str = "Delete"
    volumeBindingMode: str = "Immediate"
    allowVolumeExpansion: bool = False


STORAGE_CLASSES: Resource[StorageClass] = Resource(
    "storage.k8s.io", "v1", "StorageClass", "storageclasses", StorageClass, singular="storageclass", namespaced=False,
    short=("sc",), schema="io.k8s.api.storage.v1.StorageClass",
)  # fmt: skip

RESOURCES: tuple[Resource[Any], ...] = (STORAGE_CLASSES,)
