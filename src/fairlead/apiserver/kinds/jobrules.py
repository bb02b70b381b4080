"""The rules of a JobSpec, for Jobs and for the templates that hold one."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.apiserver.kinds import metadata, naming, podrules
from fairlead.apiserver.kinds.ways import Obj
from fairlead.base.errors import Cause
from fairlead.machinery import causes, selector

MODES = ("NonIndexed", "Indexed")
ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
LARGEST_INDEXED = 100_000
_COUNTS = (
    "parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished",
    "backoffLimitPerIndex", "maxFailedIndexes",
)  # fmt: skip
_NEGATIVE = "must be greater than or equal to 0"


def validate(spec: Obj, path: str) -> Iterator[Cause]:
    """The rules of a JobSpec with its defaults, its template included."""
    for field in _COUNTS:
        value = spec.get(field)
        if value is not None and value < 0:
            yield causes.invalid(f"{path}.{field}", value, _NEGATIVE)
    yield from _mode(spec, path)
    yield from _per_index(spec, path)
    yield from _policies(spec, path)
    if managed := spec.get("managedBy"):
        yield from managed_by(managed, f"{path}.managedBy")
    template = spec["template"]
    if found := template.get("metadata", {}).get("labels"):
        yield from metadata.check_labels(f"{path}.template.labels", found)
    yield from podrules.validate(template.get("spec", {}), f"{path}.template.spec")
    yield from _restarts(spec, f"{path}.template.spec.restartPolicy")


def generated(job: Obj, uid_label: str, name_label: str) -> Iterator[Cause]:
    """The labels that tell this Job's Pods from everybody else's."""
    meta = job["metadata"]
    labels = job["spec"]["template"].get("metadata", {}).get("labels", {})
    for label, value in ((uid_label, meta.get("uid")), (name_label, meta.get("name"))):
        if labels.get(label) != value:
            yield causes.invalid(f"spec.template.metadata.labels[{label}]", labels.get(label, ""), f"must be '{value}'")
    wanted = {"matchLabels": {uid_label: meta.get("uid")}}
    selects = job["spec"].get("selector", wanted)
    if selects != wanted:
        yield causes.invalid("spec.selector", ordered(selects), "`selector` not auto-generated")


def ordered(selects: Obj) -> Obj:
    """A selector as upstream writes it in messages: labels by their keys."""
    return {**selects, "matchLabels": dict(sorted(selects.get("matchLabels", {}).items()))}


def chosen(spec: Obj) -> Iterator[Cause]:
    """The selector is there and chooses the Pods that the template makes."""
    labels, wanted = spec["template"].get("metadata", {}).get("labels", {}), spec.get("selector")
    if not wanted:
        yield causes.required("spec.selector")
        return
    try:
        fits = selector.from_label_selector(wanted).matches(labels)
    except ValueError as wrong:
        yield causes.invalid("spec.selector", wanted, str(wrong))
        return
    if not fits:
        shown, detail = dict(sorted(labels.items())), "`selector` does not match template `labels`"
        yield causes.invalid("spec.template.metadata.labels", shown, detail)


def managed_by(value: str, path: str) -> Iterator[Cause]:
    """A controller's name: `acme.io/foo`, at most 63 characters."""
    prefix, _, name = value.partition("/")
    if not prefix or not name or naming.subdomain(prefix):
        yield causes.invalid(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")')
    if len(value) > 63:
        yield causes.too_long(path, 63)


def _mode(spec: Obj, path: str) -> Iterator[Cause]:
    mode = spec.get("completionMode")
    if mode not in MODES:
        yield causes.not_supported(f"{path}.completionMode", mode, MODES)
    if mode != "Indexed":
        return
    if spec.get("completions") is None:
        yield causes.required(f"{path}.completions", "when completion mode is Indexed")
    if spec.get("parallelism", 0) > LARGEST_INDEXED:
        detail = f"must be less than or equal to {LARGEST_INDEXED} when completion mode is Indexed"
        yield causes.invalid(f"{path}.parallelism", spec["parallelism"], detail)


def _per_index(spec: Obj, path: str) -> Iterator[Cause]:
    limit, most = spec.get("backoffLimitPerIndex"), spec.get("maxFailedIndexes")
    if limit is not None and spec.get("completionMode") != "Indexed":
        yield causes.invalid(f"{path}.backoffLimitPerIndex", limit, "requires indexed completion mode")
    if most is None:
        return
    if limit is None:
        yield causes.required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified")
    if most > (spec.get("completions") or 0):
        detail = "must be less than or equal to completions"
        yield causes.invalid(f"{path}.maxFailedIndexes", most, detail)


def _restarts(spec: Obj, path: str) -> Iterator[Cause]:
    policy = spec["template"].get("spec", {}).get("restartPolicy")
    if policy == "Always":
        yield causes.required(path, 'valid values: "OnFailure", "Never"')
    elif "podFailurePolicy" in spec and policy != "Never":
        yield causes.invalid(path, policy, 'only "Never" is supported when podFailurePolicy is specified')


def _policies(spec: Obj, path: str) -> Iterator[Cause]:
    replacement = spec.get("podReplacementPolicy")
    choices = ("Failed",) if "podFailurePolicy" in spec else ("Failed", "TerminatingOrFailed")
    if replacement not in choices:
        yield causes.not_supported(f"{path}.podReplacementPolicy", replacement, choices)
    failure = spec.get("podFailurePolicy")
    if failure is not None:
        yield from _failure_rules(failure.get("rules", ()), f"{path}.podFailurePolicy.rules", spec)
    success = spec.get("successPolicy")
    if success is not None:
        yield from _success_rules(success.get("rules", ()), f"{path}.successPolicy", spec)


def _failure_rules(rules: list[Obj], path: str, spec: Obj) -> Iterator[Cause]:
    if len(rules) > 20:
        yield causes.too_many(path, len(rules), 20)
    for index, rule in enumerate(rules):
        at, action = f"{path}[{index}]", rule.get("action", "")
        if action not in ACTIONS:
            yield causes.not_supported(f"{at}.action", action, ACTIONS) if action else causes.required(f"{at}.action")
        if action == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
            yield causes.invalid(f"{at}.action", action, "requires the backoffLimitPerIndex to be set")
        codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions")
        if codes and conditions:
            yield causes.invalid(at, causes.UNTOLD, "specifying both OnExitCodes and OnPodConditions is not supported")
        if not codes and not conditions:
            yield causes.invalid(at, causes.UNTOLD, "specifying one of OnExitCodes and OnPodConditions is required")
        if codes:
            yield from _exit_codes(codes, f"{at}.onExitCodes")


def _exit_codes(codes: Obj, at: str) -> Iterator[Cause]:
    operator, values = codes.get("operator", ""), codes.get("values", [])
    if operator not in {"In", "NotIn"}:
        yield causes.not_supported(f"{at}.operator", operator, ("In", "NotIn"))
    if not values:
        yield causes.invalid(f"{at}.values", values, "at least one value is required")
    elif len(values) > 255:
        yield causes.too_many(f"{at}.values", len(values), 255)
    if operator == "In" and 0 in values:
        yield causes.invalid(f"{at}.values[{values.index(0)}]", 0, "must not be 0 for the In operator")


def _success_rules(rules: list[Obj], path: str, spec: Obj) -> Iterator[Cause]:
    if spec.get("completionMode") != "Indexed":
        yield causes.invalid(path, {"rules": rules}, "requires indexed completion mode")
    if not rules:
        yield causes.required(
            f"{path}.rules", "at least one rules must be specified when the successPolicy is specified"
        )
    if len(rules) > 20:
        yield causes.too_many(f"{path}.rules", len(rules), 20)
    for index, rule in enumerate(rules):
        at, count = f"{path}.rules[{index}]", rule.get("succeededCount")
        if count is None and not rule.get("succeededIndexes"):
            yield causes.required(at, "at least one of succeededCount or succeededIndexes must be specified")
        if count is not None and not 1 <= count <= (spec.get("completions") or 0):
            detail = f"must be between 1 and {spec.get('completions')}, the number of specified completions"
            yield causes.invalid(f"{at}.succeededCount", count, detail)
