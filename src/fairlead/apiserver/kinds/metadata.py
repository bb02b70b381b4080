"""The rules of metadata, which all kinds share; only the syntax of names differs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fairlead.api.meta import Resource
from fairlead.apiserver.kinds import naming
from fairlead.apiserver.kinds.ways import Obj
from fairlead.base.errors import Cause
from fairlead.machinery import causes

ANNOTATIONS_LIMIT = 256 * 1024
_RBAC = ("roles", "clusterroles", "rolebindings", "clusterrolebindings")
_NAMES: dict[tuple[str, str], naming.NameRule] = {
    ("", "namespaces"): naming.label,
    ("", "services"): naming.label,
    ("", "events"): naming.segment,
    ("jobset.x-k8s.io", "jobsets"): naming.subdomain,
    **{("rbac.authorization.k8s.io", k): naming.segment for k in _RBAC},
}
_STANDARD = frozenset({"foregroundDeletion", "kubernetes", "orphan"})
_GENERATED = 5
"""The length of the suffix that completes a generateName."""


def validate(obj: Obj, resource: Resource[Any]) -> list[Cause]:
    """The rules of metadata on create."""
    meta = obj.get("metadata") or {}
    own = _unqualified(meta.get("finalizers") or ()) if resource.schema else ()
    return [*_place(meta, resource), *_marks(meta), *own]


def validate_update(new: Obj, old: Obj, resource: Resource[Any]) -> list[Cause]:
    """The rules of metadata on update: those on create, and what may not change."""
    meta, before = new["metadata"], old["metadata"]
    found = list(_marks(meta))
    for field in ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"):
        found += causes.immutable(f"metadata.{field}", meta.get(field), before.get(field))
    if before.get("deletionTimestamp") is not None:
        added = [f for f in meta.get("finalizers", ()) if f not in before.get("finalizers", ())]
        if added:
            detail = f"no new finalizers can be added if the object is being deleted, found new finalizers {added}"
            found.append(causes.forbidden("metadata.finalizers", detail))
    return found


def _place(meta: Mapping[str, Any], resource: Resource[Any]) -> Iterator[Cause]:
    rule = _NAMES.get((resource.group, resource.plural), naming.subdomain)
    name, generate = meta.get("name", ""), meta.get("generateName", "")
    if generate and not name:
        for complaint in rule(_completed(generate)):
            yield causes.invalid("metadata.generateName", generate, complaint)
    if name:
        for complaint in rule(name):
            yield causes.invalid("metadata.name", name, complaint)
    elif not generate:
        yield causes.required("metadata.name", "name or generateName is required")
    namespace = meta.get("namespace", "")
    if not resource.namespaced:
        if namespace:
            yield causes.forbidden("metadata.namespace", "not allowed on this type")
    elif not namespace:
        yield causes.required("metadata.namespace")
    else:
        for complaint in naming.label(namespace):
            yield causes.invalid("metadata.namespace", namespace, complaint)


def _completed(prefix: str) -> str:
    """A name that a generateName may become (a prefix may end in `-`)."""
    return prefix[: 63 - _GENERATED] + "a" if len(prefix) > 63 - _GENERATED else prefix + "a"


def _marks(meta: Mapping[str, Any]) -> Iterator[Cause]:
    if found := meta.get("labels"):
        yield from check_labels("metadata.labels", found)
    if found := meta.get("annotations"):
        yield from check_annotations("metadata.annotations", found)
    if found := meta.get("finalizers"):
        yield from _finalizers(found)
    if found := meta.get("ownerReferences"):
        yield from _owners(found)


def check_labels(path: str, found: Mapping[str, str]) -> Iterator[Cause]:
    """The syntax of labels."""
    for key, value in found.items():
        for complaint in naming.qualified(key):
            yield causes.invalid(path, key, complaint)
        for complaint in naming.label_value(value):
            yield causes.invalid(path, value, complaint)


def check_annotations(path: str, found: Mapping[str, str]) -> Iterator[Cause]:
    """The syntax of annotations' keys, and the size of all together."""
    size = 0
    for key, value in found.items():
        for complaint in naming.qualified(key.lower()):
            yield causes.invalid(path, key, complaint)
        size += len(key) + len(value)
    if size > ANNOTATIONS_LIMIT:
        yield causes.too_long(path, ANNOTATIONS_LIMIT)


def _unqualified(found: Iterable[str]) -> Iterator[Cause]:
    """Built-in kinds want finalizers that name whose they are."""
    for index, finalizer in enumerate(found):
        if "/" not in finalizer and finalizer not in _STANDARD:
            detail = "name is neither a standard finalizer name nor is it fully qualified"
            yield causes.invalid(f"metadata.finalizers[{index}]", finalizer, detail)


def _finalizers(found: list[str]) -> Iterator[Cause]:
    for finalizer in found:
        for complaint in naming.qualified(finalizer):
            yield causes.invalid("metadata.finalizers", finalizer, complaint)
    if "orphan" in found and "foregroundDeletion" in found:
        detail = "finalizer orphan and foregroundDeletion cannot be both set"
        yield causes.invalid("metadata.finalizers", found, detail)


def _owners(found: list[Obj]) -> Iterator[Cause]:
    controllers = [o for o in found if o.get("controller")]
    path = "metadata.ownerReferences"
    for owner in found:
        if not owner.get("apiVersion"):
            yield causes.invalid(f"{path}.apiVersion", "", "version must not be empty")
        for field in ("kind", "name", "uid"):
            if not owner.get(field):
                yield causes.invalid(f"{path}.{field}", "", "must not be empty")
        if owner.get("kind") == "Event" and owner.get("apiVersion") == "v1":
            yield causes.invalid(path, "/v1, Kind=Event", "is disallowed from being an owner")
    if len(controllers) > 1:
        first, second = controllers[:2]
        detail = (
            "Only one reference can have Controller set to true. "
            f'Found "true" in references for {first.get("kind")}/{first.get("name")} '
            f"and {second.get('kind')}/{second.get('name')}"
        )
        yield causes.invalid("metadata.ownerReferences", found, detail)
