"""Policies: ValidatingAdmissionPolicies and their bindings, evaluated for one request.

For each binding that concerns the request, and each of its parameters, the policy's conditions are asked first, then
its validations. What a policy's own failure means is its failurePolicy. The first denial is the answer; warnings and
audit annotations are all told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from fairlead.apiserver import encoding, state
from fairlead.apiserver.dynamic.configurations import Binding, Policy, Validation
from fairlead.apiserver.dynamic.situation import Situation
from fairlead.apiserver.state import Plain
from fairlead.base import errors
from fairlead.machinery import cel, selector

FAILURE = "validation.policy.admission.k8s.io/validation_failure"
_CODES = {"Forbidden": 403, "RequestEntityTooLarge": 413, "Invalid": 422}
_NO_PARAMS = "no params found for policy binding with `Deny` parameterNotFoundAction"


class Denial(msgspec.Struct, frozen=True):
    """A validation that does not hold, or could not be asked."""

    policy: str
    binding: Binding
    message: str
    reason: str = "Invalid"
    index: int = 0
    misconfigured: bool = False

    @property
    def actions(self) -> tuple[str, ...]:
        """What follows from it. What cannot be used refuses, whatever the binding says."""
        return ("Deny",) if self.misconfigured else self.binding.actions


class _Misconfigured(Exception):
    """A policy or binding that cannot be used."""


def enforce(situation: Situation, defined: Iterable[tuple[Policy, tuple[Binding, ...]]]) -> None:
    """Raise for the first denial, after warnings and audit annotations are told."""
    denials = [d for policy, bindings in defined for d in _evaluated(situation, policy, bindings)]
    call = situation.review.call
    audited = [d for d in denials if "Audit" in d.actions]
    for denial in denials:
        if "Warn" in denial.actions:
            call.warn(
                f"Validation failed for ValidatingAdmissionPolicy '{denial.policy}' with binding "
                f"'{denial.binding.name}': {denial.message}"
            )
    if audited:
        call.annotations[FAILURE] = encoding.encode([_audited(d) for d in audited]).decode()
    refused = next((d for d in denials if "Deny" in d.actions), None)
    if refused is not None:
        raise _denied(situation, refused)


def _audited(denial: Denial) -> Plain:
    return {
        "message": denial.message, "policy": denial.policy, "binding": denial.binding.name,
        "expressionIndex": denial.index, "validationActions": list(denial.actions),
    }  # fmt: skip


def _denied(situation: Situation, denial: Denial) -> errors.StatusError:
    resource = situation.review.call.served.resource
    who = f"ValidatingAdmissionPolicy '{denial.policy}' with binding '{denial.binding.name}'"
    why = f"{who} denied request: {denial.message}"
    error = errors.forbidden(resource.plural, resource.group, situation.name, why)
    error.code, error.reason = _CODES[denial.reason], denial.reason
    error.details["causes"] = [{"message": why}]
    return error


def _evaluated(situation: Situation, policy: Policy, bindings: tuple[Binding, ...]) -> Iterator[Denial]:
    version = situation.concerns(policy.match)
    if version is None:
        return
    variables = situation.variables(version) | {"namespaceObject": situation.namespace}
    for binding in bindings:
        if binding.match is not None and situation.concerns(binding.match) is None:
            continue
        try:
            for params in _params(situation, policy, binding):
                yield from _with_params(policy, binding, variables | {"params": params}, situation)
        except _Misconfigured as problem:
            if policy.fails:
                yield Denial(policy.name, binding, f"failed to configure binding: {problem}", misconfigured=True)


def _with_params(policy: Policy, binding: Binding, variables: dict[str, Any], situation: Situation) -> Iterator[Denial]:
    try:
        if not all(program.evaluate(variables) is True for _, program in policy.conditions):
            return
    except cel.CelError as problem:
        if policy.fails:
            yield Denial(policy.name, binding, str(problem))
        return
    known = variables["variables"] = {}
    for name, program in policy.variables:
        try:
            known[name] = program.evaluate(variables)
        except cel.CelError:  # it fails where it is used
            continue
    for index, validation in enumerate(policy.validations):
        denial = _validated(policy, binding, validation, variables)
        if denial is not None:
            yield msgspec.structs.replace(denial, index=index)
    yield from _annotated(policy, binding, variables, situation)


def _validated(policy: Policy, binding: Binding, validation: Validation, variables: Mapping[str, Any]) -> Denial | None:
    source = validation.program.source
    try:
        holds = validation.program.evaluate(variables)
        if not isinstance(holds, bool):
            raise cel.CelError("must evaluate to bool")
    except cel.CelError as problem:
        return (
            Denial(policy.name, binding, f"expression '{source}' resulted in error: {problem}")
            if policy.fails
            else None
        )
    if holds:
        return None
    return Denial(policy.name, binding, _worded(validation, variables), validation.reason)


def _worded(validation: Validation, variables: Mapping[str, Any]) -> str:
    if validation.worded is not None:
        try:
            text = validation.worded.evaluate(variables)
        except cel.CelError:
            return validation.message
        if isinstance(text, str) and text.strip() and "\n" not in text.strip():
            return text.strip()
    return validation.message


def _annotated(
    policy: Policy, binding: Binding, variables: Mapping[str, Any], situation: Situation
) -> Iterator[Denial]:
    for key, program in policy.annotations:
        try:
            value = program.evaluate(variables)
        except cel.CelError as problem:
            if policy.fails:
                yield Denial(policy.name, binding, f"expression '{program.source}' resulted in error: {problem}")
            continue
        if isinstance(value, str) and value.strip():
            situation.review.call.annotations[f"{policy.name}/{key}"] = value.strip()


# --- parameters ----------------------------------------------------------------------------------------------------


def _params(situation: Situation, policy: Policy, binding: Binding) -> list[Plain | None]:
    """The objects that the binding's paramRef names. Raises _Misconfigured."""
    reference = binding.reference
    if policy.params is None or reference is None:
        return [None]
    found = list(_referred(situation, policy.params, reference))
    if not found and reference.get("parameterNotFoundAction") == "Deny":
        raise _Misconfigured(_NO_PARAMS)
    return list(found)


def _referred(situation: Situation, kind: tuple[str, str], reference: Mapping[str, Any]) -> Iterator[Plain]:
    api = situation.api
    served = api.catalog.by_kind(*kind)
    if served is None:
        raise _Misconfigured(f"failed to find resource referenced by paramKind: '{kind[0]}, Kind={kind[1]}'")
    namespace = reference.get("namespace") or ""
    if not served.resource.namespaced:
        if namespace:
            raise _Misconfigured("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
    elif not namespace:
        namespace = situation.subject.namespace
        if not namespace:
            raise _Misconfigured(
                "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
            )
    if reference.get("name"):
        entry = api.store.get(state.place(served, namespace, reference["name"]))
        if entry is not None:
            yield encoding.decode(state.seen(served, entry.value))
        return
    chosen = selector.from_label_selector(reference.get("selector"))
    for entry in api.store.list(f"{served.prefix}{namespace}/" if namespace else served.prefix).entries:
        obj = encoding.decode(state.seen(served, entry.value))
        if chosen.matches((obj.get("metadata") or {}).get("labels")):
            yield obj
