"""What a request asks for, read from its method, path and query alone (pure).

Paths are `/api/v1/...` (the core group) and `/apis/<group>/<version>/...`; a trailing slash changes nothing. Whatever
has no plural is a *non-resource* request (discovery, health, version): its verb is the method in lower case.
For `namespaces/x` itself both `namespace` and `name` are `x`, as upstream has it (authorization depends on that).
Query booleans are read as Go reads them (`True`, `1`, `t`).
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

import msgspec

_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "GET": "get", "HEAD": "get", "DELETE": "delete"}
_OF_MANY = frozenset(("list", "watch", "deletecollection"))
_OF_NAMESPACES = frozenset(("status", "finalize"))


class RequestInfo(msgspec.Struct, frozen=True):
    """One request. `plural` is empty for a non-resource request; then only `verb` and `path` mean something."""

    verb: str
    path: str
    group: str = ""
    version: str = ""
    namespace: str = ""
    plural: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def is_resource(self) -> bool:
        return bool(self.plural)


def parse(method: str, path: str, query: Mapping[str, str]) -> RequestInfo:
    """The request's meaning. `path` is as sent (percent-encoded); unknown methods become verbs of their own name."""
    parts = [unquote(p) if "%" in p else p for p in path.split("/") if p]
    if len(parts) >= 3 and parts[0] == "api":
        return _resource(method, path, ("", parts[1]), parts[2:], query)
    if len(parts) >= 4 and parts[0] == "apis":
        return _resource(method, path, (parts[1], parts[2]), parts[3:], query)
    return RequestInfo(method.lower(), path)


def _resource(
    method: str, path: str, group_version: tuple[str, str], parts: list[str], query: Mapping[str, str]
) -> RequestInfo:
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 1:
        namespace = parts[1]
        if len(parts) > 2 and parts[2] not in _OF_NAMESPACES:
            parts = parts[2:]
    plural, name = parts[0], parts[1] if len(parts) > 1 else ""
    subresource = "/".join(parts[2:])
    verb = _VERBS.get(method, method.lower())
    if not name:
        verb = _of_collection(verb, query)
    return RequestInfo(verb, path, *group_version, namespace, plural, name, subresource)


def _of_collection(verb: str, query: Mapping[str, str]) -> str:
    if verb == "get":
        return "watch" if query and boolean(query, "watch") else "list"
    return "deletecollection" if verb == "delete" else verb


def narrowed(info: RequestInfo, query: Mapping[str, str]) -> RequestInfo:
    """The request as it is authorized: a list or watch of one name, by a field selector, is about that name."""
    if info.name or not query or info.verb not in _OF_MANY:
        return info
    for term in query.get("fieldSelector", "").split(","):
        field, equals, name = term.partition("=")
        if equals and field == "metadata.name" and name.lstrip("="):
            return msgspec.structs.replace(info, name=name.lstrip("="))
    return info


def boolean(query: Mapping[str, str], name: str) -> bool:
    """A query parameter as a boolean: absent or one of Go's false words is false, everything else was asked for."""
    return query.get(name, "0") not in _FALSE
