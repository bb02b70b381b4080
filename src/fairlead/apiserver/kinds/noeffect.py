"""What is accepted and has no effect here: fields of Pods (and of Pod templates) and whole kinds, with the reason.

A manifest that was written for another cluster is not refused for such a field, but its author is told (a Warning
header). The table is what agent and scheduler leave out: whoever teaches them a field removes its row. Not in the
table is what somebody else tells of: a Pod that asks for something that cannot be decided or mounted waits, and its
status says why. Nor is what every Pod has anyway (`hostIPC`: all share the host's). Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from fairlead.apiserver.kinds.ways import Obj

Test = Callable[[Any, Obj], bool]
"""Whether a value asks for something, given the whole Pod spec."""
Path = tuple[str, ...]
"""Field names; `*` is every element of a list."""


class Row(NamedTuple):
    """A field without effect."""

    path: Path
    why: str
    asks: Test


def _set(value: Any, _spec: Obj) -> bool:
    return bool(value)


def _given(value: Any, _spec: Obj) -> bool:
    return value is not None


def _off(value: Any, _spec: Obj) -> bool:
    return value is False


def _own_network(value: Any, spec: Obj) -> bool:
    return not spec.get("hostNetwork") and bool(value)


def _preference(value: Any, _spec: Obj) -> bool:
    return bool(value == "ScheduleAnyway")


def _propagates(value: Any, _spec: Obj) -> bool:
    return value not in (None, "None")


def _row(path: str, why: str, asks: Test = _set) -> Row:
    return Row(tuple(path.replace("[*]", ".*").split(".")), why, asks)


_PROCESS_IDS = "where the node can, each container has process ids of its own; where it cannot, all have the host's"
_UNCONFINED = "containers are processes, and the process runtime is no security boundary"
_UNDECIDED = "the scheduler does not weigh other pods' places"
_SECURITY = {
    "appArmorProfile": _UNCONFINED,
    "runAsNonRoot": "nobody checks whom a container runs as; set runAsUser",
    "seLinuxOptions": _UNCONFINED,
    "seccompProfile": _UNCONFINED,
    "windowsOptions": "nodes run Linux or macOS",
}
"""Of a Pod and of its containers alike."""
_POD: tuple[Row, ...] = (
    _row("affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution", _UNDECIDED),
    _row("affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution", _UNDECIDED),
    _row("automountServiceAccountToken", "no token is mounted unasked; add a projected volume with one"),
    _row("dnsConfig", "names are answered by the host's resolver and by /etc/hosts"),
    _row("hostPID", _PROCESS_IDS),
    _row("hostUsers", "the node decides whether containers get a user namespace", _off),
    _row("imagePullSecrets", "images are not pulled: an image names an environment of the node"),
    _row("runtimeClassName", "the node has one runtime for all containers"),
    *(_row(f"securityContext.{field}", why) for field, why in _SECURITY.items()),
    _row("securityContext.fsGroupChangePolicy", "volumes are not given to fsGroup; containers are only members of it"),
    _row("securityContext.seLinuxChangePolicy", _UNCONFINED),
    _row("securityContext.supplementalGroups", "containers get fsGroup and no other supplementary group"),
    _row("securityContext.supplementalGroupsPolicy", "containers get fsGroup and no other supplementary group"),
    _row("securityContext.sysctls", "kernel parameters are the host's"),
    _row("setHostnameAsFQDN", "the host name is the short one"),
    _row("shareProcessNamespace", _PROCESS_IDS),
    _row("topologySpreadConstraints[*].whenUnsatisfiable", _UNDECIDED, _preference),
    _row("volumes[*].emptyDir.sizeLimit", "what an emptyDir holds is not measured", _given),
)
_CONTAINER: tuple[Row, ...] = (
    _row("ports[*].hostPort", "no port of the host is forwarded; the pod's own address answers", _own_network),
    _row("resizePolicy", "containers are not resized while they run"),
    _row("resources.limits.ephemeral-storage", "what a container writes is not measured"),
    *(_row(f"securityContext.{field}", why) for field, why in _SECURITY.items()),
    _row("securityContext.allowPrivilegeEscalation", _UNCONFINED, _off),
    _row("securityContext.capabilities", _UNCONFINED),
    _row("securityContext.privileged", "containers have the rights of the node's agent, and no more"),
    _row("securityContext.procMount", _UNCONFINED),
    _row("securityContext.readOnlyRootFilesystem", "a container sees the host's files as the node's agent does"),
    _row("volumeDevices", "block devices are not mapped into containers"),
    _row("volumeMounts[*].mountPropagation", "mounts do not propagate", _propagates),
)
_CONTAINERS = ("initContainers", "containers")
KINDS: Mapping[tuple[str, str], str] = {
    ("networking.k8s.io", "ingresses"): "nothing routes by it",
    ("networking.k8s.io", "ingressclasses"): "nothing routes by it",
    ("networking.k8s.io", "networkpolicies"): "no network policy is enforced",
    ("node.k8s.io", "runtimeclasses"): "the node has one runtime for all containers",
    ("resource.k8s.io", "deviceclasses"): "no devices are allocated by claims; ask for extended resources",
    ("resource.k8s.io", "resourceclaims"): "no devices are allocated by claims; ask for extended resources",
    ("resource.k8s.io", "resourceclaimtemplates"): "no devices are allocated by claims; ask for extended resources",
}
"""Kinds that are kept for their clients and that nothing acts on."""

_TEMPLATE = ("spec", "template", "spec")
_REPLICATED = ("spec", "replicatedJobs", "*", "template", *_TEMPLATE)
_RUNTIME = ("spec", "template", *_REPLICATED)
_PATCHES = ("spec", "runtimePatches", "*", "trainingRuntimeSpec", "template", *_REPLICATED)
_PODS: Mapping[tuple[str, str], Path] = {
    ("", "pods"): ("spec",),
    ("", "podtemplates"): ("template", "spec"),
    ("", "replicationcontrollers"): _TEMPLATE,
    ("apps", "daemonsets"): _TEMPLATE,
    ("apps", "deployments"): _TEMPLATE,
    ("apps", "replicasets"): _TEMPLATE,
    ("apps", "statefulsets"): _TEMPLATE,
    ("batch", "jobs"): _TEMPLATE,
    ("batch", "cronjobs"): ("spec", "jobTemplate", *_TEMPLATE),
    ("jobset.x-k8s.io", "jobsets"): _REPLICATED,
    ("trainer.kubeflow.org", "trainingruntimes"): _RUNTIME,
    ("trainer.kubeflow.org", "clustertrainingruntimes"): _RUNTIME,
    ("trainer.kubeflow.org", "trainjobs"): _PATCHES,
}  # fmt: skip
"""Where a kind has Pod specs."""


def concerns(place: tuple[str, str]) -> bool:
    """Whether anything may be said of a kind: (group, plural)."""
    return place in _PODS or place in KINDS


def warnings(place: tuple[str, str], obj: Obj) -> Iterator[str]:
    """One line for each reason and field; the first place of a field, and how many more there are."""
    if place in KINDS:
        yield f"this object has no effect here: {KINDS[place]}"
    told: dict[Row, list[str]] = {}
    for at, spec in _at(obj, _PODS.get(place, ("*",)), ""):
        for row, found in _ineffective(at, spec):
            told.setdefault(row, []).append(found)
    for row, places in told.items():
        more = f" and {len(places) - 1} more" if len(places) > 1 else ""
        yield f"{places[0]}{more}: has no effect here: {row.why}"


def _ineffective(at: str, spec: Any) -> Iterator[tuple[Row, str]]:
    if not isinstance(spec, dict):
        return
    yield from _rows(_POD_ROWS, spec, at, spec)
    for field in _CONTAINERS:
        for path, container in _at(spec, (field, "*"), at):
            if isinstance(container, dict):
                yield from _rows(_CONTAINER_ROWS, container, path, spec)


def _rows(table: Mapping[str, tuple[Row, ...]], part: Obj, at: str, spec: Obj) -> Iterator[tuple[Row, str]]:
    for field, value in part.items():
        if not value and value is not False:
            continue
        for row in table.get(field, ()):
            if len(row.path) > 1 and isinstance(value, dict) and row.path[1] not in value:
                continue
            for path, asked in _at(part, row.path, at):
                if row.asks(asked, spec):
                    yield row, path


def _at(value: Any, path: Path, at: str) -> Iterator[tuple[str, Any]]:
    """Every value at a path below `value`, and where it is."""
    if not path:
        yield at, value
    elif path[0] == "*":
        for index, item in enumerate(value if isinstance(value, list) else ()):
            yield from _at(item, path[1:], f"{at}[{index}]")
    elif isinstance(value, dict) and path[0] in value:
        yield from _at(value[path[0]], path[1:], f"{at}.{path[0]}" if at else path[0])


def _by_field(rows: tuple[Row, ...]) -> Mapping[str, tuple[Row, ...]]:
    return {field: tuple(r for r in rows if r.path[0] == field) for field in {r.path[0] for r in rows}}


_POD_ROWS, _CONTAINER_ROWS = _by_field(_POD), _by_field(_CONTAINER)
