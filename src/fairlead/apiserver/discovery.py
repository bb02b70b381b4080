"""Discovery: which groups, versions and kinds are served, in the legacy and in the aggregated form.

Legacy: `/api`, `/apis`, `/apis/<group>`, `/api/v1`, `/apis/<group>/<version>`. Aggregated (KEP-3352): `/api` and
`/apis` answer everything at once when the client accepts `as=APIGroupDiscoveryList`; kubectl up to 1.29 asks for
v2beta1, later ones for v2. The content type must name exactly the form that was chosen, or clients fall back.
"""

from __future__ import annotations

import platform
import sys
from typing import Any

from fairlead.apiserver import documents, inventory
from fairlead.apiserver.catalog import Catalog, Served, version_order
from fairlead.apiserver.documents import Document

GIT_VERSION = "v1.36.0+fairlead"

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""Machine names to those that Go uses."""
_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"
_FORMS = ("v2", "v2beta1")
_FIRST_GROUPS = ("apps", "events.k8s.io", "authentication.k8s.io", "authorization.k8s.io", "autoscaling", "batch")


class Discovery:
    """Answers `/api…`, `/apis…` and `/version`."""

    def __init__(self, catalog: Catalog, server: str = "127.0.0.1:6443") -> None:
        self._catalog, self._server = catalog, server
        self._shelf = documents.Shelf(catalog)

    def document(self, path: str, accept: str = "") -> Document | None:
        """The answer at `path` (a final slash does not matter); None when there is no such group or version."""
        parts = path.strip("/").split("/")
        form = negotiate(accept) if len(parts) == 1 else ""
        return self._shelf.get(f"{'/'.join(parts)} {form}", lambda: self._make(parts, form))

    def _make(self, parts: list[str], form: str) -> Document | None:
        match parts:
            case ["version"]:
                return documents.json(version())
            case ["api" | "apis"] if form:
                legacy = parts == ["api"]
                return documents.json(aggregated(self._catalog, form, legacy=legacy), _AGGREGATED.format(form))
            case ["api"]:
                return documents.json(core_versions(self._server))
            case ["apis"]:
                return documents.json(group_list(self._catalog))
            case ["apis", name]:
                found = group(self._catalog, name) if name else None
            case ["api", version_]:
                found = resource_list(self._catalog, "", version_)
            case ["apis", name, version_]:
                found = resource_list(self._catalog, name, version_) if name else None
            case _:
                found = None
        return documents.json(found) if found is not None else None


def negotiate(accept: str) -> str:
    """The aggregated form that the client prefers among those served: `v2`, `v2beta1`, or "" for legacy."""
    best, form = 0.0, ""
    for choice in accept.split(","):
        kind, _, rest = choice.strip().partition(";")
        params = {k.strip(): v.strip() for k, _, v in (p.partition("=") for p in rest.split(";"))}
        named = params.get("v", "") if params.get("as") == "APIGroupDiscoveryList" else ""
        if kind not in (documents.JSON, "application/*", "*/*") or (named and named not in _FORMS):
            continue
        weight = _weight(params.get("q", "1"))
        if weight > best:
            best, form = weight, named
    return form


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def version() -> dict[str, Any]:
    """`/version`. The Google Cloud SDK's kubectl chooses its binary by it."""
    machine = platform.machine()
    return {
        "major": "1", "minor": "36", "emulationMajor": "1", "emulationMinor": "36", "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "35", "gitVersion": GIT_VERSION, "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "cpython",
        "platform": f"{sys.platform}/{_ARCHITECTURES.get(machine, machine)}",
    }  # fmt: skip


# --- legacy --------------------------------------------------------------------------------------------------------


def core_versions(server: str) -> dict[str, Any]:
    """`/api`: the versions of the group without a name."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server}],
    }


def group_list(catalog: Catalog) -> dict[str, Any]:
    """`/apis`: the groups, with their versions."""
    groups = [_group(name, versions) for name, versions in _groups(catalog).items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(catalog: Catalog, name: str) -> dict[str, Any] | None:
    """`/apis/<group>`."""
    versions = _groups(catalog).get(name)
    return {"kind": "APIGroup", "apiVersion": "v1"} | _group(name, versions) if versions else None


def resource_list(catalog: Catalog, name: str, version_: str) -> dict[str, Any] | None:
    """`/api/v1` and `/apis/<group>/<version>`: the kinds, each followed by its subresources."""
    if version_ not in _groups(catalog).get(name, ()):
        return None
    entries = [_virtual(v) for v in inventory.VIRTUAL if (v.group, v.version) == (name, version_)]
    for served in inventory.in_order(catalog, name, version_):
        entries.append(_kind(served))
        entries += [_subresource(served, sub) for sub in inventory.of(served)]
    entries.sort(key=lambda entry: str(entry["name"]))
    api_version = f"{name}/{version_}" if name else version_
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": entries}


def _groups(catalog: Catalog) -> dict[str, list[str]]:
    """Group to versions, virtual kinds included: the core group, the oldest upstream groups, then by name."""
    versions = {name: set(many) for name, many in catalog.groups().items()}
    for virtual in inventory.VIRTUAL:
        versions.setdefault(virtual.group, set()).add(virtual.version)

    def place(name: str) -> tuple[int, str]:
        if name in _FIRST_GROUPS:
            return (1 + _FIRST_GROUPS.index(name), name)
        return (0 if not name else 100 if name.endswith(".k8s.io") else 101, name)

    return {name: sorted(versions[name], key=version_order) for name in sorted(versions, key=place)}


def _group(name: str, versions: list[str]) -> dict[str, Any]:
    listed = [{"groupVersion": f"{name}/{v}", "version": v} for v in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _kind(served: Served) -> dict[str, Any]:
    resource = served.resource
    entry: dict[str, Any] = {
        "name": resource.plural, "singularName": resource.singular or resource.kind.lower(),
        "namespaced": resource.namespaced, "kind": resource.kind, "verbs": list(resource.verbs),
    }  # fmt: skip
    if resource.short:
        entry["shortNames"] = list(resource.short)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    return entry


def _subresource(served: Served, sub: inventory.Subresource) -> dict[str, Any]:
    resource = served.resource
    entry: dict[str, Any] = {
        "name": f"{resource.plural}/{sub.name}", "singularName": "", "namespaced": resource.namespaced,
        "kind": sub.kind, "verbs": list(sub.verbs),
    }  # fmt: skip
    if (sub.group, sub.version) != (resource.group, resource.version):
        entry |= {"group": sub.group, "version": sub.version}
    return entry


def _virtual(virtual: inventory.Virtual) -> dict[str, Any]:
    return {
        "name": virtual.plural, "singularName": virtual.kind.lower(), "namespaced": virtual.namespaced,
        "kind": virtual.kind, "verbs": ["create"],
    }  # fmt: skip


# --- aggregated ----------------------------------------------------------------------------------------------------


def aggregated(catalog: Catalog, form: str, *, legacy: bool) -> dict[str, Any]:
    """`apidiscovery.k8s.io` of the core group (`/api`) or of all named groups (`/apis`)."""
    items = []
    for name, versions in _groups(catalog).items():
        if bool(name) == legacy:
            continue
        many = [
            {"version": v, "resources": _aggregated_resources(catalog, name, v), "freshness": "Current"}
            for v in versions
        ]
        metadata = {"name": name, "creationTimestamp": None} if name else {"creationTimestamp": None}
        items.append({"metadata": metadata, "versions": many})
    return {
        "kind": "APIGroupDiscoveryList", "apiVersion": f"apidiscovery.k8s.io/{form}", "metadata": {}, "items": items
    }  # fmt: skip


def _aggregated_resources(catalog: Catalog, name: str, version_: str) -> list[dict[str, Any]]:
    entries = [_aggregated_kind(served) for served in inventory.in_order(catalog, name, version_)]
    entries += [
        {
            "resource": v.plural, "responseKind": _gvk(v.group, v.version, v.kind), "scope": _scope(v.namespaced),
            "singularResource": v.kind.lower(), "verbs": ["create"],
        }
        for v in inventory.VIRTUAL if (v.group, v.version) == (name, version_)
    ]  # fmt: skip
    return sorted(entries, key=lambda entry: str(entry["resource"]))


def _aggregated_kind(served: Served) -> dict[str, Any]:
    resource = served.resource
    entry: dict[str, Any] = {
        "resource": resource.plural, "responseKind": _gvk(resource.group, resource.version, resource.kind),
        "scope": _scope(resource.namespaced), "singularResource": resource.singular or resource.kind.lower(),
        "verbs": list(resource.verbs),
    }  # fmt: skip
    if resource.short:
        entry["shortNames"] = list(resource.short)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    subs = [
        {"subresource": s.name, "responseKind": _gvk(s.group, s.version, s.kind), "verbs": list(s.verbs)}
        for s in inventory.of(served)
    ]
    if subs:
        entry["subresources"] = subs
    return entry


def _gvk(group_: str, version_: str, kind: str) -> dict[str, str]:
    return {"group": group_, "version": version_, "kind": kind}


def _scope(namespaced: bool) -> str:
    return "Namespaced" if namespaced else "Cluster"
