"""rbac.authorization.k8s.io/v1: roles, and who has them."""

from __future__ import annotations

from typing import Any

from fairlead.api.meta import Object, Resource, View

GROUP = "rbac.authorization.k8s.io"


class PolicyRule(View, frozen=True):
    verbs: list[str] = []
    apiGroups: list[str] = []
    resources: list[str] = []
    resourceNames: list[str] = []
    nonResourceURLs: list[str] = []


class AggregationRule(View, frozen=True):
    clusterRoleSelectors: list[dict[str, Any]] = []
    """Label selectors."""


class Subject(View, frozen=True):
    kind: str = ""
    name: str = ""
    apiGroup: str = ""
    namespace: str = ""


class RoleRef(View, frozen=True):
    kind: str = ""
    name: str = ""
    apiGroup: str = ""


class Role(Object, frozen=True):
    rules: list[PolicyRule] | None = None


class ClusterRole(Object, frozen=True):
    rules: list[PolicyRule] | None = None
    aggregationRule: AggregationRule | None = None


class Binding(Object, frozen=True):
    """A RoleBinding or a ClusterRoleBinding."""

    roleRef: RoleRef = RoleRef()
    subjects: list[Subject] | None = None


ROLES: Resource[Role] = Resource(
    GROUP, "v1", "Role", "roles", Role, singular="role", schema="io.k8s.api.rbac.v1.Role",
)  # fmt: skip
CLUSTER_ROLES: Resource[ClusterRole] = Resource(
    GROUP, "v1", "ClusterRole", "clusterroles", ClusterRole, singular="clusterrole", namespaced=False,
    schema="io.k8s.api.rbac.v1.ClusterRole",
)  # fmt: skip
ROLE_BINDINGS: Resource[Binding] = Resource(
    GROUP, "v1", "RoleBinding", "rolebindings", Binding, singular="rolebinding",
    schema="io.k8s.api.rbac.v1.RoleBinding",
)  # fmt: skip
CLUSTER_ROLE_BINDINGS: Resource[Binding] = Resource(
    GROUP, "v1", "ClusterRoleBinding", "clusterrolebindings", Binding, singular="clusterrolebinding", namespaced=False,
    schema="io.k8s.api.rbac.v1.ClusterRoleBinding",
)  # fmt: skip

RESOURCES: tuple[Resource[Any], ...] = (ROLES, CLUSTER_ROLES, ROLE_BINDINGS, CLUSTER_ROLE_BINDINGS)
