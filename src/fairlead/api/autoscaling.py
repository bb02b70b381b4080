"""autoscaling/v2, and v1: HorizontalPodAutoscaler."""

from __future__ import annotations

from typing import Any

from fairlead.api.core import Quantity
from fairlead.api.meta import Condition, Object, Resource, View


class ScaleTarget(View, frozen=True):
    kind: str = ""
    name: str = ""
    apiVersion: str = ""


class MetricTarget(View, frozen=True):
    type: str = ""
    value: Quantity | None = None
    averageValue: Quantity | None = None
    averageUtilization: int | None = None


class ResourceMetric(View, frozen=True):
    """A resource (cpu, memory) of all containers, or of the one named `container`."""

    name: str = ""
    target: MetricTarget = MetricTarget()
    container: str = ""


class Metric(View, frozen=True):
    type: str = ""
    resource: ResourceMetric | None = None
    containerResource: ResourceMetric | None = None
    pods: dict[str, Any] | None = None
    object: dict[str, Any] | None = None
    external: dict[str, Any] | None = None


class ScalingPolicy(View, frozen=True):
    type: str
    value: int
    periodSeconds: int


class ScalingRules(View, frozen=True):
    stabilizationWindowSeconds: int | None = None
    selectPolicy: str = "Max"
    policies: list[ScalingPolicy] = []
    tolerance: Quantity | None = None


class Behavior(View, frozen=True):
    scaleUp: ScalingRules | None = None
    scaleDown: ScalingRules | None = None


class AutoscalerSpec(View, frozen=True):
    scaleTargetRef: ScaleTarget = ScaleTarget()
    minReplicas: int = 1
    maxReplicas: int = 0
    metrics: list[Metric] = []
    behavior: Behavior | None = None


class AutoscalerStatus(View, frozen=True):
    observedGeneration: int | None = None
    lastScaleTime: str | None = None
    currentReplicas: int = 0
    desiredReplicas: int = 0
    currentMetrics: list[dict[str, Any]] | None = None
    conditions: list[Condition] = []


class HorizontalPodAutoscaler(Object, frozen=True):
    spec: AutoscalerSpec = AutoscalerSpec()
    status: AutoscalerStatus = AutoscalerStatus()


AUTOSCALERS: Resource[HorizontalPodAutoscaler] = Resource(
    "autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", HorizontalPodAutoscaler,
    singular="horizontalpodautoscaler", short=("hpa",), categories=("all",), status=True,
    schema="io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
)  # fmt: skip

AUTOSCALERS_V1: Resource[Object] = Resource(
    "autoscaling", "v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers", Object,
    singular="horizontalpodautoscaler", short=("hpa",), categories=("all",), status=True,
    schema="io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler",
)  # fmt: skip
"""The same objects, as older clients see them."""

RESOURCES: tuple[Resource[Any], ...] = (AUTOSCALERS, AUTOSCALERS_V1)
