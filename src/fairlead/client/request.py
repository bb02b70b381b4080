"""Every method of `Client` as an HTTP request, and every answer as a value. Pure: no connection is opened here.

It decides paths, queries, content types and bodies, and how answers, list pages and watch lines are read. Objects are
decoded straight into the resource's view. Kubernetes leaves `apiVersion` and `kind` out of the items of a list; they
are put back, so that an object looks the same wherever it comes from.

Sending, retrying and reading streams is `client.http`'s.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar, cast
from urllib.parse import quote, urlencode

import msgspec

from fairlead.api.core import PODS
from fairlead.api.meta import Key, Object, Resource
from fairlead.base import errors
from fairlead.base.errors import StatusError
from fairlead.client.protocol import (
    Binding,
    DeleteOptions,
    Json,
    Listing,
    ListOptions,
    PatchType,
    WatchEvent,
    WriteOptions,
)

T = TypeVar("T")

JSON = "application/json"
WATCH_SECONDS = 480
"""How long a watch is asked for. It is then resumed, so that a connection that died in silence is found out."""


class Request(msgspec.Struct, frozen=True):
    """What to send. `target` is the path with its query, percent-encoded."""

    method: str
    target: str
    body: bytes | None = None
    content_type: str = JSON


# --- requests --------------------------------------------------------------------------------------------------------


def path(resource: Resource[Any], key: Key, subresource: str = "") -> str:
    """The path of an object, or of a collection where `key` has no name."""
    prefix = "/apis" if resource.group else "/api"
    parts = [prefix, resource.api_version]
    if key.namespace and resource.namespaced:
        parts += ["namespaces", quote(key.namespace, safe="")]
    parts.append(resource.plural)
    if key.name:
        parts.append(quote(key.name, safe=""))
    if subresource:
        parts.append(subresource)
    return "/".join(parts)


def get(resource: Resource[Any], key: Key, subresource: str = "") -> Request:
    return Request("GET", path(resource, _named(resource, key), subresource))


def list_(resource: Resource[Any], namespace: str, options: ListOptions) -> Request:
    query = _selection(options)
    if options.limit:
        query["limit"] = str(options.limit)
    if options.continues:
        query["continue"] = options.continues
    elif options.revision:
        query["resourceVersion"] = options.revision
    return Request("GET", _target(path(resource, Key(namespace, "")), query))


def watch(resource: Resource[Any], namespace: str, options: ListOptions) -> Request:
    query = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_SECONDS)}
    query |= {"resourceVersion": options.revision} | _selection(options)
    return Request("GET", _target(path(resource, Key(namespace, "")), query))


def create(resource: Resource[Any], obj: Json, options: WriteOptions, name: str = "") -> Request:
    """`name` together with `options.subresource` creates that subresource, as an eviction or a token is made."""
    place = _key_of(resource, obj)
    if resource.namespaced and not place.namespace:
        raise errors.bad_request(f"{resource.qualified} live in a namespace; set metadata.namespace of {place.name!r}")
    body = obj if options.subresource else _typed(resource, obj)
    where = path(resource, Key(place.namespace, name), options.subresource)
    return Request("POST", _target(where, _writing(options)), msgspec.json.encode(body))


def apply(resource: Resource[Any], obj: Json, options: WriteOptions) -> Request:
    if not options.manager:
        raise errors.bad_request("a server-side apply needs a field manager; set WriteOptions.manager")
    return patch(resource, _key_of(resource, obj), _typed(resource, obj), PatchType.APPLY, options)


def patch(resource: Resource[Any], key: Key, patch: Any, type_: PatchType, options: WriteOptions) -> Request:
    query = _writing(options)
    if options.force and type_ is PatchType.APPLY:
        query["force"] = "true"
    where = path(resource, _named(resource, key), options.subresource)
    return Request("PATCH", _target(where, query), msgspec.json.encode(patch), type_.value)


def delete(resource: Resource[Any], key: Key, options: DeleteOptions) -> Request:
    body: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
    if options.grace_seconds is not None:
        body["gracePeriodSeconds"] = options.grace_seconds
    if options.propagation is not None:
        body["propagationPolicy"] = options.propagation
    wanted = {"uid": options.uid, "resourceVersion": options.revision}
    if any(wanted.values()):
        body["preconditions"] = {name: value for name, value in wanted.items() if value}
    return Request("DELETE", path(resource, _named(resource, key)), msgspec.json.encode(body))


def bind(binding: Binding) -> Request:
    metadata = {"namespace": binding.pod.namespace, "name": binding.pod.name}
    if binding.uid:
        metadata["uid"] = binding.uid
    target = {"apiVersion": "v1", "kind": "Node", "name": binding.node}
    body = {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}
    return Request("POST", path(PODS, _named(PODS, binding.pod), "binding"), msgspec.json.encode(body))


def logs(pod: Key, parameters: Mapping[str, str]) -> Request:
    return Request("GET", _target(path(PODS, _named(PODS, pod), "log"), parameters))


def _target(where: str, query: Mapping[str, str]) -> str:
    return f"{where}?{urlencode(query)}" if query else where


def _selection(options: ListOptions) -> dict[str, str]:
    query = {}
    if options.labels:
        query["labelSelector"] = options.labels
    if options.fields:
        query["fieldSelector"] = options.fields
    return query


def _writing(options: WriteOptions) -> dict[str, str]:
    query = {"fieldManager": options.manager} if options.manager else {}
    if options.dry_run:
        query["dryRun"] = "All"
    query["fieldValidation"] = options.validation
    return query


def _named(resource: Resource[Any], key: Key) -> Key:
    # Without this, a request on the object "" would be one on the whole collection.
    if not key.name:
        raise errors.bad_request(f"a name is needed for a request on one of {resource.qualified}")
    return key


def _key_of(resource: Resource[Any], obj: Json) -> Key:
    metadata = obj.get("metadata") or {}
    namespace = metadata.get("namespace") or "" if resource.namespaced else ""
    return Key(namespace, metadata.get("name") or "")


def _typed(resource: Resource[Any], obj: Json) -> Json:
    return obj if "kind" in obj and "apiVersion" in obj else {**_type(resource), **obj}


def _type(resource: Resource[Any]) -> dict[str, str]:
    return {"apiVersion": resource.api_version, "kind": resource.kind}


# --- answers ---------------------------------------------------------------------------------------------------------


class _ListMeta(msgspec.Struct, rename={"continues": "continue"}):
    resourceVersion: str = ""
    continues: str = ""
    remainingItemCount: int | None = None


class _Page(msgspec.Struct, Generic[T]):
    metadata: _ListMeta = msgspec.field(default_factory=_ListMeta)
    items: list[T] | None = None


class _Line(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _Versioned(msgspec.Struct):
    metadata: _ListMeta = msgspec.field(default_factory=_ListMeta)


_LINE = msgspec.json.Decoder(_Line)
_VERSIONED = msgspec.json.Decoder(_Versioned)


def failure(status: int, headers: Mapping[str, str], body: bytes) -> StatusError:
    """The error of an answer that is not a success: its `Status`, or what a proxy's answer lets one say."""
    try:
        answer = msgspec.json.decode(body)
    except msgspec.DecodeError:
        answer = None
    if isinstance(answer, dict) and answer.get("kind") == "Status":
        error = StatusError.from_status(answer, status)
    else:
        text = body[:500].decode("utf-8", "replace").strip()
        error = StatusError(status, _REASONS.get(status, "Unknown"), text or f"the server answered {status}")
    seconds = headers.get("Retry-After", "")
    if seconds.isdigit() and "retryAfterSeconds" not in error.details:
        error.details["retryAfterSeconds"] = int(seconds)
    return error


def decode(resource: Resource[T], body: bytes) -> T:
    """An object. Raises StatusError where it does not fit the view."""
    try:
        return _seen(resource, _decoder(resource).decode(body))
    except msgspec.DecodeError as error:
        raise _misfit(resource, error) from error


def page(resource: Resource[T], body: bytes) -> Listing[T]:
    """A page of a list."""
    try:
        found = _page_decoder(resource).decode(body)
    except msgspec.DecodeError as error:
        raise _misfit(resource, error) from error
    items = [_seen(resource, item) for item in found.items or ()]
    about = found.metadata
    return Listing(items, about.resourceVersion, about.continues, about.remainingItemCount)


def event(resource: Resource[T], line: bytes) -> WatchEvent[T]:
    """A line of a watch. Raises StatusError for an ERROR event, which ends the watch."""
    try:
        found = _LINE.decode(line)
        if found.type == "BOOKMARK":
            return WatchEvent("BOOKMARK", None, _revision(found.object))
        if found.type in ("ADDED", "MODIFIED", "DELETED"):
            obj = _seen(resource, _decoder(resource).decode(found.object))
            return WatchEvent(cast(Any, found.type), obj, _revision_of(obj, found.object))
    except msgspec.DecodeError as error:
        raise _misfit(resource, error) from error
    if found.type == "ERROR":
        raise failure(500, {}, bytes(found.object))
    raise errors.internal(f"the watch of {resource.qualified} sent an event of the unknown type {found.type!r}")


class Lines:
    """Splits a stream into lines of any length, in time proportional to its size."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def feed(self, chunk: bytes) -> Sequence[bytes]:
        """The lines that `chunk` completes, without their ends; empty lines are left out."""
        head, *rest = chunk.split(b"\n")
        self._parts.append(head)
        if not rest:
            return ()
        lines = [b"".join(self._parts), *rest[:-1]]
        self._parts = [rest[-1]]
        return [line for line in lines if line]


_REASONS = {
    400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 405: "MethodNotAllowed",
    406: "NotAcceptable", 409: "Conflict", 410: "Gone", 413: "RequestEntityTooLarge", 415: "UnsupportedMediaType",
    422: "Invalid", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout",
}  # fmt: skip


def _decoder(resource: Resource[Any]) -> msgspec.json.Decoder[Any]:
    view: Any = resource.view
    return _decoder_of(view)


def _page_decoder(resource: Resource[Any]) -> msgspec.json.Decoder[_Page[Any]]:
    view: Any = resource.view
    return _page_decoder_of(view)


@functools.cache
def _decoder_of(view: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(view)


@functools.cache
def _page_decoder_of(view: Any) -> msgspec.json.Decoder[_Page[Any]]:
    return msgspec.json.Decoder(_Page[view])


def _seen(resource: Resource[T], obj: Any) -> T:
    """The object with its type and, like every view, without managedFields."""
    if isinstance(obj, Object):
        if not obj.kind:
            obj = msgspec.structs.replace(obj, **_type(resource))
    elif isinstance(obj, dict):
        if "kind" not in obj:
            obj = {**_type(resource), **obj}
        metadata = obj.get("metadata")
        if isinstance(metadata, dict):
            metadata.pop("managedFields", None)
    return cast(T, obj)


def _revision_of(obj: Any, raw: msgspec.Raw) -> str:
    return obj.metadata.resourceVersion if isinstance(obj, Object) else _revision(raw)


def _revision(raw: msgspec.Raw) -> str:
    return _VERSIONED.decode(raw).metadata.resourceVersion


def _misfit(resource: Resource[Any], error: Exception) -> StatusError:
    return errors.internal(
        f"the server's answer about {resource.qualified} is not what {resource.view.__name__} declares: {error}"
    )
