"""The rules of a Pod's spec as a whole: its containers among each other, its volumes, where it may be placed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fairlead.apiserver.kinds import containerrules, metadata, naming
from fairlead.apiserver.kinds.ways import Obj
from fairlead.base.errors import Cause
from fairlead.machinery import causes, quantity

RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
OPERATORS = ("Equal", "Exists", "Lt", "Gt")
LARGEST = 2**31 - 1
_NEEDED = {"hostPath": "path", "persistentVolumeClaim": "claimName", "secret": "secretName", "configMap": "name"}
_LABEL_FIELDS = ("hostname", "subdomain")
_NAME_FIELDS = ("nodeName", "serviceAccountName", "priorityClassName")


def validate(spec: Obj, path: str) -> Iterator[Cause]:
    """What upstream's `ValidatePodSpec` finds, of what matters here. The spec has its defaults."""
    yield from _choices(spec, path)
    volumes: set[str] = set()
    yield from _volumes(spec.get("volumes", ()), f"{path}.volumes", volumes)
    if not spec.get("containers"):
        yield causes.required(f"{path}.containers")
    seen: set[str] = set()
    for field in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(field, ())):
            yield from containerrules.validate(container, f"{path}.{field}[{index}]", volumes, seen)
    for index, container in enumerate(spec.get("initContainers", ())):
        yield from containerrules.validate_init(container, f"{path}.initContainers[{index}]")
    yield from _names(spec, path)
    yield from _placement(spec, path)


def _choices(spec: Obj, path: str) -> Iterator[Cause]:
    for field, choices in (("restartPolicy", RESTART_POLICIES), ("dnsPolicy", DNS_POLICIES)):
        value = spec.get(field)
        if value not in choices:
            yield (
                causes.not_supported(f"{path}.{field}", value, choices) if value else causes.required(f"{path}.{field}")
            )
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= LARGEST:
        yield causes.invalid(f"{path}.activeDeadlineSeconds", deadline, f"must be between 1 and {LARGEST}, inclusive")
    grace = spec.get("terminationGracePeriodSeconds", 0)
    if grace < 0:
        yield causes.invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than or equal to 0")


def _names(spec: Obj, path: str) -> Iterator[Cause]:
    for field in _LABEL_FIELDS:
        for complaint in naming.label(spec[field]) if spec.get(field) else ():
            yield causes.invalid(f"{path}.{field}", spec[field], complaint)
    for field in _NAME_FIELDS:
        for complaint in naming.subdomain(spec[field]) if spec.get(field) else ():
            yield causes.invalid(f"{path}.{field}", spec[field], complaint)


def _volumes(volumes: Any, path: str, names: set[str]) -> Iterator[Cause]:
    for index, volume in enumerate(volumes):
        at = f"{path}[{index}]"
        name = volume.get("name", "")
        if not name:
            yield causes.required(f"{at}.name")
        elif name in names:
            yield causes.duplicate(f"{at}.name", name)
        for complaint in naming.label(name) if name else ():
            yield causes.invalid(f"{at}.name", name, complaint)
        names.add(name)
        yield from _volume_source(volume, at)


def _volume_source(volume: Obj, at: str) -> Iterator[Cause]:
    sources = [k for k in volume if k != "name"]
    for extra in sources[1:]:
        yield causes.forbidden(f"{at}.{extra}", "may not specify more than 1 volume type")
    if not sources:
        yield causes.required(at, "must specify a volume type")
        return
    kind = sources[0]
    needed = _NEEDED.get(kind)
    if needed and not volume[kind].get(needed):
        yield causes.required(f"{at}.{kind}.{needed}")
    limit = volume.get("emptyDir", {}).get("sizeLimit")
    if limit is not None and quantity.fast_value(limit) < 0:
        detail = "SizeLimit field must be a valid resource quantity"
        yield causes.forbidden(f"{at}.emptyDir.sizeLimit", detail)


def _placement(spec: Obj, path: str) -> Iterator[Cause]:
    if found := spec.get("nodeSelector"):
        yield from metadata.check_labels(f"{path}.nodeSelector", found)
    for index, toleration in enumerate(spec.get("tolerations", ())):
        yield from _toleration(toleration, f"{path}.tolerations[{index}]")
    if found := spec.get("affinity"):
        yield from _affinity(found, f"{path}.affinity")
    for index, constraint in enumerate(spec.get("topologySpreadConstraints", ())):
        yield from _spread(constraint, f"{path}.topologySpreadConstraints[{index}]")
    for index, gate in enumerate(spec.get("schedulingGates", ())):
        at = f"{path}.schedulingGates[{index}]"
        for complaint in naming.qualified(gate.get("name", "")):
            yield causes.invalid(at, gate.get("name", ""), complaint)


def _toleration(found: Obj, at: str) -> Iterator[Cause]:
    key, operator, effect = found.get("key", ""), found.get("operator", "Equal"), found.get("effect", "")
    for complaint in naming.qualified(key) if key else ():
        yield causes.invalid(f"{at}.key", key, complaint)
    if not key and operator != "Exists":
        detail = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        yield causes.invalid(f"{at}.operator", operator, detail)
    if found.get("tolerationSeconds") is not None and effect != "NoExecute":
        yield causes.invalid(f"{at}.effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
    if operator not in OPERATORS:
        yield causes.not_supported(f"{at}.operator", operator, ("Equal", "Exists"))
    if operator == "Exists" and found.get("value"):
        yield causes.invalid(f"{at}.operator", found["value"], "value must be empty when `operator` is 'Exists'")
    if effect and effect not in EFFECTS:
        yield causes.not_supported(f"{at}.effect", effect, EFFECTS)


def _affinity(found: Obj, path: str) -> Iterator[Cause]:
    needed = found.get("nodeAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    if needed is not None:
        at = f"{path}.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
        terms = needed.get("nodeSelectorTerms") or ()
        if not terms:
            yield causes.required(at, "must have at least one node selector term")
        for index, term in enumerate(terms):
            for position, expression in enumerate(term.get("matchExpressions", ())):
                yield from _requirement(expression, f"{at}[{index}].matchExpressions[{position}]")
    for kind in ("podAffinity", "podAntiAffinity"):
        terms = found.get(kind, {}).get("requiredDuringSchedulingIgnoredDuringExecution", ())
        for index, term in enumerate(terms):
            if not term.get("topologyKey"):
                at = f"{path}.{kind}.requiredDuringSchedulingIgnoredDuringExecution[{index}].topologyKey"
                yield causes.required(at, "can not be empty")


def _requirement(found: Obj, at: str) -> Iterator[Cause]:
    operator, values = found.get("operator", ""), found.get("values") or ()
    match operator:
        case "In" | "NotIn" if not values:
            yield causes.required(f"{at}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        case "Exists" | "DoesNotExist" if values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield causes.forbidden(f"{at}.values", detail)
        case "Gt" | "Lt" if len(values) != 1:
            yield causes.required(f"{at}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
        case "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt":
            pass
        case _:
            yield causes.invalid(f"{at}.operator", operator, "not a valid selector operator")
    for complaint in naming.qualified(found.get("key", "")):
        yield causes.invalid(f"{at}.key", found.get("key", ""), complaint)


def _spread(found: Obj, at: str) -> Iterator[Cause]:
    skew, unsatisfiable = found.get("maxSkew", 0), found.get("whenUnsatisfiable", "")
    if skew <= 0:
        yield causes.invalid(f"{at}.maxSkew", skew, "must be greater than zero")
    if not found.get("topologyKey"):
        yield causes.required(f"{at}.topologyKey", "can not be empty")
    if unsatisfiable not in {"DoNotSchedule", "ScheduleAnyway"}:
        choices = ("DoNotSchedule", "ScheduleAnyway")
        yield causes.not_supported(f"{at}.whenUnsatisfiable", unsatisfiable, choices)
