"""batch/v1 Job: defaults, the generated selector and labels, rules, and what an update may change."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.apiserver.kinds import jobrules, jobstatus, naming, podspec
from fairlead.apiserver.kinds.ways import Obj, Ways, part, parts, spec_of
from fairlead.base.errors import Cause
from fairlead.machinery import causes

UID = "batch.kubernetes.io/controller-uid"
NAME = "batch.kubernetes.io/job-name"
LEGACY_UID = "controller-uid"
LEGACY_NAME = "job-name"
LARGEST = 2**31 - 1

_FIXED = (
    "selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy",
    "successPolicy",
)  # fmt: skip
_SCHEDULING = ("nodeSelector", "tolerations", "schedulingGates")


def default(job: Obj) -> None:
    """Upstream's `SetDefaults_Job`."""
    spec = job.setdefault("spec", {})
    default_spec(spec)
    labels = spec["template"]["metadata"].get("labels")
    if labels and not job["metadata"].get("labels"):
        # The same map and no copy, as upstream: what `create` adds to the template's labels, the Job has, too.
        job["metadata"]["labels"] = labels


def default_spec(spec: Obj) -> None:
    """The defaults of a JobSpec and of its template."""
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = spec["parallelism"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", LARGEST if "backoffLimitPerIndex" in spec else 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("manualSelector", False)
    spec.setdefault("podReplacementPolicy", "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed")
    for rule in spec.get("podFailurePolicy", {}).get("rules", ()):
        for condition in rule.get("onPodConditions", ()):
            if not condition.get("status"):
                condition["status"] = "True"
    podspec.default_template(spec.setdefault("template", {}))


def create(job: Obj) -> None:
    """The selector and the labels by which the Job finds its Pods; the uid is set by now."""
    spec, meta = job["spec"], job["metadata"]
    job["status"] = {}
    if spec.get("manualSelector"):
        return
    name, uid = meta.get("name", ""), meta["uid"]
    template = spec["template"]["metadata"]
    labels = {LEGACY_UID: uid, LEGACY_NAME: name, UID: uid, NAME: name}
    given = template.setdefault("labels", {})
    if not meta.get("labels"):
        meta["labels"] = given
    for label, value in labels.items():
        given.setdefault(label, value)
    selector = spec.setdefault("selector", {})
    selector["matchLabels"] = {UID: uid, **selector.get("matchLabels", {})}


def rules(job: Obj) -> Iterator[Cause]:
    spec, name = spec_of(job), job["metadata"].get("name", "")
    if not spec.get("manualSelector"):
        yield from jobrules.generated(job, (LEGACY_UID, LEGACY_NAME, UID, NAME))
    yield from jobrules.validate(spec, "spec")
    yield from jobrules.chosen(spec)
    if spec.get("completionMode") == "Indexed" and (spec.get("completions") or 0) > 0:
        longest = f"{name}-{spec['completions'] - 1}"
        if naming.label(longest):
            detail = f"will not able to create pod with invalid DNS label: {longest}"
            yield causes.invalid("metadata.name", name, detail)


# --- updates -------------------------------------------------------------------------------------------------------


def transitions(new: Obj, old: Obj) -> Iterator[Cause]:
    after, before = spec_of(new), spec_of(old)
    for field in _FIXED:
        value = after.get(field)
        shown = jobrules.ordered(value) if field == "selector" and value else value
        if value != before.get(field):
            yield causes.invalid(f"spec.{field}", shown, causes.IMMUTABLE)
    yield from _completions(after, before)
    if after["template"] != before["template"]:
        yield from _template(after["template"], before["template"], _mutable(old))


def _completions(after: Obj, before: Obj) -> Iterator[Cause]:
    """Completions change only with parallelism, of an Indexed Job (elastic)."""
    wanted, was = after.get("completions"), before.get("completions")
    if wanted == was:
        return
    if after.get("completionMode") != "Indexed":
        yield causes.invalid("spec.completions", wanted, causes.IMMUTABLE)
    elif wanted is not None and wanted != after.get("parallelism"):
        yield causes.invalid("spec.completions", wanted, "can only be modified in tandem with spec.parallelism")


def _mutable(old: Obj) -> bool:
    """Where Pods go, and what they ask for, may change while a Job is suspended and has no Pods."""
    status = part(old, "status")
    held = any(c.get("type") == "Suspended" and c.get("status") == "True" for c in parts(status, "conditions"))
    return bool(old["spec"].get("suspend")) and (held or not status.get("startTime")) and not status.get("active")


def _template(after: Obj, before: Obj, mutable: bool) -> Iterator[Cause]:
    if not mutable:
        yield causes.invalid("spec.template", after, causes.IMMUTABLE)
    elif _fixed_part(part(after, "spec")) != _fixed_part(part(before, "spec")):
        yield causes.invalid("spec.template.spec", part(after, "spec"), causes.IMMUTABLE)


def _fixed_part(pod: Obj) -> Obj:
    """A Pod's spec without what may change while suspended: placement, resources."""
    fixed = {k: v for k, v in pod.items() if k not in _SCHEDULING}
    fixed["affinity"] = {k: v for k, v in part(pod, "affinity").items() if k != "nodeAffinity"}
    for field in ("initContainers", "containers"):
        fixed[field] = [{k: v for k, v in c.items() if k != "resources"} for c in parts(pod, field)]
    return fixed


WAYS = {("batch", "jobs"): Ways(default, rules, transitions, jobstatus.validate, create=create)}
