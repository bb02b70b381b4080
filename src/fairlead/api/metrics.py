"""metrics.k8s.io/v1beta1: what nodes and Pods use. Made when asked for, never stored."""

from __future__ import annotations

from typing import Any

from fairlead.api.core import Quantities
from fairlead.api.meta import Object, Resource, View


class ContainerMetrics(View, frozen=True):
    name: str = ""
    usage: Quantities = {}


class PodMetrics(Object, frozen=True):
    timestamp: str = ""
    window: str = ""
    containers: list[ContainerMetrics] = []


class NodeMetrics(Object, frozen=True):
    timestamp: str = ""
    window: str = ""
    usage: Quantities = {}


def _metrics(kind: str, plural: str, view: type[Any], **more: Any) -> Resource[Any]:
    schema = f"io.k8s.metrics.pkg.apis.metrics.v1beta1.{kind}"
    return Resource("metrics.k8s.io", "v1beta1", kind, plural, view, schema=schema, verbs=("get", "list"), **more)


NODE_METRICS: Resource[NodeMetrics] = _metrics("NodeMetrics", "nodes", NodeMetrics, namespaced=False)
POD_METRICS: Resource[PodMetrics] = _metrics("PodMetrics", "pods", PodMetrics)

RESOURCES: tuple[Resource[Any], ...] = (NODE_METRICS, POD_METRICS)
