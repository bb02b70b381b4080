"""Configurations: the webhooks and policies that are defined now, compiled and in order.

The hook of the four kinds: what is written holds for the next request. By kind and operation it remembers which of them
have a rule that fits, so that a request that nothing concerns costs one look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from fairlead.api import admissionregistration as kinds
from fairlead.apiserver import encoding
from fairlead.apiserver.dynamic import matching
from fairlead.apiserver.dynamic.matching import Match
from fairlead.apiserver.kinds.admissionregistration import CONDITION_NAMES, POLICY_NAMES
from fairlead.apiserver.state import Plain
from fairlead.machinery import cel
from fairlead.store.mvcc import Store

_PREFIX = f"/registry/{kinds.GROUP}/"
KINDS = tuple(resource.gvr for resource in kinds.RESOURCES)
Asked = tuple[str, str, str, str]
"""Operation, group, plural, subresource."""
Named = tuple[tuple[str, cel.Program], ...]


class Webhook(msgspec.Struct, frozen=True):
    """One webhook of a configuration."""

    name: str
    configuration: str
    match: Match
    conditions: Named
    client: Mapping[str, Any]
    seconds: int
    fails: bool
    """A call that fails refuses the request."""
    version: str
    again: bool = False
    """May be asked again when others have changed the object."""
    mutating: bool = False


class Validation(msgspec.Struct, frozen=True):
    """One rule of a policy."""

    program: cel.Program
    message: str
    worded: cel.Program | None
    reason: str


class Policy(msgspec.Struct, frozen=True):
    """A ValidatingAdmissionPolicy."""

    name: str
    match: Match
    conditions: Named
    variables: Named
    validations: tuple[Validation, ...]
    annotations: Named
    params: tuple[str, str] | None
    """apiVersion and kind of its parameters."""
    fails: bool


class Binding(msgspec.Struct, frozen=True):
    """A ValidatingAdmissionPolicyBinding."""

    name: str
    policy: str
    match: Match | None
    actions: tuple[str, ...]
    reference: Mapping[str, Any] | None


class Configurations:
    """See the module's text."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.mutating: tuple[Webhook, ...] = ()
        self.validating: tuple[Webhook, ...] = ()
        self.policies: tuple[tuple[Policy, tuple[Binding, ...]], ...] = ()
        self._known: dict[tuple[str, ...], bool] = {}
        self._read: dict[str, Callable[[], None]] = {
            kinds.MUTATING_WEBHOOKS.plural: self._read_mutating,
            kinds.VALIDATING_WEBHOOKS.plural: self._read_validating,
            kinds.POLICIES.plural: self._read_policies,
            kinds.BINDINGS.plural: self._read_policies,
        }

    def may_mutate(self, asked: Asked) -> bool:
        """Whether a mutating webhook may be concerned by such requests."""
        return bool(self.mutating) and self._may(("mutating", *asked), (hook.match for hook in self.mutating))

    def may_validate(self, asked: Asked) -> bool:
        """Whether a validating webhook or a policy may be concerned by such requests."""
        if not self.validating and not self.policies:
            return False
        found = (*(hook.match for hook in self.validating), *(policy.match for policy, _ in self.policies))
        return self._may(("validating", *asked), found)

    def _may(self, key: tuple[str, ...], matches: Iterable[Match]) -> bool:
        known = self._known.get(key)
        if known is None:
            asked = key[1], key[2], key[3], key[4]
            known = self._known[key] = any(rule.may_concern(*asked) for match in matches for rule in match.rules)
        return known

    def start(self) -> None:
        """Take in all that is stored."""
        self._read_mutating()
        self._read_validating()
        self._read_policies()

    def prepare(self, obj: Plain) -> None:
        """Nothing is filled in."""

    def wrote(self, key: str, value: bytes, *, removed: bool) -> None:
        """Follow a write."""
        self._known.clear()
        self._read[key[len(_PREFIX) :].partition("/")[0]]()

    def _read_mutating(self) -> None:
        found = self._stored(kinds.MUTATING_WEBHOOKS.plural)
        self.mutating = tuple(hook for obj in found for hook in _webhooks(obj, mutating=True))

    def _read_validating(self) -> None:
        found = self._stored(kinds.VALIDATING_WEBHOOKS.plural)
        self.validating = tuple(hook for obj in found for hook in _webhooks(obj, mutating=False))

    def _read_policies(self) -> None:
        bindings: dict[str, list[Binding]] = {}
        for obj in self._stored(kinds.BINDINGS.plural):
            made = _binding(obj)
            bindings.setdefault(made.policy, []).append(made)
        self.policies = tuple(
            (_policy(obj), tuple(bindings[name]))
            for obj in self._stored(kinds.POLICIES.plural)
            if (name := obj["metadata"]["name"]) in bindings
        )

    def _stored(self, plural: str) -> Iterator[Plain]:
        """The objects of a kind, by name."""
        for entry in self._store.list(f"{_PREFIX}{plural}/").entries:
            yield encoding.decode(entry.value)


def _webhooks(obj: Plain, *, mutating: bool) -> Iterator[Webhook]:
    for hook in obj.get("webhooks") or ():
        versions = hook.get("admissionReviewVersions") or ()
        yield Webhook(
            hook["name"], obj["metadata"]["name"], matching.match(hook, hook.get("rules") or ()),
            _conditions(hook, CONDITION_NAMES), hook["clientConfig"], hook.get("timeoutSeconds", 10),
            hook.get("failurePolicy") != "Ignore", next(v for v in versions if v in ("v1", "v1beta1")),
            hook.get("reinvocationPolicy") == "IfNeeded", mutating,
        )  # fmt: skip


def _conditions(holder: Plain, names: frozenset[str]) -> Named:
    found = holder.get("matchConditions") or ()
    return tuple((c["name"], cel.compile(c["expression"], names)) for c in found)


def _policy(obj: Plain) -> Policy:
    spec, names = obj["spec"], POLICY_NAMES
    constraints = spec["matchConstraints"]
    params = spec.get("paramKind")
    match = matching.match(
        constraints, constraints.get("resourceRules") or (), constraints.get("excludeResourceRules") or ()
    )
    return Policy(
        obj["metadata"]["name"], match, _conditions(spec, names),
        tuple((v["name"], cel.compile(v["expression"], names)) for v in spec.get("variables") or ()),
        tuple(_validation(v) for v in spec.get("validations") or ()),
        tuple((a["key"], cel.compile(a["valueExpression"], names)) for a in spec.get("auditAnnotations") or ()),
        (params["apiVersion"], params["kind"]) if params else None, spec.get("failurePolicy") != "Ignore",
    )  # fmt: skip


def _validation(validation: Plain) -> Validation:
    worded = validation.get("messageExpression")
    return Validation(
        cel.compile(validation["expression"], POLICY_NAMES),
        validation.get("message", "").strip() or f"failed expression: {validation['expression'].strip()}",
        cel.compile(worded, POLICY_NAMES) if worded else None, validation.get("reason") or "Invalid",
    )  # fmt: skip


def _binding(obj: Plain) -> Binding:
    spec = obj["spec"]
    chosen = spec.get("matchResources")
    match = None
    if chosen is not None:
        rules, excluded = chosen.get("resourceRules") or (), chosen.get("excludeResourceRules") or ()
        every = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}
        match = matching.match(chosen, rules or (every,), excluded)
    return Binding(
        obj["metadata"]["name"], spec["policyName"], match, tuple(spec.get("validationActions") or ()),
        spec.get("paramRef"),
    )  # fmt: skip
