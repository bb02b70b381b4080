"""coordination.k8s.io/v1."""

from __future__ import annotations

from typing import Any

from fairlead.api.meta import Object, Resource, View


class LeaseSpec(View, frozen=True):
    holderIdentity: str = ""
    leaseDurationSeconds: int = 0
    acquireTime: str | None = None
    renewTime: str | None = None
    leaseTransitions: int = 0


class Lease(Object, frozen=True):
    spec: LeaseSpec = LeaseSpec()


LEASES: Resource[Lease] = Resource(
    "coordination.k8s.io", "v1", "Lease", "leases", Lease, singular="lease", schema="io.k8s.api.coordination.v1.Lease"
)

RESOURCES: tuple[Resource[Any], ...] = (LEASES,)
