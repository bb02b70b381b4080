"""Pods' logs, from the agent of the Pod's node to the client. (Streams both ways are `streaming`'s.)

Decides what a request means (which container, since when) and refuses in upstream's words what cannot be shown; the
agent decides what there is to read. The answer is text/plain whatever the client accepts, and each piece is sent as
soon as the agent has it. When the client goes away, reading stops.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from aiohttp import web

from fairlead.apiserver import requestinfo
from fairlead.base import errors, telemetry, timestamp
from fairlead.client.node import LogOptions, NodeConnection, Nodes

Plain = Mapping[str, Any]

_WAITING = {"ErrImagePull": "image can't be pulled", "ImagePullBackOff": "trying and failing to pull image"}
"""Reasons that the kubelet puts in other words."""
_LOOK_SECONDS = 1.0
"""How often a log that is followed and has nothing to say looks whether anybody still reads."""
_log = telemetry.logger("streams")


async def logs(request: web.BaseRequest, nodes: Nodes, pod: Plain, *, now: float) -> web.StreamResponse:
    """Answer `GET .../pods/<name>/log`."""
    options = log_options(request.query, pod, now=now)
    agent = connection(nodes, pod)
    metadata = pod["metadata"]
    pieces = await agent.logs(metadata["namespace"], metadata["name"], options)
    try:
        return await _send(request, pieces)
    finally:
        close = getattr(pieces, "aclose", None)
        if close is not None:
            await close()


async def _send(request: web.BaseRequest, pieces: AsyncIterator[bytes]) -> web.StreamResponse:
    piece = await anext(pieces, None)  # a StatusError comes before the first piece, and so before the head
    answer = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await answer.prepare(request)
    try:
        while piece is not None and not _gone(request):
            await answer.write(piece)
            piece = await _next(request, pieces)
        await answer.write_eof()
    except errors.StatusError as error:  # too late for a status: a cut connection says that something is missing
        _log.warning("logs of %s: %s", request.path, error)
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        pass  # the client went away
    return answer


async def _next(request: web.BaseRequest, pieces: AsyncIterator[bytes]) -> bytes | None:
    """The next piece; None at the end, or when the client goes away while there is nothing to send."""
    coming = asyncio.ensure_future(_one(pieces))
    try:
        while True:
            done, _ = await asyncio.wait((coming,), timeout=_LOOK_SECONDS)
            if done:
                return coming.result()
            if _gone(request):
                return None
    finally:
        if not coming.done():
            coming.cancel()
            await asyncio.wait((coming,))


async def _one(pieces: AsyncIterator[bytes]) -> bytes | None:
    return await anext(pieces, None)


def _gone(request: web.BaseRequest) -> bool:
    return request.transport is None or request.transport.is_closing()


def log_options(query: Mapping[str, str], pod: Plain, *, now: float) -> LogOptions:
    """The request's parameters; 400 or 422 for what upstream refuses."""
    name, previous = pod["metadata"]["name"], requestinfo.boolean(query, "previous")
    container = container_of(pod, query.get("container", ""))
    _check_started(pod, container, previous=previous)
    return LogOptions(
        container=container,
        follow=requestinfo.boolean(query, "follow"),
        previous=previous,
        timestamps=requestinfo.boolean(query, "timestamps"),
        since=_since(query, name, now),
        tail_lines=_number(query, "tailLines", name, least=0),
        limit_bytes=_number(query, "limitBytes", name, least=1),
    )


def connection(nodes: Nodes, pod: Plain) -> NodeConnection:
    """The agent that has the Pod. Raises 400 for a Pod without a node, 503 for a node that is not connected."""
    node = pod.get("spec", {}).get("nodeName", "")
    if not node:
        raise errors.bad_request(f"pod {pod['metadata']['name']} does not have a host assigned")
    agent = nodes.connection(node)
    if agent is None:
        raise errors.unavailable(f'node "{node}" is not connected; its agent has the pod')
    return agent


def container_of(pod: Plain, wanted: str) -> str:
    """The container that is meant; 400 when there is none of that name, or a choice."""
    spec, name = pod.get("spec", {}), pod["metadata"]["name"]
    containers, init = _names(spec, "containers"), _names(spec, "initContainers")
    everything = (*containers, *init, *_names(spec, "ephemeralContainers"))
    if wanted:
        if wanted not in everything:
            raise errors.bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted
    if len(containers) == 1:
        return containers[0]
    choice = f"choose one of: [{' '.join(containers)}]"
    if init:
        choice += f" or one of the init containers: [{' '.join(init)}]"
    raise errors.bad_request(f"a container name must be specified for pod {name}, {choice}")


def _names(spec: Plain, field: str) -> tuple[str, ...]:
    return tuple(c["name"] for c in spec.get(field) or ())


def _check_started(pod: Plain, container: str, *, previous: bool) -> None:
    """Refuse the log of a container that has none yet, as the kubelet does."""
    name = pod["metadata"]["name"]
    status = _status(pod, container)
    state, last = status.get("state") or {}, status.get("lastState") or {}
    if previous:
        if last.get("terminated") is None:
            text = f'previous terminated container "{container}" in pod "{name}" not found'
            raise errors.bad_request(text)
        return
    if any(known is not None for known in (state.get("running"), state.get("terminated"), last.get("terminated"))):
        return
    reason = (state.get("waiting") or {}).get("reason") or "ContainerCreating"
    if pod.get("spec", {}).get("nodeName"):
        why = _WAITING.get(reason, reason)
        raise errors.bad_request(f'container "{container}" in pod "{name}" is waiting to start: {why}')


def _status(pod: Plain, container: str) -> Plain:
    status = pod.get("status") or {}
    lists: Sequence[str] = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
    found: Plain
    for found in (c for field in lists for c in status.get(field) or ()):
        if found["name"] == container:
            return found
    return {}


def _since(query: Mapping[str, str], name: str, now: float) -> float | None:
    seconds, moment = _number(query, "sinceSeconds", name, least=1), query.get("sinceTime", "")
    if seconds is not None and moment:
        raise _invalid(name, "sinceTime", "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified")
    if seconds is not None:
        return now - seconds
    if not moment:
        return None
    try:
        return timestamp.parse(moment)
    except ValueError as error:
        raise errors.bad_request(f"sinceTime: {error}") from None


def _number(query: Mapping[str, str], field: str, name: str, *, least: int) -> int | None:
    text = query.get(field, "")
    if not text:
        return None
    try:
        number = int(text)
    except ValueError:
        raise errors.bad_request(f"{field}: {text!r} is not a number") from None
    if number < least:
        rule = "must be greater than or equal to 0" if least == 0 else "must be greater than 0"
        raise _invalid(name, field, f"Invalid value: {number}: {rule}")
    return number


def _invalid(name: str, field: str, message: str) -> errors.StatusError:
    reason = "FieldValueForbidden" if message.startswith("Forbidden") else "FieldValueInvalid"
    return errors.invalid("PodLogOptions", "", name, [errors.Cause(reason, message, field)])
