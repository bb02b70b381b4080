"""The audit policy: which level a request is recorded at, and which stages are left out (`audit.k8s.io/v1 Policy`).

The first rule that fits decides; a request that none fits is not recorded. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from fairlead.apiserver import rbac
from fairlead.apiserver.identity import User
from fairlead.apiserver.requestinfo import RequestInfo

Level = Literal["None", "Metadata", "Request", "RequestResponse"]
Stage = Literal["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"]


class Invalid(Exception):
    """The policy cannot be used; the message says why."""


class Resources(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Kinds of one group; all of it where `resources` is empty."""

    group: str = ""
    resources: tuple[str, ...] = ()
    resourceNames: tuple[str, ...] = ()

    def fits(self, info: RequestInfo) -> bool:
        """Whether the request is about one of them."""
        if self.group != info.group:
            return False
        if not self.resources:
            return True
        whole = f"{info.plural}/{info.subresource}" if info.subresource else info.plural
        wanted = {"*", whole, f"*/{info.subresource}", f"{info.plural}/*"} if info.subresource else {"*", whole}
        named = not self.resourceNames or info.name in self.resourceNames
        return named and any(resource in wanted for resource in self.resources)


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is empty fits everything."""

    level: Level
    users: tuple[str, ...] = ()
    userGroups: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()
    resources: tuple[Resources, ...] = ()
    namespaces: tuple[str, ...] = ()
    nonResourceURLs: tuple[str, ...] = ()
    omitStages: tuple[Stage, ...] = ()
    omitManagedFields: bool | None = None

    def fits(self, user: User, info: RequestInfo) -> bool:
        """Whether it decides about the request."""
        if self.users and user.name not in self.users:
            return False
        if self.userGroups and not set(self.userGroups) & set(user.groups):
            return False
        if self.verbs and info.verb not in self.verbs:
            return False
        if not info.plural:
            if self.resources or self.namespaces:
                return False
            return not self.nonResourceURLs or any(rbac.path_matches(p, info.path) for p in self.nonResourceURLs)
        if self.nonResourceURLs or (self.namespaces and info.namespace not in self.namespaces):
            return False
        return not self.resources or any(r.fits(info) for r in self.resources)


class Decision(msgspec.Struct, frozen=True):
    """What is recorded of a request."""

    level: Level
    omit: frozenset[Stage] = frozenset()
    without_managers: bool = False

    @property
    def requests(self) -> bool:
        """With the request's object."""
        return self.level in ("Request", "RequestResponse")

    @property
    def responses(self) -> bool:
        """With the answer's object."""
        return self.level == "RequestResponse"


NOTHING = Decision("None")


class Policy(msgspec.Struct, frozen=True):
    """`audit.k8s.io/v1 Policy`."""

    rules: tuple[Rule, ...]
    apiVersion: str = ""
    kind: str = ""
    metadata: Mapping[str, Any] = {}
    omitStages: tuple[Stage, ...] = ()
    omitManagedFields: bool = False

    def decide(self, user: User, info: RequestInfo) -> Decision:
        """What of a request is recorded."""
        for rule in self.rules:
            if rule.fits(user, info):
                if rule.level == "None":
                    return NOTHING
                bare = self.omitManagedFields if rule.omitManagedFields is None else rule.omitManagedFields
                return Decision(rule.level, frozenset((*self.omitStages, *rule.omitStages)), bare)
        return NOTHING


def read(path: Path) -> Policy:
    """The policy in a file. Raises Invalid."""
    try:
        return parse(yaml.safe_load(path.read_text()))
    except (OSError, yaml.YAMLError) as error:
        raise Invalid(f"audit policy {path}: {error}") from error


def parse(document: Any) -> Policy:
    """The policy in a decoded document. Raises Invalid."""
    try:
        policy = msgspec.convert(document, Policy)
    except msgspec.ValidationError as error:
        raise Invalid(f"audit policy: {error}") from error
    if (policy.apiVersion, policy.kind) != ("audit.k8s.io/v1", "Policy"):
        raise Invalid("audit policy: apiVersion must be audit.k8s.io/v1 and kind must be Policy")
    for index, rule in enumerate(policy.rules):
        _check(rule, f"audit policy: rules[{index}]")
    return policy


def _check(rule: Rule, at: str) -> None:
    if rule.nonResourceURLs and (rule.resources or rule.namespaces):
        raise Invalid(f"{at}: rules cannot apply to both regular resources and non-resource URLs")
    urls: Sequence[str] = rule.nonResourceURLs
    if any(url != "*" and (not url.startswith("/") or "*" in url[:-1]) for url in urls):
        raise Invalid(f"{at}.nonResourceURLs: a path begins with '/', and '*' may only be its last character")
    if any(r.resourceNames and not r.resources for r in rule.resources):
        raise Invalid(f"{at}.resources: using resourceNames requires at least one resource")
