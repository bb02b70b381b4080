"""batch/v1 CronJob."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator

from fairlead.apiserver.kinds import jobrules, podspec, workloads
from fairlead.apiserver.kinds.ways import Obj, Ways, spec_of
from fairlead.base.errors import Cause
from fairlead.machinery import causes, cron

LONGEST = 52
"""Characters of a name: eleven more make the names of its Jobs."""
_POLICIES = ("Allow", "Forbid", "Replace")


def _default(obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    if not spec.get("concurrencyPolicy"):
        spec["concurrencyPolicy"] = "Allow"
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)
    template = spec.setdefault("jobTemplate", {})
    podspec.default_template(template.setdefault("spec", {}).setdefault("template", {}))


def _rules(obj: Obj) -> Iterator[Cause]:
    spec = spec_of(obj)
    name = obj["metadata"].get("name", "")
    if len(name) > LONGEST:
        yield causes.invalid("metadata.name", name, f"must be no more than {LONGEST} characters")
    yield from _schedule(spec)
    if spec.get("concurrencyPolicy") not in _POLICIES:
        yield causes.not_supported("spec.concurrencyPolicy", spec.get("concurrencyPolicy"), _POLICIES)
    limits = ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit")
    yield from workloads.counts(spec, "spec", *limits)
    job = spec["jobTemplate"]["spec"]
    yield from jobrules.validate({"completionMode": "NonIndexed", "podReplacementPolicy": _REPLACES, **job}, _TEMPLATE)


_TEMPLATE = "spec.jobTemplate.spec"
_REPLACES = "Failed"
"""What no template says, every rule allows."""


def _schedule(spec: Obj) -> Iterator[Cause]:
    text, zone = spec.get("schedule", ""), spec.get("timeZone")
    if not text:
        yield causes.required("spec.schedule")
        return
    if "TZ" in text:
        detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        yield causes.invalid("spec.schedule", text, detail)
        return
    try:
        cron.parse(text)
    except ValueError as wrong:
        yield causes.invalid("spec.schedule", text, str(wrong))
    if zone is not None and not _is_zone(zone):
        detail = "timeZone must be nil or non-empty string" if not zone else f"unknown time zone {zone}"
        yield causes.invalid("spec.timeZone", zone, detail)


def _is_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError):
        return False
    return name.lower() != "local"


def _create(obj: Obj) -> None:
    obj["status"] = {}


WAYS = {("batch", "cronjobs"): Ways(_default, _rules, create=_create)}
