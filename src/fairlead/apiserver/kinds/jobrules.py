"""The rules of a JobSpec, for Jobs and for the templates that hold one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from fairlead.apiserver.kinds import jobpolicies, metadata, naming, podrules
from fairlead.apiserver.kinds.ways import Obj
from fairlead.base.errors import Cause
from fairlead.machinery import causes, selector

MODES = ("NonIndexed", "Indexed")
RESTARTS = ("OnFailure", "Never")
LARGEST = 100_000
LARGEST_BESIDE = 10_000
"""Of the parallelism and the failed indexes of a Job with more completions than that."""
_COUNTS = (
    "parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished",
    "backoffLimitPerIndex", "maxFailedIndexes",
)  # fmt: skip


def validate(spec: Obj, path: str) -> Iterator[Cause]:
    """The rules of a JobSpec with its defaults, its template included."""
    for field in _COUNTS:
        value = spec.get(field)
        if value is not None and value < 0:
            yield causes.invalid(f"{path}.{field}", value, jobpolicies.NEGATIVE)
    if spec.get("maxFailedIndexes") is not None and spec.get("backoffLimitPerIndex") is None:
        yield causes.required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified")
    if managed := spec.get("managedBy"):
        yield from managed_by(managed, f"{path}.managedBy")
    yield from _mode(spec, path)
    yield from jobpolicies.validate(spec, path)
    template = spec["template"]
    if found := template.get("metadata", {}).get("labels"):
        yield from metadata.check_labels(f"{path}.template.labels", found)
    yield from podrules.validate(template.get("spec", {}), f"{path}.template.spec")
    yield from _restarts(spec, f"{path}.template.spec.restartPolicy")


def generated(job: Obj, labels: tuple[str, str, str, str]) -> Iterator[Cause]:
    """The labels (of the uid and the name, twice) that tell this Job's Pods from everybody else's."""
    meta, wanted = job["metadata"], job["spec"].get("selector")
    if not wanted:
        return
    given = job["spec"]["template"].get("metadata", {}).get("labels", {})
    expected = dict(zip(labels, (meta.get("uid", ""), meta.get("name", "")) * 2, strict=True))
    for label, value in expected.items():
        at = f"spec.template.metadata.labels[{label}]"
        if label not in given:
            yield causes.required(at, f"must be '{value}'")
        elif given[label] != value:
            yield causes.invalid(at, dict(sorted(given.items())), f"must be '{value}'")
    with contextlib.suppress(ValueError):
        if not selector.from_label_selector(wanted).matches(expected):
            yield causes.invalid("spec.selector", ordered(wanted), "`selector` not auto-generated")


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
    if mode == "Indexed":
        yield from _indexed(spec, path)
    elif mode == "NonIndexed":
        for field in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if spec.get(field) is not None:
                yield causes.invalid(f"{path}.{field}", spec[field], "requires indexed completion mode")


def _indexed(spec: Obj, path: str) -> Iterator[Cause]:
    completions, parallelism, most = spec.get("completions"), spec.get("parallelism") or 0, spec.get("maxFailedIndexes")
    if completions is None:
        yield causes.required(f"{path}.completions", "when completion mode is Indexed")
    if parallelism > LARGEST:
        detail = f"must be less than or equal to {LARGEST} when completion mode is Indexed"
        yield causes.invalid(f"{path}.parallelism", parallelism, detail)
    if completions is not None and most is not None and most > completions:
        yield causes.invalid(f"{path}.maxFailedIndexes", most, "must be less than or equal to completions")
    if most is not None and most > LARGEST:
        yield causes.invalid(f"{path}.maxFailedIndexes", most, f"must be less than or equal to {LARGEST}")
    if completions is None or completions <= LARGEST or spec.get("backoffLimitPerIndex") is None:
        return
    if most is None:
        yield causes.required(f"{path}.maxFailedIndexes", f"must be specified when completions is above {LARGEST}")
    above = f"when completions are above {LARGEST} and used with backoff limit per index"
    for field, value in (("parallelism", parallelism), ("maxFailedIndexes", most or 0)):
        if value > LARGEST_BESIDE:
            detail = f"must be less than or equal to {LARGEST_BESIDE} {above}"
            yield causes.invalid(f"{path}.{field}", value, detail)


def _restarts(spec: Obj, path: str) -> Iterator[Cause]:
    policy = spec["template"].get("spec", {}).get("restartPolicy")
    if policy == "Always":
        yield causes.required(path, 'valid values: "OnFailure", "Never"')
    elif policy not in RESTARTS:
        yield causes.not_supported(path, policy, RESTARTS)
    elif "podFailurePolicy" in spec and policy != "Never":
        yield causes.invalid(path, policy, 'only "Never" is supported when podFailurePolicy is specified')
