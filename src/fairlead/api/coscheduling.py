"""scheduling.x-k8s.io: the PodGroup of the coscheduling plugin (v1alpha1), a CustomResourceDefinition."""

from __future__ import annotations

from typing import Any

from fairlead.api.meta import Object, Resource, View

POD_GROUP_LABEL = "scheduling.x-k8s.io/pod-group"
"""On a Pod: the name of its PodGroup."""


class PodGroupSpec(View, frozen=True):
    minMember: int = 1
    minResources: dict[str, Any] = {}
    scheduleTimeoutSeconds: int | None = None


class PodGroup(Object, frozen=True):
    spec: PodGroupSpec = PodGroupSpec()


POD_GROUPS: Resource[PodGroup] = Resource(
    "scheduling.x-k8s.io", "v1alpha1", "PodGroup", "podgroups", PodGroup, singular="podgroup", short=("pg", "pgs"),
    status=True,
)  # fmt: skip

RESOURCES: tuple[Resource[Any], ...] = (POD_GROUPS,)
