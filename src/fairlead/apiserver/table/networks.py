"""Networks, storage, devices: kinds that are mostly stored."""

from __future__ import annotations

from typing import Any

from fairlead.apiserver.table import printer
from fairlead.apiserver.table.printer import AGE, NAME, NONE, Plain, Printer, part, parts

_MOST_HOSTS = 3


def _ingress(obj: Plain, now: float) -> list[Any]:
    spec, status = part(obj, "spec"), part(obj, "status")
    hosts = [r["host"] for r in parts(spec, "rules") if r.get("host")]
    given = [i.get("ip") or i.get("hostname", "") for i in parts(part(status, "loadBalancer"), "ingress")]
    return [
        printer.name(obj), spec.get("ingressClassName") or NONE, printer.joined(hosts, _MOST_HOSTS, "*"),
        printer.joined(given, empty=""), "80, 443" if spec.get("tls") else "80", printer.age(obj, now),
    ]  # fmt: skip


def _ingress_class(obj: Plain, now: float) -> list[Any]:
    spec = part(obj, "spec")
    found = part(spec, "parameters")
    group = found.get("apiGroup")
    kind = f"{found.get('kind')}.{group}" if group else found.get("kind")
    parameters = f"{kind}/{found.get('name')}" if found else NONE
    return [printer.name(obj), spec.get("controller", ""), parameters, printer.age(obj, now)]


def _policy(obj: Plain, now: float) -> list[Any]:
    return [printer.name(obj), printer.selector(part(obj, "spec").get("podSelector")), printer.age(obj, now)]


def _storage_class(obj: Plain, now: float) -> list[Any]:
    default = part(obj["metadata"], "annotations").get("storageclass.kubernetes.io/is-default-class") == "true"
    return [
        printer.name(obj) + (" (default)" if default else ""), obj.get("provisioner", ""),
        obj.get("reclaimPolicy") or "Delete", obj.get("volumeBindingMode") or "Immediate",
        "true" if obj.get("allowVolumeExpansion") else "false", printer.age(obj, now),
    ]  # fmt: skip


def _runtime_class(obj: Plain, now: float) -> list[Any]:
    return [printer.name(obj), obj.get("handler", ""), printer.age(obj, now)]


def _claim(obj: Plain, now: float) -> list[Any]:
    status = part(obj, "status")
    states = ["deleted"] if obj["metadata"].get("deletionTimestamp") else []
    if status.get("allocation"):
        states.append("allocated")
        states += ["reserved"] if status.get("reservedFor") else []
    else:
        states.append("pending")
    return [printer.name(obj), ",".join(states), printer.age(obj, now)]


def _slice(obj: Plain, now: float) -> list[Any]:
    spec = part(obj, "spec")
    return [
        printer.name(obj), spec.get("nodeName") or NONE, spec.get("driver", ""), part(spec, "pool").get("name", ""),
        printer.age(obj, now),
    ]  # fmt: skip


_text = printer.texts

PRINTERS: dict[tuple[str, str], Printer] = {
    ("networking.k8s.io", "ingresses"): Printer(
        (NAME, *_text("Class", "Hosts", "Address", "Ports"), AGE), _ingress),
    ("networking.k8s.io", "ingressclasses"): Printer((NAME, *_text("Controller", "Parameters"), AGE), _ingress_class),
    ("networking.k8s.io", "networkpolicies"): Printer((NAME, *_text("Pod-Selector"), AGE), _policy),
    ("storage.k8s.io", "storageclasses"): Printer(
        (NAME, *_text("Provisioner", "ReclaimPolicy", "VolumeBindingMode", "AllowVolumeExpansion"), AGE),
        _storage_class),
    ("node.k8s.io", "runtimeclasses"): Printer((NAME, *_text("Handler"), AGE), _runtime_class),
    ("resource.k8s.io", "resourceclaims"): Printer((NAME, *_text("State"), AGE), _claim),
    ("resource.k8s.io", "resourceslices"): Printer((NAME, *_text("Node", "Driver", "Pool"), AGE), _slice),
}  # fmt: skip
