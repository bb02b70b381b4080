"""Patch: the four kinds. Each makes a new state from the live one; from there it is an update (`writes.change`).

A server-side apply of what does not exist creates it. Strategic merge needs the patch strategies of built-in types,
so that custom kinds answer 415, as upstream.
"""

from __future__ import annotations

from typing import Any

from fairlead.apiserver import ownership, shape, writes
from fairlead.apiserver.state import Answer, Api, Call, Plain
from fairlead.base import errors
from fairlead.base.errors import Cause
from fairlead.machinery import patch

JSON = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"


async def patch_object(api: Api, call: Call, kind: str, body: Any) -> Answer:
    """Apply a patch of the content type `kind`."""
    check_kind(call, kind)
    if kind == APPLY:
        return await _apply(api, call, body)
    if call.force:
        raise _invalid("force", "FieldValueForbidden", "Forbidden: may not be specified for non-apply patch")
    call.patched = True
    return await writes.change(api, call, lambda live: patched(call, kind, live, body), ownership.updated)


def check_kind(call: Call, kind: str) -> None:
    """415 for a content type that this kind cannot be patched with."""
    custom = call.served.crd is not None
    accepted = (JSON, MERGE, APPLY) if custom else (JSON, MERGE, STRATEGIC, APPLY)
    if kind not in accepted:
        raise errors.unsupported_media_type(
            "the body of the request was in an unknown format - accepted media types include: " + ", ".join(accepted)
        )


def patched(call: Call, kind: str, obj: Plain, body: Any) -> Plain:
    """The object after a patch that is not an apply."""
    try:
        if kind == JSON:
            result = patch.json_patch(obj, body)
        elif kind == MERGE:
            result = patch.merge_patch(obj, body)
        else:
            result = patch.strategic_merge(obj, body, call.served.structure)
    except patch.PatchError as problem:
        raise _unpatchable(problem) from None
    if not isinstance(result, dict):
        raise errors.bad_request("the patch does not leave an object")
    return result


async def _apply(api: Api, call: Call, body: Any) -> Answer:
    if not call.manager:
        raise _invalid("fieldManager", "FieldValueRequired", "Required value: is required for apply patch")
    if not isinstance(body, dict):
        raise errors.bad_request("an apply configuration must be one object")
    shape.fit(call, body)
    shape.conform(call, body)
    for _ in range(writes.ATTEMPTS):
        if api.store.get(call.key) is None:
            if call.subresource or body["metadata"].get("uid"):
                raise call.missing()
            new = ownership.applied(api, call, None, body)
            return await writes.create_applied(api, call, new)
        try:
            return await writes.change(api, call, lambda live: ownership.applied(api, call, live, body), _owned)
        except errors.StatusError as problem:
            if problem.code != 404:
                raise
    raise writes.conflict(call)


def _owned(_api: Api, _call: Call, _new: Plain, _live: Plain) -> None:
    """An apply has settled the managed fields already."""


def _invalid(field: str, reason: str, message: str) -> errors.StatusError:
    return errors.invalid("PatchOptions", "meta.k8s.io", "", [Cause(reason, message, field)])


def _unpatchable(problem: patch.PatchError) -> errors.StatusError:
    """400 for a patch that means nothing, 422 for one that does not fit (without details: kubectl shows the text)."""
    if problem.code == 400:
        return errors.bad_request(str(problem))
    text = f"the server rejected our request due to an error in our request: {problem}"
    return errors.StatusError(problem.code, "RequestEntityTooLarge" if problem.code == 413 else "Invalid", text)
