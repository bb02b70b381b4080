"""Kinds that are questions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fairlead.apiserver import auth, certs, identity, inventory, jwt, rbac, reviews
from fairlead.apiserver.identity import User
from fairlead.base import errors

NOW = 1_790_000_000.0
ALICE = User("alice", "7", ("dev", "system:authenticated"))
ACCOUNT = {"metadata": {"name": "bob", "namespace": "ns", "uid": "u1"}}
POD: dict[str, Any] = {"metadata": {"name": "p", "uid": "u2"}, "spec": {"serviceAccountName": "bob"}}


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> jwt.Tokens:
    key = certs.ensure(Path(tmp_path_factory.mktemp("pki")), now=NOW).signing_key.read_bytes()
    return jwt.Tokens(key, lambda plural, namespace, name, uid: True)


def find(plural: str, namespace: str, name: str) -> Mapping[str, Any] | None:
    return POD if (plural, namespace, name) == ("pods", "ns", "p") else None


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


def test_token_request(tokens: jwt.Tokens) -> None:
    reference = {"kind": "Pod", "apiVersion": "v1", "name": "p"}
    body = {"spec": {"audiences": ["a"], "expirationSeconds": 900, "boundObjectRef": reference}}

    answer = reviews.token_request(tokens, ACCOUNT, body, find, now=NOW, identifier="i")

    assert answer["status"]["expirationTimestamp"] == "2026-09-21T14:28:20Z"
    user = tokens.verify(answer["status"]["token"], now=NOW, audiences=["a"])
    assert user.extra["authentication.kubernetes.io/pod-uid"] == ("u2",)


def test_token_request_by_default(tokens: jwt.Tokens) -> None:
    answer = reviews.token_request(tokens, ACCOUNT, {}, find, now=NOW, identifier="i")

    assert answer["spec"] == {"audiences": [jwt.ISSUER], "expirationSeconds": 3600}
    assert tokens.verify(answer["status"]["token"], now=NOW).name == "system:serviceaccount:ns:bob"


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        ({"expirationSeconds": 10}, 422),
        ({"boundObjectRef": {"kind": "Pod", "name": "gone"}}, 404),
        ({"boundObjectRef": {"kind": "Pod", "name": "p", "uid": "other"}}, 409),
        ({"boundObjectRef": {"kind": "Node", "name": "p"}}, 400),
    ],
)
def test_token_requests_that_are_refused(tokens: jwt.Tokens, spec: dict[str, Any], code: int) -> None:
    with pytest.raises(errors.StatusError) as caught:
        reviews.token_request(tokens, ACCOUNT, {"spec": spec}, find, now=NOW, identifier="i")

    assert caught.value.code == code
