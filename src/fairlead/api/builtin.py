"""Every built-in kind: what the embedded API server serves without a CustomResourceDefinition."""

from __future__ import annotations

from typing import Any

from fairlead.api import apiextensions, batch, coordination, core, discovery, scheduling
from fairlead.api.meta import Resource

RESOURCES: tuple[Resource[Any], ...] = (
    *core.RESOURCES,
    *batch.RESOURCES,
    *coordination.RESOURCES,
    *discovery.RESOURCES,
    *scheduling.RESOURCES,
    *apiextensions.RESOURCES,
)
