"""What a user may do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from fairlead.apiserver import identity, rbac, requestinfo
from fairlead.apiserver.identity import User
from fairlead.base import errors

BOB = User("system:serviceaccount:a:bob", groups=("system:serviceaccounts", "system:authenticated"))
EVE = User("eve", groups=("system:authenticated",))
ADMIN = User("root", groups=("system:masters", "system:authenticated"))

READ_PODS = {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "pods/log"]}
ONE_JOB = {"verbs": ["*"], "apiGroups": ["batch"], "resources": ["jobs"], "resourceNames": ["j"]}


DISCOVERY = [
    {"verbs": ["get"], "nonResourceURLs": ["/apis", "/openapi/*", "/version"]},
    {"verbs": ["create"], "apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectaccessreviews"]},
]


class Roles:
    """Service accounts may do anything with Job j; bob reads Pods in `a`; all authenticated read discovery."""

    def __init__(self) -> None:
        self.generation = 0
        self.readers = [bound("Role", "readers", {"kind": "ServiceAccount", "name": "bob"})]

    def cluster_bindings(self) -> Sequence[Mapping[str, Any]]:
        return [
            bound("ClusterRole", "one-job", {"kind": "Group", "name": "system:serviceaccounts"}),
            bound("ClusterRole", "discovery", {"kind": "Group", "name": "system:authenticated"}),
            bound("ClusterRole", "discovery", {"kind": "Group", "name": "system:unauthenticated"}),
        ]

    def bindings(self, namespace: str) -> Sequence[Mapping[str, Any]]:
        return self.readers if namespace == "a" else []

    def rules(self, kind: str, namespace: str, name: str) -> Sequence[rbac.Rule] | None:
        there = {("Role", "readers"): [READ_PODS], ("ClusterRole", "one-job"): [ONE_JOB]}
        return {**there, ("ClusterRole", "discovery"): DISCOVERY}.get((kind, name))


def bound(kind: str, name: str, subject: dict[str, str]) -> dict[str, Any]:
    return {"metadata": {"name": f"b-{name}"}, "roleRef": {"kind": kind, "name": name}, "subjects": [subject]}


def permits(user: User, method: str, path: str) -> bool:
    return rbac.Authorizer(Roles()).permits(user, requestinfo.parse(method, path, {}))


@pytest.mark.parametrize(
    ("user", "method", "path", "expected"),
    [
        (ADMIN, "DELETE", "/api/v1/nodes/n", True),
        (ADMIN, "GET", "/metrics", True),
        (BOB, "GET", "/api/v1/namespaces/a/pods", True),
        (BOB, "GET", "/api/v1/namespaces/a/pods/p/log", True),
        (BOB, "GET", "/api/v1/namespaces/a/pods/p/status", False),
        (BOB, "DELETE", "/api/v1/namespaces/a/pods/p", False),
        (BOB, "GET", "/api/v1/namespaces/b/pods", False),
        (BOB, "GET", "/api/v1/pods", False),
        (BOB, "PATCH", "/apis/batch/v1/namespaces/b/jobs/j", True),
        (BOB, "PATCH", "/apis/batch/v1/namespaces/b/jobs/k", False),
        (EVE, "GET", "/api/v1/namespaces/a/pods", False),
        (EVE, "GET", "/openapi/v3", True),
        (EVE, "GET", "/apis", True),
        (EVE, "GET", "/version", True),
        (EVE, "GET", "/metrics", False),
        (EVE, "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", True),
        (EVE, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", False),
        (identity.ANONYMOUS, "GET", "/healthz", True),
        (identity.ANONYMOUS, "GET", "/readyz", True),
        (identity.ANONYMOUS, "GET", "/livez/ping", True),
        (identity.ANONYMOUS, "GET", "/version", False),
        (identity.ANONYMOUS, "GET", "/api", False),
        (identity.ANONYMOUS, "GET", "/api/v1/pods", False),
    ],
)
def test_permits(user: User, method: str, path: str, expected: bool) -> None:
    assert permits(user, method, path) is expected


@pytest.mark.parametrize(
    ("method", "path", "text"),
    [
        (
            "GET", "/api/v1/namespaces/default/pods",
            'pods is forbidden: User "eve" cannot list resource "pods" in API group "" in the namespace "default"',
        ),
        (
            "DELETE", "/apis/batch/v1/namespaces/x/jobs/j",
            'jobs.batch "j" is forbidden: User "eve" cannot delete resource "jobs" in API group "batch" '
            'in the namespace "x"',
        ),
        (
            "GET", "/api/v1/nodes",
            'nodes is forbidden: User "eve" cannot list resource "nodes" in API group "" at the cluster scope',
        ),
        (
            "GET", "/api/v1/namespaces/x/pods/p/log",
            'pods "p" is forbidden: User "eve" cannot get resource "pods/log" in API group "" in the namespace "x"',
        ),
        ("GET", "/metrics", 'forbidden: User "eve" cannot get path "/metrics"'),
    ],
)  # fmt: skip
def test_refusals_are_worded_as_upstream(method: str, path: str, text: str) -> None:
    with pytest.raises(errors.StatusError) as caught:
        rbac.Authorizer().allow(EVE, requestinfo.parse(method, path, {}))

    assert (caught.value.code, caught.value.reason, caught.value.message) == (403, "Forbidden", text)


def test_without_rbac_kinds_only_masters_pass() -> None:
    info = requestinfo.parse("GET", "/api/v1/namespaces/a/pods", {})

    rbac.Authorizer().allow(ADMIN, info)
    assert not rbac.Authorizer().permits(BOB, info)


def test_a_change_of_roles_holds_at_once() -> None:
    roles = Roles()
    authorizer = rbac.Authorizer(roles)
    info = requestinfo.parse("GET", "/api/v1/namespaces/a/pods", {})
    assert authorizer.permits(BOB, info)
    roles.readers = []
    assert authorizer.permits(BOB, info), "what is known is kept until the generation grows"
    roles.generation += 1
    assert not authorizer.permits(BOB, info)


def test_names_hold_only_where_a_name_is() -> None:
    authorizer = rbac.Authorizer(Roles())
    path = "/apis/batch/v1/namespaces/b/jobs"
    listed = requestinfo.parse("GET", path, {})
    one = requestinfo.narrowed(listed, {"fieldSelector": "status.x=1,metadata.name=j"})

    assert not authorizer.permits(BOB, listed)
    assert authorizer.permits(BOB, one)
    assert authorizer.permits(BOB, requestinfo.parse("DELETE", f"{path}/j", {}))
    assert not authorizer.permits(BOB, requestinfo.parse("POST", path, {}))


@pytest.mark.parametrize(
    ("user", "method", "path", "expected"),
    [
        (ADMIN, "GET", "/api/v1/nodes", (True, "")),
        (
            BOB, "GET", "/api/v1/namespaces/a/pods",
            (True, 'RBAC: allowed by RoleBinding "b-readers/a" of Role "readers" to ServiceAccount "bob/a"'),
        ),
        (
            EVE, "GET", "/version",
            (True, 'RBAC: allowed by ClusterRoleBinding "b-discovery" of ClusterRole "discovery" '
                   'to Group "system:authenticated"'),
        ),
        (EVE, "GET", "/api/v1/nodes", (False, "")),
    ],
)  # fmt: skip
def test_explain(user: User, method: str, path: str, expected: tuple[bool, str]) -> None:
    assert rbac.Authorizer(Roles()).explain(user, requestinfo.parse(method, path, {})) == expected


def test_a_missing_role_is_told() -> None:
    roles = Roles()
    roles.readers.append(bound("ClusterRole", "gone", {"kind": "User", "name": "eve"}))
    info = requestinfo.parse("GET", "/api/v1/namespaces/a/pods", {})

    with pytest.raises(errors.StatusError, match=r'namespace "a": RBAC: clusterrole.rbac.* "gone" not found'):
        rbac.Authorizer(roles).allow(EVE, info)
