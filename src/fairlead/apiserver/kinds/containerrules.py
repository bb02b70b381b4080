"""The rules of one container: its image, environment, ports, mounts, resources and probes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fairlead.apiserver.kinds import naming
from fairlead.apiserver.kinds.ways import Obj
from fairlead.base.errors import Cause
from fairlead.machinery import causes, quantity

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
MESSAGE_POLICIES = ("FallbackToLogsOnError", "File")
PROTOCOLS = ("SCTP", "TCP", "UDP")
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
STANDARD = frozenset({"cpu", "memory", "ephemeral-storage"})
OVERCOMMITTED = STANDARD
_SOURCES = frozenset({"fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"})
_FIELD = re.compile(
    r"metadata\.(name|namespace|uid|labels|annotations|(labels|annotations)\['.*'\])"
    r"|spec\.(nodeName|serviceAccountName|restartPolicy|schedulerName|hostNetwork)"
    r"|status\.(phase|nominatedNodeName|hostIPs?|podIPs?)"
)
"""What the downward API knows of a Pod."""
_PORT_RANGE = "must be between 1 and 65535, inclusive"


def validate(container: Obj, at: str, volumes: set[str], names: set[str]) -> Iterator[Cause]:
    """A container's rules; `names` are those of the containers before it, and it adds its own."""
    yield from _name(container.get("name", ""), at, names)
    image = container.get("image", "")
    if not image:
        yield causes.required(f"{at}.image")
    elif image != image.strip():
        yield causes.invalid(f"{at}.image", image, "must not have leading or trailing whitespace")
    for field, choices in (("imagePullPolicy", PULL_POLICIES), ("terminationMessagePolicy", MESSAGE_POLICIES)):
        if container.get(field) not in choices:
            yield causes.not_supported(f"{at}.{field}", container.get(field, ""), choices)
    if found := container.get("env"):
        yield from _environment(found, f"{at}.env")
    if found := container.get("ports"):
        yield from _ports(found, f"{at}.ports")
    if found := container.get("volumeMounts"):
        yield from _mounts(found, f"{at}.volumeMounts", volumes)
    if found := container.get("resources"):
        yield from resources(found, f"{at}.resources")
    for probe in PROBES:
        if probe in container:
            yield from _probe(container[probe], f"{at}.{probe}", probe)


def validate_init(container: Obj, at: str) -> Iterator[Cause]:
    """What only a restartable init container (a sidecar) may have."""
    policy = container.get("restartPolicy")
    if policy == "Always":
        return
    for field in (*PROBES, "lifecycle"):
        if field in container:
            yield causes.forbidden(f"{at}.{field}", "may not be set for init containers without restartPolicy=Always")


def _name(name: str, at: str, names: set[str]) -> Iterator[Cause]:
    if not name:
        yield causes.required(f"{at}.name")
    elif name in names:
        yield causes.duplicate(f"{at}.name", name)
    else:
        for complaint in naming.label(name):
            yield causes.invalid(f"{at}.name", name, complaint)
    names.add(name)


def _environment(variables: list[Obj], path: str) -> Iterator[Cause]:
    for index, variable in enumerate(variables):
        name = variable.get("name", "")
        if not name:
            yield causes.required(f"{path}[{index}].name")
        elif "=" in name or not (name.isascii() and name.isprintable()):
            detail = "a valid environment variable name must consist only of printable ASCII characters other than '='"
            yield causes.invalid(f"{path}[{index}].name", name, detail)
        source = variable.get("valueFrom")
        if source is not None:
            yield from _source(source, variable.get("value", ""), f"{path}[{index}].valueFrom")


def _source(source: Obj, value: str, at: str) -> Iterator[Cause]:
    given = [k for k in source if k in _SOURCES]
    if not given:
        detail = (
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        )
        yield causes.invalid(at, "", detail)
    if value:
        yield causes.invalid(at, "", "may not be specified when `value` is not empty")
    elif len(given) > 1:
        yield causes.invalid(at, "", "may not have more than one field specified at a time")
    for kind, needed in (("fieldRef", "fieldPath"), ("resourceFieldRef", "resource")):
        if kind in source and not source[kind].get(needed):
            yield causes.required(f"{at}.{kind}.{needed}")
    path = source.get("fieldRef", {}).get("fieldPath", "")
    if path and not _FIELD.fullmatch(path):
        detail = f"error converting fieldPath: field label not supported: {path}"
        yield causes.invalid(f"{at}.fieldRef.fieldPath", path, detail)
    for kind in ("configMapKeyRef", "secretKeyRef"):
        if kind in source and not source[kind].get("key"):
            yield causes.required(f"{at}.{kind}.key")


def _ports(ports: list[Obj], path: str) -> Iterator[Cause]:
    names: set[str] = set()
    for index, port in enumerate(ports):
        at, number, name = f"{path}[{index}]", port.get("containerPort", 0), port.get("name", "")
        if name and name in names:
            yield causes.duplicate(f"{at}.name", name)
        names.add(name)
        if not number:
            yield causes.required(f"{at}.containerPort")
        elif not 1 <= number <= 65535:
            yield causes.invalid(f"{at}.containerPort", number, _PORT_RANGE)
        if port.get("hostPort") and not 1 <= port["hostPort"] <= 65535:
            yield causes.invalid(f"{at}.hostPort", port["hostPort"], _PORT_RANGE)
        if port.get("protocol") not in PROTOCOLS:
            yield causes.not_supported(f"{at}.protocol", port.get("protocol", ""), PROTOCOLS)


def _mounts(mounts: list[Obj], path: str, volumes: set[str]) -> Iterator[Cause]:
    places: set[str] = set()
    for index, mount in enumerate(mounts):
        name, place = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            yield causes.required(f"{path}[{index}].name")
        elif name not in volumes:
            yield causes.not_found(f"{path}[{index}].name", name)
        if not place:
            yield causes.required(f"{path}[{index}].mountPath")
        elif place in places:
            yield causes.invalid(f"{path}[{index}].mountPath", place, "must be unique")
        places.add(place)
        inner = mount.get("subPath", "")
        if inner.startswith("/"):
            yield causes.invalid(f"{path}[{index}].subPath", inner, "must be a relative path")
        if ".." in inner.split("/"):
            yield causes.invalid(f"{path}[{index}].subPath", inner, "must not contain '..'")


def resources(found: Obj, path: str) -> Iterator[Cause]:
    """Requests and limits: known names, no negative amounts, requests within limits."""
    limits, requests = found.get("limits", {}), found.get("requests", {})
    yield from _amounts(limits, f"{path}.limits")
    yield from _amounts(requests, f"{path}.requests")
    for name, amount in requests.items():
        yield from _within(name, amount, limits.get(name), path)
    for name in limits.keys() - requests.keys():
        if not _overcommitted(name):
            yield from _within(name, None, limits[name], path)


def _amounts(amounts: Mapping[str, Any], path: str) -> Iterator[Cause]:
    for name, amount in amounts.items():
        at = f"{path}[{name}]"
        for complaint in naming.qualified(name):
            yield causes.invalid(at, name, complaint)
        if "/" not in name and name not in STANDARD and not name.startswith("hugepages-"):
            yield causes.invalid(at, name, "must be a standard resource type or fully qualified")
            yield causes.invalid(at, name, "must be a standard resource for containers")
        milli = quantity.fast_milli(amount)
        if milli < 0:
            yield causes.invalid(at, amount, "must be greater than or equal to 0")
        elif milli % 1000 and not _overcommitted(name):
            yield causes.invalid(at, amount, "must be an integer")


def _within(name: str, request: Any, limit: Any, path: str) -> Iterator[Cause]:
    if limit is None:
        if not _overcommitted(name):
            yield causes.required(f"{path}.limits", "Limit must be set for non overcommitable resources")
        return
    if request is None:
        return
    asked, most = quantity.parse(request), quantity.parse(limit)
    if not _overcommitted(name) and asked != most:
        yield causes.invalid(f"{path}.requests", request, f"must be equal to {name} limit of {limit}")
    elif asked.nanos > most.nanos:
        yield causes.invalid(f"{path}.requests", request, f"must be less than or equal to {name} limit of {limit}")


def _overcommitted(name: str) -> bool:
    """Native resources may be requested below their limit; extended ones and huge pages may not."""
    return name in OVERCOMMITTED or ("/" in name and name.partition("/")[0].endswith("kubernetes.io"))


def _probe(probe: Obj, at: str, kind: str) -> Iterator[Cause]:
    handlers = [h for h in HANDLERS if h in probe]
    if not handlers:
        yield causes.required(at, "must specify a handler type")
    for extra in handlers[1:]:
        yield causes.forbidden(f"{at}.{extra}", "may not specify more than 1 handler type")
    for field in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        if probe.get(field, 0) < 0:
            yield causes.invalid(f"{at}.{field}", probe[field], "must be greater than or equal to 0")
    if kind != "readinessProbe" and probe.get("successThreshold", 1) != 1:
        yield causes.invalid(f"{at}.successThreshold", probe["successThreshold"], "must be 1")
    if "exec" in probe and not probe["exec"].get("command"):
        yield causes.required(f"{at}.exec.command")
    for action in ("httpGet", "tcpSocket"):
        if action in probe and not probe[action].get("port"):
            yield causes.required(f"{at}.{action}.port")
