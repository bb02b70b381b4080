"""HttpClient: the `Client` that speaks HTTP to any Kubernetes API server.

It sends what `client.request` builds and reads answers as they come. An answer that is not a success is a StatusError;
so is a server that cannot be reached (503). Tried again are only: a request that the server asked to repeat (429 with
Retry-After, nothing was done), and a GET whose connection broke.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp
import msgspec
from yarl import URL

import fairlead
from fairlead.api.meta import Key, Resource
from fairlead.base import clock, errors, telemetry
from fairlead.client import discovery, kubeconfig, request, tls
from fairlead.client.protocol import (
    AS_FAIRLEAD,
    BY_DEFAULT,
    EVERYTHING,
    Binding,
    DeleteOptions,
    Json,
    Listing,
    ListOptions,
    PatchType,
    WatchEvent,
    WriteOptions,
)
from fairlead.client.request import Request

T = TypeVar("T")

_log = telemetry.logger("client")

_TRIES = 5
_ORDINARY = aiohttp.ClientTimeout(total=90, sock_connect=10)
_WATCH = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=request.WATCH_SECONDS + 30)
_STREAM = aiohttp.ClientTimeout(total=None, sock_connect=10)
_TOKEN_SECONDS = 60.0
"""How long a token that was read from a file is used. Kubernetes replaces them well before they expire."""


class HttpClient:
    """A `Client` over HTTP. It opens connections when they are first needed; `close` releases them."""

    def __init__(self, connection: kubeconfig.Connection, *, ticks: clock.Clock = clock.SYSTEM) -> None:
        self.connection = connection
        self._clock = ticks
        self._opened: aiohttp.ClientSession | None = None
        self._token, self._token_until = connection.token, 0.0
        self._warned: set[str] = set()

    async def get(self, resource: Resource[T], key: Key, *, subresource: str = "") -> T:
        return request.decode(resource, await self._answer(request.get(resource, key, subresource)))

    async def list(self, resource: Resource[T], namespace: str = "", options: ListOptions = EVERYTHING) -> Listing[T]:
        return request.page(resource, await self._answer(request.list_(resource, namespace, options)))

    async def watch(
        self, resource: Resource[T], namespace: str = "", options: ListOptions = EVERYTHING
    ) -> AsyncIterator[WatchEvent[T]]:
        lines = request.Lines()
        async with self._response(request.watch(resource, namespace, options), _WATCH) as response:
            async for chunk in _until_broken(response):
                for line in lines.feed(chunk):
                    yield request.event(resource, line)

    async def create(
        self, resource: Resource[T], obj: Json, options: WriteOptions = AS_FAIRLEAD, *, name: str = ""
    ) -> T:
        return request.decode(resource, await self._answer(request.create(resource, obj, options, name)))

    async def apply(self, resource: Resource[T], obj: Json, options: WriteOptions = AS_FAIRLEAD) -> T:
        return request.decode(resource, await self._answer(request.apply(resource, obj, options)))

    async def patch(
        self, resource: Resource[T], key: Key, patch: Any, type_: PatchType, options: WriteOptions = AS_FAIRLEAD
    ) -> T:
        return request.decode(resource, await self._answer(request.patch(resource, key, patch, type_, options)))

    async def delete(self, resource: Resource[Any], key: Key, options: DeleteOptions = BY_DEFAULT) -> None:
        await self._answer(request.delete(resource, key, options))

    async def bind(self, bindings: Sequence[Binding]) -> None:
        for binding in bindings:
            await self._answer(request.bind(binding))

    async def resources(self) -> Sequence[Resource[dict[str, Any]]]:
        roots = await asyncio.gather(*[self._document(root) for root in discovery.ROOTS])
        found: list[Resource[dict[str, Any]]] = []
        for root in roots:
            if discovery.aggregated(root):
                found += discovery.from_aggregated(root)
            else:
                paths = discovery.version_paths(root)
                found += discovery.from_legacy(await asyncio.gather(*[self._document(path) for path in paths]))
        return found

    async def stream_logs(self, pod: Key, parameters: Mapping[str, str]) -> AsyncIterator[bytes]:
        """Chunks of a container's output; `parameters` are those of `PodLogOptions`, as texts."""
        async with self._response(request.logs(pod, parameters), _STREAM) as response:
            async for chunk in response.content.iter_any():
                yield chunk

    async def raw(self, method: str, target: str, body: bytes | None = None, content_type: str = request.JSON) -> bytes:
        """The answer's body for any path (with its query), such as `/version`."""
        return await self._answer(Request(method, target, body, content_type))

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.close()

    # --- sending -----------------------------------------------------------------------------------------------

    async def _document(self, path: str) -> dict[str, Any]:
        body = await self._answer(Request("GET", path), accept=discovery.ACCEPT)
        document: dict[str, Any] = msgspec.json.decode(body)
        return document

    async def _answer(self, asked: Request, accept: str = request.JSON) -> bytes:
        async with self._response(asked, _ORDINARY, accept) as response:
            try:
                return await response.read()
            except (aiohttp.ClientError, TimeoutError) as error:
                raise self._unreachable(error) from error

    @asynccontextmanager
    async def _response(
        self, asked: Request, limits: aiohttp.ClientTimeout, accept: str = request.JSON
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A successful answer, its body still to be read. Raises StatusError."""
        response = await self._send(asked, limits, accept)
        try:
            yield response
        finally:
            # Of an answer that was not read to its end nothing is wanted any more; the connection goes with it.
            if not response.content.at_eof():
                response.close()
            response.release()

    async def _send(self, asked: Request, limits: aiohttp.ClientTimeout, accept: str) -> aiohttp.ClientResponse:
        tries = 0
        while True:
            tries += 1
            try:
                response = await self._request(asked, limits, accept)
                if response.status < 300:
                    return response
                error = request.failure(response.status, response.headers, await response.read())
            except (aiohttp.ServerDisconnectedError, ConnectionResetError, aiohttp.ClientPayloadError) as broken:
                if asked.method == "GET" and tries < _TRIES:
                    continue
                raise self._unreachable(broken) from broken
            except (aiohttp.ClientError, TimeoutError) as broken:
                raise self._unreachable(broken) from broken
            pause = error.details.get("retryAfterSeconds")
            if error.code != 429 or pause is None or tries == _TRIES:
                raise error
            await asyncio.sleep(float(pause))

    async def _request(self, asked: Request, limits: aiohttp.ClientTimeout, accept: str) -> aiohttp.ClientResponse:
        response = await self._session().request(
            asked.method,
            URL(self.connection.server + asked.target, encoded=True),
            data=asked.body,
            headers=self._headers(asked, accept),
            timeout=limits,
            server_hostname=self.connection.server_name or None,
            proxy=self.connection.proxy or None,
            allow_redirects=False,
        )
        self._show_warnings(response)
        return response

    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            self._opened = aiohttp.ClientSession(
                connector=self._connector(), cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": f"fairlead/{fairlead.__version__}"},
            )  # fmt: skip
        return self._opened

    def _connector(self) -> aiohttp.BaseConnector:
        """Every watch holds a connection, so their number must not be limited."""
        if self.connection.socket is not None:
            return aiohttp.UnixConnector(str(self.connection.socket), limit=0)
        secure = self.connection.server.startswith("https:")
        return aiohttp.TCPConnector(limit=0, ssl=tls.context_of(self.connection) if secure else True)

    def _headers(self, asked: Request, accept: str) -> dict[str, str]:
        headers = {"Accept": accept}
        if asked.body is not None:
            headers["Content-Type"] = asked.content_type
        token = self._current_token()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return headers

    def _current_token(self) -> str:
        file = self.connection.token_file
        now = self._clock.monotonic()
        if file is not None and now >= self._token_until:
            try:
                self._token = file.read_text().strip()
            except OSError as error:
                raise errors.unauthorized(f"the token file {file} cannot be read: {error.strerror}") from error
            self._token_until = now + _TOKEN_SECONDS
        return self._token

    def _show_warnings(self, response: aiohttp.ClientResponse) -> None:
        """Log what the server warns of (`Warning: 299 - "text"`), each text once."""
        for header in response.headers.getall("Warning", ()):
            text = header.partition('"')[2].rpartition('"')[0].replace('\\"', '"') or header
            if text not in self._warned:
                self._warned.add(text)
                _log.warning("%s", text)

    def _unreachable(self, error: BaseException) -> errors.StatusError:
        reason = str(error) or type(error).__name__
        return errors.unavailable(
            f"the API server {self.connection.server} cannot be reached: {reason}; is it running?"
        )


async def _until_broken(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """A watch's chunks. A connection that breaks ends the watch like any other end: it is resumed from where it was."""
    try:
        async for chunk in response.content.iter_any():
            yield chunk
    except (aiohttp.ClientError, TimeoutError) as error:
        _log.debug("watch ended: %s", error)
