"""scheduling.k8s.io: PriorityClass (v1), PodGroup and Workload (v1alpha2 of Kubernetes 1.36)."""

from __future__ import annotations

from typing import Any

from fairlead.api.meta import Condition, Object, Resource, View


class PriorityClass(Object, frozen=True):
    value: int = 0
    globalDefault: bool = False
    preemptionPolicy: str = "PreemptLowerPriority"


class GangPolicy(View, frozen=True):
    minCount: int = 1


class GroupPolicy(View, frozen=True):
    gang: GangPolicy | None = None
    basic: dict[str, Any] | None = None


class PodGroupSpec(View, frozen=True):
    schedulingPolicy: GroupPolicy = GroupPolicy()


class PodGroupStatus(View, frozen=True):
    conditions: list[Condition] = []


class PodGroup(Object, frozen=True):
    spec: PodGroupSpec = PodGroupSpec()
    status: PodGroupStatus = PodGroupStatus()


PRIORITY_CLASSES: Resource[PriorityClass] = Resource(
    "scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", PriorityClass, singular="priorityclass",
    namespaced=False, short=("pc",), schema="io.k8s.api.scheduling.v1.PriorityClass",
)  # fmt: skip
POD_GROUPS: Resource[PodGroup] = Resource(
    "scheduling.k8s.io", "v1alpha2", "PodGroup", "podgroups", PodGroup, singular="podgroup", status=True,
    schema="io.k8s.api.scheduling.v1alpha2.PodGroup",
)  # fmt: skip
WORKLOADS: Resource[Object] = Resource(
    "scheduling.k8s.io", "v1alpha2", "Workload", "workloads", Object, singular="workload",
    schema="io.k8s.api.scheduling.v1alpha2.Workload",
)  # fmt: skip

RESOURCES: tuple[Resource[Any], ...] = (PRIORITY_CLASSES, POD_GROUPS, WORKLOADS)
