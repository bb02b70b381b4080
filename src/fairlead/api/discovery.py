"""discovery.k8s.io/v1."""

from __future__ import annotations

from typing import Any

from fairlead.api.core import ObjectReference
from fairlead.api.meta import Object, Resource, View


class EndpointConditions(View, frozen=True):
    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class Endpoint(View, frozen=True):
    addresses: list[str] = []
    conditions: EndpointConditions = EndpointConditions()
    hostname: str = ""
    nodeName: str = ""
    targetRef: ObjectReference | None = None


class EndpointSlice(Object, frozen=True):
    addressType: str = "IPv4"
    endpoints: list[Endpoint] = []
    ports: list[dict[str, Any]] = []


ENDPOINT_SLICES: Resource[EndpointSlice] = Resource(
    "discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", EndpointSlice, singular="endpointslice",
    schema="io.k8s.api.discovery.v1.EndpointSlice",
)  # fmt: skip

RESOURCES: tuple[Resource[Any], ...] = (ENDPOINT_SLICES,)
