"""rbac.authorization.k8s.io: the form of roles and bindings. What a user may grant is `admission.escalation`'s."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fairlead.api.rbac import GROUP
from fairlead.apiserver.kinds import naming, selectors
from fairlead.apiserver.kinds.ways import Obj, Rule, Ways, part, parts
from fairlead.base.errors import Cause
from fairlead.machinery import causes

_SUBJECTS = ("ServiceAccount", "User", "Group")


def _role_rules(*, namespaced: bool) -> Rule:
    def rules(role: Obj) -> Iterator[Cause]:
        for index, rule in enumerate(parts(role, "rules")):
            yield from policy_rule(rule, f"rules[{index}]", namespaced=namespaced)
        aggregation = role.get("aggregationRule")
        if not namespaced and isinstance(aggregation, dict):
            yield from _aggregation(aggregation, "aggregationRule.clusterRoleSelectors")

    return rules


def policy_rule(rule: Obj, at: str, *, namespaced: bool) -> Iterator[Cause]:
    """A rule is about resources or about paths, and says what may be done."""
    if not rule.get("verbs"):
        yield causes.required(f"{at}.verbs", "verbs must contain at least one value")
    urls = rule.get("nonResourceURLs")
    if urls:
        if namespaced:
            detail = "namespaced rules cannot apply to non-resource URLs"
            yield causes.invalid(f"{at}.nonResourceURLs", urls, detail)
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            detail = "rules cannot apply to both regular resources and non-resource URLs"
            yield causes.invalid(f"{at}.nonResourceURLs", urls, detail)
        return
    if not rule.get("apiGroups"):
        yield causes.required(f"{at}.apiGroups", "resource rules must supply at least one api group")
    if not rule.get("resources"):
        yield causes.required(f"{at}.resources", "resource rules must supply at least one resource")


def _aggregation(aggregation: Obj, at: str) -> Iterator[Cause]:
    given = parts(aggregation, "clusterRoleSelectors")
    if not given:
        yield causes.required(at, "at least one clusterRoleSelector required if aggregationRule is non-nil")
    for index, selector in enumerate(given):
        found = list(selectors.validate(selector, f"{at}[{index}]"))
        yield from found
        if found:
            yield causes.invalid(f"{at}[{index}]", None, "invalid label selector.")


def _binding_default(binding: Obj) -> None:
    reference = binding.get("roleRef")
    if isinstance(reference, dict) and not reference.get("apiGroup"):
        reference["apiGroup"] = GROUP
    for subject in parts(binding, "subjects"):
        if subject.get("kind") in {"User", "Group"} and not subject.get("apiGroup"):
            subject["apiGroup"] = GROUP


def _binding_rules(*, namespaced: bool) -> Rule:
    kinds = ("Role", "ClusterRole") if namespaced else ("ClusterRole",)

    def rules(binding: Obj) -> Iterator[Cause]:
        reference = part(binding, "roleRef")
        group, kind, name = (reference.get(k, "") for k in ("apiGroup", "kind", "name"))
        if group != GROUP:
            yield causes.not_supported("roleRef.apiGroup", group, (GROUP,))
        if kind not in kinds:
            yield causes.not_supported("roleRef.kind", kind, kinds)
        if not name:
            yield causes.required("roleRef.name")
        for complaint in naming.segment(name):
            yield causes.invalid("roleRef.name", name, complaint)
        for index, subject in enumerate(parts(binding, "subjects")):
            yield from _subject(subject, f"subjects[{index}]", namespaced=namespaced)

    return rules


def _subject(subject: Obj, at: str, *, namespaced: bool) -> Iterator[Cause]:
    kind, name, group = (subject.get(k, "") for k in ("kind", "name", "apiGroup"))
    if not name:
        yield causes.required(f"{at}.name")
    match kind:
        case "ServiceAccount":
            for complaint in naming.subdomain(name) if name else ():
                yield causes.invalid(f"{at}.name", name, complaint)
            if group:
                yield causes.not_supported(f"{at}.apiGroup", group, ("",))
            if not namespaced and not subject.get("namespace"):
                yield causes.required(f"{at}.namespace")
        case "User" | "Group":
            if group != GROUP:
                yield causes.not_supported(f"{at}.apiGroup", group, (GROUP,))
        case _:
            yield causes.not_supported(f"{at}.kind", kind, _SUBJECTS)


def _binding_transitions(new: Obj, old: Obj) -> Iterator[Cause]:
    reference: Any = new.get("roleRef")
    if reference != old.get("roleRef"):
        yield causes.invalid("roleRef", reference, "cannot change roleRef")


WAYS = {
    (GROUP, "roles"): Ways(rules=_role_rules(namespaced=True), generation=False),
    (GROUP, "clusterroles"): Ways(rules=_role_rules(namespaced=False), generation=False),
    (GROUP, "rolebindings"): Ways(
        _binding_default, _binding_rules(namespaced=True), _binding_transitions, generation=False
    ),
    (GROUP, "clusterrolebindings"): Ways(
        _binding_default, _binding_rules(namespaced=False), _binding_transitions, generation=False
    ),
}
