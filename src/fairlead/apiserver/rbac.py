"""Authorization: what a user may do, by role-based access control (rbac.authorization.k8s.io).

Group system:masters may do everything. Everybody authenticated may ask about themselves and read discovery; anonymous
users reach the health endpoints and nothing else. Everything beyond that is granted by Roles and ClusterRoles through
their bindings, if the server serves those kinds (`Roles`); what is not granted is denied, in upstream's words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from fairlead.apiserver import identity
from fairlead.apiserver.identity import User
from fairlead.apiserver.requestinfo import RequestInfo
from fairlead.base import errors

Rule = Mapping[str, Any]
"""A PolicyRule."""

GROUP = "rbac.authorization.k8s.io"


class Roles(Protocol):
    """The RBAC objects, as plain dicts."""

    def cluster_bindings(self) -> Iterable[Mapping[str, Any]]:
        """All ClusterRoleBindings."""

    def bindings(self, namespace: str) -> Iterable[Mapping[str, Any]]:
        """The RoleBindings of a namespace."""

    def rules(self, kind: str, namespace: str, name: str) -> Sequence[Rule]:
        """The rules of a `Role` or `ClusterRole`; none when it does not exist."""


_HEALTH: Rule = {
    "verbs": ["get", "head"],
    "nonResourceURLs": ["/healthz", "/healthz/*", "/livez", "/livez/*", "/readyz", "/readyz/*"],
}
_BASICS: tuple[Rule, ...] = (
    _HEALTH,
    {
        "verbs": ["get", "head"],
        "nonResourceURLs": ["/version", "/version/", "/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"],
    },
    {
        "verbs": ["create"],
        "apiGroups": ["authorization.k8s.io"],
        "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
    },
    {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]},
)
_EVERYTHING: tuple[Rule, ...] = (
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
    {"verbs": ["*"], "nonResourceURLs": ["*"]},
)


class Authorizer:
    """Decides by the rules that hold for a user. `roles` is None where RBAC kinds are not served."""

    def __init__(self, roles: Roles | None = None) -> None:
        self._roles = roles

    def allow(self, user: User, info: RequestInfo) -> None:
        """Return if the user may do that; raise 403 if not."""
        if identity.MASTERS in user.groups or self.permits(user, info):
            return
        raise denied(user, info)

    def permits(self, user: User, info: RequestInfo) -> bool:
        """May the user do that?"""
        return any(covers(rule, info) for rule in self.rules(user, info.namespace))

    def rules(self, user: User, namespace: str) -> Iterable[Rule]:
        """The rules that hold for the user in a namespace ("" for the cluster scope)."""
        if identity.MASTERS in user.groups:
            yield from _EVERYTHING
        yield from _BASICS if identity.AUTHENTICATED in user.groups else (_HEALTH,)
        if self._roles is None:
            return
        for binding in self._roles.cluster_bindings():
            if binds(binding, user, ""):
                yield from self._roles.rules("ClusterRole", "", binding["roleRef"]["name"])
        for binding in self._roles.bindings(namespace) if namespace else ():
            if binds(binding, user, namespace):
                reference = binding["roleRef"]
                yield from self._roles.rules(reference["kind"], namespace, reference["name"])


def binds(binding: Mapping[str, Any], user: User, namespace: str) -> bool:
    """Is the user one of the binding's subjects? `namespace` is the binding's own."""
    for subject in binding.get("subjects") or ():
        name = subject.get("name", "")
        match subject.get("kind"):
            case "User" if name == user.name:
                return True
            case "Group" if name in user.groups:
                return True
            case "ServiceAccount":
                if user.name == identity.service_account(subject.get("namespace") or namespace, name):
                    return True
    return False


def covers(rule: Rule, info: RequestInfo) -> bool:
    """Does the rule grant the request?"""
    if not _has(rule.get("verbs"), info.verb):
        return False
    if not info.is_resource:
        return any(_path_matches(pattern, info.path) for pattern in rule.get("nonResourceURLs") or ())
    names = rule.get("resourceNames") or ()
    return (
        _has(rule.get("apiGroups"), info.group)
        and _resource_matches(rule.get("resources") or (), info)
        and (not names or info.name in names)
    )


def denied(user: User, info: RequestInfo) -> errors.StatusError:
    """The 403 of a request that nothing grants."""
    if not info.is_resource:
        text = f'forbidden: User "{user.name}" cannot {info.verb} path "{info.path}"'
        return errors.StatusError(403, "Forbidden", text)
    what = f"{info.plural}/{info.subresource}" if info.subresource else info.plural
    where = f'in the namespace "{info.namespace}"' if info.namespace else "at the cluster scope"
    why = f'User "{user.name}" cannot {info.verb} resource "{what}" in API group "{info.group}" {where}'
    return errors.forbidden(info.plural, info.group, info.name, why)


def _has(words: Sequence[str] | None, word: str) -> bool:
    return words is not None and ("*" in words or word in words)


def _resource_matches(resources: Sequence[str], info: RequestInfo) -> bool:
    if not info.subresource:
        return _has(resources, info.plural)
    wanted = ("*", f"{info.plural}/{info.subresource}", f"*/{info.subresource}")
    return any(w in resources for w in wanted)


def _path_matches(pattern: str, path: str) -> bool:
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern[:-1]))
