"""resource.k8s.io/v1: dynamic resource allocation's objects, stored."""

from __future__ import annotations

from typing import Any

from fairlead.api.meta import Object, Resource


def _resource(kind: str, plural: str, **more: Any) -> Resource[Object]:
    schema = f"io.k8s.api.resource.v1.{kind}"
    return Resource("resource.k8s.io", "v1", kind, plural, Object, singular=kind.lower(), schema=schema, **more)


DEVICE_CLASSES = _resource("DeviceClass", "deviceclasses", namespaced=False)
CLAIMS = _resource("ResourceClaim", "resourceclaims", status=True)
CLAIM_TEMPLATES = _resource("ResourceClaimTemplate", "resourceclaimtemplates")
SLICES = _resource("ResourceSlice", "resourceslices", namespaced=False)

RESOURCES: tuple[Resource[Any], ...] = (DEVICE_CLASSES, CLAIMS, CLAIM_TEMPLATES, SLICES)
