"""Which Pods serve a Service, and at which ports. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fairlead.api.core import Pod, Service, ServicePort

Json = Mapping[str, Any]


def selects(service: Service, pod: Pod) -> bool:
    """Whether a Pod is the Service's; an empty selector selects nothing."""
    wanted = service.spec.selector
    return bool(wanted) and wanted.items() <= pod.metadata.labels.items()


def is_ready(pod: Pod) -> bool:
    """Whether the Pod says that it is ready."""
    condition = pod.condition("Ready")
    return condition is not None and condition.status == "True"


def ports(service: Service, pod: Pod) -> Iterator[Json]:
    """The Service's ports as this Pod serves them. A named port that the Pod does not have is left out."""
    for port in service.spec.ports:
        number = _number(port, pod)
        if number is not None:
            found: dict[str, Any] = {"name": port.name, "protocol": port.protocol, "port": number}
            if port.appProtocol:
                found["appProtocol"] = port.appProtocol
            yield found


def _number(port: ServicePort, pod: Pod) -> int | None:
    target = port.targetPort
    if target is None or isinstance(target, int):
        return target or port.port
    if target.isdigit():
        return int(target)
    for container in pod.spec.containers:
        for candidate in container.ports:
            if candidate.name == target and candidate.protocol == port.protocol:
                return candidate.containerPort
    return None


def target(pod: Pod) -> Json:
    """The reference to the Pod behind an address."""
    meta = pod.metadata
    return {"kind": "Pod", "namespace": meta.namespace, "name": meta.name, "uid": meta.uid}


def significant(port: Json) -> Json:
    """A port without what defaulting may or may not have written."""
    return {k: v for k, v in port.items() if v not in ("", None)}
