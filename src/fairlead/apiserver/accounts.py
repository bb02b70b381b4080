"""Service accounts' tokens: `POST serviceaccounts/<name>/token`, and whether what a token names is still there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from fairlead.apiserver import encoding, jwt, nodes
from fairlead.apiserver.state import Answer, Api, Call, Plain
from fairlead.base import errors, timestamp
from fairlead.store.mvcc import Store

Find = Callable[[str, str, str], Mapping[str, Any] | None]
"""(plural, namespace, name) of a core object to the object."""

HOUR = 3600
_REMEMBERED = 8192


class _Metadata(msgspec.Struct):
    uid: str = ""


class _Object(msgspec.Struct):
    metadata: _Metadata


_decoder = msgspec.json.Decoder(_Object)


class Existence:
    """Is an object there, with that uid? Asked on every request with a token, so what a revision says is remembered."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, tuple[int, str]] = {}

    def __call__(self, plural: str, namespace: str, name: str, uid: str) -> bool:
        key = f"/registry/core/{plural}/{namespace}/{name}"
        entry = self._store.get(key)
        if entry is None:
            self._known.pop(key, None)
            return False
        known = self._known.get(key)
        if known is None or known[0] != entry.revision:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[key] = (entry.revision, _decoder.decode(entry.value).metadata.uid)
        return known[1] == uid


def request_token(api: Api, call: Call, body: Plain) -> Answer:
    """Answer a TokenRequest."""
    if api.tokens is None:
        raise errors.path_not_found()
    _, account = api.live(call)

    def find(plural: str, namespace: str, name: str) -> Plain | None:
        entry = api.store.get(f"/registry/core/{plural}/{namespace}/{name}")
        return encoding.decode(entry.value) if entry is not None else None

    node = nodes.node_of(call.user)
    if node is not None:
        _check_node(call, node, (body.get("spec") or {}).get("boundObjectRef") or {}, find)
    now, identifier = api.clock.now(), api.chance.uid()
    answer = token_request(api.tokens, account, body, find, now=now, identifier=identifier)
    return Answer(encoding.encode(answer), created=True)


def _check_node(call: Call, node: str, bound: Mapping[str, Any], find: Find) -> None:
    """A node's agent gets tokens only for the Pods that are bound to it (as upstream's NodeRestriction)."""
    pod = find("pods", call.namespace, bound.get("name", "")) if bound.get("kind") == "Pod" else None
    if not bound:
        why = "node requested token not bound to a pod"
    elif pod is None or not bound.get("uid"):
        why = "node requested token with a pod binding without a uid, or to a pod that is not there"
    elif pod["metadata"]["uid"] != bound["uid"]:
        why = "the UID in the bound object reference does not match the UID in record"
    elif pod["spec"].get("nodeName") != node:
        why = "node requested token bound to a pod scheduled on a different node"
    else:
        return
    raise errors.forbidden("serviceaccounts", "", call.name, why)


def token_request(
    tokens: jwt.Tokens, account: Mapping[str, Any], body: Mapping[str, Any], find: Find, *, now: float, identifier: str
) -> Plain:
    """Answer `POST serviceaccounts/<name>/token`. `identifier` is a fresh uuid; `find` looks the bound Pod up."""
    metadata, spec = account["metadata"], body.get("spec") or {}
    seconds = spec.get("expirationSeconds") or HOUR
    if not jwt.SHORTEST <= seconds <= jwt.LONGEST:
        rule = "may not specify a duration less than 10 minutes or longer than 2^32 seconds"
        cause = errors.Cause("FieldValueInvalid", f"Invalid value: {seconds}: {rule}", "spec.expirationSeconds")
        raise errors.invalid("TokenRequest", "authentication.k8s.io", "", [cause])
    subject = jwt.Subject(metadata["namespace"], metadata["name"], metadata["uid"], _bound(account, spec, find))
    audiences = spec.get("audiences") or [tokens.issuer]
    token = tokens.issue(subject, audiences, seconds, now=now, identifier=identifier)
    return {
        "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
        "spec": {**spec, "audiences": audiences, "expirationSeconds": seconds},
        "status": {"token": token, "expirationTimestamp": timestamp.seconds(int(now) + seconds)},
    }  # fmt: skip


def _bound(account: Mapping[str, Any], spec: Mapping[str, Any], find: Find) -> jwt.Reference | None:
    reference = spec.get("boundObjectRef")
    if not reference:
        return None
    kind, name, namespace = reference.get("kind"), reference.get("name", ""), account["metadata"]["namespace"]
    if kind != "Pod":
        raise errors.bad_request(f"cannot bind token to object of type {kind}; it can be bound to a Pod")
    pod = find("pods", namespace, name)
    if pod is None:
        raise errors.not_found("pods", "", name)
    uid = pod["metadata"]["uid"]
    if reference.get("uid") not in (None, "", uid):
        why = f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record ({uid})"
        raise errors.conflict("pods", "", name, why)
    if pod.get("spec", {}).get("serviceAccountName", "default") != account["metadata"]["name"]:
        raise errors.bad_request(f'cannot bind token for serviceaccount "{account["metadata"]["name"]}" to pod '
                                 f'running with different serviceaccount name.')  # fmt: skip
    return jwt.Reference(name, uid)
