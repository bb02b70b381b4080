"""The HTTP server: every request passes the layers of `LAYERS`, from the outermost inwards, and then is answered.

    recover -> describe -> audit -> authenticate -> limit -> impersonate -> authorize -> answer

There is no table of routes: `requestinfo` says what a request asks for, and kinds come and go with their definitions.
aiohttp's low-level server is used without its router and middlewares, because the path of a write is hot.
"""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from fairlead.apiserver import impersonation, peers, requestinfo, resources, traffic
from fairlead.apiserver.audit.record import Auditor
from fairlead.apiserver.auth import Authenticator
from fairlead.apiserver.documents import Document
from fairlead.apiserver.exchange import Exchange
from fairlead.apiserver.rbac import Authorizer
from fairlead.apiserver.requestinfo import RequestInfo
from fairlead.apiserver.state import Api
from fairlead.base import errors, telemetry

BODY_LIMIT = 3 * 1024 * 1024
"""Bytes of a request's body, as upstream."""
SHUTDOWN_SECONDS = 1.0
"""How long requests under way may take when the server stops. (Streams have been ended before.)"""
_STREAMS = frozenset(("log", "exec", "attach", "portforward", "proxy"))
"""Subresources whose answer may last, as that of a watch does."""
_WARNINGS, _WARNING = 4096, 256
"""Characters of an answer's warnings; and of each one where they are more."""
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"))
_log = telemetry.logger("apiserver")

Handle = Callable[[Exchange], Awaitable[web.StreamResponse]]
Layer = Callable[["App", Exchange, Handle], Awaitable[web.StreamResponse]]


class Documents(Protocol):
    """Something that answers GETs of certain paths (discovery, OpenAPI)."""

    def document(self, path: str, accept: str = "") -> Document | None:
        """The answer at a path; None when there is none."""


class Special(Protocol):
    """Answers requests that are no plain REST verb (logs, tokens, reviews); None when it is not concerned."""

    async def __call__(self, exchange: Exchange) -> web.StreamResponse | None: ...


class App:
    """The server's parts, and `handle`, which aiohttp calls for each request."""

    def __init__(
        self, api: Api, authenticator: Authenticator, authorizer: Authorizer, *,
        documents: tuple[Documents, ...] = (), special: tuple[Special, ...] = (),
    ) -> None:  # fmt: skip
        self.api, self.authenticator, self.authorizer = api, authenticator, authorizer
        self.documents, self.special = documents, special
        self.traffic = traffic.Traffic()
        self.auditor: Auditor | None = None
        self.peers: peers.Peers | None = None
        self._streams: dict[Any, asyncio.Task[Any]] = {}
        """Answers that last, by the connection (HTTP/1.1: one at a time): the task of each."""
        self._closing = False
        self._handle = _composed(self, LAYERS, self.answer)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        return await self._handle(Exchange(request))

    async def handle_local(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request that has come over the unix socket."""
        return await self._handle(Exchange(request, peers.uid_of(request.transport)))

    async def answer(self, exchange: Exchange) -> web.StreamResponse:
        """The innermost: whoever is concerned. An answer that may last ends with its connection and with the server."""
        if _lasts(exchange.info):
            return await self._stream(exchange)
        return await self._answer(exchange)

    async def _answer(self, exchange: Exchange) -> web.StreamResponse:
        for concerned in self.special:
            response = await concerned(exchange)
            if response is not None:
                return response
        info = exchange.info
        if not info.is_resource:
            return self._document(exchange)
        return await resources.respond(self.api, exchange)

    async def close(self) -> None:
        """End all watches and other streams; none begins after that."""
        self._closing = True
        tasks = tuple(self._streams.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def lost(self, connection: Any) -> None:
        """A client has gone: what was streamed to it ends. (What it has written is written all the same.)"""
        task = self._streams.get(connection)
        if task is not None:
            task.cancel()

    async def _stream(self, exchange: Exchange) -> web.StreamResponse:
        if self._closing:
            raise errors.unavailable("the server is shutting down")
        task, connection = asyncio.current_task(), exchange.request.protocol
        assert task is not None
        self._streams[connection] = task
        try:
            return await self._answer(exchange)
        finally:
            del self._streams[connection]

    def _document(self, exchange: Exchange) -> web.StreamResponse:
        path, headers = exchange.info.path, exchange.request.headers
        if exchange.info.verb not in ("get", "head"):
            raise errors.method_not_allowed()
        for source in self.documents:
            document = source.document(path, headers.get("Accept", ""))
            if document is not None:
                if document.matches(headers.get("If-None-Match", "")):
                    return web.Response(status=304, headers=document.headers())
                return web.Response(body=document.body, headers=document.headers())
        raise errors.path_not_found()


async def recover(_app: App, exchange: Exchange, handle: Handle) -> web.StreamResponse:
    """Every failure becomes a Status, every warning a header."""
    try:
        response = await handle(exchange)
    except errors.StatusError as error:
        response = resources.failure(error)
    except web.HTTPRequestEntityTooLarge:
        response = resources.failure(errors.too_large(BODY_LIMIT))
    except (asyncio.CancelledError, ConnectionError):
        raise
    except RecursionError:
        response = resources.failure(errors.bad_request("the request's body is nested too deeply"))
    except Exception as error:
        _log.exception("%s %s failed", exchange.request.method, exchange.request.path)
        response = resources.failure(errors.internal(f"{type(error).__name__}: {error}"))
    if exchange.warnings and not response.prepared:
        _warn(response, exchange.warnings)
    return response


def _warn(response: web.StreamResponse, warnings: list[str]) -> None:
    """As upstream: many warnings are cut short, and one that no header can carry is left out."""
    long = sum(map(len, warnings)) > _WARNINGS
    left = _WARNINGS
    for text in warnings:
        said = text[:_WARNING] if long else text
        left -= len(said)
        if left >= 0 and said.isprintable():
            response.headers.add("Warning", '299 - "{}"'.format(said.replace("\\", "\\\\").replace('"', '\\"')))


async def describe(_app: App, exchange: Exchange, handle: Handle) -> web.StreamResponse:
    """What the request asks for."""
    request = exchange.request
    if request.method not in _METHODS:
        raise errors.method_not_allowed()
    exchange.info = requestinfo.parse(request.method, request.rel_url.raw_path, exchange.query)
    return await handle(exchange)


async def audit(app: App, exchange: Exchange, handle: Handle) -> web.StreamResponse:
    """What is written down of it."""
    return await (handle(exchange) if app.auditor is None else app.auditor.around(exchange, handle))


async def authenticate(app: App, exchange: Exchange, handle: Handle) -> web.StreamResponse:
    """Who asks: as their credentials say, or else as the kernel does."""
    headers = exchange.request.headers
    given = headers.get("Authorization", "")
    if exchange.peer is not None and not given and app.peers is not None:
        exchange.user = exchange.sender = app.peers.user(exchange.peer)
    else:
        exchange.user = exchange.sender = app.authenticator.authenticate(
            given, now=app.api.clock.now(), protocols=headers.get("Sec-WebSocket-Protocol", "")
        )
    if app.auditor is not None:
        app.auditor.authenticated(exchange)
    return await handle(exchange)


async def limit(app: App, exchange: Exchange, handle: Handle) -> web.StreamResponse:
    """Whether they have not asked for too much at once."""
    sender = exchange.sender
    if _lasts(exchange.info) or not app.traffic.concerns(sender, exchange.info):
        return await handle(exchange)
    app.traffic.enter(sender)
    try:
        return await handle(exchange)
    finally:
        app.traffic.leave(sender)


async def impersonate(app: App, exchange: Exchange, handle: Handle) -> web.StreamResponse:
    """Who they want to be, if they may."""
    request = exchange.request
    if impersonation.asked(request.raw_headers):
        exchange.user = impersonation.act(request.headers, exchange.sender, app.authorizer)
    return await handle(exchange)


async def authorize(app: App, exchange: Exchange, handle: Handle) -> web.StreamResponse:
    """Whether they may."""
    info = requestinfo.narrowed(exchange.info, exchange.query)
    if app.auditor is not None:
        allowed, reason = app.authorizer.explain(exchange.user, info)
        exchange.annotations["authorization.k8s.io/decision"] = "allow" if allowed else "forbid"
        exchange.annotations["authorization.k8s.io/reason"] = reason
    app.authorizer.allow(exchange.user, info)
    return await handle(exchange)


LAYERS: tuple[Layer, ...] = (recover, describe, audit, authenticate, limit, impersonate, authorize)


def _lasts(info: RequestInfo) -> bool:
    """Whether the answer may last."""
    return info.verb == "watch" or info.subresource in _STREAMS


def _composed(app: App, layers: tuple[Layer, ...], innermost: Handle) -> Handle:
    handle = innermost
    for layer in reversed(layers):
        handle = _around(app, layer, handle)
    return handle


def _around(app: App, layer: Layer, inner: Handle) -> Handle:
    async def handle(exchange: Exchange) -> web.StreamResponse:
        return await layer(app, exchange, inner)

    return handle


async def serve(app: App, port: int, context: ssl.SSLContext | None, *, host: str = "127.0.0.1") -> web.ServerRunner:
    """Listen. The answer is closed by `runner.cleanup()`, after `app.close()`. Raises OSError with a clear line."""
    server = _Listener(app, app.handle)
    runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=context, backlog=1024).start()
    except OSError as error:
        await runner.cleanup()
        if error.errno == errno.EADDRINUSE:
            text = f"port {port} on {host} is in use: stop what uses it, or choose another with --port"
            raise OSError(errno.EADDRINUSE, text) from None
        raise
    return runner


async def serve_local(app: App, path: str, owner: int) -> web.ServerRunner:
    """Listen on a unix socket, for users of this machine; `owner` is the uid that may do everything."""
    app.peers = peers.Peers(owner)
    runner = web.ServerRunner(_Listener(app, app.handle_local), handle_signals=False, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.UnixSite(runner, path, backlog=1024).start()
        os.chmod(path, 0o666)  # noqa: S103 - who may reach it is the folder's mode; who asks, the kernel says
    except OSError:
        await runner.cleanup()
        raise
    return runner


class _Listener(web.Server):
    """Tells the app of connections that have gone, which an idle watch would not see."""

    def __init__(self, app: App, handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        super().__init__(handle, request_factory=_request_factory, access_log=None)
        self._app = app

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._app.lost(handler)


def bound_port(runner: web.ServerRunner) -> int:
    """The port that `serve` listens on (useful after port 0)."""
    address = runner.addresses[0]
    return int(address[1])


def _request_factory(
    message: Any, payload: Any, protocol: RequestHandler, writer: Any, task: asyncio.Task[None]
) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=BODY_LIMIT)
