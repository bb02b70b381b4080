"""Matching: does a rule, a selector, a webhook or a policy concern a request? (Pure.)"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from fairlead.machinery import selector
from fairlead.machinery.selector import EVERYTHING, LabelSelector

Plain = Mapping[str, Any]


class Subject(msgspec.Struct, frozen=True):
    """What a request is about. `versions` are all versions that its kind is served in, its own first."""

    operation: str
    group: str
    versions: tuple[str, ...]
    plural: str
    subresource: str
    namespace: str
    name: str

    @property
    def namespaced(self) -> bool:
        """For scopes: a Namespace itself is of the cluster."""
        return bool(self.namespace) and self.plural != "namespaces"


class Rule(msgspec.Struct, frozen=True):
    """`RuleWithOperations`, and `NamedRuleWithOperations`."""

    operations: frozenset[str]
    groups: frozenset[str]
    versions: frozenset[str]
    resources: tuple[tuple[str, str], ...]
    scope: str = "*"
    names: frozenset[str] = frozenset()

    def may_concern(self, operation: str, group: str, plural: str, subresource: str) -> bool:
        """Whether such requests may concern it, as far as these four tell."""
        if not (_has(self.operations, operation) and _has(self.groups, group)):
            return False
        return any(p in ("*", plural) and s in ("*", subresource) for p, s in self.resources)

    def version_for(self, subject: Subject, *, exact: bool) -> str | None:
        """The version in which the rule concerns the request; None when it does not."""
        if not self.may_concern(subject.operation, subject.group, subject.plural, subject.subresource):
            return None
        if self.scope != "*" and (self.scope == "Namespaced") is not subject.namespaced:
            return None
        if self.names and subject.name not in self.names:
            return None
        candidates = subject.versions[:1] if exact else subject.versions
        return next((v for v in candidates if _has(self.versions, v)), None)


class Match(msgspec.Struct, frozen=True):
    """Which requests something concerns, as far as rules and selectors say it."""

    rules: tuple[Rule, ...]
    excluded: tuple[Rule, ...] = ()
    exact: bool = False
    namespaces: LabelSelector = EVERYTHING
    objects: LabelSelector = EVERYTHING

    def version_for(self, subject: Subject) -> str | None:
        """The version in which the rules concern the request; None when they do not."""
        if any(rule.version_for(subject, exact=self.exact) is not None for rule in self.excluded):
            return None
        if not self.rules:
            return subject.versions[0] if self.excluded else None
        found = (rule.version_for(subject, exact=self.exact) for rule in self.rules)
        return next((version for version in found if version is not None), None)

    def selects(self, namespace: Mapping[str, str] | None, *objects: Plain) -> bool:
        """Whether the selectors let it through. `namespace` has the namespace's labels, None where there is none."""
        if not self.namespaces.empty and namespace is not None and not self.namespaces.matches(namespace):
            return False
        return self.objects.empty or any(self.objects.matches(labels(obj)) for obj in objects if obj)


def labels(obj: Plain) -> Mapping[str, str]:
    """An object's labels."""
    found: Mapping[str, str] = (obj.get("metadata") or {}).get("labels") or {}
    return found


def rule(plain: Plain) -> Rule:
    """A rule as it is stored."""
    resources = tuple((p, s) for p, _, s in (r.partition("/") for r in plain.get("resources") or ()))
    return Rule(
        frozenset(plain.get("operations") or ()), frozenset(plain.get("apiGroups") or ()),
        frozenset(plain.get("apiVersions") or ()), resources, plain.get("scope") or "*",
        frozenset(plain.get("resourceNames") or ()),
    )  # fmt: skip


def match(holder: Plain, rules: Iterable[Plain], excluded: Iterable[Plain] = ()) -> Match:
    """The match of a webhook, of a policy's matchConstraints, of a binding's matchResources."""
    return Match(
        tuple(map(rule, rules)), tuple(map(rule, excluded)), holder.get("matchPolicy") == "Exact",
        selector.from_label_selector(holder.get("namespaceSelector")),
        selector.from_label_selector(holder.get("objectSelector")),
    )  # fmt: skip


def _has(words: frozenset[str], word: str) -> bool:
    return word in words or "*" in words
