"""Operations of the OpenAPI documents: for every path that is served, which verbs it has and which kind it takes.

kubectl reads three things here: the kind of a path (`x-kubernetes-group-version-kind`), for `explain`; whether the
PATCH of a kind takes `fieldValidation`, before it leaves validation to the server; and whether it takes `dryRun`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from fairlead.apiserver import inventory
from fairlead.apiserver.catalog import Served
from fairlead.apiserver.inventory import Subresource, Virtual
from fairlead.apiserver.openapi import schemas

_WRITE: Final = {
    "dryRun": "All: go through every stage, and store nothing.",
    "fieldManager": "Who makes the change; what it sets is recorded as its own.",
    "fieldValidation": "Unknown and duplicate fields: Ignore, Warn or Strict.",
}
_SELECT: Final = {
    "continue": "The token of the page before.", "fieldSelector": "Selects objects by fields.",
    "labelSelector": "Selects objects by labels.", "resourceVersion": "The revision to start from.",
}  # fmt: skip
_PATCHES: Final = ("application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json")
_STRATEGIC: Final = "application/strategic-merge-patch+json"
"""Built-in kinds only: kubectl sends what is listed, and custom kinds answer it with 415."""
_VERBS: Final = {
    "create": ("post", "post"), "delete": ("delete", "delete"), "deletecollection": ("delete", "deletecollection"),
    "get": ("get", "get"), "list": ("get", "list"), "patch": ("patch", "patch"), "update": ("put", "put"),
}  # fmt: skip
"""API verb to HTTP method and to `x-kubernetes-action`."""
_OF_COLLECTION: Final = frozenset(("create", "deletecollection", "list"))

Path = dict[str, Any]


def of_kind(served: Served) -> dict[str, Path]:
    """The paths of a kind and of its subresources."""
    resource = served.resource
    root = _root(resource.group, resource.version)
    inside = f"{root}/namespaces/{{namespace}}" if resource.namespaced else root
    gvk = _gvk(resource.group, resource.version, resource.kind)
    collection, one = f"{inside}/{resource.plural}", f"{inside}/{resource.plural}/{{name}}"
    schema = schemas.name_of(served)
    of_collection = [v for v in resource.verbs if v in _OF_COLLECTION]
    of_one = [v for v in resource.verbs if v in _VERBS and v not in _OF_COLLECTION]
    found = {
        collection: _path(collection, of_collection, gvk, (schema, schemas.list_name(served))),
        one: _path(one, of_one, gvk, (schema, "")),
    }
    if resource.namespaced and "list" in resource.verbs:
        everywhere = f"{root}/{resource.plural}"
        found[everywhere] = _path(everywhere, ["list"], gvk, ("", schemas.list_name(served)))
    for sub in inventory.of(served):
        path = f"{one}/{sub.name}"
        found[path] = _path(path, sub.verbs, _gvk(sub.group, sub.version, sub.kind), (_sub_schema(sub, served), ""))
    if served.crd is None:
        for item in found.values():
            if "patch" in item:
                item["patch"]["requestBody"]["content"] |= _content((_STRATEGIC,), f"{schemas.META}.Patch")
    return found


def of_virtual(virtual: Virtual) -> dict[str, Path]:
    """The path of a kind that is only created."""
    root = _root(virtual.group, virtual.version)
    inside = f"{root}/namespaces/{{namespace}}" if virtual.namespaced else root
    path = f"{inside}/{virtual.plural}"
    return {path: _path(path, ["create"], _gvk(virtual.group, virtual.version, virtual.kind), (schema_of(virtual), ""))}


def schema_of(virtual: Virtual | Subresource) -> str:
    """The schema of a kind that has no storage."""
    return f"io.k8s.api.{virtual.group.partition('.')[0] or 'core'}.{virtual.version}.{virtual.kind}"


def _sub_schema(sub: Subresource, served: Served) -> str:
    if sub.streams:
        return ""
    return schemas.name_of(served) if sub.kind == served.resource.kind else schema_of(sub)


def _path(path: str, verbs: Sequence[str], gvk: dict[str, str], names: tuple[str, str]) -> Path:
    """One path's operations. `names` are the schemas of one object and of the list."""
    item: Path = {}
    for verb in verbs:
        method, action = _VERBS[verb]
        item[method] = _operation(path, method, action, gvk, names[1] if verb == "list" else names[0])
    item["parameters"] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "uniqueItems": True}}
        for name in ("namespace", "name")
        if f"{{{name}}}" in path
    ]
    return item


def _operation(path: str, method: str, action: str, gvk: dict[str, str], schema: str) -> dict[str, Any]:
    words = [w.strip("{}").capitalize() for w in path.replace("-", "").replace(".", "/").split("/") if w]
    writes = method in ("post", "put", "patch")
    described = _WRITE if writes else _SELECT if action in ("list", "deletecollection") else {}
    operation: dict[str, Any] = {
        "operationId": f"{action}{''.join(words)}",
        "parameters": [_query(name, text) for name, text in described.items()],
        "responses": {"200": {"description": "OK", "content": _content(("application/json",), schema)}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": gvk,
    }
    if method == "patch":
        operation["parameters"].append(_query("force", "Apply only: take fields over from others.", "boolean"))
        operation["requestBody"] = {"required": True, "content": _content(_PATCHES, f"{schemas.META}.Patch")}
    elif writes and schema:
        operation["requestBody"] = {"required": True, "content": _content(("*/*",), schema)}
    return operation


def _content(media: Sequence[str], schema: str) -> dict[str, Any]:
    return {m: {"schema": {"$ref": f"{schemas.V3}{schema}"} if schema else {}} for m in media}


def _query(name: str, text: str, type_: str = "string") -> dict[str, Any]:
    return {"name": name, "in": "query", "description": text, "schema": {"type": type_, "uniqueItems": True}}


def _root(group: str, version: str) -> str:
    return f"/apis/{group}/{version}" if group else f"/api/{version}"


def _gvk(group: str, version: str, kind: str) -> dict[str, str]:
    return {"group": group, "version": version, "kind": kind}
