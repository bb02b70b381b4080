"""Access by unmodified kubectls: can-i, reconcile, the generators of roles and bindings, impersonation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

RECONCILED = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reconciled, namespace: NS}
rules:
- {verbs: [get, list], apiGroups: [""], resources: [pods]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reconciled, namespace: NS}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reconciled}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: zoe}
"""


def test_roles_are_made_bound_and_asked_about(kubectl: Callable[..., Any], namespace: str) -> None:
    def may(*question: str) -> str:
        return kubectl("auth", "can-i", *question, "-n", namespace, "--as", "ann", check=False).stdout.strip()

    kubectl("-n", namespace, "create", "role", "reader", "--verb=get,list,watch", "--resource=pods,pods/log")
    kubectl("-n", namespace, "create", "rolebinding", "ann", "--role=reader", "--user=ann")
    assert (may("list", "pods"), may("get", "pods/log"), may("delete", "pods")) == ("yes", "yes", "no")
    assert may("get", "/version") == "yes"
    listed = may("--list")
    assert "selfsubjectaccessreviews.authorization.k8s.io" in listed
    assert "pods/log" in listed
    got = kubectl("-n", namespace, "get", "pods", "--as", "ann")
    assert "No resources found" in got.stderr
    refused = kubectl("-n", namespace, "delete", "pod", "x", "--as", "ann", check=False)
    assert 'User "ann" cannot delete resource "pods"' in refused.stderr
    shown = kubectl("-n", namespace, "get", "rolebindings", "-o", "wide").stdout.split("\n")
    assert shown[0].split() == ["NAME", "ROLE", "AGE", "USERS", "GROUPS", "SERVICEACCOUNTS"]
    assert shown[1].split()[:2] == ["ann", "Role/reader"]
    described = kubectl("-n", namespace, "describe", "role", "reader").stdout
    assert "pods/log" in described


def test_edit_and_view_are_aggregated(kubectl: Callable[..., Any], namespace: str) -> None:
    kubectl("-n", namespace, "create", "rolebinding", "ben", "--clusterrole=view", "--user=ben")
    kubectl("-n", namespace, "create", "rolebinding", "eda", "--clusterrole=edit", "--user=eda")

    def may(user: str, *question: str) -> str:
        return kubectl("auth", "can-i", *question, "-n", namespace, "--as", user, check=False).stdout.strip()

    assert may("ben", "get", "configmaps") == "yes"
    assert may("ben", "get", "secrets") == "no"
    assert may("eda", "create", "jobs.batch") == "yes"
    assert may("eda", "create", "trainjobs.trainer.kubeflow.org") == "yes"
    assert may("eda", "create", "roles.rbac.authorization.k8s.io") == "no"


def test_auth_reconcile(kubectl: Callable[..., Any], namespace: str) -> None:
    manifest = RECONCILED.replace("NS", namespace)
    kubectl("auth", "reconcile", "-f", "-", stdin=manifest)
    kubectl("auth", "reconcile", "-f", "-", stdin=manifest.replace("list]", "watch]"))
    verbs = kubectl("-n", namespace, "get", "role", "reconciled", "-o", "jsonpath={.rules[*].verbs}").stdout
    assert all(verb in verbs for verb in ("get", "list", "watch"))
    kubectl("-n", namespace, "get", "pods", "--as", "zoe")


def test_who_am_i(kubectl: Callable[..., Any]) -> None:
    told = kubectl("auth", "whoami", "-o", "json", "--as", "ann", "--as-group", "dev", "--as-uid", "7").stdout
    assert '"username": "ann"' in told
    assert '"dev"' in told
    assert '"uid": "7"' in told
