"""Record: the audit events of one request, from what its exchange has come to know.

A request is recorded when it is received and when it is answered; one whose answer lasts (watch, log, exec) also when
the answer begins. Bodies are those that were sent and answered, never what was made of them; Secrets' and tokens'
bodies are recorded only if the policy says so, as upstream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from fairlead.apiserver import negotiation
from fairlead.apiserver.audit.policy import Decision, Policy, Stage
from fairlead.apiserver.audit.writer import Writer
from fairlead.apiserver.exchange import Exchange
from fairlead.apiserver.state import Chance
from fairlead.base import errors, timestamp
from fairlead.base.clock import Clock

Plain = dict[str, Any]
Handle = Callable[[Exchange], Awaitable[web.StreamResponse]]

HEADER = "Audit-ID"
_LASTING = frozenset(("log", "exec", "attach", "portforward", "proxy"))
_ID_LIMIT = 64


class Auditor:
    """Records requests by a policy."""

    def __init__(self, policy: Policy, writer: Writer, clock: Clock, chance: Chance) -> None:
        self._policy, self._writer, self._clock, self._chance = policy, writer, clock, chance

    def start(self) -> None:
        """Begin to write. Raises OSError when the file cannot be opened."""
        self._writer.start()

    async def close(self) -> None:
        """Write what is left."""
        await self._writer.close()

    async def around(self, exchange: Exchange, handle: Handle) -> web.StreamResponse:
        """Handle a request, with its events before and after."""
        received = self._clock.now()
        record = _Record(exchange, self._identifier(exchange), received)
        try:
            response = await handle(exchange)
        except errors.StatusError as error:
            self._end(record, error.as_status(), error.code, None)
            raise
        except asyncio.CancelledError:
            self._end(record, {}, 200 if record.lasting else 499, None)
            raise
        except Exception as error:
            self._emit(record, "Panic", {"responseStatus": {"metadata": {}, "code": 500, "message": str(error)}})
            raise
        if not response.prepared:
            response.headers[HEADER] = record.identifier
        body = response.body if isinstance(response, web.Response) else None
        self._end(record, {}, response.status, body if isinstance(body, bytes) else None)
        return response

    def authenticated(self, exchange: Exchange) -> None:
        """The request's user is known: it has been received."""
        record = exchange.record
        if not isinstance(record, _Record):
            return
        record.decision = self._policy.decide(exchange.sender, exchange.info)
        self._emit(record, "RequestReceived", {}, at=record.received)
        if record.lasting:
            self._emit(record, "ResponseStarted", {"responseStatus": {"metadata": {}, "code": 200}})

    def _identifier(self, exchange: Exchange) -> str:
        given = exchange.request.headers.get(HEADER, "")
        return given[:_ID_LIMIT] if given else self._chance.uid()

    def _end(self, record: _Record, status: Plain, code: int, body: bytes | None) -> None:
        if record.decision is None:  # not authenticated
            record.decision = self._policy.decide(record.exchange.sender, record.exchange.info)
        if record.decision.level == "None":
            return
        told = {k: status[k] for k in ("status", "message", "reason", "details") if k in status}
        more: Plain = {"responseStatus": {"metadata": {}, **told, "code": code}}
        if record.decision.responses:
            answered = status or _plain(body)
            if answered:
                more["responseObject"] = _bare(answered) if record.decision.without_managers else answered
        self._emit(record, "ResponseComplete", more)

    def _emit(self, record: _Record, stage: Stage, more: Plain, *, at: float | None = None) -> None:
        decision = record.decision
        if decision is None or decision.level == "None" or stage in decision.omit:
            return
        event = record.event(decision, stage, self._clock.now() if at is None else at)
        self._writer.write(msgspec.json.encode({**event, **more}))


class _Record:
    """One request under way."""

    __slots__ = ("decision", "exchange", "identifier", "received")

    def __init__(self, exchange: Exchange, identifier: str, received: float) -> None:
        self.exchange, self.identifier, self.received = exchange, identifier, received
        self.decision: Decision | None = None
        exchange.record = self

    @property
    def lasting(self) -> bool:
        """Whether the answer lasts."""
        info = self.exchange.info
        return info.verb == "watch" or info.subresource in _LASTING

    def event(self, decision: Decision, stage: Stage, at: float) -> Plain:
        exchange = self.exchange
        request, info = exchange.request, exchange.info
        event: Plain = {
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": decision.level, "auditID": self.identifier,
            "stage": stage, "requestURI": str(request.rel_url), "verb": info.verb, "user": exchange.sender.as_info(),
        }  # fmt: skip
        if exchange.user is not exchange.sender:
            event["impersonatedUser"] = exchange.user.as_info()
        event["sourceIPs"] = [request.remote or "127.0.0.1"]
        event["userAgent"] = request.headers.get("User-Agent", "")
        if info.plural:
            event["objectRef"] = self._reference(stage)
        if decision.requests and stage != "RequestReceived":
            sent = self._sent()
            if sent is not None:
                event["requestObject"] = _bare(sent) if decision.without_managers else sent
        event["requestReceivedTimestamp"] = timestamp.micro(self.received)
        event["stageTimestamp"] = timestamp.micro(at)
        if stage != "RequestReceived" and exchange.annotations:
            event["annotations"] = dict(exchange.annotations)
        return event

    def _reference(self, stage: Stage) -> Plain:
        info, name = self.exchange.info, self.exchange.info.name
        if not name and info.verb == "create" and stage == "ResponseComplete":
            name = ((self._sent() or {}).get("metadata") or {}).get("name", "")
        reference: Plain = {
            "resource": info.plural, "namespace": info.namespace, "name": name, "apiGroup": info.group,
            "apiVersion": info.version, "subresource": info.subresource,
        }  # fmt: skip
        return {k: v for k, v in reference.items() if v}

    def _sent(self) -> Plain | None:
        """The request's body, if it was read and is an object."""
        data = self.exchange.request._read_bytes  # aiohttp keeps what `read` has read
        if not data:
            return None
        try:
            return negotiation.body(data, self.exchange.content_type)
        except errors.StatusError:
            return _plain(data)


def _plain(data: bytes | None) -> Plain | None:
    if not data:
        return None
    try:
        found = msgspec.json.decode(data)
    except msgspec.DecodeError:
        return None
    return found if isinstance(found, dict) else None


def _bare(obj: Plain) -> Plain:
    """Without managedFields, in a list's items, too."""
    if isinstance(obj.get("items"), list):
        return {**obj, "items": [_bare(item) for item in obj["items"] if isinstance(item, dict)]}
    metadata = obj.get("metadata")
    if isinstance(metadata, dict) and "managedFields" in metadata:
        return {**obj, "metadata": {k: v for k, v in metadata.items() if k != "managedFields"}}
    return obj
