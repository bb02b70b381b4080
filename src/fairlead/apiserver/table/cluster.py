"""The other built-in kinds: nodes, namespaces, services and endpoints, configuration, events, leases, scheduling."""

from __future__ import annotations

from typing import Any

from fairlead.apiserver.table import duration, printer
from fairlead.apiserver.table.printer import AGE, NAME, NONE, Column, Plain, Printer, part, parts

_ROLE = "node-role.kubernetes.io/"
_OLD_ROLE = "kubernetes.io/role"
_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
_MOST = 3
"""How many addresses or ports a cell lists."""


def _node(node: Plain, now: float) -> list[Any]:
    status = part(node, "status")
    info = part(status, "nodeInfo")
    return [
        printer.name(node), _node_status(node), _roles(node), printer.age(node, now),
        info.get("kubeletVersion", ""), _address(status, "InternalIP"), _address(status, "ExternalIP"),
        info.get("osImage") or "<unknown>", info.get("kernelVersion") or "<unknown>",
        info.get("containerRuntimeVersion") or "<unknown>",
    ]  # fmt: skip


def _node_status(node: Plain) -> str:
    ready = printer.condition(node, "Ready")
    words = ["Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"]
    if part(node, "spec").get("unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _roles(node: Plain) -> str:
    labels = part(node["metadata"], "labels")
    roles = {key.removeprefix(_ROLE) for key in labels if key.startswith(_ROLE)} | {labels.get(_OLD_ROLE, "")}
    return printer.joined(sorted(filter(None, roles)))


def _address(status: Plain, type_: str) -> str:
    return next((a["address"] for a in parts(status, "addresses") if a["type"] == type_), NONE)


def _namespace(namespace: Plain, now: float) -> list[Any]:
    return [printer.name(namespace), part(namespace, "status").get("phase", ""), printer.age(namespace, now)]


def _service(service: Plain, now: float) -> list[Any]:
    spec = part(service, "spec")
    return [
        printer.name(service), spec.get("type") or "ClusterIP", spec.get("clusterIP") or NONE,
        _external(spec, part(service, "status")), printer.joined(_port(p) for p in parts(spec, "ports")),
        printer.age(service, now), printer.labels(spec.get("selector")),
    ]  # fmt: skip


def _external(spec: Plain, status: Plain) -> str:
    given = list(spec.get("externalIPs") or ())
    match spec.get("type"):
        case "ExternalName":
            return str(spec.get("externalName", ""))
        case "LoadBalancer":
            ingress = parts(part(status, "loadBalancer"), "ingress")
            return printer.joined([i.get("ip") or i.get("hostname", "") for i in ingress] + given, empty="<pending>")
        case _:
            return printer.joined(given)


def _port(port: Plain) -> str:
    node = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port['port']}{node}/{port.get('protocol') or 'TCP'}"


def _endpoints(endpoints: Plain, now: float) -> list[Any]:
    pairs = [
        f"{address['ip']}:{port['port']}" if port else address["ip"]
        for subset in parts(endpoints, "subsets")
        for port in parts(subset, "ports") or ({},)
        for address in parts(subset, "addresses")
    ]
    return [printer.name(endpoints), printer.joined(pairs, _MOST), printer.age(endpoints, now)]


def _slice(slice_: Plain, now: float) -> list[Any]:
    ports = [str(p["port"]) if p.get("port") is not None else "*" for p in parts(slice_, "ports")]
    addresses = [a for endpoint in parts(slice_, "endpoints") for a in endpoint.get("addresses") or ()]
    return [
        printer.name(slice_), slice_.get("addressType", ""), printer.joined(ports, _MOST, "<unset>"),
        printer.joined(addresses, _MOST, "<unset>"), printer.age(slice_, now),
    ]  # fmt: skip


def _config_map(config: Plain, now: float) -> list[Any]:
    return [printer.name(config), len(part(config, "data")) + len(part(config, "binaryData")), printer.age(config, now)]


def _secret(secret: Plain, now: float) -> list[Any]:
    return [printer.name(secret), secret.get("type", ""), len(part(secret, "data")), printer.age(secret, now)]


def _account(account: Plain, now: float) -> list[Any]:
    return [printer.name(account), len(parts(account, "secrets")), printer.age(account, now)]


def _claim(claim: Plain, now: float) -> list[Any]:
    spec, status = part(claim, "spec"), part(claim, "status")
    bound = bool(spec.get("volumeName"))
    modes = ",".join(_MODES.get(m, m) for m in status.get("accessModes") or ()) if bound else ""
    phase = "Terminating" if claim["metadata"].get("deletionTimestamp") else status.get("phase", "")
    return [
        printer.name(claim), phase, spec.get("volumeName", ""),
        part(status, "capacity").get("storage", "") if bound else "", modes, spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName") or "<unset>", printer.age(claim, now),
        spec.get("volumeMode") or "<unset>",
    ]  # fmt: skip


def _volume(volume: Plain, now: float) -> list[Any]:
    spec, status, ref = part(volume, "spec"), part(volume, "status"), part(part(volume, "spec"), "claimRef")
    phase = "Terminating" if volume["metadata"].get("deletionTimestamp") else status.get("phase", "")
    return [
        printer.name(volume), part(spec, "capacity").get("storage", ""),
        ",".join(_MODES.get(m, m) for m in spec.get("accessModes") or ()),
        spec.get("persistentVolumeReclaimPolicy", ""), phase,
        f"{ref.get('namespace', '')}/{ref.get('name', '')}" if ref else "", spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName") or "<unset>", status.get("reason", ""), printer.age(volume, now),
        spec.get("volumeMode") or "<unset>",
    ]  # fmt: skip


def _event(event: Plain, now: float) -> list[Any]:
    """Of core/v1 and of events.k8s.io/v1, which has other names for some fields."""
    first = event.get("firstTimestamp") or event.get("deprecatedFirstTimestamp") or event.get("eventTime")
    last = event.get("lastTimestamp") or event.get("deprecatedLastTimestamp") or first
    count = event.get("count") or event.get("deprecatedCount") or 1
    if series := event.get("series"):
        last, count = series.get("lastObservedTime"), series.get("count", 0)
    regarding = part(event, "involvedObject") or part(event, "regarding")
    source = part(event, "source") or part(event, "deprecatedSource")
    reporter = event.get("reportingComponent") or event.get("reportingController")
    words = (source.get("component") or reporter, source.get("host"))
    kind, name = regarding.get("kind", "").lower(), regarding.get("name", "")
    return [
        duration.since(last, now), event.get("type", ""), event.get("reason", ""), f"{kind}/{name}" if name else kind,
        regarding.get("fieldPath", ""), ", ".join(filter(None, words)),
        (event.get("message") or event.get("note") or "").strip(), duration.since(first, now), count,
        printer.name(event),
    ]  # fmt: skip


def _lease(lease: Plain, now: float) -> list[Any]:
    return [printer.name(lease), part(lease, "spec").get("holderIdentity") or "", printer.age(lease, now)]


def _priority_class(class_: Plain, now: float) -> list[Any]:
    return [
        printer.name(class_), class_.get("value", 0), bool(class_.get("globalDefault")), printer.age(class_, now),
        class_.get("preemptionPolicy", ""),
    ]  # fmt: skip


def _pod_group(group: Plain, now: float) -> list[Any]:
    policy = part(part(group, "spec"), "schedulingPolicy")
    gang = policy.get("gang")
    scheduled = printer.condition(group, "PodGroupScheduled")
    return [
        printer.name(group), "Gang" if gang else "Basic", (gang or {}).get("minCount", 1),
        "Unknown" if scheduled is None else scheduled.get("status", ""), printer.age(group, now),
    ]  # fmt: skip


def _created(obj: Plain, _now: float) -> list[Any]:
    return [printer.name(obj), obj["metadata"].get("creationTimestamp")]


def _plain(obj: Plain, now: float) -> list[Any]:
    return [printer.name(obj), printer.age(obj, now)]


GENERIC = Printer((NAME, AGE), _plain)

_text, _wide = printer.texts, printer.wide
_data = Column("Data", "string", description="How many keys it has.")

_EVENT_COLUMNS = (
    *_text("Last Seen", "Type", "Reason", "Object"), *_wide("Subobject", "Source"), *_text("Message"),
    *_wide("First Seen", "Count"), Column("Name", format="name", priority=1),
)  # fmt: skip

PRINTERS: dict[tuple[str, str], Printer] = {
    ("", "nodes"): Printer(
        (NAME, *_text("Status", "Roles"), AGE, *_text("Version"),
         *_wide("Internal-IP", "External-IP", "OS-Image", "Kernel-Version", "Container-Runtime")), _node),
    ("", "namespaces"): Printer((NAME, *_text("Status"), AGE), _namespace),
    ("", "services"): Printer(
        (NAME, *_text("Type", "Cluster-IP", "External-IP", "Port(s)"), AGE, *_wide("Selector")), _service),
    ("", "endpoints"): Printer((NAME, *_text("Endpoints"), AGE), _endpoints),
    ("discovery.k8s.io", "endpointslices"): Printer(
        (NAME, *_text("AddressType", "Ports", "Endpoints"), AGE), _slice),
    ("", "configmaps"): Printer((NAME, _data, AGE), _config_map),
    ("", "secrets"): Printer((NAME, *_text("Type"), _data, AGE), _secret),
    ("", "serviceaccounts"): Printer((NAME, Column("Secrets", "string"), AGE), _account),
    ("", "persistentvolumeclaims"): Printer(
        (NAME, *_text("Status", "Volume", "Capacity", "Access Modes", "StorageClass", "VolumeAttributesClass"), AGE,
         *_wide("VolumeMode")), _claim),
    ("", "persistentvolumes"): Printer(
        (NAME, *_text("Capacity", "Access Modes", "Reclaim Policy", "Status", "Claim", "StorageClass",
                      "VolumeAttributesClass", "Reason"), AGE, *_wide("VolumeMode")), _volume),
    ("", "events"): Printer(
        _EVENT_COLUMNS, _event),
    ("events.k8s.io", "events"): Printer(_EVENT_COLUMNS, _event),
    ("coordination.k8s.io", "leases"): Printer((NAME, *_text("Holder"), AGE), _lease),
    ("scheduling.k8s.io", "priorityclasses"): Printer(
        (NAME, Column("Value", "integer"), Column("Global-Default", "boolean"), AGE, *_text("PreemptionPolicy")),
        _priority_class),
    ("scheduling.k8s.io", "podgroups"): Printer(
        (NAME, *_text("Policy"), Column("Min Count", "integer"), *_text("Scheduled"), AGE), _pod_group),
    ("apiextensions.k8s.io", "customresourcedefinitions"): Printer(
        (NAME, Column("Created At", "date")), _created),
}  # fmt: skip
