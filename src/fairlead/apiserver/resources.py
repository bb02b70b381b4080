"""Requests to kinds: from HTTP to a `Call` and a verb of `rest`, and from its answer back to HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from fairlead.apiserver import (
    bodies,
    deletes,
    deletion,
    encoding,
    inventory,
    negotiation,
    patches,
    protobuf,
    reads,
    rendering,
    requestinfo,
    rest,
    state,
    watch,
    watching,
)
from fairlead.apiserver.exchange import Exchange
from fairlead.apiserver.negotiation import Form
from fairlead.apiserver.requestinfo import RequestInfo
from fairlead.apiserver.state import Answer, Api, Call
from fairlead.apiserver.table import Include
from fairlead.base import errors
from fairlead.base.errors import Cause
from fairlead.machinery import causes

MANAGER_LIMIT = 128
_SHOWN = 30
"""So much of a body that is not understood is repeated."""
_VALIDATIONS = ("", "Strict", "Warn", "Ignore")
_INCLUDES: Mapping[str, Include] = {"": "Metadata", "None": "None", "Metadata": "Metadata", "Object": "Object"}
_LONG = 500
"""Objects in a list, more of which are sent in pieces."""
_JSON = {"Content-Type": "application/json"}

Respond = Callable[[Api, Exchange, Call], Awaitable[web.StreamResponse]]


async def respond(api: Api, exchange: Exchange) -> web.StreamResponse:
    """Answer a request to a kind. 404 for a kind that is not served, 405 for a verb that it does not have."""
    info = exchange.info
    served = api.catalog.find(info.group, info.version, info.plural)
    if served is None:
        raise errors.path_not_found()
    resource = served.resource
    if not resource.namespaced and info.namespace and info.plural != "namespaces":
        raise errors.path_not_found()
    verb = _VERBS.get(info.verb)
    if verb is None or (info.verb not in resource.verbs and not info.subresource):
        raise errors.method_not_allowed()
    if not _addresses(info, resource.namespaced):
        raise errors.method_not_allowed()
    namespace = info.namespace if resource.namespaced else ""
    call = Call(served, exchange.user, namespace, info.name, info.subresource, warnings=exchange.warnings)
    call.annotations = exchange.annotations
    if served.crd is not None and any(v.deprecated and v.name == info.version for v in served.crd.spec.versions):
        call.warn(f"{resource.api_version} {resource.kind} is deprecated")
    return await verb(api, exchange, call)


def _addresses(info: RequestInfo, namespaced: bool) -> bool:
    """Whether the path has what the verb needs: a namespace, a name or none."""
    if namespaced and not info.namespace and info.verb not in ("list", "watch"):
        return False
    match info.verb:
        case "create":
            return not info.name or bool(info.subresource)
        case "update" | "patch":
            return bool(info.name)
    return True


async def _get(api: Api, exchange: Exchange, call: Call) -> web.StreamResponse:
    form = negotiation.accepted(exchange.accept)
    value = rest.get(api, call)
    return _object(api, exchange, call, Answer(value), form)


async def _list(api: Api, exchange: Exchange, call: Call) -> web.StreamResponse:
    form = negotiation.accepted(exchange.accept)
    found = rest.list_(api, call, reads.query(exchange.query))
    metadata: dict[str, Any] = {"resourceVersion": str(found.revision)}
    if found.continues:
        metadata["continue"] = found.continues
    if found.remaining is not None:
        metadata["remainingItemCount"] = found.remaining
    values = [state.seen(call.served, entry.value) for entry in found.entries]
    include = _include(exchange)
    if form.kind == "object" and len(values) > _LONG and not exchange.warnings:
        return await _long_list(exchange, call, values, metadata)
    body = rendering.many(call.served, values, metadata, form, include, api.clock.now())
    return web.Response(body=body, headers=_JSON)


async def _long_list(
    exchange: Exchange, call: Call, values: list[bytes], metadata: dict[str, Any]
) -> web.StreamResponse:
    """A list in pieces: a client that reads slowly costs a piece and not the list, and others get their turn."""
    resource = call.served.resource
    size, pieces = encoding.listing_pieces(resource.api_version, inventory.list_kind(call.served), metadata, values)
    response = web.StreamResponse(headers={**_JSON, "Content-Length": str(size)})
    await response.prepare(exchange.request)
    patience = watching.Patience(exchange.request)
    try:
        for piece in pieces:
            await response.write(piece)
        await response.write_eof()
    finally:
        patience.end()
    return response


async def _watch(api: Api, exchange: Exchange, call: Call) -> web.StreamResponse:
    form = negotiation.accepted(exchange.accept)
    lines = watching.Lines(api, call, form, _include(exchange))
    return await watching.stream(exchange.request, api, call, watch.query(exchange.query), lines)


async def create(api: Api, exchange: Exchange, call: Call) -> web.StreamResponse:
    """Answer a POST."""
    _write_options(exchange, call)
    body = await _body(exchange, call)
    return _object(api, exchange, call, await rest.create(api, call, body), negotiation.accepted(exchange.accept))


async def _body(exchange: Exchange, call: Call) -> dict[str, Any]:
    data = await exchange.request.read()
    obj = negotiation.body(data, exchange.content_type)
    if call.served.crd is not None:
        _name_itself(call, data, obj)
    if not data.startswith(protobuf.MAGIC):
        _note_duplicates(call, data, obj)
    return obj


def _name_itself(call: Call, data: bytes, obj: dict[str, Any]) -> None:
    """400 for a custom object that does not say what it is: no table of types fills that in, as for built-in kinds."""
    resource = call.served.resource
    if not obj.get("kind"):
        text = data.decode(errors="replace")
        shown = text[:_SHOWN] if data.startswith(b"{") else data[:_SHOWN].hex()
        raise errors.bad_request(
            f"the object provided is unrecognized (must be of type {resource.kind}): Object 'Kind' is missing in "
            f"'{text}' ({shown}{' ...' if len(data) > _SHOWN else ''})"
        )
    if not obj.get("apiVersion"):
        raise errors.bad_request(
            f"the API version in the data () does not match the expected API version ({resource.api_version})"
        )


def _note_duplicates(call: Call, data: bytes, body: Any) -> None:
    if call.validation != "Ignore":
        call.repeated = bodies.duplicates(data, body)


async def _update(api: Api, exchange: Exchange, call: Call) -> web.StreamResponse:
    _write_options(exchange, call)
    body = await _body(exchange, call)
    return _object(api, exchange, call, await rest.update(api, call, body), negotiation.accepted(exchange.accept))


async def _patch(api: Api, exchange: Exchange, call: Call) -> web.StreamResponse:
    kind = exchange.content_type.partition(";")[0].strip()
    patches.check_kind(call, kind)
    _write_options(exchange, call, apply=kind == patches.APPLY)
    data = await exchange.request.read()
    body = bodies.any_value(data)
    _note_duplicates(call, data, body)
    answer = await rest.patch(api, call, kind, body)
    return _object(api, exchange, call, answer, negotiation.accepted(exchange.accept))


async def _delete(api: Api, exchange: Exchange, call: Call) -> web.StreamResponse:
    asked = await _delete_options(exchange)
    call.dry_run = asked.dry_run
    answer = await rest.delete(api, call, asked)
    return web.Response(body=deletes.status(call, answer), headers=_JSON)


async def _delete_collection(api: Api, exchange: Exchange, call: Call) -> web.StreamResponse:
    asked = await _delete_options(exchange)
    call.dry_run = asked.dry_run
    values = await rest.delete_collection(api, call, asked, reads.query(exchange.query))
    metadata = {"resourceVersion": str(api.store.revision)}
    body = rendering.many(call.served, values, metadata, negotiation.OBJECT, "None", api.clock.now())
    return web.Response(body=body, headers=_JSON)


_VERBS: Mapping[str, Respond] = {
    "get": _get, "list": _list, "watch": _watch, "create": create, "update": _update, "patch": _patch,
    "delete": _delete, "deletecollection": _delete_collection,
}  # fmt: skip


def _object(api: Api, exchange: Exchange, call: Call, answer: Answer, form: Form) -> web.Response:
    body = answer.value
    if form.kind != "object" and call.subresource in ("", "status"):
        body = rendering.one(call.served, body, form, _include(exchange), api.clock.now())
    return web.Response(body=body, status=201 if answer.created else 200, headers=_JSON)


def _include(exchange: Exchange) -> Include:
    word = exchange.query.get("includeObject", "")
    if word not in _INCLUDES:
        raise errors.bad_request(f'includeObject: "{word}" is not one of None, Metadata, Object')
    return _INCLUDES[word]


def _write_options(exchange: Exchange, call: Call, *, apply: bool = False) -> None:
    """dryRun, fieldManager, fieldValidation and force, from the query. The manager defaults to the client's name."""
    query = exchange.query
    if not query:
        call.manager = "" if apply else exchange.agent
        return
    dry, validation = query.get("dryRun", ""), query.get("fieldValidation", "")
    if dry not in ("", "All"):
        raise _unsupported("dryRun", [dry], '"All"')
    if validation not in _VALIDATIONS:
        raise _unsupported("fieldValidation", validation, '"", "Ignore", "Strict", "Warn"')
    call.dry_run = bool(dry)
    call.validation = validation or "Warn"
    call.force = requestinfo.boolean(query, "force")
    call.manager = query.get("fieldManager", "") or ("" if apply else exchange.agent)
    if len(call.manager) > MANAGER_LIMIT:
        options = "PatchOptions" if exchange.request.method == "PATCH" else "CreateOptions"
        raise errors.invalid(options, "meta.k8s.io", "", [causes.too_long("fieldManager", MANAGER_LIMIT)])


async def _delete_options(exchange: Exchange) -> deletion.Options:
    data = await exchange.request.read()
    body = negotiation.body(data, exchange.content_type) if data.strip() else {}
    return deletion.options(body, exchange.query)


def _unsupported(field: str, value: Any, known: str) -> errors.StatusError:
    text = f"Unsupported value: {causes.spelled(value)}: supported values: {known}"
    cause = Cause("FieldValueNotSupported", text, field)
    return errors.invalid("CreateOptions", "meta.k8s.io", "", [cause])


def failure(error: errors.StatusError) -> web.Response:
    """An error's answer."""
    headers = dict(_JSON)
    retry = error.details.get("retryAfterSeconds")
    if retry:
        headers["Retry-After"] = str(retry)
    return web.Response(body=encoding.encode(error.as_status()), status=error.code, headers=headers)
