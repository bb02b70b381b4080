"""The smaller kinds of core/v1: Namespace, ConfigMap, Secret, ServiceAccount, Node, Event, Endpoints."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from fairlead.apiserver.kinds import naming
from fairlead.apiserver.kinds.ways import Obj, Transition, Ways, carry, spec_of
from fairlead.base.errors import Cause
from fairlead.machinery import causes

KUBERNETES = "kubernetes"
"""The finalizer in a Namespace's spec: content goes before the Namespace does."""
NAMESPACE_LABEL = "kubernetes.io/metadata.name"
SIZE_LIMIT = 1024 * 1024
_IMMUTABLE = "field is immutable when `immutable` is set"
_KEY_SAYS = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  "
    "or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_KEY_SIGNS = frozenset("-._abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_SECRET_KEYS = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
}

# --- Namespace -----------------------------------------------------------------------------------------------------


def _namespace_default(namespace: Obj) -> None:
    name = namespace["metadata"].get("name")
    if name:
        labels = namespace["metadata"].get("labels") or {}
        if labels.get(NAMESPACE_LABEL) != name:
            namespace["metadata"]["labels"] = {**labels, NAMESPACE_LABEL: name}


def _namespace_create(namespace: Obj) -> None:
    _namespace_default(namespace)  # a generated name is known only now
    namespace["status"] = {"phase": "Active"}
    finalizers = spec_of(namespace).get("finalizers") or []
    if KUBERNETES not in finalizers:
        namespace["spec"] = {**spec_of(namespace), "finalizers": [*finalizers, KUBERNETES]}


def _namespace_update(new: Obj, old: Obj) -> None:
    """spec.finalizers change only through the `finalize` subresource."""
    carry(new, old, "spec")


# --- ConfigMap and Secret ------------------------------------------------------------------------------------------


def _keys(obj: Obj, fields: tuple[str, ...]) -> Iterator[Cause]:
    size = 0
    for field in fields:
        taken = obj.get("binaryData") or {} if field == "data" and "binaryData" in fields else {}
        for key, value in (obj.get(field) or {}).items():
            if not key or not _KEY_SIGNS.issuperset(key):
                yield causes.invalid(f"{field}[{key}]", key, _KEY_SAYS)
            elif len(key) > 253:
                yield causes.invalid(f"{field}[{key}]", key, naming.longest(253))
            elif key in {".", ".."}:
                yield causes.invalid(f"{field}[{key}]", key, f"must not be '{key}'")
            if key in taken:
                yield causes.invalid(f"{field}[{key}]", key, "duplicate of key present in binaryData")
            size += len(value) if field == "data" and "binaryData" in fields else len(value) * 3 // 4
    if size > SIZE_LIMIT:
        yield causes.too_long("" if "binaryData" in fields else "data", SIZE_LIMIT)


def _config_rules(config: Obj) -> Iterator[Cause]:
    return _keys(config, ("data", "binaryData"))


def _frozen(fields: tuple[str, ...]) -> Transition:
    """`immutable: true` is for ever, and holds for the data."""

    def transitions(new: Obj, old: Obj) -> Iterator[Cause]:
        if old.get("immutable"):
            if not new.get("immutable"):
                yield causes.forbidden("immutable", _IMMUTABLE)
            for field in fields:
                if new.get(field, {}) != old.get(field, {}):
                    yield causes.forbidden(field, _IMMUTABLE)

    return transitions


def _secret_default(secret: Obj) -> None:
    """stringData is a way to write data; it is never stored."""
    secret.setdefault("type", "Opaque")
    plain = secret.pop("stringData", None)
    if plain:
        encoded = {k: base64.b64encode(v.encode()).decode() for k, v in plain.items()}
        secret["data"] = {**(secret.get("data") or {}), **encoded}


def _secret_rules(secret: Obj) -> Iterator[Cause]:
    yield from _keys(secret, ("data",))
    data = secret.get("data") or {}
    for key in _SECRET_KEYS.get(secret.get("type", ""), ()):
        if key not in data:
            yield causes.required(f"data[{key}]")
    name = "kubernetes.io/service-account.name"
    if secret.get("type") == "kubernetes.io/service-account-token":
        account = secret["metadata"].get("annotations", {}).get(name)
        if not account:
            yield causes.required(f"metadata.annotations[{name}]")


def _secret_transitions(new: Obj, old: Obj) -> Iterator[Cause]:
    yield from causes.immutable("type", new.get("type"), old.get("type"))
    yield from _frozen(("data",))(new, old)


# --- Node ----------------------------------------------------------------------------------------------------------


def _node_default(node: Obj) -> None:
    node.setdefault("spec", {})
    status = node.get("status")
    if status and status.get("capacity") and "allocatable" not in status:
        status["allocatable"] = dict(status["capacity"])


def _node_rules(node: Obj) -> Iterator[Cause]:
    seen = set()
    for index, taint in enumerate(spec_of(node).get("taints", ())):
        at, effect = f"spec.taints[{index}]", taint.get("effect", "")
        for complaint in naming.qualified(taint.get("key", "")):
            yield causes.invalid(f"{at}.key", taint.get("key", ""), complaint)
        for complaint in naming.label_value(taint.get("value", "")):
            yield causes.invalid(f"{at}.value", taint["value"], complaint)
        if not effect:
            yield causes.required(f"{at}.effect")
        elif effect not in {"NoSchedule", "PreferNoSchedule", "NoExecute"}:
            yield causes.not_supported(f"{at}.effect", effect, ("NoSchedule", "PreferNoSchedule", "NoExecute"))
        if (taint.get("key"), effect) in seen:
            yield causes.duplicate(at, taint)
        seen.add((taint.get("key"), effect))


def _node_transitions(new: Obj, old: Obj) -> Iterator[Cause]:
    for field in ("podCIDR", "providerID"):
        was = spec_of(old).get(field)
        if was and spec_of(new).get(field) != was:
            yield causes.forbidden(f"spec.{field}", "node updates may not change it once it is set")


# --- Event, Endpoints ----------------------------------------------------------------------------------------------


def _event_rules(event: Obj) -> Iterator[Cause]:
    """An Event is in the namespace of what it is about (in `default` or `kube-system` for what has none)."""
    about = event.get("involvedObject", {}).get("namespace", "")
    own = event["metadata"].get("namespace", "")
    if about and about != own:
        yield causes.invalid("involvedObject.namespace", about, "does not match event.namespace")
    if not about and own not in {"default", "kube-system"}:
        yield causes.invalid("involvedObject.namespace", about, "does not match event.namespace")


WAYS = {
    ("", "namespaces"): Ways(
        _namespace_default, create=_namespace_create, update=_namespace_update, generation=False
    ),
    ("", "configmaps"): Ways(rules=_config_rules, transitions=_frozen(("data", "binaryData")), generation=False),
    ("", "secrets"): Ways(_secret_default, _secret_rules, _secret_transitions, generation=False),
    ("", "serviceaccounts"): Ways(generation=False),
    ("", "nodes"): Ways(_node_default, _node_rules, _node_transitions, generation=False, keeps_status=True),
    ("", "events"): Ways(rules=_event_rules, generation=False),
    ("", "endpoints"): Ways(generation=False),
}  # fmt: skip
