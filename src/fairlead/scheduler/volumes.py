"""Volumes: what a Pod's claims mean for where it may run. From watched objects to a verdict, without I/O.

A bound claim ties the Pod to the nodes that reach its volume. A claim that is not bound yet holds the Pod back, unless
its class waits for its first consumer: then the Pod is placed first, and its node decides where the volume is to be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from fairlead.api.core import (
    NodeSelector,
    NodeSelectorTerm,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    Requirement,
)
from fairlead.api.meta import Key
from fairlead.api.storage import StorageClass
from fairlead.reconcile import storage as rules

UNBOUND = "pod has unbound immediate PersistentVolumeClaims"
NONE_FREE = "node(s) didn't find available persistent volumes to bind"


class Verdict(msgspec.Struct, frozen=True):
    """`blocked`: why the Pod cannot be placed anywhere now; empty if it can.

    `nodes`: all of these must select its node. `selects`: claims that are to be told the node.
    """

    blocked: str = ""
    nodes: tuple[NodeSelector, ...] = ()
    selects: tuple[Key, ...] = ()


FREE = Verdict()


def claims_of(pod: Pod) -> Iterator[Key]:
    """The claims that a Pod uses."""
    for volume in pod.spec.volumes:
        if volume.persistentVolumeClaim is not None:
            yield Key(pod.metadata.namespace, volume.persistentVolumeClaim.claimName)


class Volumes:
    """The claims, volumes and classes as last seen."""

    def __init__(self) -> None:
        self.claims: dict[Key, PersistentVolumeClaim] = {}
        self.volumes: dict[str, PersistentVolume] = {}
        self.classes: dict[str, StorageClass] = {}

    def judge(self, pod: Pod, count: int = 0) -> Verdict:
        """Whether and where the Pod may be placed, as far as its claims say. `count` is how many nodes there are."""
        nodes: list[NodeSelector] = []
        selects: list[Key] = []
        for key in claims_of(pod):
            claim = self.claims.get(key)
            why = _absent(key, claim)
            if claim is None or why:
                return Verdict(why)
            if claim.bound:
                nodes += self._reach(claim)
                continue
            if not rules.delayed(self.classes.get(rules.class_of(claim))):
                return Verdict(UNBOUND)
            free = self._free(claim)
            if free is None:
                return Verdict(f"{count} {NONE_FREE}")
            nodes += free
            selects.append(key)
        return Verdict("", tuple(nodes), tuple(selects)) if nodes or selects else FREE

    def _reach(self, claim: PersistentVolumeClaim) -> Iterable[NodeSelector]:
        volume = self.volumes.get(claim.spec.volumeName)
        affinity = volume.spec.nodeAffinity if volume is not None else None
        return [affinity.required] if affinity is not None and affinity.required is not None else []

    def _free(self, claim: PersistentVolumeClaim) -> Iterable[NodeSelector] | None:
        """Where an unbound claim may get its volume; None: nowhere."""
        selected = claim.metadata.annotations.get(rules.SELECTED_NODE)
        if selected:
            return [NodeSelector([NodeSelectorTerm(matchFields=[Requirement("metadata.name", "In", [selected])])])]
        class_ = self.classes[rules.class_of(claim)]
        if class_.provisioner != rules.NO_PROVISIONER:
            return []
        found = [v for v in self.volumes.values() if rules.suits(v, claim) or rules.refers(v.spec.claimRef, claim)]
        affinities = [v.spec.nodeAffinity.required for v in found if v.spec.nodeAffinity is not None]
        if not found:
            return None
        if len(affinities) < len(found) or None in affinities:
            return []
        return [NodeSelector([term for a in affinities if a is not None for term in a.nodeSelectorTerms])]


def _absent(key: Key, claim: PersistentVolumeClaim | None) -> str:
    if claim is None:
        return f'persistentvolumeclaim "{key.name}" not found'
    if claim.metadata.deleting:
        return f'persistentvolumeclaim "{key.name}" is being deleted'
    if claim.status.phase == "Lost":
        return f'persistentvolumeclaim "{key.name}" bound to non-existent persistentvolume "{claim.spec.volumeName}"'
    return ""
