"""Patches: JSON patch (RFC 6902), JSON merge patch (RFC 7386) and Kubernetes' strategic merge patch, in one place.

Inputs are never changed; what a patch leaves alone is shared with the result, not copied. `PatchError.code` is the HTTP
status that upstream answers: 400 for a patch that means nothing, 422 for one that does not fit the object.
"""

from __future__ import annotations

from typing import Any

from fairlead.machinery.jsonpatch import PatchError, TestFailed, json_patch
from fairlead.machinery.strategic import strategic_merge

__all__ = ["PatchError", "TestFailed", "json_patch", "merge_patch", "strategic_merge"]


def merge_patch(obj: Any, patch: Any) -> Any:
    """The object after a JSON merge patch: maps merge, null removes, anything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(obj) if isinstance(obj, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            merged[key] = merge_patch(merged.get(key), value)
        else:
            merged[key] = value
    return merged
