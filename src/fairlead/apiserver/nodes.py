"""Node authorization: what an agent may read follows from the Pods that are bound to its node.

A user `system:node:<name>` in group system:nodes may do what role system:node says, with these limits: a Secret, a
ConfigMap, a claim, a volume or a service account's token only if a Pod on the node needs it, and one by one; its own
Node, its own Lease; Pods of its own. (Upstream's Node authorizer. What an agent may write into objects that it may
write is `admission.node_restriction`'s.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fairlead.apiserver import defaultroles, encoding, rbac
from fairlead.apiserver.identity import User
from fairlead.apiserver.requestinfo import RequestInfo
from fairlead.store.mvcc import Store

GROUP = "system:nodes"
_PREFIX = "system:node:"
_PODS = "/registry/core/pods/"
_LEASES = "kube-node-lease"
_RULES = defaultroles.rules_of("system:node")

Plain = Mapping[str, Any]


def node_of(user: User) -> str | None:
    """The node that a user is the agent of; None for another user."""
    if GROUP not in user.groups or not user.name.startswith(_PREFIX):
        return None
    return user.name.removeprefix(_PREFIX) or None


def user_of(node: str) -> User:
    """The user that a node's agent is."""
    return User(_PREFIX + node, "", (GROUP,))


class NodeAuthority:
    """`rbac.Authority` for agents."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def decide(self, user: User, info: RequestInfo) -> str | None:
        """Nothing (an empty text) to allow, else why not; None for who is no agent."""
        node = node_of(user)
        if node is None:
            return None
        if info.plural:
            limited = self._limited(node, info)
            if limited is not None:
                return limited
        return "" if any(rbac.covers(rule, info) for rule in _RULES) else None

    def _limited(self, node: str, info: RequestInfo) -> str | None:
        """The answer for kinds of which a node may see its own only; None for others."""
        match (info.group, info.plural, info.subresource):
            case ("", "secrets" | "configmaps" | "persistentvolumeclaims", ""):
                return self._of_a_pod(node, info)
            case ("", "serviceaccounts", "token"):
                return self._account(node, info)
            case ("", "nodes", ""):
                return _own_node(node, info)
            case ("coordination.k8s.io", "leases", _):
                return _own_lease(node, info)
        return None

    def _of_a_pod(self, node: str, info: RequestInfo) -> str:
        if info.verb not in ("get", "list", "watch"):
            return "can only read resources of this type"
        if not info.name:
            return "can only read namespaced object of this type" if not info.namespace else "no object name found"
        if any(_refers(pod, info.plural, info.name) for pod in self._pods(node, info)):
            return ""
        return f"no relationship found between node '{node}' and this object"

    def _account(self, node: str, info: RequestInfo) -> str:
        if info.verb != "create" or not info.name:
            return "can only create tokens for individual service accounts"
        for pod in self._pods(node, info):
            if pod["spec"].get("serviceAccountName") == info.name:
                return ""
        return f"no relationship found between node '{node}' and this object"

    def _pods(self, node: str, info: RequestInfo) -> Iterator[Plain]:
        """The node's Pods in the namespace that may have to do with the name: few, so only these are decoded."""
        bound, named = f'"nodeName":"{node}"'.encode(), f'"{info.name}"'.encode()
        for entry in self._store.list(f"{_PODS}{info.namespace}/").entries:
            if bound in entry.value and named in entry.value:
                pod = encoding.decode(entry.value)
                if pod["spec"].get("nodeName") == node:
                    yield pod


def _own_node(node: str, info: RequestInfo) -> str | None:
    if info.verb in ("get", "list", "watch") and info.name != node:
        return f"node '{node}' cannot read all nodes, only its own Node object"
    return None


def _own_lease(node: str, info: RequestInfo) -> str:
    if info.verb not in ("get", "create", "update", "patch", "delete"):
        return "can only get, create, update, patch, or delete a node lease"
    if info.namespace != _LEASES:
        return f'can only access leases in the "{_LEASES}" system namespace'
    if info.verb != "create" and info.name != node:
        return "can only access node lease with the same name as the requesting node"
    return ""


def _refers(pod: Plain, plural: str, name: str) -> bool:
    return (plural, name) in set(references(pod["spec"]))


def references(spec: Plain) -> Iterator[tuple[str, str]]:
    """What a Pod's spec names: (plural, name) of ConfigMaps, Secrets and claims."""
    for secret in spec.get("imagePullSecrets") or ():
        yield "secrets", secret.get("name", "")
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(field) or ():
            yield from _of_container(container)
    for volume in spec.get("volumes") or ():
        yield from _of_volume(volume)
        for source in (volume.get("projected") or {}).get("sources") or ():
            yield from _of_volume(source)


def _of_container(container: Plain) -> Iterator[tuple[str, str]]:
    for each in container.get("envFrom") or ():
        for field, plural in (("configMapRef", "configmaps"), ("secretRef", "secrets")):
            if each.get(field):
                yield plural, each[field].get("name", "")
    for each in container.get("env") or ():
        origin = each.get("valueFrom") or {}
        for field, plural in (("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")):
            if origin.get(field):
                yield plural, origin[field].get("name", "")


def _of_volume(volume: Plain) -> Iterator[tuple[str, str]]:
    if volume.get("configMap"):
        yield "configmaps", volume["configMap"].get("name", "")
    if volume.get("secret"):
        yield "secrets", volume["secret"].get("secretName") or volume["secret"].get("name", "")
    if volume.get("persistentVolumeClaim"):
        yield "persistentvolumeclaims", volume["persistentVolumeClaim"].get("claimName", "")
