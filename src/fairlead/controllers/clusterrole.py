"""Aggregation: a ClusterRole with an aggregationRule has the rules of all ClusterRoles that its selectors select."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from fairlead.api import rbac
from fairlead.api.rbac import ClusterRole, PolicyRule
from fairlead.machinery import selector
from fairlead.reconcile.reconciler import Apply, Change, Controller, Selected, View


def _contributes(role: ClusterRole, other: ClusterRole) -> bool:
    """Does a role take in the other's rules? Never its own: they would never go away again."""
    if role.aggregationRule is None or role.metadata.name == other.metadata.name:
        return False
    selectors = role.aggregationRule.clusterRoleSelectors
    return any(selector.from_label_selector(s).matches(other.metadata.labels) for s in selectors)


def reconcile(view: View[ClusterRole]) -> Sequence[Change]:
    role = view.object
    if role is None or role.metadata.deleting or role.aggregationRule is None:
        return []
    wanted: list[PolicyRule] = []
    for other in view.all(rbac.CLUSTER_ROLES):
        wanted += [rule for rule in other.rules or () if rule not in wanted]
    if wanted == (role.rules or []):
        return []
    aggregated = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": role.metadata.name},
        "rules": msgspec.to_builtins(wanted),
    }
    return [Apply(rbac.CLUSTER_ROLES, aggregated)]


CONTROLLER: Controller[ClusterRole] = Controller(
    "clusterrole-aggregation-controller",
    rbac.CLUSTER_ROLES,
    reconcile,
    (Selected(rbac.CLUSTER_ROLES, _contributes),),
    embedded=True,
)
