"""environment: what a container's command, arguments and variables are, once all that they refer to is known. Pure.

Upstream's order: service links, then envFrom (later sources win), then env (each may use `$(NAME)` of those before);
`$$(NAME)` stays as `$(NAME)`, and a reference to nothing stays as it is. The host's own environment lies below all
that, as an image's would, without whatever may be a secret.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from fairlead.api.core import ConfigMap, Container, EnvVarSource, KeySelector, Pod, ResourceFieldRef, Secret, Service
from fairlead.api.meta import Key
from fairlead.machinery import quantity

INHERITED = frozenset(
    {
        "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV", "CONDA_PREFIX",
        "CONDA_DEFAULT_ENV", "LD_LIBRARY_PATH", "CUDA_HOME", "CUDA_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy",
        "no_proxy", "HF_HOME", "TORCH_HOME", "XDG_CACHE_HOME", "UV_CACHE_DIR", "PIP_CACHE_DIR", "PIP_INDEX_URL",
    }
)  # fmt: skip
"""What of the host's environment a container sees. A list of what is allowed: nobody can list all secrets' names."""

_API_SERVER = Key("default", "kubernetes")
_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*\Z")
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]\Z")


class Missing(Exception):
    """Something that the container refers to is not there: CreateContainerConfigError."""


class Facts(msgspec.Struct, frozen=True):
    """What the node knows about the Pod. The addresses are empty until its network is made."""

    node: str = ""
    ip: str = ""
    host_ip: str = ""
    allocatable: Mapping[str, str] = {}


class Sources(msgspec.Struct, frozen=True):
    """The objects that the Pod's containers refer to, by name; those that do not exist are not in it."""

    config_maps: Mapping[str, ConfigMap] = {}
    secrets: Mapping[str, Secret] = {}
    services: Sequence[Service] = ()


def inherited(host: Mapping[str, str]) -> dict[str, str]:
    """The host's environment as a container may see it."""
    return {k: v for k, v in host.items() if k in INHERITED or k.startswith("LC_")}


def references(pod: Pod) -> tuple[set[str], set[str]]:
    """The names of the ConfigMaps and Secrets that the containers' environments refer to."""
    maps: set[str] = set()
    secrets: set[str] = set()
    for container in (*pod.spec.initContainers, *pod.spec.containers, *pod.spec.ephemeralContainers):
        for source in container.envFrom:
            maps.update([source.configMapRef.name] if source.configMapRef else ())
            secrets.update([source.secretRef.name] if source.secretRef else ())
        for each in container.env:
            if each.valueFrom is not None:
                maps.update([each.valueFrom.configMapKeyRef.name] if each.valueFrom.configMapKeyRef else ())
                secrets.update([each.valueFrom.secretKeyRef.name] if each.valueFrom.secretKeyRef else ())
    return maps, secrets


def variables(
    pod: Pod, container: Container, facts: Facts, sources: Sources, below: Mapping[str, str]
) -> dict[str, str]:
    """All variables of a container. Raises Missing, naming what is not there."""
    result = dict(below)
    links = service_links(pod, sources.services)
    result.update(links)
    own: dict[str, str] = {}
    for source in container.envFrom:
        own.update(_all_of(source.prefix, _envfrom_data(source, sources)))
    for each in container.env:
        if each.valueFrom is None:
            own[each.name] = expand(each.value, {**links, **own})
            continue
        value = resolve(each.valueFrom, pod, container, facts, sources)
        if value is not None:
            own[each.name] = value
    result.update(own)
    return result


def _envfrom_data(source: object, sources: Sources) -> Mapping[str, str]:
    config, secret = getattr(source, "configMapRef", None), getattr(source, "secretRef", None)
    if config is not None:
        found = sources.config_maps.get(config.name)
        if found is not None:
            return found.data
        return _absent("configmap", config.name, optional=config.optional)
    if secret is not None:
        kept = sources.secrets.get(secret.name)
        if kept is not None:
            return {k: decoded(v).decode("utf-8", "replace") for k, v in kept.data.items()}
        return _absent("secret", secret.name, optional=secret.optional)
    return {}


def _absent(kind: str, name: str, *, optional: bool) -> Mapping[str, str]:
    if optional:
        return {}
    raise Missing(f'{kind} "{name}" not found')


def _all_of(prefix: str, data: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    return ((prefix + k, v) for k, v in data.items() if _NAME.match(prefix + k))


def decoded(value: str) -> bytes:
    """A Secret's value."""
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return value.encode()


# --- one value -----------------------------------------------------------------------------------------------------


def resolve(source: EnvVarSource, pod: Pod, container: Container, facts: Facts, sources: Sources) -> str | None:
    """The value of one valueFrom; None for an optional one that is not there. Raises Missing."""
    if source.fieldRef is not None:
        return field(source.fieldRef.fieldPath, pod, facts)
    if source.resourceFieldRef is not None:
        return resource_field(source.resourceFieldRef, pod, container, facts)
    if source.configMapKeyRef is not None:
        ref = source.configMapKeyRef
        config = sources.config_maps.get(ref.name)
        return _key("configmap", ref, None if config is None else config.data)
    if source.secretKeyRef is not None:
        ref = source.secretKeyRef
        secret = sources.secrets.get(ref.name)
        value = _key("secret", ref, None if secret is None else secret.data)
        return None if value is None else decoded(value).decode("utf-8", "replace")
    return ""


def _key(kind: str, ref: KeySelector, data: Mapping[str, str] | None) -> str | None:
    if data is not None and ref.key in data:
        return data[ref.key]
    if ref.optional:
        return None
    if data is None:
        raise Missing(f'{kind} "{ref.name}" not found')
    raise Missing(f"couldn't find key {ref.key} in {kind} {ref.name}")


def field(path: str, pod: Pod, facts: Facts) -> str:
    """The downward API's fields. Raises Missing for a path that is none."""
    meta, spec = pod.metadata, pod.spec
    subscript = _SUBSCRIPT.match(path)
    if subscript:
        return (meta.labels if subscript[1] == "labels" else meta.annotations).get(subscript[2], "")
    if path in ("metadata.labels", "metadata.annotations"):
        return formatted(meta.labels if path == "metadata.labels" else meta.annotations)
    known = {
        "metadata.name": meta.name,
        "metadata.namespace": meta.namespace,
        "metadata.uid": meta.uid,
        "spec.nodeName": facts.node or spec.nodeName,
        "spec.serviceAccountName": spec.serviceAccountName,
        "status.podIP": facts.ip,
        "status.podIPs": facts.ip,
        "status.hostIP": facts.host_ip,
        "status.hostIPs": facts.host_ip,
    }
    if path not in known:
        raise Missing(f"unsupported fieldPath: {path}")
    return known[path]


def formatted(mapping: Mapping[str, str]) -> str:
    """A map in a downward API file: sorted lines of `key="quoted value"`."""
    return "\n".join(f"{k}={msgspec.json.encode(v).decode()}" for k, v in sorted(mapping.items()))


def resource_field(ref: ResourceFieldRef, pod: Pod, container: Container, facts: Facts) -> str:
    """A container's limit or request in units of the divisor, rounded up. A missing limit is all that the node has."""
    if ref.containerName:
        everyone = (*pod.spec.containers, *pod.spec.initContainers)
        found = next((c for c in everyone if c.name == ref.containerName), None)
        if found is None:
            raise Missing(f"container {ref.containerName} not found")
        container = found
    kind, _, name = ref.resource.partition(".")
    own = container.resources.limits if kind == "limits" else container.resources.requests
    amount = own.get(name, facts.allocatable.get(name, 0) if kind == "limits" else 0)
    divisor = quantity.parse(ref.divisor).nanos or quantity.NANO
    return str(-(-quantity.parse(amount).nanos // divisor))


# --- expansion -----------------------------------------------------------------------------------------------------


def expand(text: str, values: Mapping[str, str]) -> str:
    """`$(NAME)` replaced where NAME is known."""
    if "$" not in text:
        return text
    out: list[str] = []
    i = 0
    while i < len(text):
        if text[i] != "$" or i + 1 == len(text):
            out.append(text[i])
            i += 1
            continue
        piece, i = _reference(text, i, values)
        out.append(piece)
    return "".join(out)


def _reference(text: str, at: int, values: Mapping[str, str]) -> tuple[str, int]:
    """What the `$` at `at` stands for, and where to go on."""
    following = text[at + 1]
    if following == "$":
        return "$", at + 2
    end = text.find(")", at) if following == "(" else -1
    if end < 0:
        return "$" + following, at + 2
    name = text[at + 2 : end]
    return values.get(name, f"$({name})"), end + 1


def command(container: Container, values: Mapping[str, str]) -> tuple[str, ...]:
    """The command and its arguments, expanded."""
    return tuple(expand(part, values) for part in (*container.command, *container.args))


# --- services ------------------------------------------------------------------------------------------------------


def service_links(pod: Pod, services: Sequence[Service]) -> dict[str, str]:
    """The variables that tell of Services (those with a cluster address), unless `enableServiceLinks` is false."""
    if not pod.spec.enableServiceLinks:
        return {}
    result: dict[str, str] = {}
    for service in services:
        address = service.spec.clusterIP
        if address in ("", "None") or service.metadata.namespace != pod.metadata.namespace:
            continue
        if service.key == _API_SERVER:
            continue  # every container is told of it, in another way
        name = service.metadata.name.upper().replace("-", "_")
        for i, port in enumerate(service.spec.ports):
            if i == 0:
                result[f"{name}_SERVICE_HOST"] = address
                result[f"{name}_SERVICE_PORT"] = str(port.port)
                result[f"{name}_PORT"] = f"{port.protocol.lower()}://{address}:{port.port}"
            if port.name:
                result[f"{name}_SERVICE_PORT_{port.name.upper().replace('-', '_')}"] = str(port.port)
            stem = f"{name}_PORT_{port.port}_{port.protocol}"
            result[stem] = f"{port.protocol.lower()}://{address}:{port.port}"
            result[f"{stem}_PROTO"] = port.protocol.lower()
            result[f"{stem}_PORT"] = str(port.port)
            result[f"{stem}_ADDR"] = address
    return result
