"""Pods: defaults and rules beyond those of the spec, the quality of service class, and what an update may change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fairlead.apiserver.kinds import ephemeral, podrules, podspec
from fairlead.apiserver.kinds.ways import Obj, Ways, spec_of
from fairlead.base.errors import Cause
from fairlead.machinery import causes, quantity

_MAY_CHANGE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_BY_RULE = frozenset({"containers", "initContainers", "activeDeadlineSeconds", "tolerations", "schedulingGates"})
_WHILE_GATED = frozenset({"nodeSelector", "affinity"})
_DECIDING = ("cpu", "memory")
"""The resources that decide the quality of service class."""


def default(pod: Obj) -> None:
    """Upstream's `SetDefaults_Pod` and what is below it."""
    spec = pod.setdefault("spec", {})
    if "enableServiceLinks" not in spec:
        spec["enableServiceLinks"] = True
    podspec.default(spec)
    for container in podspec.containers(spec):
        _requests(container["resources"])
        if spec.get("hostNetwork"):
            for port in container.get("ports", ()):
                port.setdefault("hostPort", port.get("containerPort", 0))


def _requests(resources: Obj) -> None:
    """A limit without a request is also the request."""
    limits = resources.get("limits")
    if limits:
        requests = resources.get("requests") or {}
        if not limits.keys() <= requests.keys():
            resources["requests"] = {**limits, **requests}


def rules(pod: Obj) -> Iterator[Cause]:
    spec = spec_of(pod)
    yield from podrules.validate(spec, "spec")
    if spec.get("schedulingGates") and spec.get("nodeName"):
        yield causes.forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared")


def create(pod: Obj) -> None:
    pod["status"] = {"phase": "Pending", "qosClass": quality(pod["spec"])}


def quality(spec: Obj) -> str:
    """Guaranteed, Burstable or BestEffort, by the requests and limits of cpu and memory."""
    guaranteed, named = True, False
    for container in podspec.containers(spec):
        resources = container.get("resources", {})
        requests, limits = _positive(resources.get("requests")), _positive(resources.get("limits"))
        named = named or bool(requests or limits)
        if limits.keys() != set(_DECIDING) or any(requests.get(r, limits[r]) != limits[r] for r in limits):
            guaranteed = False
    if not named:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _positive(amounts: Any) -> dict[str, quantity.Quantity]:
    found = {r: quantity.parse(amounts[r]) for r in _DECIDING if amounts and r in amounts}
    return {r: q for r, q in found.items() if q}


# --- updates -------------------------------------------------------------------------------------------------------


def transitions(new: Obj, old: Obj) -> Iterator[Cause]:
    """A Pod's spec stays as it is, but for a few fields."""
    after, before = spec_of(new), spec_of(old)
    if after == before:
        return
    yield from _images(after, before)
    yield from _deadline(after, before)
    yield from _tolerations(after, before)
    yield from _gates(after, before)
    free = _BY_RULE | (_WHILE_GATED if before.get("schedulingGates") else frozenset())
    changed = sorted(k for k in (after.keys() | before.keys()) - free if after.get(k) != before.get(k))
    if "terminationGracePeriodSeconds" in changed and before["terminationGracePeriodSeconds"] < 0:
        changed.remove("terminationGracePeriodSeconds")
    changed += [k for k in ("initContainers", "containers") if _but_images(after, k) != _but_images(before, k)]
    if changed:
        listed = ", ".join(f"spec.{k}" for k in changed)
        yield causes.forbidden("spec", f"{_MAY_CHANGE}\nchanged: {listed}")


def _but_images(spec: Obj, field: str) -> list[Obj]:
    return [{k: v for k, v in c.items() if k != "image"} for c in spec.get(field, ())]


def _images(after: Obj, before: Obj) -> Iterator[Cause]:
    """An image may change, though not to none (`podrules` says that)."""
    if len(after.get("containers", ())) != len(before.get("containers", ())):
        yield causes.forbidden("spec.containers", "pod updates may not add or remove containers")
    if len(after.get("initContainers", ())) != len(before.get("initContainers", ())):
        yield causes.forbidden("spec.initContainers", "pod updates may not add or remove containers")


def _deadline(after: Obj, before: Obj) -> Iterator[Cause]:
    wanted, was = after.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds")
    path = "spec.activeDeadlineSeconds"
    if was is not None and wanted is None:
        yield causes.invalid(path, wanted, "must not update from a positive integer to nil value")
    elif was is not None and wanted is not None and wanted > was:
        yield causes.invalid(path, wanted, f"must be less than or equal to previous value {was}")


def _tolerations(after: Obj, before: Obj) -> Iterator[Cause]:
    """Tolerations may be added; of one that stays only tolerationSeconds may change."""

    def core(toleration: Obj) -> Obj:
        return {k: v for k, v in toleration.items() if k != "tolerationSeconds"}

    kept = [core(t) for t in after.get("tolerations", ())]
    if any(core(t) not in kept for t in before.get("tolerations", ())):
        detail = "existing toleration can not be modified except its tolerationSeconds"
        yield causes.forbidden("spec.tolerations", detail)


def _gates(after: Obj, before: Obj) -> Iterator[Cause]:
    were = [g.get("name") for g in before.get("schedulingGates", ())]
    for gate in after.get("schedulingGates", ()):
        if gate.get("name") not in were:
            detail = f"only deletion is allowed, but found new scheduling gate '{gate.get('name')}'"
            yield causes.forbidden("spec.schedulingGates", detail)


WAYS = {("", "pods"): Ways(default, rules, transitions, create=create, creation=ephemeral.refused)}
