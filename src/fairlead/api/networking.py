"""networking.k8s.io/v1: stored, and nothing here acts on them."""

from __future__ import annotations

from typing import Any

from fairlead.api.meta import Object, Resource


def _networking(kind: str, plural: str, **more: Any) -> Resource[Object]:
    schema = f"io.k8s.api.networking.v1.{kind}"
    return Resource("networking.k8s.io", "v1", kind, plural, Object, singular=kind.lower(), schema=schema, **more)


INGRESSES = _networking("Ingress", "ingresses", short=("ing",), status=True)
INGRESS_CLASSES = _networking("IngressClass", "ingressclasses", namespaced=False)
NETWORK_POLICIES = _networking("NetworkPolicy", "networkpolicies", short=("netpol",))

RESOURCES: tuple[Resource[Any], ...] = (INGRESSES, INGRESS_CLASSES, NETWORK_POLICIES)
