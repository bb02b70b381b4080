"""The rules that kinds share which keep Pods of a template running: selector, template, counts, shares of a count."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fairlead.apiserver.kinds import metadata, naming, podrules
from fairlead.apiserver.kinds.ways import Obj, part
from fairlead.base.errors import Cause
from fairlead.machinery import causes, selector

NEGATIVE = "must be greater than or equal to 0"
_MISMATCH = "`selector` does not match template `labels`"
_PERCENT = re.compile("[0-9]+%")
_PERCENT_SAYS = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for "
    "validation is '[0-9]+%')"
)


def counts(spec: Obj, path: str, *fields: str) -> Iterator[Cause]:
    """Whole numbers that may not be negative."""
    for field in fields:
        value = spec.get(field)
        if value is not None and value < 0:
            yield causes.invalid(f"{path}.{field}", value, NEGATIVE)


def selected(spec: Obj, kind: str) -> Iterator[Cause]:
    """There is a selector, it is not empty, and it chooses the Pods that the template makes."""
    wanted = spec.get("selector")
    if wanted is None:
        yield causes.required("spec.selector")
        return
    wrong = list(label_selector(wanted, "spec.selector"))
    yield from wrong
    if wrong:
        return
    if not wanted.get("matchLabels") and not wanted.get("matchExpressions"):
        yield causes.invalid("spec.selector", wanted, f"empty selector is invalid for {kind}")
        return
    labels = labels_of(spec)
    if not selector.from_label_selector(wanted).matches(labels):
        yield causes.invalid("spec.template.metadata.labels", labels, _MISMATCH)


def label_selector(found: Obj, path: str) -> Iterator[Cause]:
    """The syntax of a `metav1.LabelSelector`."""
    if labels := found.get("matchLabels"):
        yield from metadata.check_labels(f"{path}.matchLabels", labels)
    for index, expression in enumerate(found.get("matchExpressions") or ()):
        yield from _expression(expression, f"{path}.matchExpressions[{index}]")


def _expression(expression: Obj, at: str) -> Iterator[Cause]:
    operator, values, key = expression.get("operator", ""), expression.get("values") or (), expression.get("key", "")
    match operator:
        case "In" | "NotIn":
            if not values:
                yield causes.required(f"{at}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        case "Exists" | "DoesNotExist":
            if values:
                detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                yield causes.forbidden(f"{at}.values", detail)
        case _:
            yield causes.invalid(f"{at}.operator", operator, "not a valid selector operator")
    for complaint in naming.qualified(key):
        yield causes.invalid(f"{at}.key", key, complaint)
    for position, value in enumerate(values):
        for complaint in naming.label_value(value):
            yield causes.invalid(f"{at}.values[{position}]", value, complaint)


def labels_of(spec: Obj) -> dict[str, str]:
    """The labels of the template."""
    found: dict[str, str] = part(part(spec, "template"), "metadata").get("labels") or {}
    return found


def template(spec: Obj, kind: str, path: str = "spec.template") -> Iterator[Cause]:
    """The template: a Pod that is always started again."""
    found = spec["template"]
    if labels := part(found, "metadata").get("labels"):
        yield from metadata.check_labels(f"{path}.metadata.labels", labels)
    pod = part(found, "spec")
    yield from podrules.validate(pod, f"{path}.spec")
    policy = pod.get("restartPolicy")
    if policy and policy != "Always":
        yield causes.not_supported(f"{path}.spec.restartPolicy", policy, ("Always",))
    if pod.get("activeDeadlineSeconds") is not None:
        detail = f"activeDeadlineSeconds in {kind} is not Supported"
        yield causes.forbidden(f"{path}.spec.activeDeadlineSeconds", detail)


# --- numbers or percentages ----------------------------------------------------------------------------------------


def share(value: Any, path: str, *, at_most_all: bool = False) -> Iterator[Cause]:
    """A whole number that is not negative, or a percentage (at most 100%)."""
    if isinstance(value, str):
        if not _PERCENT.fullmatch(value):
            yield causes.invalid(path, value, _PERCENT_SAYS)
        elif at_most_all and int(value[:-1]) > 100:
            yield causes.invalid(path, value, "must not be greater than 100%")
    elif value is not None and value < 0:
        yield causes.invalid(path, value, NEGATIVE)


def is_zero(value: Any) -> bool:
    """0 or 0%."""
    if isinstance(value, str):
        return bool(_PERCENT.fullmatch(value)) and int(value[:-1]) == 0
    return not value
