"""node.k8s.io/v1: RuntimeClass."""

from __future__ import annotations

from typing import Any

from fairlead.api.meta import Object, Resource

RUNTIME_CLASSES: Resource[Object] = Resource(
    "node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", Object, singular="runtimeclass", namespaced=False,
    schema="io.k8s.api.node.v1.RuntimeClass",
)  # fmt: skip

RESOURCES: tuple[Resource[Any], ...] = (RUNTIME_CLASSES,)
