"""TrainJob: what upstream's webhook knows and a schema cannot: the runtime that is referred to, and the time.

A TrainJob is refused when its runtime does not exist, or does not have what the TrainJob asks of it. Both are asked
when it is created; later only when its patches change, so that a TrainJob whose runtime has gone or has changed can
still be labelled, finalized and suspended. `runtimePatches[*].time` is when a patch was made: the server fills it in,
and keeps it while the patch stays the same.
"""

from __future__ import annotations

from typing import Any

from fairlead.api import trainer
from fairlead.api.meta import Resource
from fairlead.apiserver import encoding
from fairlead.apiserver.admission.review import Operation, Review
from fairlead.apiserver.kinds import trainer as rules
from fairlead.apiserver.kinds.ways import Obj, parts, spec_of
from fairlead.apiserver.state import Api
from fairlead.base import errors, timestamp
from fairlead.base.errors import Cause
from fairlead.machinery import causes

SUPPORT = "trainer.kubeflow.org/support"
_RUNTIMES: dict[str, Resource[Any]] = {
    "TrainingRuntime": trainer.TRAINING_RUNTIMES, "ClusterTrainingRuntime": trainer.CLUSTER_TRAINING_RUNTIMES,
}  # fmt: skip


class TrainJob:
    name = "TrainJob"

    def handles(self, resource: Resource[Any], operation: Operation, subresource: str) -> bool:
        return resource == trainer.TRAIN_JOBS and operation is not Operation.DELETE and not subresource

    def admit(self, api: Api, review: Review) -> None:
        before = {p.get("manager"): p for p in parts(spec_of(review.old), "runtimePatches")}
        for patch in parts(spec_of(review.obj), "runtimePatches"):
            earlier = before.get(patch.get("manager"))
            if earlier is not None and _timeless(earlier) == _timeless(patch) and earlier.get("time"):
                patch["time"] = earlier["time"]
            elif not patch.get("time"):
                patch["time"] = timestamp.seconds(api.clock.now())

    def validate(self, api: Api, review: Review) -> None:
        spec, created = spec_of(review.obj), review.operation is Operation.CREATE
        resource = _RUNTIMES.get(spec["runtimeRef"]["kind"])
        if resource is None or (
            not created and spec.get("runtimePatches") == spec_of(review.old).get("runtimePatches")
        ):
            return
        runtime = _runtime(api, resource, review)
        if runtime is not None:
            found = list(rules.against_runtime(review.obj, runtime))
            _deprecated(review, runtime)
        else:
            found = [_missing(resource, spec["runtimeRef"])] if created else []
        if found:
            own = trainer.TRAIN_JOBS
            raise errors.invalid(own.kind, own.group, review.obj["metadata"]["name"], found)


def _timeless(patch: Obj) -> Obj:
    return {k: v for k, v in patch.items() if k != "time"}


def _runtime(api: Api, resource: Resource[Any], review: Review) -> Obj | None:
    name = review.obj["spec"]["runtimeRef"]["name"]
    place = f"{review.call.namespace}/{name}" if resource.namespaced else name
    entry = api.store.get(f"/registry/{resource.group}/{resource.plural}/{place}")
    return encoding.decode(entry.value) if entry is not None else None


def _missing(resource: Resource[Any], ref: Obj) -> Cause:
    absent = errors.not_found(resource.plural, resource.group, ref["name"]).message
    kind = resource.kind[0].lower() + resource.kind[1:]
    detail = f"{absent}: specified {kind} must be created before the TrainJob is created"
    return causes.invalid("spec.runtimeRef", ref, detail)


def _deprecated(review: Review, runtime: Obj) -> None:
    if (runtime["metadata"].get("labels") or {}).get(SUPPORT) == "deprecated":
        review.call.warn(f'{runtime["kind"]} "{runtime["metadata"]["name"]}" is deprecated by its label {SUPPORT}')
