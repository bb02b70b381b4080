"""Service accounts' tokens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fairlead.apiserver import accounts, certs, jwt
from fairlead.base import errors
from fairlead.store.memory import MemoryStore
from fairlead.store.mvcc import Delete, Put

NOW = 1_790_000_000.0
ACCOUNT = {"metadata": {"name": "bob", "namespace": "ns", "uid": "u1"}}
POD: dict[str, Any] = {"metadata": {"name": "p", "uid": "u2"}, "spec": {"serviceAccountName": "bob"}}


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> jwt.Tokens:
    key = certs.ensure(Path(tmp_path_factory.mktemp("pki")), now=NOW).signing_key.read_bytes()
    return jwt.Tokens(key, lambda plural, namespace, name, uid: True)


def find(plural: str, namespace: str, name: str) -> Mapping[str, Any] | None:
    return POD if (plural, namespace, name) == ("pods", "ns", "p") else None


def test_token_request(tokens: jwt.Tokens) -> None:
    reference = {"kind": "Pod", "apiVersion": "v1", "name": "p"}
    body = {"spec": {"audiences": ["a"], "expirationSeconds": 900, "boundObjectRef": reference}}

    answer = accounts.token_request(tokens, ACCOUNT, body, find, now=NOW, identifier="i")

    assert answer["status"]["expirationTimestamp"] == "2026-09-21T14:28:20Z"
    user = tokens.verify(answer["status"]["token"], now=NOW, audiences=["a"])
    assert user.extra["authentication.kubernetes.io/pod-uid"] == ("u2",)


def test_token_request_by_default(tokens: jwt.Tokens) -> None:
    answer = accounts.token_request(tokens, ACCOUNT, {}, find, now=NOW, identifier="i")

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
        accounts.token_request(tokens, ACCOUNT, {"spec": spec}, find, now=NOW, identifier="i")

    assert caught.value.code == code


async def test_existence_follows_the_store() -> None:
    store = MemoryStore()
    exists = accounts.Existence(store)
    key = "/registry/core/pods/ns/p"
    assert not exists("pods", "ns", "p", "u1")
    await store.commit([Put(key, lambda _: b'{"metadata":{"uid":"u1"}}')])
    assert exists("pods", "ns", "p", "u1")
    assert not exists("pods", "ns", "p", "u2")
    await store.commit([Delete(key, lambda _: b"{}")])
    assert not exists("pods", "ns", "p", "u1")
    await store.commit([Put(key, lambda _: b'{"metadata":{"uid":"u2"}}')])
    assert exists("pods", "ns", "p", "u2")
