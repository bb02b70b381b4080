"""Templates as they once were: the ControllerRevisions of a StatefulSet or DaemonSet, which `kubectl rollout` reads.

Pure. A template has one revision, whose name follows from it; going back to an older template gives its revision the
highest number. What Pods still run by is kept, of the rest only so many.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from fairlead.api import apps
from fairlead.api.apps import ControllerRevision
from fairlead.api.meta import Object, Resource
from fairlead.machinery import digest
from fairlead.reconcile import ownership
from fairlead.reconcile.reconciler import Change, Create, Delete, Patch

HASH = "controller-revision-hash"


class Owner(msgspec.Struct, frozen=True):
    """Whose revisions: `template` is the present one, `collisions` the status's collisionCount."""

    resource: Resource[Any]
    object: Object
    template: Mapping[str, Any]
    collisions: int = 0
    word_only: bool = False
    """Whether Pods are labelled with the word (DaemonSet) or with the revision's name (StatefulSet)."""


class Present(msgspec.Struct, frozen=True):
    """The revision of the present template, there or on its way."""

    name: str
    label: str
    """The value of Pods' label `controller-revision-hash`."""
    changes: tuple[Change, ...] = ()


def data_of(template: Mapping[str, Any]) -> dict[str, Any]:
    """What a revision holds: a strategic merge patch that brings the template back."""
    return {"spec": {"template": {**template, "$patch": "replace"}}}


def template_of(revision: ControllerRevision) -> dict[str, Any]:
    """The template that a revision holds."""
    held = (((revision.data or {}).get("spec") or {}).get("template")) or {}
    return {k: v for k, v in held.items() if k != "$patch"}


def label_of(owner: Owner, revision: ControllerRevision) -> str:
    """The label by which Pods name that revision."""
    return revision.metadata.labels.get(HASH, "") if owner.word_only else revision.metadata.name


def present(owner: Owner, found: Sequence[ControllerRevision]) -> Present:
    """The revision of the present template: found, given the highest number, or to be made."""
    data, meta = data_of(owner.template), owner.object.metadata
    last = max(found, key=_number, default=None)
    same = max((r for r in found if r.data == data), key=_number, default=None)
    if same is not None and last is not None:
        changes: tuple[Change, ...] = ()
        if same.revision < last.revision:
            patch = {"revision": last.revision + 1}
            changes = (Patch(apps.CONTROLLER_REVISIONS, same.key, patch, same.metadata.uid),)
        return Present(same.metadata.name, label_of(owner, same), changes)
    word = digest.word([data, owner.collisions], 10)
    name = f"{meta.name[:223]}-{word}"
    labels = {**((owner.template.get("metadata") or {}).get("labels") or {}), HASH: word}
    obj = {
        "apiVersion": "apps/v1", "kind": "ControllerRevision",
        "metadata": {
            "name": name, "namespace": meta.namespace, "labels": labels, "annotations": dict(meta.annotations),
            "ownerReferences": [ownership.reference(owner.resource, owner.object)],
        },
        "data": data, "revision": (last.revision if last is not None else 0) + 1,
    }  # fmt: skip
    return Present(name, word if owner.word_only else name, (Create(apps.CONTROLLER_REVISIONS, obj),))


def tidy(found: Sequence[ControllerRevision], live: Collection[str], limit: int | None) -> list[Change]:
    """Forget the oldest revisions beyond the limit that are not in `live` (names)."""
    if limit is None:
        return []
    idle = sorted((r for r in found if r.metadata.name not in live), key=_number)
    surplus = idle[: max(0, len(idle) - limit)]
    return [Delete(apps.CONTROLLER_REVISIONS, r.key, r.metadata.uid) for r in surplus]


def _number(revision: ControllerRevision) -> tuple[int, str, str]:
    return revision.revision, revision.metadata.creationTimestamp or "", revision.metadata.name
