"""Kinds that are questions."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.apiserver import auth, identity, inventory, rbac, reviews
from fairlead.apiserver.identity import User
from fairlead.base import errors

NOW = 1_790_000_000.0
ALICE = User("alice", "7", ("dev", "system:authenticated"))


def ask(group: str, plural: str, spec: dict[str, Any], user: User = ALICE) -> Any:
    virtual = inventory.find(group, "v1", plural)
    assert virtual is not None
    asked = reviews.Reviews(auth.Authenticator({"t": User("alice", "7", ("dev",))}), rbac.Authorizer())
    return asked.answer(virtual, {"spec": spec}, user, namespace="", now=NOW)


def test_who_am_i() -> None:
    answer = ask("authentication.k8s.io", "selfsubjectreviews", {})

    assert answer["kind"] == "SelfSubjectReview"
    assert answer["status"] == {
        "userInfo": {"username": "alice", "uid": "7", "groups": ["dev", "system:authenticated"]}
    }  # fmt: skip


def test_token_review() -> None:
    good = ask("authentication.k8s.io", "tokenreviews", {"token": "t"})["status"]
    bad = ask("authentication.k8s.io", "tokenreviews", {"token": "x"})["status"]

    assert good["authenticated"] is True
    assert good["user"]["username"] == "alice"
    assert "authenticated" not in bad
    assert "invalid" in bad["error"]


def test_may_i() -> None:
    pods = {"resourceAttributes": {"verb": "list", "resource": "pods", "namespace": "default"}}
    version = {"nonResourceAttributes": {"verb": "get", "path": "/version"}}
    group, plural = "authorization.k8s.io", "selfsubjectaccessreviews"

    assert ask(group, plural, pods)["status"]["allowed"] is False
    assert ask(group, plural, version)["status"] == {"allowed": True}
    assert ask(group, plural, pods, identity.LOCAL)["status"] == {"allowed": True}
    assert ask(group, "subjectaccessreviews", pods | {"user": "x", "groups": ["system:masters"]})["status"]["allowed"]
    with pytest.raises(errors.StatusError, match="exactly one of"):
        ask(group, plural, {})


def test_what_may_i() -> None:
    status = ask("authorization.k8s.io", "selfsubjectrulesreviews", {"namespace": "x"}, identity.LOCAL)["status"]

    assert {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]} in status["resourceRules"]
    assert {"verbs": ["*"], "nonResourceURLs": ["*"]} in status["nonResourceRules"]
