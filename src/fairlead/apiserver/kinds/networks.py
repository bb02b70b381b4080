"""networking.k8s.io, node.k8s.io and resource.k8s.io: kinds that are stored for their clients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fairlead.apiserver.kinds import naming, workloads
from fairlead.apiserver.kinds.ways import Obj, Ways, part, parts, spec_of
from fairlead.base.errors import Cause
from fairlead.machinery import causes

_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_POLICY_TYPES = ("Egress", "Ingress")


# --- Ingress -------------------------------------------------------------------------------------------------------


def _ingress_create(obj: Obj) -> None:
    obj["status"] = {"loadBalancer": {}}


def _ingress_rules(obj: Obj) -> Iterator[Cause]:
    spec = spec_of(obj)
    if not spec.get("rules") and not spec.get("defaultBackend"):
        yield causes.invalid("spec", None, "either `defaultBackend` or `rules` must be specified")
    for index, rule in enumerate(spec.get("rules") or ()):
        at = f"spec.rules[{index}]"
        host = rule.get("host", "")
        for complaint in naming.subdomain(host.removeprefix("*.")) if host else ():
            yield causes.invalid(f"{at}.host", host, complaint)
        for place, path in enumerate(part(rule, "http").get("paths") or ()):
            yield from _path(path, f"{at}.http.paths[{place}]")
    if backend := spec.get("defaultBackend"):
        yield from _backend(backend, "spec.defaultBackend")


def _path(path: Obj, at: str) -> Iterator[Cause]:
    kind, text = path.get("pathType"), path.get("path", "")
    if kind is None:
        yield causes.required(f"{at}.pathType", "pathType must be specified")
    elif kind not in _PATH_TYPES:
        yield causes.not_supported(f"{at}.pathType", kind, _PATH_TYPES)
    elif kind != "ImplementationSpecific" and not text.startswith("/"):
        yield causes.invalid(f"{at}.path", text, "must be an absolute path")
    yield from _backend(path.get("backend") or {}, f"{at}.backend")


def _backend(backend: Obj, at: str) -> Iterator[Cause]:
    service = backend.get("service")
    if service is None and backend.get("resource") is None:
        yield causes.required(at, "resource or service backend is required")
    elif service is not None:
        if not service.get("name"):
            yield causes.required(f"{at}.service.name")
        port: Any = service.get("port") or {}
        if not port.get("name") and not port.get("number"):
            yield causes.required(at, "port name or number is required")


def _class_rules(obj: Obj) -> Iterator[Cause]:
    name = spec_of(obj).get("controller", "")
    if not name:
        yield causes.required("spec.controller")
        return
    prefix, _, path = name.partition("/")
    if not path or naming.subdomain(prefix):
        yield causes.invalid("spec.controller", name, 'must be a domain-prefixed path (such as "acme.io/foo")')


# --- NetworkPolicy -------------------------------------------------------------------------------------------------


def _policy_default(obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    for way in ("ingress", "egress"):
        for rule in parts(spec, way):
            for port in parts(rule, "ports"):
                port.setdefault("protocol", "TCP")
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def _policy_rules(obj: Obj) -> Iterator[Cause]:
    spec = spec_of(obj)
    yield from workloads.label_selector(spec.get("podSelector") or {}, "spec.podSelector")
    for index, kind in enumerate(spec.get("policyTypes") or ()):
        if kind not in _POLICY_TYPES:
            yield causes.not_supported(f"spec.policyTypes[{index}]", kind, _POLICY_TYPES)


# --- RuntimeClass and devices --------------------------------------------------------------------------------------


def _runtime_rules(obj: Obj) -> Iterator[Cause]:
    for complaint in naming.label(obj.get("handler", "")):
        yield causes.invalid("handler", obj.get("handler", ""), complaint)


def _runtime_transitions(new: Obj, old: Obj) -> Iterator[Cause]:
    yield from causes.immutable("handler", new.get("handler"), old.get("handler"))


def _requests(spec: Obj) -> None:
    for request in parts(part(spec, "devices"), "requests"):
        exactly = request.get("exactly")
        for one in ([exactly] if isinstance(exactly, dict) else []) + parts(request, "firstAvailable"):
            if one.setdefault("allocationMode", "ExactCount") == "ExactCount":
                one.setdefault("count", 1)


def _claim_default(obj: Obj) -> None:
    _requests(obj.setdefault("spec", {}))


def _claim_create(obj: Obj) -> None:
    obj["status"] = {}


def _claim_transitions(new: Obj, old: Obj) -> Iterator[Cause]:
    yield from causes.immutable("spec", spec_of(new), spec_of(old))


def _template_default(obj: Obj) -> None:
    _requests(obj.setdefault("spec", {}).setdefault("spec", {}))


_NETWORK, _DEVICES = "networking.k8s.io", "resource.k8s.io"

WAYS = {
    (_NETWORK, "ingresses"): Ways(None, _ingress_rules, create=_ingress_create),
    (_NETWORK, "ingressclasses"): Ways(None, _class_rules),
    (_NETWORK, "networkpolicies"): Ways(_policy_default, _policy_rules),
    ("node.k8s.io", "runtimeclasses"): Ways(None, _runtime_rules, _runtime_transitions, generation=False),
    (_DEVICES, "resourceclaims"): Ways(
        _claim_default, None, _claim_transitions, create=_claim_create, generation=False
    ),
    (_DEVICES, "resourceclaimtemplates"): Ways(_template_default, None, _claim_transitions, generation=False),
    (_DEVICES, "deviceclasses"): Ways(),
    (_DEVICES, "resourceslices"): Ways(),
}  # fmt: skip
