"""JobSet: the defaults and rules that upstream keeps in a webhook, beyond those of the definition's schema.

Not offered here, and refused: InPlaceRestart and the RestartJob actions, which upstream has behind gates that are off.
The JobSet's Pod templates are checked when its Jobs are made, as upstream does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fairlead.api import jobset
from fairlead.apiserver.kinds import jobrules, naming
from fairlead.apiserver.kinds.ways import Obj, Ways, part, parts, spec_of
from fairlead.base.errors import Cause
from fairlead.machinery import causes

LARGEST = 2**31 - 1
REASONS = (
    "BackoffLimitExceeded", "DeadlineExceeded", "FailedIndexes", "MaxFailedIndexesExceeded", "PodFailurePolicy",
)  # fmt: skip
GATED_ACTIONS = frozenset({"RestartJob", "RestartJobAndIgnoreMaxRestarts"})
_RULE_NAME = re.compile("[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?")
_MUTABLE_SPEC = ("nodeSelector", "tolerations", "schedulingGates")
_MUTABLE_META = ("labels", "annotations")


def default(js: Obj) -> None:
    """What upstream's defaulting webhook fills in."""
    spec = spec_of(js)
    spec.setdefault("successPolicy", {"operator": "All"})
    spec.setdefault("startupPolicy", {"startupPolicyOrder": "AnyOrder"})
    spec.setdefault("network", {})
    network = part(spec, "network")
    network.setdefault("enableDNSHostnames", True)
    network.setdefault("publishNotReadyAddresses", True)
    for replicated in parts(spec, "replicatedJobs"):
        job = part(part(replicated, "template"), "spec")
        job.setdefault("completionMode", "Indexed")
        pod = part(part(job, "template"), "spec")
        if not pod.get("restartPolicy"):
            pod["restartPolicy"] = "OnFailure"
    for index, rule in enumerate(parts(part(spec, "failurePolicy"), "rules")):
        if not rule.get("name"):
            rule["name"] = f"failurePolicyRule{index}"
    for policy in parts(spec, "volumeClaimPolicies"):
        policy.setdefault("retentionPolicy", {"whenDeleted": "Delete"})


def rules(js: Obj) -> Iterator[Cause]:
    spec = spec_of(js)
    replicated = spec.get("replicatedJobs") or []
    names = [job["name"] for job in replicated]
    yield from _network(spec.get("network", {}))
    if managed := spec.get("managedBy"):
        yield from jobrules.managed_by(managed, "spec.managedBy")
    for index, job in enumerate(replicated):
        yield from _replicated(js, job, f"spec.replicatedJobs[{index}]")
        yield from _depends(job, names[:index], f"spec.replicatedJobs[{index}].dependsOn")
    targets = spec.get("successPolicy", {}).get("targetReplicatedJobs") or ()
    yield from _known(targets, names, "spec.successPolicy.targetReplicatedJobs")
    yield from _failure(spec.get("failurePolicy") or {}, names)
    if spec.get("coordinator"):
        yield from _coordinator(spec["coordinator"], replicated)
    yield from _claims(spec.get("volumeClaimPolicies") or (), replicated)


def _network(network: Obj) -> Iterator[Cause]:
    subdomain = network.get("subdomain", "")
    for complaint in naming.dns1035(subdomain) if subdomain else ():
        yield causes.invalid("spec.network.subdomain", subdomain, complaint)


def _name(js: Obj) -> str:
    meta = js["metadata"]
    return str(meta.get("name") or f"{meta.get('generateName', '')}abcde")


def _replicated(js: Obj, job: Obj, at: str) -> Iterator[Cause]:
    """The names that it will give its Jobs and Pods must be DNS labels; the longest is that of the last index."""
    for complaint in naming.dns1035(job.get("groupName", "default")):
        yield causes.invalid(f"{at}.groupName", job["groupName"], complaint)
    spec, replicas = job.get("template", {}).get("spec", {}), job.get("replicas", 1)
    name = jobset.job_name(_name(js), job["name"], max(replicas - 1, 0))
    complaints = naming.dns1035(name)
    for complaint in complaints:
        yield causes.invalid(f"{at}.name", name, f"the name of its Jobs: {complaint}")
    completions = spec.get("completions")
    if not complaints and spec.get("completionMode") == "Indexed" and completions:
        pod = f"{name}-{completions - 1}-abcde"
        for complaint in naming.dns1035(pod):
            yield causes.invalid(f"{at}.name", pod, f"the name of its Pods: {complaint}")
    if replicas * spec.get("parallelism", 1) > LARGEST:
        detail = f"replicas times parallelism must not exceed {LARGEST}"
        yield causes.invalid(f"{at}.replicas", replicas, detail)


def _depends(job: Obj, before: list[str], at: str) -> Iterator[Cause]:
    for index, dependency in enumerate(job.get("dependsOn") or ()):
        if dependency["name"] not in before:
            detail = "must be one of the replicatedJobs listed before this one"
            yield causes.invalid(f"{at}[{index}].name", dependency["name"], detail)


def _known(targets: Any, names: list[str], path: str) -> Iterator[Cause]:
    for index, target in enumerate(targets):
        if target not in names:
            yield causes.invalid(f"{path}[{index}]", target, "is none of the replicatedJobs")


def _failure(policy: Obj, names: list[str]) -> Iterator[Cause]:
    if policy.get("restartStrategy") == "InPlaceRestart":
        detail = "InPlaceRestart is not offered here; use Recreate or BlockingRecreate"
        yield causes.forbidden("spec.failurePolicy.restartStrategy", detail)
    seen: set[str] = set()
    for index, rule in enumerate(policy.get("rules") or ()):
        at, name, action = f"spec.failurePolicy.rules[{index}]", rule.get("name", ""), rule.get("action")
        if action in GATED_ACTIONS:
            detail = f"{action} is not offered here; use RestartJobSet or RestartJobSetAndIgnoreMaxRestarts"
            yield causes.forbidden(f"{at}.action", detail)
        if not _RULE_NAME.fullmatch(name) or len(name) > 128:
            detail = f"must match {_RULE_NAME.pattern} and have at most 128 characters"
            yield causes.invalid(f"{at}.name", name, detail)
        if name in seen:
            yield causes.duplicate(f"{at}.name", name)
        seen.add(name)
        yield from _known(rule.get("targetReplicatedJobs") or (), names, f"{at}.targetReplicatedJobs")
        for position, reason in enumerate(rule.get("onJobFailureReasons") or ()):
            if reason not in REASONS:
                yield causes.not_supported(f"{at}.onJobFailureReasons[{position}]", reason, REASONS)


def _coordinator(found: Obj, replicated: list[Obj]) -> Iterator[Cause]:
    job = next((r for r in replicated if r["name"] == found["replicatedJob"]), None)
    if job is None:
        detail = "is none of the replicatedJobs"
        yield causes.invalid("spec.coordinator.replicatedJob", found["replicatedJob"], detail)
        return
    index, pod = found.get("jobIndex", 0), found.get("podIndex", 0)
    if not 0 <= index < job.get("replicas", 1):
        yield causes.invalid("spec.coordinator.jobIndex", index, f"must be below replicas of {job['name']}")
    spec = job.get("template", {}).get("spec", {})
    completions = spec.get("completions")
    if spec.get("completionMode") != "Indexed" or completions is None:
        detail = "its Job must be Indexed and have completions"
        yield causes.invalid("spec.coordinator.replicatedJob", job["name"], detail)
    elif not 0 <= pod < completions:
        yield causes.invalid("spec.coordinator.podIndex", pod, f"must be below completions of {job['name']}")


def _claims(policies: Any, replicated: list[Obj]) -> Iterator[Cause]:
    mounted = set(_mounted(replicated))
    seen: set[str] = set()
    for index, policy in enumerate(policies):
        for position, template in enumerate(policy.get("templates") or ()):
            at = f"spec.volumeClaimPolicies[{index}].templates[{position}].metadata.name"
            name = template.get("metadata", {}).get("name", "")
            for complaint in naming.subdomain(name):
                yield causes.invalid(at, name, complaint)
            if name in seen:
                yield causes.duplicate(at, name)
            seen.add(name)
            if name not in mounted:
                yield causes.invalid(at, name, "no container has a volumeMount of this name")


def _mounted(replicated: list[Obj]) -> Iterator[str]:
    for job in replicated:
        pod = job.get("template", {}).get("spec", {}).get("template", {}).get("spec", {})
        for container in [*(pod.get("initContainers") or ()), *(pod.get("containers") or ())]:
            for mount in container.get("volumeMounts") or ():
                yield mount.get("name", "")


# --- updates -------------------------------------------------------------------------------------------------------


def transitions(new: Obj, old: Obj) -> Iterator[Cause]:
    """The replicated jobs are fixed; of their Pod templates, what Kueue sets may change while suspended."""
    after, before = spec_of(new), spec_of(old)
    yield from causes.immutable("spec.managedBy", after.get("managedBy"), before.get("managedBy"))
    wanted, was = after.get("replicatedJobs") or [], before.get("replicatedJobs") or []
    if wanted == was:
        return
    suspended = bool(before.get("suspend") or after.get("suspend"))
    if not suspended or [_fixed(j) for j in wanted] != [_fixed(j) for j in was]:
        yield causes.invalid("spec.replicatedJobs", wanted, causes.IMMUTABLE)


def _fixed(replicated: Obj) -> Obj:
    """A replicated job without what may change while suspended."""
    template = replicated.get("template", {})
    job = template.get("spec", {})
    pod = job.get("template", {})
    spec = {k: v for k, v in pod.get("spec", {}).items() if k not in _MUTABLE_SPEC}
    meta = {k: v for k, v in pod.get("metadata", {}).items() if k not in _MUTABLE_META}
    fixed_job = {**job, "template": {**pod, "spec": spec, "metadata": meta}}
    return {**replicated, "template": {**template, "spec": fixed_job}}


WAYS = {(jobset.GROUP, "jobsets"): Ways(default, rules, transitions)}
