"""Discovery documents as `Resource`s. Pure.

Servers since Kubernetes 1.27 answer `/api` and `/apis` with everything at once (the aggregated form, an
`APIGroupDiscoveryList`); older ones answer with the names of groups and versions, each of which has its own document.
A kind that is served in several versions is taken in its group's most preferred version that has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fairlead.api.meta import Resource

Plain = Resource[dict[str, Any]]
Document = Mapping[str, Any]

ACCEPT = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,"
    "application/json"
)
ROOTS = ("/api", "/apis")


def aggregated(document: Document) -> bool:
    """Whether the answer to one of ROOTS is the aggregated form."""
    return document.get("kind") == "APIGroupDiscoveryList"


def from_aggregated(document: Document) -> Sequence[Plain]:
    """Every kind of an aggregated document."""
    found = []
    for group in document.get("items") or ():
        name = (group.get("metadata") or {}).get("name", "")
        for version in group.get("versions") or ():
            for entry in version.get("resources") or ():
                found.append(_from_entry(name, version["version"], entry))
    return preferred(found)


def version_paths(document: Document) -> Sequence[str]:
    """Where the documents of a legacy root lie, the preferred version of each group first."""
    if document.get("kind") == "APIVersions":
        return [f"/api/{version}" for version in document.get("versions") or ()]
    paths = []
    for group in document.get("groups") or ():
        first = (group.get("preferredVersion") or {}).get("groupVersion", "")
        others = [v["groupVersion"] for v in group.get("versions") or () if v["groupVersion"] != first]
        paths += [f"/apis/{group_version}" for group_version in [first, *others] if group_version]
    return paths


def from_legacy(documents: Iterable[Document]) -> Sequence[Plain]:
    """Every kind of the documents at `version_paths`, given in that order."""
    found = []
    for document in documents:
        group, _, version = document.get("groupVersion", "").rpartition("/")
        entries = document.get("resources") or ()
        parts = {entry["name"] for entry in entries if "/" in entry["name"]}
        for entry in entries:
            if "/" not in entry["name"]:
                found.append(_from_legacy_entry(group, version, entry, parts))
    return preferred(found)


def preferred(resources: Iterable[Plain]) -> Sequence[Plain]:
    """The first of each kind."""
    kinds: dict[tuple[str, str], Plain] = {}
    for resource in resources:
        kinds.setdefault((resource.group, resource.plural), resource)
    return list(kinds.values())


def _from_entry(group: str, version: str, entry: Document) -> Plain:
    parts = {part["subresource"] for part in entry.get("subresources") or ()}
    return Resource(
        group, version, (entry.get("responseKind") or {}).get("kind", ""), entry["resource"], dict,
        singular=entry.get("singularResource", ""), namespaced=entry.get("scope") == "Namespaced",
        short=tuple(entry.get("shortNames") or ()), categories=tuple(entry.get("categories") or ()),
        status="status" in parts, scale="scale" in parts, verbs=tuple(entry.get("verbs") or ()),
    )  # fmt: skip


def _from_legacy_entry(group: str, version: str, entry: Document, parts: set[str]) -> Plain:
    plural = entry["name"]
    return Resource(
        group, version, entry["kind"], plural, dict,
        singular=entry.get("singularName", ""), namespaced=bool(entry.get("namespaced")),
        short=tuple(entry.get("shortNames") or ()), categories=tuple(entry.get("categories") or ()),
        status=f"{plural}/status" in parts, scale=f"{plural}/scale" in parts, verbs=tuple(entry.get("verbs") or ()),
    )  # fmt: skip
