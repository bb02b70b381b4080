"""Which volume suits which claim, and how claims, controllers, provisioners and the scheduler talk: by annotations.

Pure. The names are upstream's, so that its tools (and provisioners written for it) understand them.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from fairlead.api.core import Node, ObjectReference, PersistentVolume, PersistentVolumeClaim
from fairlead.api.meta import Key
from fairlead.api.storage import StorageClass
from fairlead.machinery import quantity, selector
from fairlead.reconcile import placement

SELECTED_NODE = "volume.kubernetes.io/selected-node"
"""On a claim: the node on which its volume is to be."""
PROVISIONER, OLD_PROVISIONER = (
    "volume.kubernetes.io/storage-provisioner",
    "volume.beta.kubernetes.io/storage-provisioner",
)
"""On a claim: who is to make its volume."""
BIND_COMPLETED, BOUND_BY_CONTROLLER = "pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
"""On a volume: who made it, and removes what it holds."""
IN_USE = "kubernetes.io/pvc-protection"
BOUND = "kubernetes.io/pv-protection"
RECLAIMS = "external-provisioner.volume.kubernetes.io/finalizer"
"""A finalizer of volumes: their provisioner removes what they hold before they go."""
NO_PROVISIONER = "kubernetes.io/no-provisioner"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
OLD_CLASS = "volume.beta.kubernetes.io/storage-class"


def class_of(claim: PersistentVolumeClaim) -> str:
    """The name of the claim's class; empty for none."""
    return claim.metadata.annotations.get(OLD_CLASS) or claim.spec.storageClassName or ""


def delayed(found: StorageClass | None) -> bool:
    """Whether claims of the class wait until a Pod that uses them has a node."""
    return found is not None and found.volumeBindingMode == "WaitForFirstConsumer"


def refers(reference: ObjectReference | None, claim: PersistentVolumeClaim) -> bool:
    """Whether a volume's claimRef means that very claim (a reference without uid means whatever has the name)."""
    if reference is None or reference.name != claim.metadata.name or reference.namespace != claim.metadata.namespace:
        return False
    return reference.uid in ("", claim.metadata.uid)


def claim_key(reference: ObjectReference) -> Key:
    return Key(reference.namespace, reference.name)


def suits(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """Whether the volume is free, and is what the claim asks for."""
    spec, wanted = volume.spec, claim.spec
    if volume.metadata.deleting or spec.claimRef is not None or spec.storageClassName != class_of(claim):
        return False
    if spec.volumeMode != wanted.volumeMode or not set(wanted.accessModes) <= set(spec.accessModes):
        return False
    if wanted.selector is not None and not _selected(volume, wanted.selector):
        return False
    return quantity.parse(wanted.resources.requests.get("storage", 0)) <= size(volume)


def _selected(volume: PersistentVolume, wanted: dict[str, object]) -> bool:
    return selector.from_label_selector(wanted).matches(volume.metadata.labels)


def size(volume: PersistentVolume) -> quantity.Quantity:
    return quantity.parse(volume.spec.capacity.get("storage", 0))


def best(
    volumes: Iterable[PersistentVolume], claim: PersistentVolumeClaim, node: Node | None = None
) -> PersistentVolume | None:
    """The smallest volume that suits the claim (and can be used on the node); of equal ones the first by name."""
    found = [v for v in volumes if suits(v, claim) and (node is None or reachable(v, node))]
    return min(found, key=lambda v: (size(v).nanos, v.metadata.name), default=None)


def reachable(volume: PersistentVolume, node: Node) -> bool:
    """Whether the volume can be used on the node."""
    affinity = volume.spec.nodeAffinity
    if affinity is None or affinity.required is None:
        return True
    required = {"requiredDuringSchedulingIgnoredDuringExecution": msgspec.to_builtins(affinity.required)}
    return placement.selects({"affinity": {"nodeAffinity": required}}, node)
