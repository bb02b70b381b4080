"""PersistentVolume, PersistentVolumeClaim, StorageClass: defaults and rules.

What binds a claim to a volume, and who makes volumes, is decided by controllers; admission gives a claim its default
class.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fairlead.apiserver.kinds.ways import Obj, Ways, part, spec_of
from fairlead.base.errors import Cause
from fairlead.machinery import causes, quantity

MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES = ("Block", "Filesystem")
BINDING_MODES = ("Immediate", "WaitForFirstConsumer")
SOURCES = frozenset(
    {
        "awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "csi", "fc", "flexVolume", "flocker",
        "gcePersistentDisk", "glusterfs", "hostPath", "iscsi", "local", "nfs", "photonPersistentDisk",
        "portworxVolume", "quobyte", "rbd", "scaleIO", "storageos", "vsphereVolume",
    }
)  # fmt: skip
"""Fields of a volume's spec that say where it is: exactly one of them is set."""
_FROZEN = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"


def _modes(spec: Obj) -> Iterator[Cause]:
    found = spec.get("accessModes") or []
    if not found:
        yield causes.required("spec.accessModes", "at least 1 access mode is required")
    for mode in found:
        if mode not in MODES:
            yield causes.not_supported("spec.accessModes", mode, MODES)
    if "ReadWriteOncePod" in found and len(found) > 1:
        detail = "may not use ReadWriteOncePod with other access modes"
        yield causes.forbidden("spec.accessModes", detail)
    mode = spec.get("volumeMode")
    if mode is not None and mode not in VOLUME_MODES:
        yield causes.not_supported("spec.volumeMode", mode, VOLUME_MODES)


def _size(amounts: Obj, path: str) -> Iterator[Cause]:
    found = amounts.get("storage")
    if found is None:
        yield causes.required(path)
    elif quantity.parse(found).nanos <= 0:
        yield causes.invalid(path, found, "must be greater than zero")


# --- PersistentVolume ----------------------------------------------------------------------------------------------


def _volume_default(volume: Obj) -> None:
    spec = volume.setdefault("spec", {})
    spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
    spec.setdefault("volumeMode", "Filesystem")
    if isinstance(spec.get("hostPath"), dict):
        spec["hostPath"].setdefault("type", "")


def _volume_create(volume: Obj) -> None:
    volume["status"] = {"phase": "Pending"}


def _volume_rules(volume: Obj) -> Iterator[Cause]:
    spec = spec_of(volume)
    capacity = part(spec, "capacity")
    if not capacity:
        yield causes.required("spec.capacity")
    elif set(capacity) != {"storage"}:
        yield causes.not_supported("spec.capacity", list(capacity), ("storage",))
    else:
        yield from _size(capacity, "spec.capacity[storage]")
    yield from _modes(spec)
    policy = spec.get("persistentVolumeReclaimPolicy")
    if policy not in {"Delete", "Recycle", "Retain"}:
        supported = ("Delete", "Recycle", "Retain")
        yield causes.not_supported("spec.persistentVolumeReclaimPolicy", policy, supported)
    yield from _source(spec)


def _source(spec: Obj) -> Iterator[Cause]:
    found = sorted(SOURCES & spec.keys())
    if not found:
        yield causes.required("spec", "must specify a volume type")
    for other in found[1:]:
        yield causes.forbidden(f"spec.{other}", "may not specify more than 1 volume type")
    for kind in ("hostPath", "local"):
        path = part(spec, kind).get("path") if kind in spec else "/"
        if not path:
            yield causes.required(f"spec.{kind}.path")
        elif ".." in path.split("/"):
            yield causes.invalid(f"spec.{kind}.path", path, "must not contain '..'")
    if "local" in spec and not part(part(spec, "nodeAffinity"), "required"):
        yield causes.required("spec.nodeAffinity", "Local volume requires node affinity")


def _volume_transitions(new: Obj, old: Obj) -> Iterator[Cause]:
    after, before = spec_of(new), spec_of(old)
    if {k: after.get(k) for k in SOURCES} != {k: before.get(k) for k in SOURCES}:
        detail = "spec.persistentvolumesource is immutable after creation"
        yield causes.forbidden("spec.persistentvolumesource", detail)
    yield from causes.immutable("spec.volumeMode", after.get("volumeMode"), before.get("volumeMode"))
    if before.get("nodeAffinity"):
        yield from causes.immutable("spec.nodeAffinity", after.get("nodeAffinity"), before["nodeAffinity"])


# --- PersistentVolumeClaim -----------------------------------------------------------------------------------------


def claim_default(claim: Obj) -> None:
    """Of claims and of their templates."""
    claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")


def _claim_create(claim: Obj) -> None:
    claim["status"] = {"phase": "Pending"}


def _claim_rules(claim: Obj) -> Iterator[Cause]:
    spec = spec_of(claim)
    yield from _modes(spec)
    yield from _size(part(part(spec, "resources"), "requests"), "spec.resources[storage]")


def _claim_transitions(new: Obj, old: Obj) -> Iterator[Cause]:
    """The size of a bound claim may grow, the volume be set once, and a class be given to a claim that has none."""
    after, before = spec_of(new), spec_of(old)

    def fixed(spec: Obj) -> dict[str, Any]:
        return {k: v for k, v in spec.items() if k not in {"resources", "volumeName", "storageClassName"}}

    def unless_new(field: str) -> bool:
        return field in before and after.get(field) != before[field]

    if fixed(after) != fixed(before) or unless_new("volumeName") or unless_new("storageClassName"):
        yield causes.forbidden("spec", _FROZEN)
        return
    sizes = [part(part(spec, "resources"), "requests").get("storage", 0) for spec in (after, before)]
    if sizes[0] == sizes[1]:
        return
    if part(old, "status").get("phase") != "Bound":
        yield causes.forbidden("spec", _FROZEN)
    elif quantity.parse(sizes[0]) < quantity.parse(sizes[1]):
        path = "spec.resources.requests.storage"
        yield causes.forbidden(path, "field can not be less than status.capacity")


# --- StorageClass --------------------------------------------------------------------------------------------------


def _class_default(class_: Obj) -> None:
    class_.setdefault("reclaimPolicy", "Delete")
    class_.setdefault("volumeBindingMode", "Immediate")


def _class_rules(class_: Obj) -> Iterator[Cause]:
    if not class_.get("provisioner"):
        yield causes.required("provisioner")
    policy, mode = class_.get("reclaimPolicy"), class_.get("volumeBindingMode")
    if policy not in {"Delete", "Retain"}:
        yield causes.not_supported("reclaimPolicy", policy, ("Delete", "Retain"))
    if mode not in BINDING_MODES:
        yield causes.not_supported("volumeBindingMode", mode, BINDING_MODES)


def _class_transitions(new: Obj, old: Obj) -> Iterator[Cause]:
    for field in ("parameters", "provisioner", "reclaimPolicy"):
        if (new.get(field) or {}) != (old.get(field) or {}):
            yield causes.forbidden(field, f"updates to {field} are forbidden.")
    yield from causes.immutable("volumeBindingMode", new.get("volumeBindingMode"), old.get("volumeBindingMode"))


WAYS = {
    ("", "persistentvolumes"): Ways(
        _volume_default, _volume_rules, _volume_transitions, create=_volume_create, generation=False
    ),
    ("", "persistentvolumeclaims"): Ways(
        claim_default, _claim_rules, _claim_transitions, create=_claim_create, generation=False
    ),
    ("storage.k8s.io", "storageclasses"): Ways(_class_default, _class_rules, _class_transitions, generation=False),
}  # fmt: skip
