"""Questions: kinds that are only ever posted (reviews), and `serviceaccounts/<name>/token`, over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from fairlead.apiserver import encoding, inventory, negotiation, reviews, state
from fairlead.apiserver.auth import Authenticator
from fairlead.apiserver.exchange import Exchange
from fairlead.apiserver.jwt import Tokens
from fairlead.apiserver.rbac import Authorizer
from fairlead.apiserver.state import Api, Plain
from fairlead.base import errors


class Questions:
    """One of `app.App`'s special answers."""

    def __init__(self, api: Api, authenticator: Authenticator, authorizer: Authorizer, tokens: Tokens) -> None:
        self._api, self._tokens = api, tokens
        self._reviews = reviews.Reviews(authenticator, authorizer)

    async def __call__(self, exchange: Exchange) -> web.StreamResponse | None:
        info = exchange.info
        virtual = inventory.find(info.group, info.version, info.plural) if info.is_resource else None
        is_token = (info.group, info.plural, info.subresource) == ("", "serviceaccounts", "token")
        if virtual is None and not is_token:
            return None
        if info.verb != "create":
            raise errors.method_not_allowed(info.verb)
        body = negotiation.body(await exchange.request.read(), exchange.content_type)
        now = self._api.clock.now()
        if virtual is not None:
            answer = self._reviews.answer(virtual, body, exchange.user, namespace=info.namespace, now=now)
        else:
            answer = self._token(exchange, body, now)
        return web.Response(body=msgspec.json.encode(answer), status=201, content_type="application/json")

    def _token(self, exchange: Exchange, body: Mapping[str, Any], now: float) -> Plain:
        account = self._live("serviceaccounts", exchange.info.namespace, exchange.info.name)
        if account is None:
            raise errors.not_found("serviceaccounts", "", exchange.info.name)
        identifier = self._api.chance.uid()
        return reviews.token_request(self._tokens, account, body, self._live, now=now, identifier=identifier)

    def _live(self, plural: str, namespace: str, name: str) -> Plain | None:
        served = self._api.catalog.find("", "v1", plural)
        if served is None:
            return None
        entry = self._api.store.get(state.place(served, namespace, name))
        return encoding.decode(entry.value) if entry is not None else None
