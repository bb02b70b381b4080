"""Ephemeral containers: added to a Pod that runs, by its subresource `ephemeralcontainers` alone, and never taken away.

Upstream's `podEphemeralContainersStrategy`: whatever else the new object says is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from fairlead.apiserver.kinds import containerrules, podspec
from fairlead.apiserver.kinds.ways import Obj, Strategy, carry, spec_of
from fairlead.base.errors import Cause
from fairlead.machinery import causes

SUBRESOURCE = "ephemeralcontainers"
FIELD = "ephemeralContainers"
_PATH = f"spec.{FIELD}"
_NOT_THEIRS = (
    "ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "resources", "resizePolicy",
    "restartPolicy",
)  # fmt: skip


def narrowed(pods: Strategy) -> Strategy:
    """The strategy of Pods for the subresource."""
    return msgspec.structs.replace(pods, prepare_update=prepare, validate_update=validate_update)


def prepare(new: Obj, old: Obj) -> None:
    """Keep everything as it is but the ephemeral containers."""
    wanted = spec_of(new).get(FIELD)
    owners = new["metadata"].get("managedFields")
    for key in new.keys() | old.keys():
        carry(new, old, key)
    new["metadata"] = dict(old["metadata"])
    if owners is not None:
        new["metadata"]["managedFields"] = owners
    new["spec"] = {k: v for k, v in spec_of(old).items() if k != FIELD} | ({FIELD: wanted} if wanted else {})
    if new["spec"] != spec_of(old):
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """The rules of each, and that those that are there stay as they are."""
    return [*_rules(spec_of(new)), *_kept(spec_of(new), spec_of(old))]


def refused(pod: Obj) -> Iterator[Cause]:
    """A new Pod has none."""
    if spec_of(pod).get(FIELD):
        yield causes.forbidden(_PATH, "cannot be set on create")


def _rules(spec: Obj) -> Iterator[Cause]:
    others = {c.get("name", "") for c in podspec.containers(spec)}
    volumes, names = {v.get("name", "") for v in spec.get("volumes", ())}, set(others)
    for index, container in enumerate(spec.get(FIELD, ())):
        at = f"{_PATH}[{index}]"
        yield from containerrules.validate(container, at, volumes, names)
        target = container.get("targetContainerName")
        if target and target not in others:
            yield causes.not_found(f"{at}.targetContainerName", target)
        for field in _NOT_THEIRS:
            if container.get(field):
                yield causes.forbidden(f"{at}.{field}", "cannot be set for an Ephemeral Container")
        for position, mount in enumerate(container.get("volumeMounts", ())):
            for field in ("subPath", "subPathExpr"):
                if mount.get(field):
                    where = f"{at}.volumeMounts[{position}].{field}"
                    yield causes.forbidden(where, "cannot be set for an Ephemeral Container")


def _kept(after: Obj, before: Obj) -> Iterator[Cause]:
    now = {c.get("name"): c for c in after.get(FIELD, ())}
    for container in before.get(FIELD, ()):
        name = container["name"]
        if name not in now:
            yield causes.forbidden(_PATH, f'existing ephemeral containers "{name}" may not be removed\n')
        elif now[name] != container:
            yield causes.forbidden(_PATH, f'existing ephemeral containers "{name}" may not be changed\n')
