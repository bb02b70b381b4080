"""Pods' `exec`, `attach` and `portforward`: what is asked for, and in which of the wires' languages.

    websocket   exec and attach by channels; port-forward by channels, or SPDY within the websocket's messages
    SPDY/3.1    the request's connection is taken over after 101 (kubectl up to 1.29; port-forward up to 1.30)

Whatever can be refused is refused before the switch, with a Status; after it there is only the error channel.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, cast

import msgspec
from aiohttp import web

from fairlead.apiserver import requestinfo, special, streams
from fairlead.apiserver.exchange import Exchange
from fairlead.apiserver.rbac import Authorizer
from fairlead.apiserver.state import Api
from fairlead.apiserver.streaming import channels, portforward, remotecommand, spdy, takeover, websocket
from fairlead.base import errors, telemetry
from fairlead.client.node import AttachOptions, Duplex, ExecOptions, NodeConnection, Nodes

SUBRESOURCES = frozenset(("attach", "exec", "portforward"))
_FLAGS = ("stdin", "stdout", "stderr", "tty")
_log = telemetry.logger("streaming")

Plain = Mapping[str, Any]
Open = Callable[[], Coroutine[Any, Any, Duplex]]


class PodStreams:
    """A `special.Special` for the three subresources."""

    def __init__(self, api: Api, nodes: Nodes, authorizer: Authorizer) -> None:
        self._api, self._nodes, self._authorizer = api, nodes, authorizer
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __call__(self, exchange: Exchange) -> web.StreamResponse | None:
        info = exchange.info
        if info.subresource not in SUBRESOURCES or info.plural != "pods" or info.group:
            return None
        if info.verb not in ("get", "create"):
            raise errors.method_not_allowed()
        if (
            info.verb == "get"
        ):  # A websocket begins with GET; to read a Pod is no licence to run things in it (KEP-4006).
            self._authorizer.allow(exchange.user, msgspec.structs.replace(info, verb="create"))
        pod = special.stored(self._api, "pods", info.namespace, info.name)
        if pod is None:
            raise errors.not_found("pods", "", info.name)
        connection = streams.connection(self._nodes, pod)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if info.subresource == "portforward":
                return await _port_forward(exchange, connection, pod)
            return await _command(exchange, connection, pod, info.subresource)
        finally:
            self._tasks.discard(task)

    async def close(self) -> None:
        """End all sessions."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


# --- commands ------------------------------------------------------------------------------------------------------


async def _command(exchange: Exchange, connection: NodeConnection, pod: Plain, what: str) -> web.StreamResponse:
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    request = cast(web.Request, exchange.request)  # A Request is one that has been routed, and nothing is routed here.
    options = exec_options(exchange, pod) if what == "exec" else attach_options(exchange.query, pod)

    def start() -> Coroutine[Any, Any, Duplex]:
        if isinstance(options, ExecOptions):
            return connection.exec(namespace, name, options)
        return connection.attach(namespace, name, options)

    if websocket.wanted(request):
        return await _by_websocket(request, start)
    _require_spdy(request, remotecommand.V4)
    return await _by_spdy(request, options, start)


async def _by_websocket(request: web.Request, start: Open) -> web.StreamResponse:
    protocol = websocket.choose(request, websocket.CHANNELS)
    session = await start()
    try:
        socket = await websocket.accept(request, protocol)
    except BaseException:
        await session.close()
        raise
    await channels.pump(websocket.Channels(socket, protocol), session)
    return socket


async def _by_spdy(request: web.Request, options: AttachOptions, start: Open) -> web.StreamResponse:
    session = await start()
    try:
        wire = takeover.take_over(request, _switch(remotecommand.V4))
        client = remotecommand.Streams(wire)
        await client.open(options)
    except (spdy.Broken, remotecommand.Incomplete) as error:
        _log.warning("%s: %s", request.path, error)
        await session.close()
        return takeover.Switched()
    except BaseException:
        await session.close()
        raise
    await channels.pump(client, session)
    return takeover.Switched()


def exec_options(exchange: Exchange, pod: Plain) -> ExecOptions:
    """The parameters of exec; 400 for what upstream refuses."""
    attached = attach_options(exchange.query, pod)
    command = tuple(exchange.request.query.getall("command", []))
    if not command:
        raise errors.bad_request("you must specify at least one command for the exec")
    return ExecOptions(
        attached.container, attached.stdin, attached.stdout, attached.stderr, attached.tty, command=command
    )  # fmt: skip


def attach_options(query: Mapping[str, str], pod: Plain) -> AttachOptions:
    """The parameters of attach. A terminal has no stderr of its own."""
    container = streams.container_of(pod, query.get("container", ""))
    stdin, stdout, stderr, tty = (requestinfo.boolean(query, flag) for flag in _FLAGS)
    if not (stdin or stdout or stderr):
        raise errors.bad_request("you must specify at least 1 of stdin, stdout, stderr")
    return AttachOptions(container, stdin, stdout, stderr and not tty, tty)


# --- ports ---------------------------------------------------------------------------------------------------------


async def _port_forward(exchange: Exchange, connection: NodeConnection, pod: Plain) -> web.StreamResponse:
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    request = cast(web.Request, exchange.request)

    async def connect(port: int) -> Duplex:
        return await connection.port_forward(namespace, name, port)

    label = f"{name}, uid {pod['metadata']['uid']}"
    if not websocket.wanted(request):
        _require_spdy(request, portforward.PROTOCOL)
        wire = takeover.take_over(request, _switch(portforward.PROTOCOL))
        await portforward.Forwarder(wire, connect, label).run()
        return takeover.Switched()
    protocol = websocket.choose(request, (portforward.TUNNEL, websocket.V5, websocket.V4, websocket.BASE64))
    ports = () if protocol == portforward.TUNNEL else ports_of(request)
    socket = await websocket.accept(request, protocol)
    if protocol == portforward.TUNNEL:
        await portforward.Forwarder(takeover.Tunnel(socket), connect, label).run()
    else:
        await portforward.forward_channels(websocket.Channels(socket, protocol), ports, connect, label)
    return socket


def ports_of(request: web.BaseRequest) -> tuple[int, ...]:
    """The ports of a port-forward in channels."""
    texts = [text for listed in request.query.getall("ports", []) for text in listed.split(",")]
    ports = tuple(portforward.port_of(text) for text in texts)
    if not ports:
        raise errors.bad_request("query parameter 'ports' is required")
    if len(ports) > 127:
        raise errors.bad_request("at most 127 ports have channels")
    known = tuple(port for port in ports if port is not None)
    if len(known) != len(ports):
        raise errors.bad_request(f"ports: {texts} has one that is no number from 1 to 65535")
    return known


# --- switching -----------------------------------------------------------------------------------------------------


def _require_spdy(request: web.BaseRequest, protocol: str) -> None:
    if request.headers.get("Upgrade", "").upper() != "SPDY/3.1":
        raise errors.bad_request("Upgrade request required: to websocket, or to SPDY/3.1")
    offered = [p.strip() for line in request.headers.getall("X-Stream-Protocol-Version", []) for p in line.split(",")]
    if offered and protocol not in offered:
        text = f"unable to negotiate protocol: client supports {offered}, server accepts [{protocol}]"
        raise errors.StatusError(403, "Forbidden", text)


def _switch(protocol: str) -> dict[str, str]:
    return {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": protocol}
