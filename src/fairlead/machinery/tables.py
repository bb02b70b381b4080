"""Package data: the built-in kinds' schemas, the bundled CustomResourceDefinitions, the stock runtimes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fairlead.machinery.structure import Structure


def definition(name: str) -> dict[str, Any]:
    """The OpenAPI v2 definition of that name, for instance `io.k8s.api.batch.v1.Job`. KeyError when unknown."""
    raise NotImplementedError


def names() -> tuple[str, ...]:
    """The names of all definitions."""
    raise NotImplementedError


def structure(name: str) -> Structure:
    """The (typed, cached) Structure of a built-in definition."""
    raise NotImplementedError


def custom(schema: Mapping[str, Any]) -> Structure:
    """The Structure of a custom kind's `openAPIV3Schema`, with apiVersion, kind and metadata added."""
    raise NotImplementedError


def bundled_crds() -> list[dict[str, Any]]:
    """The CustomResourceDefinitions that every server starts with."""
    raise NotImplementedError


def stock_runtimes() -> list[dict[str, Any]]:
    """The ClusterTrainingRuntimes that every server starts with."""
    raise NotImplementedError
