"""The HTTP side of `reviews`: posts of virtual kinds, and of service accounts' tokens."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from fairlead.apiserver import encoding, inventory, jwt, negotiation, reviews, state
from fairlead.apiserver.exchange import Exchange
from fairlead.apiserver.state import Api
from fairlead.base import errors

_HEADERS = {"Content-Type": "application/json"}


class VirtualKinds:
    """Answers posts to `inventory.VIRTUAL`."""

    def __init__(self, api: Api, answers: reviews.Reviews) -> None:
        self._clock, self._answers = api.clock, answers

    async def __call__(self, exchange: Exchange) -> web.StreamResponse | None:
        info = exchange.info
        virtual = inventory.find(info.group, info.version, info.plural) if info.plural else None
        if virtual is None:
            return None
        if info.name or info.subresource or virtual.namespaced != bool(info.namespace):
            raise errors.path_not_found()
        if info.verb != "create":
            raise errors.method_not_allowed(info.verb)
        body = negotiation.body(await exchange.request.read(), exchange.content_type)
        answer = self._answers.answer(
            virtual, body, exchange.user, namespace=info.namespace, now=self._clock.now()
        )  # fmt: skip
        return web.Response(status=201, body=encoding.encode(answer), headers=_HEADERS)


class AccountTokens:
    """Answers `POST serviceaccounts/<name>/token`."""

    def __init__(self, api: Api, tokens: jwt.Tokens) -> None:
        self._api, self._tokens = api, tokens

    async def __call__(self, exchange: Exchange) -> web.StreamResponse | None:
        info = exchange.info
        if (info.group, info.plural, info.subresource) != ("", "serviceaccounts", "token"):
            return None
        if info.verb != "create":
            raise errors.method_not_allowed(info.verb)
        account = find(self._api, "serviceaccounts", info.namespace, info.name)
        if account is None:
            raise errors.not_found("serviceaccounts", "", info.name)
        body = negotiation.body(await exchange.request.read(), exchange.content_type)
        answer = reviews.token_request(
            self._tokens, account, body, lambda *place: find(self._api, *place),
            now=self._api.clock.now(), identifier=self._api.chance.uid(),
        )  # fmt: skip
        return web.Response(status=201, body=encoding.encode(answer), headers=_HEADERS)


def find(api: Api, plural: str, namespace: str, name: str) -> dict[str, Any] | None:
    """A core object; None when it does not exist."""
    served = api.catalog.find("", "v1", plural)
    entry = api.store.get(state.place(served, namespace, name)) if served is not None else None
    return encoding.decode(entry.value) if entry is not None else None


def exists(api: Api, plural: str, namespace: str, name: str, uid: str) -> bool:
    """Is a core object there, with that uid? (`jwt.Exists`, given an Api.)"""
    found = find(api, plural, namespace, name)
    return found is not None and found["metadata"]["uid"] == uid
