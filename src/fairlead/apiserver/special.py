"""Requests that are no REST verb on a stored kind: Pods' logs, and kinds that are questions.

Each class is one concern; called with an exchange it answers, or says None when the request is not its own.
"""

from __future__ import annotations

from typing import cast

from aiohttp import web

from fairlead.apiserver import encoding, inventory, negotiation, resources, streams
from fairlead.apiserver.exchange import Exchange
from fairlead.apiserver.reviews import Reviews
from fairlead.apiserver.state import Api, Call, Plain
from fairlead.base import errors
from fairlead.client.node import Nodes


class PodLogs:
    """`GET pods/<name>/log`, from the agent of the Pod's node; `pods/<name>/proxy` is refused."""

    def __init__(self, api: Api, nodes: Nodes) -> None:
        self._api, self._nodes = api, nodes

    async def __call__(self, exchange: Exchange) -> web.StreamResponse | None:
        info = exchange.info
        if not info.subresource or info.plural != "pods" or info.group:
            return None
        if info.subresource == "proxy":
            text = "pods/proxy is not served by this version of Fairlead: use port-forward, or the Pod's address"
            raise errors.StatusError(501, "NotImplemented", text)
        if info.subresource != "log" or info.verb != "get":
            return None
        pod = stored(self._api, "pods", info.namespace, info.name)
        if pod is None:
            raise errors.not_found("pods", "", info.name)
        # `logs` needs what BaseRequest has; a Request is one that has been routed, and nothing is routed here.
        request = cast(web.Request, exchange.request)
        return await streams.logs(request, self._nodes, pod, now=self._api.clock.now())


class Questions:
    """Kinds without storage: a POST is answered in the same object (`inventory.VIRTUAL`)."""

    def __init__(self, api: Api, answers: Reviews) -> None:
        self._api, self._answers = api, answers

    async def __call__(self, exchange: Exchange) -> web.StreamResponse | None:
        info = exchange.info
        virtual = inventory.find(info.group, info.version, info.plural) if info.plural.endswith("reviews") else None
        if virtual is None:
            return None
        if info.verb != "create":
            raise errors.method_not_allowed()
        body = negotiation.body(await exchange.request.read(), exchange.content_type)
        now = self._api.clock.now()
        return _created(self._answers.answer(virtual, body, exchange.user, namespace=info.namespace, now=now))


class LegacyBindings:
    """`POST bindings`, where the body names the Pod."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def __call__(self, exchange: Exchange) -> web.StreamResponse | None:
        info = exchange.info
        if info.plural != "bindings" or info.group or info.name:
            return None
        pods = self._api.catalog.find("", "v1", "pods")
        if info.verb != "create" or pods is None:
            raise errors.method_not_allowed()
        call = Call(pods, exchange.user, info.namespace, "", "binding", warnings=exchange.warnings)
        return await resources.create(self._api, exchange, call)


def stored(api: Api, plural: str, namespace: str, name: str) -> Plain | None:
    """A core object, or None."""
    entry = api.store.get(f"/registry/core/{plural}/{namespace}/{name}")
    return encoding.decode(entry.value) if entry is not None else None


def _created(answer: Plain) -> web.Response:
    return web.Response(body=encoding.encode(answer), status=201, headers={"Content-Type": "application/json"})
