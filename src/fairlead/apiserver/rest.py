"""The verbs of the REST API, subresources included: what `app` (HTTP) and `local` (in-process) both call.

Each takes the server's state and one call. Whoever calls has authorized the request.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from fairlead.apiserver import (
    accounts,
    binding,
    deletes,
    deletion,
    eviction,
    patches,
    reads,
    subresources,
    watch,
    writes,
)
from fairlead.apiserver.kinds import ephemeral
from fairlead.apiserver.state import Answer, Api, Call, Plain
from fairlead.base import errors


def get(api: Api, call: Call) -> bytes:
    """One object, or its scale."""
    if call.subresource == "scale":
        return subresources.get_scale(api, call)
    _require(call, _is_whole(call))
    return reads.get(api, call)


def list_(api: Api, call: Call, asked: reads.Query) -> reads.Found:
    """One page of a list."""
    return reads.list_(api, call, asked)


def changes(api: Api, call: Call, asked: watch.Query) -> AsyncGenerator[Sequence[watch.Change], None]:
    """What happens from now on, or from a revision on."""
    return watch.changes(api, call, asked)


async def create(api: Api, call: Call, obj: Plain) -> Answer:
    """Create an object, or post to a subresource of one."""
    match call.subresource:
        case "":
            _check_accepts(call)
            return await writes.create(api, call, obj)
        case "binding" if call.served.resource.qualified == "pods":
            return await binding.create_binding(api, call, obj)
        case "eviction" if call.served.resource.qualified == "pods":
            return await eviction.evict(api, call, obj)
        case "token" if call.served.resource.qualified == "serviceaccounts":
            return accounts.request_token(api, call, obj)
    raise errors.path_not_found()


async def update(api: Api, call: Call, obj: Plain) -> Answer:
    """Replace an object or what a subresource shows of it."""
    match call.subresource:
        case "scale":
            return await subresources.update_scale(api, call, obj)
        case "finalize" if call.served.resource.qualified == "namespaces":
            return await subresources.finalize(api, call, obj)
    _require(call, _is_whole(call))
    return await writes.update(api, call, obj)


async def patch(api: Api, call: Call, kind: str, body: Any) -> Answer:
    """Patch an object or what a subresource shows of it. `kind` is the patch's content type."""
    if call.subresource == "scale":
        return await subresources.patch_scale(api, call, kind, body)
    if call.subresource == "finalize" and call.served.resource.qualified == "namespaces" and kind == patches.MERGE:
        return await subresources.finalize(api, call, body)
    _require(call, _is_whole(call))
    return await patches.patch_object(api, call, kind, body)


async def delete(api: Api, call: Call, asked: deletion.Options) -> Answer:
    """Ask for an object's deletion."""
    _require(call, not call.subresource)
    return await deletes.delete(api, call, asked)


async def delete_collection(api: Api, call: Call, asked: deletion.Options, query: reads.Query) -> list[bytes]:
    """Ask for the deletion of all objects that are selected."""
    return await deletes.delete_collection(api, call, asked, query)


def _is_whole(call: Call) -> bool:
    """Is the whole object shown, though perhaps only a part may be written?"""
    if call.subresource == ephemeral.SUBRESOURCE:
        return call.served.resource.qualified == "pods"
    return call.subresource in ("", "status")


def _require(call: Call, serves: bool) -> None:
    if not serves or (call.subresource == "status" and not call.served.resource.status):
        raise errors.path_not_found()


def _check_accepts(call: Call) -> None:
    """405 for new objects of a custom kind that is going."""
    crd = call.served.crd
    if crd is not None and crd.metadata.deleting:
        raise errors.StatusError(
            405, "MethodNotAllowed", "create not allowed while custom resource definition is terminating"
        )
