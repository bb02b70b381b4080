"""TrainJob and the training runtimes: the rules that upstream keeps in webhooks, beyond those of the schemas.

What needs the runtime that a TrainJob refers to is in `against_runtime`, for admission to call with it: whether the
runtime exists is not known here. `runtimePatches[*].time` is admission's as well, because it needs the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fairlead.api import trainer
from fairlead.apiserver.kinds import jobrules
from fairlead.apiserver.kinds.ways import Obj, Ways, spec_of
from fairlead.base.errors import Cause
from fairlead.machinery import causes

RESERVED = ("PET_MASTER_ADDR", "PET_MASTER_PORT", "PET_NNODES", "PET_NODE_RANK", "PET_NPROC_PER_NODE")
"""What the controller sets for torchrun; a TrainJob may not."""
RUNTIMES = ("ClusterTrainingRuntime", "TrainingRuntime")
CONTAINERS = {
    trainer.TRAINER_STEP: trainer.NODE,
    trainer.DATASET_STEP: trainer.DATASET_STEP,
    trainer.MODEL_STEP: trainer.MODEL_STEP,
}
"""The container that a step's replicated job must have."""
_OWN_ENV = frozenset(CONTAINERS.values())
_PATCHES = "spec.runtimePatches"
_REPLICATED = "spec.template.spec.replicatedJobs"

# --- TrainJob ------------------------------------------------------------------------------------------------------


def rules(job: Obj) -> Iterator[Cause]:
    spec = spec_of(job)
    ref = spec["runtimeRef"]
    if ref.get("apiGroup") != trainer.GROUP:
        yield causes.not_supported("spec.runtimeRef.apiGroup", ref.get("apiGroup"), (trainer.GROUP,))
    if ref.get("kind") not in RUNTIMES:
        yield causes.not_supported("spec.runtimeRef.kind", ref.get("kind"), RUNTIMES)
    env = spec.get("trainer", {}).get("env") or ()
    reserved = sorted(v["name"] for v in env if v["name"] in RESERVED)
    if reserved:
        detail = f"must not have reserved envs, invalid envs configured: {reserved}"
        yield causes.invalid("spec.trainer.env", list(env), detail)
    for index, patch in enumerate(spec.get("runtimePatches") or ()):
        at = f"{_PATCHES}[{index}]"
        yield from jobrules.managed_by(patch["manager"], f"{at}.manager")
        yield from _patched_env(patch, at)


def _patched(patch: Obj) -> Iterator[tuple[int, Obj]]:
    """The replicated jobs that a patch patches."""
    template = patch.get("trainingRuntimeSpec", {}).get("template", {})
    yield from enumerate(template.get("spec", {}).get("replicatedJobs") or ())


def _pod_patch(replicated: Obj) -> Obj:
    pod = replicated.get("template", {}).get("spec", {}).get("template", {}).get("spec", {})
    return pod if isinstance(pod, dict) else {}


def _patched_env(patch: Obj, at: str) -> Iterator[Cause]:
    """The variables of the steps' own containers are set through spec.trainer and spec.initializer."""
    for index, replicated in _patched(patch):
        for position, container in enumerate(_pod_patch(replicated).get("containers") or ()):
            if container["name"] in _OWN_ENV and container.get("env"):
                path = f"{at}.trainingRuntimeSpec.template.spec.replicatedJobs[{index}].template.spec.template.spec"
                detail = f"must not have envs for {container['name']}; use spec.trainer.env or spec.initializer"
                yield causes.forbidden(f"{path}.containers[{position}].env", detail)


def transitions(new: Obj, old: Obj) -> Iterator[Cause]:
    """Patches change only around a suspension, and only when nothing runs any more."""
    after, before = spec_of(new), spec_of(old)
    if after.get("runtimePatches") == before.get("runtimePatches"):
        return
    if not after.get("suspend") and not before.get("suspend"):
        detail = "may be changed only when the TrainJob is suspended before or after the update"
        yield causes.forbidden(_PATCHES, detail)
    for step in old.get("status", {}).get("jobsStatus") or ():
        if step.get("active", 0) > 0:
            yield causes.forbidden(_PATCHES, f"may not be changed while {step['name']} is still active")


def against_runtime(job: Obj, runtime: Obj) -> Iterator[Cause]:
    """What a TrainJob asks of its runtime that the runtime does not have."""
    spec, ref = spec_of(job), spec_of(job)["runtimeRef"]
    steps = {r["name"]: r for r in _replicated(runtime)}
    for part, step in (("dataset", trainer.DATASET_STEP), ("model", trainer.MODEL_STEP)):
        if not spec.get("initializer", {}).get(part):
            continue
        if step not in steps:
            detail = f"must have {step} job when the TrainJob has initializer.{part}"
            yield causes.invalid("spec.runtimeRef", ref, detail)
        elif step not in _containers(steps[step]):
            detail = f"must have a container with the name {step} in the {step} job"
            yield causes.invalid("spec.runtimeRef", ref, detail)
    for patch in spec.get("runtimePatches") or ():
        for _, replicated in _patched(patch):
            yield from _patches_known(replicated, steps)


def _patches_known(replicated: Obj, steps: dict[str, Obj]) -> Iterator[Cause]:
    name = replicated["name"]
    if name not in steps:
        yield causes.invalid(_PATCHES, name, "must not have a replicated job that the runtime does not have")
        return
    pod, known = _pod_patch(replicated), _containers(steps[name])
    for container in [*(pod.get("initContainers") or ()), *(pod.get("containers") or ())]:
        if container["name"] not in known:
            detail = f"must not have a container that the runtime's job {name} does not have"
            yield causes.invalid(_PATCHES, container["name"], detail)


# --- runtimes ------------------------------------------------------------------------------------------------------


def _replicated(runtime: Obj) -> list[Obj]:
    found: Any = spec_of(runtime).get("template", {}).get("spec", {}).get("replicatedJobs") or []
    return list(found)


def _containers(replicated: Obj) -> set[str]:
    pod = _pod_patch(replicated)
    return {c["name"] for f in ("initContainers", "containers") for c in pod.get(f) or ()}


def runtime_rules(runtime: Obj) -> Iterator[Cause]:
    """A step is one Job, and has the container that the controller will complete."""
    for index, replicated in enumerate(_replicated(runtime)):
        at = f"{_REPLICATED}[{index}]"
        labels = replicated.get("template", {}).get("metadata", {}).get("labels") or {}
        container = CONTAINERS.get(labels.get(trainer.ANCESTOR_STEP, ""))
        if container is None:
            continue
        if replicated.get("replicas", 1) != 1:
            yield causes.invalid(f"{at}.replicas", replicated["replicas"], "must be 1 for a step of a TrainJob")
        if container not in _containers(replicated):
            detail = f"must have a container with the name {container}"
            yield causes.invalid(
                f"{at}.template.spec.template.spec.containers", sorted(_containers(replicated)), detail
            )


WAYS = {
    (trainer.GROUP, "trainjobs"): Ways(None, rules, transitions),
    (trainer.GROUP, "trainingruntimes"): Ways(None, runtime_rules),
    (trainer.GROUP, "clustertrainingruntimes"): Ways(None, runtime_rules),
}
