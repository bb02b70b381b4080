"""Every built-in kind: what the embedded API server serves without a CustomResourceDefinition."""

from __future__ import annotations

from typing import Any

from fairlead.api import (
    admissionregistration,
    apiextensions,
    apps,
    autoscaling,
    batch,
    coordination,
    core,
    discovery,
    events,
    metrics,
    networking,
    node,
    policy,
    rbac,
    resource,
    scheduling,
    storage,
)
from fairlead.api.meta import Resource

RESOURCES: tuple[Resource[Any], ...] = (
    *core.RESOURCES,
    *apps.RESOURCES,
    *batch.RESOURCES,
    *coordination.RESOURCES,
    *discovery.RESOURCES,
    *scheduling.RESOURCES,
    *apiextensions.RESOURCES,
    *policy.RESOURCES,
    *autoscaling.RESOURCES,
    *networking.RESOURCES,
    *storage.RESOURCES,
    *node.RESOURCES,
    *metrics.RESOURCES,
    *events.RESOURCES,
    *resource.RESOURCES,
    *rbac.RESOURCES,
    *admissionregistration.RESOURCES,
)
