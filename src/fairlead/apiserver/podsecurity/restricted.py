"""The checks that level `restricted` adds: what a hardened Pod says of itself."""

from __future__ import annotations

from fairlead.apiserver.podsecurity import baseline
from fairlead.apiserver.podsecurity.spec import (
    Check,
    Subject,
    Violation,
    below,
    containers,
    counted,
    in_user_namespace,
    named,
    of_containers,
    on_windows,
    quoted,
    security,
    setters,
)

_VOLUMES = frozenset((
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret",
))  # fmt: skip
_OTHERS = (
    "hostPath", "gcePersistentDisk", "awsElasticBlockStore", "gitRepo", "nfs", "iscsi", "glusterfs", "rbd",
    "flexVolume", "cinder", "cephfs", "flocker", "fc", "azureFile", "vsphereVolume", "quobyte", "azureDisk",
    "photonPersistentDisk", "portworxVolume", "scaleIO", "storageos",
)  # fmt: skip


def not_on_windows(check: Check) -> Check:
    """Since 1.25: Windows Pods may not set these fields at all."""
    return lambda pod: None if on_windows(pod.spec) else check(pod)


def privilege_escalation(pod: Subject) -> Violation | None:
    names = named(pod.spec, lambda c: security(c).get("allowPrivilegeEscalation") is not False)
    what = "must set securityContext.allowPrivilegeEscalation=false"
    return Violation("allowPrivilegeEscalation != false", f"{of_containers(names)} {what}") if names else None


def capabilities(pod: Subject) -> Violation | None:
    told = []
    keeping = named(pod.spec, lambda c: "ALL" not in (below(c, "capabilities", "drop") or ()))
    if keeping:
        told.append(f'{of_containers(keeping)} must set securityContext.capabilities.drop=["ALL"]')
    added = [(c["name"], set(below(c, "capabilities", "add") or ()) - {"NET_BIND_SERVICE"})
             for c in containers(pod.spec)]  # fmt: skip
    names, more = [n for n, some in added if some], sorted({x for _, some in added for x in some})
    if names:
        told.append(f"{of_containers(names)} must not include {quoted(more)} in securityContext.capabilities.add")
    return Violation("unrestricted capabilities", "; ".join(told)) if told else None


def volumes(pod: Subject) -> Violation | None:
    bad = [v for v in pod.spec.get("volumes") or () if _VOLUMES.isdisjoint(v) and v.keys() - {"name"}]
    if not bad:
        return None
    types = sorted({next((t for t in _OTHERS if v.get(t) is not None), "unknown") for v in bad})
    names = [v["name"] for v in bad]
    verb = "uses" if len(bad) == 1 else "use"
    kinds = counted(types, "restricted volume type", "restricted volume types")
    return Violation("restricted volume types", f"{counted(names, 'volume', 'volumes')} {verb} {kinds}")


def run_as_non_root(pod: Subject) -> Violation | None:
    own = security(pod.spec).get("runAsNonRoot")
    refusing = named(pod.spec, lambda c: security(c).get("runAsNonRoot") is False)
    reason = "runAsNonRoot != true"
    if own is False or refusing:
        return Violation(reason, f"{setters(own is False, refusing)} must not set securityContext.runAsNonRoot=false")
    silent = [] if own else named(pod.spec, lambda c: security(c).get("runAsNonRoot") is None)
    what = "must set securityContext.runAsNonRoot=true"
    return Violation(reason, f"pod or {of_containers(silent)} {what}") if silent else None


def run_as_user(pod: Subject) -> Violation | None:
    own = security(pod.spec).get("runAsUser") == 0
    names = named(pod.spec, lambda c: security(c).get("runAsUser") == 0)
    return Violation("runAsUser=0", f"{setters(own, names)} must not set runAsUser=0") if own or names else None


def anyone_in_user_namespace(check: Check) -> Check:
    """Since 1.35: in a user namespace, who is root inside is nobody outside."""
    return lambda pod: None if in_user_namespace(pod.spec) else check(pod)


def seccomp(pod: Subject) -> Violation | None:
    wrong = baseline.seccomp(pod)
    if wrong is not None:
        return wrong
    own = security(pod.spec).get("seccompProfile") is not None
    silent = [] if own else named(pod.spec, lambda c: security(c).get("seccompProfile") is None)
    what = 'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return Violation("seccompProfile", f"pod or {of_containers(silent)} {what}") if silent else None
