"""Priority: a Pod's priorityClassName becomes its spec.priority and preemptionPolicy; one class is the default."""

from __future__ import annotations

from typing import Any

import msgspec

from fairlead.api.core import PODS
from fairlead.api.meta import Resource
from fairlead.api.scheduling import PRIORITY_CLASSES, PriorityClass
from fairlead.apiserver.admission.review import Operation, Review
from fairlead.apiserver.state import Api

_PREFIX = "/registry/scheduling.k8s.io/priorityclasses/"
_decoder = msgspec.json.Decoder(PriorityClass)


class Priority:
    name = "Priority"

    def handles(self, resource: Resource[Any], operation: Operation, subresource: str) -> bool:
        if subresource:
            return False
        if resource == PODS:
            return operation is Operation.CREATE
        return resource == PRIORITY_CLASSES and operation is not Operation.DELETE

    def admit(self, api: Api, review: Review) -> None:
        if review.call.served.resource != PODS:
            return
        spec = review.spec
        found = _named(api, review, spec["priorityClassName"]) if spec.get("priorityClassName") else _default(api)
        value = found.value if found is not None else 0
        if spec.get("priority") not in (None, value):
            raise review.forbid(
                f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; "
                f"priority admission controller computed {value} from the given PriorityClass name"
            )
        policy = found.preemptionPolicy if found is not None else "PreemptLowerPriority"
        if spec.get("preemptionPolicy") not in (None, policy):
            raise review.forbid(
                f"the string value of PreemptionPolicy ({spec['preemptionPolicy']}) must not be provided in pod spec; "
                f"priority admission controller computed {policy} from the given PriorityClass name"
            )
        if found is not None:
            spec["priorityClassName"] = found.metadata.name
        spec["priority"], spec["preemptionPolicy"] = value, policy

    def validate(self, api: Api, review: Review) -> None:
        if review.call.served.resource != PRIORITY_CLASSES or not review.obj.get("globalDefault"):
            return
        other = _default(api)
        if other is not None and other.metadata.name != review.obj["metadata"]["name"]:
            raise review.forbid(
                f"PriorityClass {other.metadata.name} is already marked as default. Only one default can exist"
            )


def _named(api: Api, review: Review, name: str) -> PriorityClass:
    entry = api.store.get(_PREFIX + name)
    if entry is None:
        raise review.forbid(f"no PriorityClass with name {name} was found")
    return _decoder.decode(entry.value)


def _default(api: Api) -> PriorityClass | None:
    for entry in api.store.list(_PREFIX).entries:
        if b'"globalDefault":true' in entry.value:
            found = _decoder.decode(entry.value)
            if found.globalDefault:
                return found
    return None
