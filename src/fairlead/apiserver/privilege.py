"""Privilege: do some rules cover others? So nobody grants what they do not hold (pure).

Rules are broken down to single grants (one verb on one kind, name or path); each must be covered by one rule of the
holder. What is missing is put together again for the message, one line for each kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fairlead.apiserver import rbac
from fairlead.apiserver.rbac import Rule
from fairlead.machinery import causes

_SHOWN = (
    ("APIGroups", "apiGroups"), ("Resources", "resources"), ("NonResourceURLs", "nonResourceURLs"),
    ("ResourceNames", "resourceNames"), ("Verbs", "verbs"),
)  # fmt: skip


def missing(held: Sequence[Rule], wanted: Iterable[Rule]) -> list[Rule]:
    """The single grants of `wanted` that `held` does not cover."""
    return [grant for rule in wanted for grant in _grants(rule) if not any(_covers(own, grant) for own in held)]


def described(grants: Iterable[Rule]) -> str:
    """The lines of a refusal: what is missing, as upstream writes it."""
    return "\n".join(sorted({_spelled(rule) for rule in _compact(grants)}))


def _grants(rule: Rule) -> Iterator[Rule]:
    for verb in rule.get("verbs") or ():
        for url in rule.get("nonResourceURLs") or ():
            yield {"nonResourceURLs": [url], "verbs": [verb]}
        for group in rule.get("apiGroups") or ():
            for resource in rule.get("resources") or ():
                for name in rule.get("resourceNames") or (None,):
                    grant: dict[str, Any] = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
                    yield grant if name is None else {**grant, "resourceNames": [name]}


def _covers(own: Rule, grant: Rule) -> bool:
    if not _has(own.get("verbs"), grant["verbs"][0]):
        return False
    urls = grant.get("nonResourceURLs")
    if urls:
        return any(rbac.path_matches(pattern, urls[0]) for pattern in own.get("nonResourceURLs") or ())
    names, mine = grant.get("resourceNames"), own.get("resourceNames")
    if mine and (not names or names[0] not in mine):
        return False
    return _has(own.get("apiGroups"), grant["apiGroups"][0]) and _has_resource(own, grant["resources"][0])


def _has(words: Sequence[str] | None, word: str) -> bool:
    return words is not None and ("*" in words or word in words)


def _has_resource(own: Rule, resource: str) -> bool:
    have = own.get("resources")
    _, slash, subresource = resource.partition("/")
    return _has(have, resource) or bool(slash and have and f"*/{subresource}" in have)


def _compact(grants: Iterable[Rule]) -> Iterator[Rule]:
    """Grants on one kind become one rule with all their verbs."""
    together: dict[tuple[str, ...], dict[str, Any]] = {}
    for grant in grants:
        if "nonResourceURLs" in grant:
            yield grant
            continue
        key = (grant["apiGroups"][0], grant["resources"][0], *grant.get("resourceNames", ()))
        known = together.setdefault(key, {**grant, "verbs": []})
        known["verbs"].append(grant["verbs"][0])
    yield from together.values()


def _spelled(rule: Rule) -> str:
    shown = [f"{title}:{quoted(rule[field])}" for title, field in _SHOWN if rule.get(field)]
    return "{" + ", ".join(shown) + "}"


def quoted(words: Iterable[str]) -> str:
    """A list of words as Go prints it with %q."""
    return "[" + " ".join(causes.spelled(word) for word in words) + "]"
