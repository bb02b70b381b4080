"""apps/v1: defaults, rules and what an update may change of Deployments and the like.

What Go's types write even if it is zero (`status.replicas`), is written here, too: strict clients need it.
"""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.apiserver.kinds import podspec, storage, workloads
from fairlead.apiserver.kinds.ways import Fill, Obj, Ways, part, spec_of
from fairlead.base.errors import Cause
from fairlead.machinery import causes

QUARTER = "25%"
GENERATION = "deprecated.daemonset.template.generation"
"""A DaemonSet's count of its templates, kept by every server since extensions/v1beta1."""

_FREE = frozenset({
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
})  # fmt: skip
_STATEFUL_FIXED = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
_DAEMON_COUNTS = ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady")


def zeros(*fields: str) -> tuple[Fill, Fill]:
    """Counts that a status always has: for `default` (where there is a status) and for `create`."""

    def default(obj: Obj) -> None:
        status = obj.get("status")
        if isinstance(status, dict):
            for field in fields:
                if status.get(field) is None:
                    status[field] = 0

    def create(obj: Obj) -> None:
        obj["status"] = dict.fromkeys(fields, 0)

    return default, create


# --- Deployment ----------------------------------------------------------------------------------------------------


def _deployment_default(obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec.setdefault("strategy", {})
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", QUARTER)
        rolling.setdefault("maxSurge", QUARTER)
    podspec.default_template(spec.setdefault("template", {}))


def _deployment_rules(obj: Obj) -> Iterator[Cause]:
    spec = spec_of(obj)
    yield from workloads.counts(spec, "spec", "replicas", "minReadySeconds", "revisionHistoryLimit")
    yield from workloads.selected(spec, "deployment")
    yield from workloads.template(spec, "ReplicaSet")
    yield from _strategy(spec.get("strategy", {}))
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None:
        yield from workloads.counts(spec, "spec", "progressDeadlineSeconds")
        if deadline <= spec.get("minReadySeconds", 0):
            yield causes.invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")


def _strategy(strategy: Obj) -> Iterator[Cause]:
    at, rolling = "spec.strategy", strategy.get("rollingUpdate")
    match strategy.get("type"):
        case "Recreate":
            if rolling is not None:
                detail = "may not be specified when strategy `type` is 'Recreate'"
                yield causes.forbidden(f"{at}.rollingUpdate", detail)
        case "RollingUpdate":
            yield from _rolling(rolling or {}, f"{at}.rollingUpdate")
        case other:
            yield causes.not_supported(f"{at}.type", other, ("Recreate", "RollingUpdate"))


def _rolling(rolling: Obj, at: str) -> Iterator[Cause]:
    down, up = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    yield from workloads.share(down, f"{at}.maxUnavailable", at_most_all=True)
    yield from workloads.share(up, f"{at}.maxSurge")
    if workloads.is_zero(down) and workloads.is_zero(up):
        yield causes.invalid(f"{at}.maxUnavailable", down, "may not be 0 when `maxSurge` is 0")


def _fixed_selector(new: Obj, old: Obj) -> Iterator[Cause]:
    return iter(causes.immutable("spec.selector", spec_of(new).get("selector"), spec_of(old).get("selector")))


def _deployment_create(obj: Obj) -> None:
    obj["status"] = {}


# --- ReplicaSet ----------------------------------------------------------------------------------------------------

_one_zero, _one_zero_create = zeros("replicas")


def _replica_set_default(obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    podspec.default_template(spec.setdefault("template", {}))
    _one_zero(obj)


def _replica_set_rules(obj: Obj) -> Iterator[Cause]:
    spec = spec_of(obj)
    yield from workloads.counts(spec, "spec", "replicas", "minReadySeconds")
    yield from workloads.selected(spec, "deployment")  # upstream's word for ReplicaSets, too
    yield from workloads.template(spec, "ReplicaSet")


# --- StatefulSet ---------------------------------------------------------------------------------------------------


def _stateful_default(obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("podManagementPolicy", "OrderedReady")
    strategy = spec.setdefault("updateStrategy", {})
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {}).setdefault("partition", 0)
    kept = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    for field in ("whenDeleted", "whenScaled"):
        if not kept.get(field):
            kept[field] = "Retain"
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("serviceName", "")
    for claim in spec.get("volumeClaimTemplates") or ():
        claim.setdefault("apiVersion", "v1")
        claim.setdefault("kind", "PersistentVolumeClaim")
        storage.claim_default(claim)
        claim.setdefault("status", {}).setdefault("phase", "Pending")
    podspec.default_template(spec.setdefault("template", {}))
    _stateful_zeros(obj)


_stateful_zeros, _stateful_create = zeros("replicas", "availableReplicas")


def _stateful_rules(obj: Obj) -> Iterator[Cause]:
    spec = spec_of(obj)
    policy = spec.get("podManagementPolicy")
    if policy not in {"OrderedReady", "Parallel"}:
        yield causes.invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'")
    strategy = spec.get("updateStrategy", {})
    rolling = strategy.get("rollingUpdate")
    match strategy.get("type"):
        case "OnDelete":
            if rolling is not None:
                detail = "only allowed for updateStrategy 'RollingUpdate'"
                yield causes.invalid("spec.updateStrategy.rollingUpdate", rolling, detail)
        case "RollingUpdate":
            yield from workloads.counts(rolling or {}, "spec.updateStrategy.rollingUpdate", "partition")
            at = "spec.updateStrategy.rollingUpdate.maxUnavailable"
            yield from workloads.share((rolling or {}).get("maxUnavailable"), at, at_most_all=True)
        case _:
            yield causes.invalid("spec.updateStrategy", strategy, "must be 'RollingUpdate' or 'OnDelete'")
    yield from workloads.counts(spec, "spec", "replicas", "minReadySeconds", "revisionHistoryLimit")
    yield from workloads.counts(spec.get("ordinals", {}), "spec.ordinals", "start")
    for field, value in spec.get("persistentVolumeClaimRetentionPolicy", {}).items():
        if value not in {"Delete", "Retain"}:
            at = f"spec.persistentVolumeClaimRetentionPolicy.{field}"
            yield causes.not_supported(at, value, ("Delete", "Retain"))
    yield from workloads.selected(spec, "statefulset")
    yield from workloads.template(_with_claims(spec), "StatefulSet")


def _with_claims(spec: Obj) -> Obj:
    """The template with a volume for each claim, as its mounts expect."""
    claims = [c["metadata"]["name"] for c in spec.get("volumeClaimTemplates") or () if part(c, "metadata").get("name")]
    if not claims:
        return spec
    pod = part(spec["template"], "spec")
    own = [v for v in pod.get("volumes") or () if v.get("name") not in claims]
    volumes = [*own, *({"name": n, "persistentVolumeClaim": {"claimName": n}} for n in claims)]
    return {**spec, "template": {**spec["template"], "spec": {**pod, "volumes": volumes}}}


def _stateful_transitions(new: Obj, old: Obj) -> Iterator[Cause]:
    after, before = spec_of(new), spec_of(old)
    if any(after.get(f) != before.get(f) for f in (after.keys() | before.keys()) - _FREE):
        yield causes.forbidden("spec", _STATEFUL_FIXED)


# --- DaemonSet -----------------------------------------------------------------------------------------------------

_daemon_zeros, _daemon_status = zeros(*_DAEMON_COUNTS)


def _daemon_default(obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    strategy = spec.setdefault("updateStrategy", {})
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)
    spec.setdefault("revisionHistoryLimit", 10)
    podspec.default_template(spec.setdefault("template", {}))
    _daemon_zeros(obj)


def _daemon_rules(obj: Obj) -> Iterator[Cause]:
    spec = spec_of(obj)
    yield from workloads.selected(spec, "daemonset")
    yield from workloads.template(spec, "DaemonSet")
    yield from workloads.counts(spec, "spec", "minReadySeconds", "revisionHistoryLimit")
    strategy = spec.get("updateStrategy", {})
    match strategy.get("type"):
        case "OnDelete":
            pass
        case "RollingUpdate":
            yield from _daemon_rolling(strategy.get("rollingUpdate") or {}, "spec.updateStrategy.rollingUpdate")
        case other:
            yield causes.not_supported("spec.updateStrategy.type", other, ("OnDelete", "RollingUpdate"))


def _daemon_rolling(rolling: Obj, at: str) -> Iterator[Cause]:
    down, up = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    yield from workloads.share(down, f"{at}.maxUnavailable", at_most_all=True)
    yield from workloads.share(up, f"{at}.maxSurge", at_most_all=True)
    if workloads.is_zero(down) and workloads.is_zero(up):
        yield causes.required(f"{at}.maxUnavailable", "cannot be 0 when maxSurge is 0")
    elif not workloads.is_zero(down) and not workloads.is_zero(up):
        yield causes.invalid(f"{at}.maxSurge", up, "may not be set when maxUnavailable is non-zero")


def _daemon_create(obj: Obj) -> None:
    _daemon_status(obj)
    _count_templates(obj, 1)


def _daemon_update(new: Obj, old: Obj) -> None:
    text = (old["metadata"].get("annotations") or {}).get(GENERATION, "1")
    count = int(text) if text.isdigit() else 1
    _count_templates(new, count + (spec_of(new).get("template") != spec_of(old).get("template")))


def _count_templates(obj: Obj, count: int) -> None:
    obj["metadata"]["annotations"] = {**(obj["metadata"].get("annotations") or {}), GENERATION: str(count)}


# --- ControllerRevision --------------------------------------------------------------------------------------------


def _revision_rules(obj: Obj) -> Iterator[Cause]:
    if obj.get("revision", 0) < 0:
        yield causes.invalid("revision", obj["revision"], workloads.NEGATIVE)
    if obj.get("data") is None:
        yield causes.required("data", "data is mandatory")


def _revision_transitions(new: Obj, old: Obj) -> Iterator[Cause]:
    yield from causes.immutable("data", new.get("data"), old.get("data"))


def _revision_default(obj: Obj) -> None:
    obj.setdefault("revision", 0)


WAYS = {
    ("apps", "deployments"): Ways(
        _deployment_default, _deployment_rules, _fixed_selector, create=_deployment_create
    ),
    ("apps", "replicasets"): Ways(
        _replica_set_default, _replica_set_rules, _fixed_selector, create=_one_zero_create
    ),
    ("apps", "statefulsets"): Ways(
        _stateful_default, _stateful_rules, _stateful_transitions, create=_stateful_create
    ),
    ("apps", "daemonsets"): Ways(
        _daemon_default, _daemon_rules, _fixed_selector, create=_daemon_create, update=_daemon_update
    ),
    ("apps", "controllerrevisions"): Ways(
        _revision_default, _revision_rules, _revision_transitions, generation=False
    ),
}  # fmt: skip
