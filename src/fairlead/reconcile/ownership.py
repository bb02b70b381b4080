"""Whose an object is: the ownerReference that makes another object its controller. Pure."""

from __future__ import annotations

from typing import Any

from fairlead.api.meta import Object, Resource


def reference(resource: Resource[Any], owner: Object) -> dict[str, Any]:
    """The reference that makes `owner`, an object of that kind, an object's controller."""
    return {
        "apiVersion": resource.api_version, "kind": resource.kind, "name": owner.metadata.name,
        "uid": owner.metadata.uid, "controller": True, "blockOwnerDeletion": True,
    }  # fmt: skip
