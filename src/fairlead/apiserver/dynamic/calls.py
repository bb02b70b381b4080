"""Calls: webhooks over HTTPS.

A webhook is at a URL or behind a Service; then one of the Service's ready endpoints is asked, under the Service's name.
A call that fails raises `CallFailed`; what follows from that is the webhook's failurePolicy.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import random
import ssl
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import aiohttp
from yarl import URL

from fairlead.apiserver import encoding
from fairlead.apiserver.dynamic import answers
from fairlead.apiserver.dynamic.answers import Answer
from fairlead.apiserver.dynamic.configurations import Webhook
from fairlead.apiserver.state import Plain
from fairlead.store.mvcc import Store

_SERVICES, _SLICES = "/registry/core/services/", "/registry/discovery.k8s.io/endpointslices/"
_LARGEST = 8 * 1024 * 1024
_OK = 200


class CallFailed(Exception):
    """A webhook could not be asked, or has not answered."""


class Target(NamedTuple):
    """Where to connect, and as whom the other side is addressed."""

    url: URL
    shown: str
    name: str


class Caller:
    """Keeps connections open between calls."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._session: aiohttp.ClientSession | None = None
        self._contexts: dict[str, ssl.SSLContext] = {}

    async def close(self) -> None:
        """Close connections."""
        if self._session is not None:
            await self._session.close()

    async def ask(self, hook: Webhook, body: bytes, uid: str) -> Answer:
        """What a webhook says. Raises CallFailed."""
        target = self._target(hook)
        try:
            async with asyncio.timeout(hook.seconds):
                answered = await self._post(hook, target, body)
            return answers.read(hook, answered, uid)
        except TimeoutError:
            raise CallFailed(f'failed to call webhook: Post "{target.shown}": context deadline exceeded') from None
        except (aiohttp.ClientError, OSError, ssl.SSLError) as problem:
            raise CallFailed(f'failed to call webhook: Post "{target.shown}": {problem}') from None
        except answers.BadAnswer as problem:
            raise CallFailed(f"received invalid webhook response: {problem}") from None

    async def _post(self, hook: Webhook, target: Target, body: bytes) -> bytes:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": "kube-apiserver-admission",
        }
        if target.name:
            headers["Host"] = target.name
        context = self._context(hook.client.get("caBundle") or "")
        async with self._session.post(
            target.url, data=body, headers=headers, ssl=context, server_hostname=target.name or None,
            allow_redirects=False,
        ) as response:  # fmt: skip
            answered = await response.content.read(_LARGEST)
            if response.status != _OK:
                text = answered[:200].decode(errors="replace").strip()
                raise CallFailed(f"failed to call webhook: the server answered {response.status} ({text})")
            return answered

    def _context(self, bundle: str) -> ssl.SSLContext:
        """Whom to trust: the webhook's caBundle, else the system's authorities."""
        found = self._contexts.get(bundle)
        if found is None:
            try:
                data = base64.b64decode(bundle).decode() if bundle else None
                found = ssl.create_default_context(cadata=data)
            except (ssl.SSLError, ValueError, binascii.Error) as problem:
                raise CallFailed(f"failed to call webhook: caBundle cannot be used: {problem}") from None
            self._contexts[bundle] = found
        return found

    def _target(self, hook: Webhook) -> Target:
        url, service = hook.client.get("url"), hook.client.get("service")
        wait = {"timeout": f"{hook.seconds}s"}
        if url:
            where = URL(url).update_query(wait)
            return Target(where, str(where), "")
        assert service is not None
        name = f"{service['name']}.{service['namespace']}.svc"
        path, port = service.get("path") or "/", service.get("port") or 443
        shown = str(URL.build(scheme="https", host=name, port=port, path=path).update_query(wait))
        try:
            address, actual = _endpoint(self._store, service["namespace"], service["name"], port)
        except LookupError as problem:
            raise CallFailed(f'failed to call webhook: Post "{shown}": {problem.args[0]}') from None
        where = URL.build(scheme="https", host=address, port=actual, path=path).update_query(wait)
        return Target(where, shown, name)


def _endpoint(store: Store, namespace: str, name: str, port: int) -> tuple[str, int]:
    """One ready endpoint of a Service's port. Raises LookupError."""
    entry = store.get(f"{_SERVICES}{namespace}/{name}")
    if entry is None:
        raise LookupError(f'service "{name}" not found')
    ports = encoding.decode(entry.value).get("spec", {}).get("ports") or ()
    wanted = next((p for p in ports if p.get("port") == port), None)
    if wanted is None:
        raise LookupError(f'service "{name}" has no port {port}')
    found = list(_ready(store, namespace, name, wanted))
    if not found:
        raise LookupError(f'no endpoints available for service "{name}"')
    return random.choice(found)  # noqa: S311 - any will do


def _ready(store: Store, namespace: str, name: str, port: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for entry in store.list(f"{_SLICES}{namespace}/").entries:
        piece: Plain = encoding.decode(entry.value)
        if (piece["metadata"].get("labels") or {}).get("kubernetes.io/service-name") != name:
            continue
        numbers = [p["port"] for p in piece.get("ports") or () if p.get("name", "") == port.get("name", "")]
        for endpoint in piece.get("endpoints") or ():
            if numbers and (endpoint.get("conditions") or {}).get("ready") is not False:
                yield from ((address, numbers[0]) for address in endpoint.get("addresses") or ())
