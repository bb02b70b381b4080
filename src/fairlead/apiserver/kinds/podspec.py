"""The defaults of a Pod's spec, for Pods and for Pod templates (Jobs, and what embeds them).

Upstream's `SetDefaults_PodSpec` and those below it. What upstream does for Pods only is in `pods`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fairlead.apiserver.kinds.ways import Obj

MODE = 420
"""0644: the mode of files in volumes."""
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_CONTAINERS = ("initContainers", "containers")
_FILES = ("secret", "configMap", "downwardAPI", "projected")


def default(spec: Obj) -> None:
    """Fill in what a Pod's spec leaves open, in place."""
    _accounts(spec)
    _fill(spec, restartPolicy="Always", dnsPolicy="ClusterFirst", schedulerName="default-scheduler")
    grace = spec.get("terminationGracePeriodSeconds", 30)
    spec["terminationGracePeriodSeconds"] = grace if grace >= 0 else 1
    if "securityContext" not in spec:
        spec["securityContext"] = {}
    for container in containers(spec):
        _container(container)
    for container in spec.get("ephemeralContainers", ()):
        _container(container)
    for volume in spec.get("volumes", ()):
        _volume(volume)


def default_template(template: Obj) -> None:
    """The same for a PodTemplateSpec; its metadata is there even if empty, as upstream writes it."""
    template.setdefault("metadata", {})
    default(template.setdefault("spec", {}))


def containers(spec: Obj) -> Iterator[Obj]:
    """Init containers, then containers."""
    for field in _CONTAINERS:
        yield from spec.get(field, ())


def _fill(obj: Obj, **defaults: Any) -> None:
    """Set what is absent or empty."""
    for key, value in defaults.items():
        if not obj.get(key):
            obj[key] = value


def _accounts(spec: Obj) -> None:
    """`serviceAccount` is the old name of `serviceAccountName`; both are served."""
    name = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if name:
        spec["serviceAccountName"] = spec["serviceAccount"] = name


def _container(container: Obj) -> None:
    if not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = "Always" if _latest(container.get("image", "")) else "IfNotPresent"
    _fill(container, terminationMessagePath="/dev/termination-log", terminationMessagePolicy="File")
    if "resources" not in container:
        container["resources"] = {}
    for port in container.get("ports", ()):
        if not port.get("protocol"):
            port["protocol"] = "TCP"
    for variable in container.get("env", ()):
        source = variable.get("valueFrom")
        if source and "fieldRef" in source:
            _fill(source["fieldRef"], apiVersion="v1")
        if source and "resourceFieldRef" in source:
            _fill(source["resourceFieldRef"], divisor="0")
    for name in _PROBES:
        if name in container:
            _probe(container[name])
    for hook in container.get("lifecycle", {}).values():
        if isinstance(hook, dict):
            _http(hook)


def _latest(image: str) -> bool:
    """Whether the image's tag moves: `latest`, or none and no digest."""
    if "@" in image:
        return False
    tag = image.rpartition("/")[2].partition(":")[2]
    return tag in {"", "latest"}


def _probe(probe: Obj) -> None:
    _fill(probe, timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
    _http(probe)
    if "grpc" in probe and "service" not in probe["grpc"]:
        probe["grpc"]["service"] = ""


def _http(action: Obj) -> None:
    if "httpGet" in action:
        _fill(action["httpGet"], path="/", scheme="HTTP")


def _volume(volume: Obj) -> None:
    if len(volume) == 1 and "name" in volume:
        volume["emptyDir"] = {}
    if "hostPath" in volume:
        volume["hostPath"].setdefault("type", "")
    for kind in _FILES:
        source = volume.get(kind)
        if source is not None and "defaultMode" not in source:
            source["defaultMode"] = MODE
    for item in volume.get("downwardAPI", {}).get("items", ()):
        _fill(item.get("fieldRef", {"apiVersion": "v1"}), apiVersion="v1")
    for projection in volume.get("projected", {}).get("sources", ()):
        _projection(projection)
    template = volume.get("ephemeral", {}).get("volumeClaimTemplate", {}).get("spec")
    if template is not None:
        template.setdefault("volumeMode", "Filesystem")


def _projection(projection: Obj) -> None:
    if "serviceAccountToken" in projection:
        projection["serviceAccountToken"].setdefault("expirationSeconds", 3600)
    for item in projection.get("downwardAPI", {}).get("items", ()):
        _fill(item.get("fieldRef", {"apiVersion": "v1"}), apiVersion="v1")
