"""Authorization: what a user may do, by role-based access control (rbac.authorization.k8s.io).

Group system:masters may do everything. Anonymous users reach the health endpoints and nothing else, whatever is bound
to them. Everything beyond that is granted by Roles and ClusterRoles through their bindings (`Roles`); what is not
granted is denied, in upstream's words. Where no `Roles` are given, the authenticated may ask about themselves and read
discovery.

The rules that hold for a user in a namespace, and what they say of each kind and verb, are kept until any role or
binding changes (`Roles.generation`), so that authorizing a request is a look into two dictionaries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from fairlead.api.rbac import GROUP
from fairlead.apiserver import identity
from fairlead.apiserver.identity import User
from fairlead.apiserver.requestinfo import RequestInfo
from fairlead.base import errors

Rule = Mapping[str, Any]
"""A PolicyRule."""

_REMEMBERED = 4096
_PATHS = 512


class Roles(Protocol):
    """The RBAC objects, as plain dicts."""

    @property
    def generation(self) -> int:
        """Grows when anything changes."""

    def cluster_bindings(self) -> Iterable[Mapping[str, Any]]:
        """All ClusterRoleBindings."""

    def bindings(self, namespace: str) -> Iterable[Mapping[str, Any]]:
        """The RoleBindings of a namespace."""

    def rules(self, kind: str, namespace: str, name: str) -> Sequence[Rule] | None:
        """The rules of a `Role` or `ClusterRole`; None when it does not exist."""


class Authority(Protocol):
    """Someone else who decides for certain users (nodes)."""

    def decide(self, user: User, info: RequestInfo) -> str | None:
        """ "" to allow, a reason why this one does not, None when it is not concerned."""


class Granted(NamedTuple):
    """A rule that holds for a user, and why."""

    rule: Rule
    source: str


class Verdict(NamedTuple):
    """`reason` says by what it is allowed, or why roles could not be read."""

    allowed: bool
    reason: str = ""


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
EVERYTHING: tuple[Rule, ...] = (
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
    {"verbs": ["*"], "nonResourceURLs": ["*"]},
)


class _Grants:
    """What holds for one user in one namespace."""

    __slots__ = ("_decided", "granted", "missing")

    def __init__(self, granted: tuple[Granted, ...], missing: tuple[str, ...]) -> None:
        self.granted, self.missing = granted, missing
        self._decided: dict[tuple[str, ...], bool | frozenset[str]] = {}

    def permit(self, info: RequestInfo) -> bool:
        if info.plural:
            key: tuple[str, ...] = (info.verb, info.group, info.plural, info.subresource)
        else:
            key = (info.verb, info.path)
        found = self._decided.get(key)
        if found is None:
            if len(self._decided) >= _PATHS:
                self._decided.clear()
            found = self._decided[key] = self._decide(info)
        return found if isinstance(found, bool) else info.name in found

    def _decide(self, info: RequestInfo) -> bool | frozenset[str]:
        """True, False, or the only names for which it is true."""
        names: set[str] = set()
        for rule, _ in self.granted:
            if _concerns(rule, info):
                only = rule.get("resourceNames") if info.plural else None
                if not only:
                    return True
                names.update(only)
        return frozenset(names) if names else False


class Authorizer:
    """Decides by the rules that hold for a user. `roles` is None where RBAC kinds are not served."""

    def __init__(self, roles: Roles | None = None, others: Sequence[Authority] = ()) -> None:
        self._roles, self._others = roles, tuple(others)
        self._grants: dict[tuple[str, tuple[str, ...], str], _Grants] = {}
        self._generation = -1

    def allow(self, user: User, info: RequestInfo) -> None:
        """Return if the user may do that; raise 403 if not."""
        if identity.MASTERS in user.groups or self.permits(user, info):
            return
        raise denied(user, info, self.explain(user, info).reason)

    def permits(self, user: User, info: RequestInfo) -> bool:
        """May the user do that?"""
        if identity.MASTERS in user.groups:
            return True
        if any(other.decide(user, info) == "" for other in self._others):
            return True
        return self._of(user, info.namespace).permit(info)

    def explain(self, user: User, info: RequestInfo) -> Verdict:
        """The same, with the reason that upstream gives."""
        if identity.MASTERS in user.groups:
            return Verdict(True)
        reasons = [other.decide(user, info) for other in self._others]
        if "" in reasons:
            return Verdict(True)
        grants = self._of(user, info.namespace)
        for rule, source in grants.granted:
            if covers(rule, info):
                return Verdict(True, f"RBAC: allowed by {source}" if source else "")
        why = [r for r in reasons if r]
        if grants.missing:
            texts = ", ".join(grants.missing)
            why.append(f"RBAC: [{texts}]" if len(grants.missing) > 1 else f"RBAC: {texts}")
        return Verdict(False, ", ".join(why))

    def rules(self, user: User, namespace: str) -> Iterable[Rule]:
        """The rules that hold for the user in a namespace ("" for the cluster scope)."""
        everything = EVERYTHING if identity.MASTERS in user.groups else ()
        held = (granted.rule for granted in self._of(user, namespace).granted)
        return [*everything, *(rule for rule in held if self._roles is None or rule is not _HEALTH)]

    def role_rules(self, kind: str, namespace: str, name: str) -> Sequence[Rule] | None:
        """The rules of a role; None when there is no such role."""
        return self._roles.rules(kind, namespace, name) if self._roles is not None else None

    def _of(self, user: User, namespace: str) -> _Grants:
        roles = self._roles
        generation = roles.generation if roles is not None else 0
        if generation != self._generation or len(self._grants) >= _REMEMBERED:
            self._grants.clear()
            self._generation = generation
        key = (user.name, user.groups, namespace)
        found = self._grants.get(key)
        if found is None:
            found = self._grants[key] = self._compiled(user, namespace)
        return found

    def _compiled(self, user: User, namespace: str) -> _Grants:
        if identity.AUTHENTICATED not in user.groups:
            return _Grants((Granted(_HEALTH, ""),), ())
        if self._roles is None:
            return _Grants(tuple(Granted(rule, "") for rule in _BASICS), ())
        granted: list[Granted] = []
        missing: list[str] = []
        for kind, name, place, source in _roles_of(self._roles, user, namespace):
            rules = self._roles.rules(kind, place, name)
            if rules is None:
                missing.append(f'{kind.lower()}.{GROUP} "{name}" not found')
            else:
                granted += [Granted(rule, source) for rule in rules]
        return _Grants((*granted, Granted(_HEALTH, "")), tuple(missing))


def _roles_of(roles: Roles, user: User, namespace: str) -> Iterator[tuple[str, str, str, str]]:
    """The roles that a user has: kind, name, namespace, and how the user comes to have them."""
    for binding in roles.cluster_bindings():
        subject = bound(binding, user, "")
        if subject is not None:
            reference, own = binding["roleRef"], binding["metadata"]["name"]
            text = f'ClusterRoleBinding "{own}" of {reference["kind"]} "{reference["name"]}" to {_named(subject, "")}'
            yield "ClusterRole", reference["name"], "", text
    for binding in roles.bindings(namespace) if namespace else ():
        subject = bound(binding, user, namespace)
        if subject is not None:
            reference, own = binding["roleRef"], f"{binding['metadata']['name']}/{namespace}"
            to = _named(subject, namespace)
            text = f'RoleBinding "{own}" of {reference["kind"]} "{reference["name"]}" to {to}'
            yield reference["kind"], reference["name"], namespace, text


def _named(subject: Mapping[str, Any], namespace: str) -> str:
    if subject["kind"] == "ServiceAccount":
        return f'ServiceAccount "{subject["name"]}/{subject.get("namespace") or namespace}"'
    return f'{subject["kind"]} "{subject["name"]}"'


def bound(binding: Mapping[str, Any], user: User, namespace: str) -> Mapping[str, Any] | None:
    """The first of the binding's subjects that the user is. `namespace` is the binding's own."""
    for subject in binding.get("subjects") or ():
        name = subject.get("name", "")
        match subject.get("kind"):
            case "User" if name == user.name:
                return dict(subject)
            case "Group" if name in user.groups:
                return dict(subject)
            case "ServiceAccount":
                place = subject.get("namespace") or namespace
                if place and user.name == identity.service_account(place, name):
                    return dict(subject)
    return None


def covers(rule: Rule, info: RequestInfo) -> bool:
    """Does the rule grant the request?"""
    names = rule.get("resourceNames") if info.plural else None
    return _concerns(rule, info) and (not names or info.name in names)


def _concerns(rule: Rule, info: RequestInfo) -> bool:
    """Does the rule grant the request, at least for some names?"""
    if not _has(rule.get("verbs"), info.verb):
        return False
    if not info.plural:
        return any(path_matches(pattern, info.path) for pattern in rule.get("nonResourceURLs") or ())
    return _has(rule.get("apiGroups"), info.group) and _resource_matches(rule.get("resources") or (), info)


def denied(user: User, info: RequestInfo, reason: str = "") -> errors.StatusError:
    """The 403 of a request that nothing grants."""
    tail = f": {reason}" if reason else ""
    if not info.is_resource:
        text = f'forbidden: User "{user.name}" cannot {info.verb} path "{info.path}"{tail}'
        return errors.StatusError(403, "Forbidden", text)
    what = f"{info.plural}/{info.subresource}" if info.subresource else info.plural
    where = f'in the namespace "{info.namespace}"' if info.namespace else "at the cluster scope"
    why = f'User "{user.name}" cannot {info.verb} resource "{what}" in API group "{info.group}" {where}{tail}'
    return errors.forbidden(info.plural, info.group, info.name, why)


def _has(words: Sequence[str] | None, word: str) -> bool:
    return words is not None and ("*" in words or word in words)


def _resource_matches(resources: Sequence[str], info: RequestInfo) -> bool:
    if not info.subresource:
        return _has(resources, info.plural)
    wanted = ("*", f"{info.plural}/{info.subresource}", f"*/{info.subresource}")
    return any(w in resources for w in wanted)


def path_matches(pattern: str, path: str) -> bool:
    """Does a rule's path, which may end in `*`, cover a request's?"""
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern[:-1]))
