"""Kinds that are questions: who am I, is this token good, may I do that.

Each answer is the posted object with its status filled in. Nothing is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fairlead.apiserver import jwt
from fairlead.apiserver.auth import Authenticator
from fairlead.apiserver.identity import User
from fairlead.apiserver.inventory import Virtual
from fairlead.apiserver.rbac import Authorizer
from fairlead.apiserver.requestinfo import RequestInfo
from fairlead.base import errors, timestamp
from fairlead.machinery import causes

Plain = dict[str, Any]


class Reviews:
    """Answers the virtual kinds of `inventory.VIRTUAL`."""

    def __init__(self, authenticator: Authenticator, authorizer: Authorizer) -> None:
        self._authenticator, self._authorizer = authenticator, authorizer

    def answer(self, virtual: Virtual, body: Mapping[str, Any], user: User, *, namespace: str, now: float) -> Plain:
        """The answer to a posted object. `namespace` is the path's (of kinds that have one)."""
        spec = body.get("spec") or {}
        match virtual.kind:
            case "SelfSubjectReview":
                return _about_self(virtual, user, now)
            case "TokenReview":
                status = self._token(spec, now)
            case "SelfSubjectAccessReview":
                status = self._access(spec, user)
            case "SubjectAccessReview" | "LocalSubjectAccessReview":
                _check_subject(virtual, spec, namespace)
                status = self._access(spec, _subject(spec))
            case "SelfSubjectRulesReview":
                body, status = {**body, "spec": {}}, self._rules(spec, user)
            case _:
                raise errors.path_not_found()
        head = {"kind": virtual.kind, "apiVersion": f"{virtual.group}/{virtual.version}"}
        return {**body, **head, "metadata": body.get("metadata") or {}, "status": status}

    def _token(self, spec: Mapping[str, Any], now: float) -> Plain:
        audiences = spec.get("audiences") or ()
        try:
            user = self._authenticator.review(spec.get("token") or "", now=now, audiences=audiences)
        except errors.StatusError:
            return {"user": {}, "error": "the token is invalid, expired, or for another audience"}
        return {"authenticated": True, "user": user.as_info(), "audiences": list(audiences) or [jwt.ISSUER]}

    def _access(self, spec: Mapping[str, Any], user: User) -> Plain:
        resource, other = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
        if resource is None and other is None:
            message = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
            raise _unfit(causes.invalid("spec.resourceAttributes", None, message))
        if resource is not None and other is not None:
            sent = {"Path": other.get("path", ""), "Verb": other.get("verb", "")}
            message = "cannot be specified in combination with resourceAttributes"
            raise _unfit(causes.invalid("spec.nonResourceAttributes", sent, message))
        allowed, reason = self._authorizer.explain(user, _attributes(resource, other or {}))
        return {"allowed": allowed, "reason": reason} if reason else {"allowed": allowed}

    def _rules(self, spec: Mapping[str, Any], user: User) -> Plain:
        if not spec.get("namespace"):
            raise errors.bad_request("no namespace on request")
        rules = [dict(rule) for rule in self._authorizer.rules(user, spec["namespace"])]
        return {
            "resourceRules": [r for r in rules if "nonResourceURLs" not in r],
            "nonResourceRules": [r for r in rules if "nonResourceURLs" in r],
            "incomplete": False,
        }


def _about_self(virtual: Virtual, user: User, now: float) -> Plain:
    return {
        "kind": virtual.kind, "apiVersion": f"{virtual.group}/{virtual.version}",
        "metadata": {"creationTimestamp": timestamp.seconds(now)}, "status": {"userInfo": user.as_info()},
    }  # fmt: skip


def _check_subject(virtual: Virtual, spec: Mapping[str, Any], namespace: str) -> None:
    """A review of somebody names them; a local one stays in its namespace."""
    found = []
    if not spec.get("user") and not spec.get("groups"):
        found.append(causes.invalid("spec.user", "", "at least one of user or group must be specified"))
    if virtual.namespaced:
        asked = (spec.get("resourceAttributes") or {}).get("namespace", "")
        if spec.get("resourceAttributes") is not None and asked != namespace:
            found.append(causes.invalid("spec.resourceAttributes.namespace", asked, "must match metadata.namespace"))
        if spec.get("nonResourceAttributes") is not None:
            rule = "disallowed on this kind of request"
            found.append(causes.invalid("spec.nonResourceAttributes", spec["nonResourceAttributes"], rule))
    if found:
        raise _unfit(*found)


def _unfit(*found: errors.Cause) -> errors.StatusError:
    return errors.invalid("", "authorization.k8s.io", "", found)


def _subject(spec: Mapping[str, Any]) -> User:
    extra = {k: tuple(v) for k, v in (spec.get("extra") or {}).items()}
    return User(spec.get("user") or "", spec.get("uid") or "", tuple(spec.get("groups") or ()), extra)


def _attributes(resource: Mapping[str, Any] | None, other: Mapping[str, Any]) -> RequestInfo:
    if resource is None:
        return RequestInfo(other.get("verb", ""), other.get("path", ""))
    return RequestInfo(
        resource.get("verb", ""), "", resource.get("group", ""), resource.get("version", ""),
        resource.get("namespace", ""), resource.get("resource", ""), resource.get("name", ""),
        resource.get("subresource", ""),
    )  # fmt: skip
