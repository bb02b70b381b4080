"""NodeRestriction: what a node's agent may write into objects that it may write.

Its own Node (but neither its taints nor labels that keep Pods apart), its own Lease, the status of Pods that are bound
to it; and it deletes and evicts only these.
"""

from __future__ import annotations

from typing import Any

from fairlead.api.coordination import LEASES
from fairlead.api.core import NODES, PODS
from fairlead.api.meta import Resource
from fairlead.apiserver import encoding, nodes
from fairlead.apiserver.admission.review import Operation, Review
from fairlead.apiserver.state import Api, Plain

MIRROR = "kubernetes.io/config.mirror"
_LEASE_NAMESPACE = "kube-node-lease"
_FORBIDDEN = "node-restriction.kubernetes.io"
_OURS = frozenset((
    "kubernetes.io/hostname", "kubernetes.io/arch", "kubernetes.io/os", "beta.kubernetes.io/arch",
    "beta.kubernetes.io/os", "beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/zone", "topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
))  # fmt: skip
"""Labels of the reserved domains that an agent sets."""
_OUR_DOMAINS = ("kubelet.kubernetes.io", "node.kubernetes.io")


class NodeRestriction:
    name = "NodeRestriction"

    def handles(self, resource: Resource[Any], operation: Operation, subresource: str) -> bool:
        return resource in (PODS, NODES, LEASES)

    def admit(self, api: Api, review: Review) -> None:
        node = nodes.node_of(review.call.user)
        if node is None:
            return
        match review.call.served.resource:
            case resource if resource == PODS:
                _pod(api, review, node)
            case resource if resource == NODES:
                _node(review, node)
            case _:
                _lease(review, node)

    def validate(self, api: Api, review: Review) -> None:
        """`admit` has refused already."""


def _pod(api: Api, review: Review, node: str) -> None:
    bound = (review.obj.get("spec") or {}).get("nodeName", "")
    match review.operation, review.call.subresource:
        case Operation.CREATE, "":
            if MIRROR not in (review.obj["metadata"].get("annotations") or ()):
                what = f'pod does not have "{MIRROR}" annotation, node "{node}" can only create mirror pods'
                raise review.forbid(what)
            if bound != node:
                raise review.forbid(f'node "{node}" can only create pods with spec.nodeName set to itself')
        case Operation.UPDATE, "status":
            if (review.old.get("spec") or {}).get("nodeName", "") != node:
                whose = "pod status for pods with spec.nodeName set to itself"
                raise review.forbid(f'node "{node}" can only update {whose}')
            if review.obj["metadata"].get("labels") != review.old["metadata"].get("labels"):
                raise review.forbid(f'node "{node}" cannot update labels through pod status')
        case Operation.DELETE, _:
            if _bound_to(api, review) != node:
                raise review.forbid(f'node "{node}" can only delete pods with spec.nodeName set to itself')
        case _, subresource:
            what = f"unexpected pod subresource {subresource!r}" if subresource else "cannot modify pods"
            raise review.forbid(f'node "{node}" {what}')


def _bound_to(api: Api, review: Review) -> str:
    entry = api.store.get(review.call.key)
    if entry is None:
        return ""
    bound: str = (encoding.decode(entry.value).get("spec") or {}).get("nodeName", "")
    return bound


def _node(review: Review, node: str) -> None:
    name = review.call.name or review.obj.get("metadata", {}).get("name", "")
    if name != node:
        raise review.forbid(f'node "{node}" is not allowed to modify node "{name}"')
    if review.operation is Operation.CREATE:
        changed = _reserved(review.obj["metadata"].get("labels") or {}, {})
    elif review.operation is Operation.UPDATE:
        if _spec(review.obj, "configSource") != _spec(review.old, "configSource"):
            raise review.forbid(f'node "{node}" is not allowed to update configSource to a new non-nil value')
        if _spec(review.obj, "taints") != _spec(review.old, "taints"):
            raise review.forbid(f'node "{node}" is not allowed to modify taints')
        changed = _reserved(review.obj["metadata"].get("labels") or {}, review.old["metadata"].get("labels") or {})
    else:
        return
    if changed:
        raise review.forbid(f'node "{node}" is not allowed to modify labels: {", ".join(changed)}')


def _spec(obj: Plain, field: str) -> Any:
    return (obj.get("spec") or {}).get(field) or None


def _reserved(new: Plain, old: Plain) -> list[str]:
    """The labels that differ and that are not an agent's to set."""
    return sorted(k for k in new.keys() | old.keys() if new.get(k) != old.get(k) and not _may_set(k))


def _may_set(label: str) -> bool:
    domain, slash, _ = label.partition("/")
    if not slash:
        return True
    if _within(domain, _FORBIDDEN):
        return False
    if not _within(domain, "kubernetes.io") and not _within(domain, "k8s.io"):
        return True
    return label in _OURS or any(_within(domain, d) for d in _OUR_DOMAINS)


def _within(domain: str, parent: str) -> bool:
    return domain == parent or domain.endswith("." + parent)


def _lease(review: Review, node: str) -> None:
    name = review.call.name or review.obj.get("metadata", {}).get("name", "")
    if review.call.namespace != _LEASE_NAMESPACE:
        raise review.forbid(f'can only access leases in the "{_LEASE_NAMESPACE}" system namespace')
    if name != node:
        raise review.forbid("can only access node lease with the same name as the requesting node")
