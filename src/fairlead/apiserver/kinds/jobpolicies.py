"""The rules of a JobSpec's policies (failed Pods, enough successes, replacements), and of lists of indexes."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.apiserver.kinds import naming
from fairlead.apiserver.kinds.ways import Obj, part, parts
from fairlead.base.errors import Cause
from fairlead.machinery import causes

ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
OPERATORS = ("In", "NotIn")
STATUSES = ("False", "True", "Unknown")
REPLACEMENTS = ("Failed", "TerminatingOrFailed")
MOST_RULES = 20
MOST_CODES = 255
LONGEST_INDEXES = 64 * 1024
NEGATIVE = "must be greater than or equal to 0"


def validate(spec: Obj, path: str) -> Iterator[Cause]:
    if "podFailurePolicy" in spec:
        yield from _failure(spec, f"{path}.podFailurePolicy.rules")
    if "successPolicy" in spec:
        yield from _success(spec, f"{path}.successPolicy")
    replacement = spec.get("podReplacementPolicy")
    choices = REPLACEMENTS[:1] if "podFailurePolicy" in spec else REPLACEMENTS
    if replacement is not None and replacement not in choices:
        yield causes.not_supported(f"{path}.podReplacementPolicy", replacement, choices)


# --- failed Pods ---------------------------------------------------------------------------------------------------


def _failure(spec: Obj, path: str) -> Iterator[Cause]:
    rules = parts(part(spec, "podFailurePolicy"), "rules")
    if len(rules) > MOST_RULES:
        yield causes.too_many(path, len(rules), MOST_RULES)
    pod = part(part(spec, "template"), "spec")
    names = {c.get("name") for field in ("containers", "initContainers") for c in parts(pod, field)}
    for index, rule in enumerate(rules):
        at, action = f"{path}[{index}]", rule.get("action", "")
        if action == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
            yield causes.invalid(f"{at}.action", action, "requires the backoffLimitPerIndex to be set")
        yield from _one_of(f"{at}.action", action, ACTIONS)
        codes, conditions = rule.get("onExitCodes"), parts(rule, "onPodConditions")
        if codes is not None:
            yield from _exit_codes(codes, f"{at}.onExitCodes", names)
        yield from _conditions(conditions, f"{at}.onPodConditions")
        if codes is not None and conditions:
            yield causes.invalid(at, causes.UNTOLD, "specifying both OnExitCodes and OnPodConditions is not supported")
        if codes is None and not conditions:
            yield causes.invalid(at, causes.UNTOLD, "specifying one of OnExitCodes and OnPodConditions is required")


def _one_of(path: str, value: str, choices: tuple[str, ...]) -> Iterator[Cause]:
    if not value:
        yield causes.required(path, f"valid values: [{' '.join(causes.spelled(c) for c in choices)}]")
    elif value not in choices:
        yield causes.not_supported(path, value, choices)


def _exit_codes(codes: Obj, path: str, names: set[str | None]) -> Iterator[Cause]:
    operator, values, container = codes.get("operator", ""), codes.get("values") or [], codes.get("containerName")
    yield from _one_of(f"{path}.operator", operator, OPERATORS)
    if container is not None and container not in names:
        detail = "must be one of the container or initContainer names in the pod template"
        yield causes.invalid(f"{path}.containerName", container, detail)
    at = f"{path}.values"
    if not values:
        yield causes.invalid(at, values, "at least one value is required")
    elif len(values) > MOST_CODES:
        yield causes.too_many(at, len(values), MOST_CODES)
    seen: set[int] = set()
    for index, value in enumerate(values):
        if operator == "In" and value == 0:
            yield causes.invalid(f"{at}[{index}]", value, "must not be 0 for the In operator")
        if value in seen:
            yield causes.duplicate(f"{at}[{index}]", value)
        seen.add(value)
    if values != sorted(values):
        yield causes.invalid(at, values, "must be ordered")


def _conditions(patterns: list[Obj], path: str) -> Iterator[Cause]:
    if len(patterns) > MOST_RULES:
        yield causes.too_many(path, len(patterns), MOST_RULES)
    for index, pattern in enumerate(patterns):
        type_ = pattern.get("type", "")
        for complaint in naming.qualified(type_):
            yield causes.invalid(f"{path}[{index}].type", type_, complaint)
        yield from _one_of(f"{path}[{index}].status", pattern.get("status", ""), STATUSES)


# --- enough successes ----------------------------------------------------------------------------------------------


def _success(spec: Obj, path: str) -> Iterator[Cause]:
    policy = part(spec, "successPolicy")
    if spec.get("completionMode") != "Indexed":
        yield causes.invalid(path, policy, "requires indexed completion mode")
        return
    rules, at = parts(policy, "rules"), f"{path}.rules"
    if not rules:
        yield causes.required(at, "at least one rules must be specified when the successPolicy is specified")
    if len(rules) > MOST_RULES:
        yield causes.too_many(at, len(rules), MOST_RULES)
    for index, rule in enumerate(rules):
        yield from _success_rule(rule, f"{at}[{index}]", spec.get("completions") or 0)


def _success_rule(rule: Obj, path: str, completions: int) -> Iterator[Cause]:
    count, text = rule.get("succeededCount"), rule.get("succeededIndexes")
    if count is None and text is None:
        yield causes.required(path, "at least one of succeededCount or succeededIndexes must be specified")
    named = 0
    if text is not None:
        at = f"{path}.succeededIndexes"
        if len(text) > LONGEST_INDEXES:
            yield causes.too_long(at, LONGEST_INDEXES)
        try:
            named = total(text, completions)
        except ValueError as wrong:
            yield causes.invalid(at, text, f"error parsing succeededIndexes: {wrong}")
    if count is None:
        return
    at = f"{path}.succeededCount"
    if count < 0:
        yield causes.invalid(at, count, NEGATIVE)
    if count > completions:
        detail = f"must be less than or equal to {completions} (the number of specified completions)"
        yield causes.invalid(at, count, detail)
    if text is not None and count > named:
        detail = (
            f"must be less than or equal to {named} (the number of indexes in the specified succeededIndexes field)"
        )
        yield causes.invalid(at, count, detail)


# --- lists of indexes ----------------------------------------------------------------------------------------------


def total(text: str, completions: int) -> int:
    """How many indexes `1,3-5` names; ValueError when they are none that such a Job has, or do not rise."""
    count, last = 0, -1
    for first, end in intervals(text, completions):
        if last >= first:
            raise ValueError(f"non-increasing order, previous: {last}, current: {first}")
        count, last = count + end - first + 1, end
    return count


def intervals(text: str, completions: int) -> Iterator[tuple[int, int]]:
    for fragment in text.split(",") if text else ():
        limits = fragment.split("-")
        if len(limits) > 2:
            rule = "violates the requirement that an index interval can have at most two parts separated by '-'"
            raise ValueError(f"the fragment {causes.spelled(fragment)} {rule}")
        first, end = _number(limits[0], completions), _number(limits[-1], completions)
        if len(limits) > 1 and first >= end:
            raise ValueError(f"non-increasing order, previous: {first}, current: {end}")
        yield first, end


def _number(text: str, completions: int) -> int:
    if not (text.isascii() and text.removeprefix("+").isdigit()):
        raise ValueError(f"cannot convert string to integer for index: {causes.spelled(text)}")
    if int(text) >= completions:
        raise ValueError(f"too large index: {causes.spelled(text)}")
    return int(text)
