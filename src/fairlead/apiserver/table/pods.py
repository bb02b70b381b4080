"""Pods and Jobs, as `kubectl get` has always shown them.

A Pod's STATUS is not its phase: it is what its containers say, from the first init container that is not done to the
main containers, with deletion and node loss over everything.
"""

from __future__ import annotations

from typing import Any

import msgspec

from fairlead.apiserver.table import duration, printer
from fairlead.apiserver.table.printer import AGE, NAME, NONE, Plain, Printer, part, parts


class _Tally(msgspec.Struct):
    """What going through the containers adds up."""

    status: str
    ready: int = 0
    restarts: int = 0
    last: str = ""
    """When the latest restart's predecessor ended."""
    running: bool = False

    def count(self, container: Plain) -> None:
        self.restarts += container.get("restartCount", 0)
        ended = part(part(container, "lastState"), "terminated").get("finishedAt") or ""
        self.last = max(self.last, ended)  # RFC 3339 in UTC sorts as text

    def restarted(self, now: float) -> str:
        if not self.restarts or not self.last:
            return str(self.restarts)
        return f"{self.restarts} ({duration.since(self.last, now)} ago)"


def _pod(pod: Plain, now: float) -> list[Any]:
    spec, status = part(pod, "spec"), part(pod, "status")
    tally = _tally(pod, spec, status)
    total = len(parts(spec, "containers")) + len(_sidecars(spec))
    ips = parts(status, "podIPs")
    return [
        printer.name(pod), f"{tally.ready}/{total}", _overall(pod, status, tally), tally.restarted(now),
        printer.age(pod, now), (ips[0].get("ip") if ips else status.get("podIP")) or NONE,
        spec.get("nodeName") or NONE, status.get("nominatedNodeName") or NONE, _gates(pod, spec),
    ]  # fmt: skip


def _tally(pod: Plain, spec: Plain, status: Plain) -> _Tally:
    tally = _Tally(status.get("reason") or status.get("phase") or "Unknown")
    scheduled = printer.condition(pod, "PodScheduled")
    if scheduled is not None and scheduled.get("reason") == "SchedulingGated":
        tally.status = "SchedulingGated"
    sidecars = _sidecars(spec)
    blocked = _initialize(tally, spec, status, sidecars)
    initialized = printer.condition(pod, "Initialized")
    if not blocked or (initialized is not None and initialized.get("status") == "True"):
        _run(tally, pod, status, sidecars)
    return tally


def _initialize(tally: _Tally, spec: Plain, status: Plain, sidecars: frozenset[str]) -> bool:
    """Go through the init containers to the first that is not done; True when there is one."""
    for index, container in enumerate(parts(status, "initContainerStatuses")):
        tally.count(container)
        state = part(container, "state")
        ended, waiting = state.get("terminated"), part(state, "waiting").get("reason", "")
        if ended and ended.get("exitCode") == 0:
            continue
        if container["name"] in sidecars and container.get("started"):
            tally.ready += bool(container.get("ready"))
            continue
        if ended:
            tally.status = f"Init:{_ending(ended)}"
        elif waiting and waiting != "PodInitializing":
            tally.status = f"Init:{waiting}"
        else:
            tally.status = f"Init:{index}/{len(parts(spec, 'initContainers'))}"
        return True
    return False


def _run(tally: _Tally, pod: Plain, status: Plain, sidecars: frozenset[str]) -> None:
    """Go through the main containers, last first: the first one's trouble is what shows."""
    tally.restarts, tally.last = 0, ""
    for container in parts(status, "initContainerStatuses"):
        if container["name"] in sidecars:
            tally.count(container)
    for container in reversed(parts(status, "containerStatuses")):
        tally.count(container)
        state = part(container, "state")
        if waiting := part(state, "waiting").get("reason"):
            tally.status = waiting
        elif ended := state.get("terminated"):
            tally.status = _ending(ended)
        elif container.get("ready") and state.get("running") is not None:
            tally.running = True
            tally.ready += 1
    if tally.status == "Completed" and tally.running:
        ready = printer.condition(pod, "Ready")
        tally.status = "Running" if ready is not None and ready.get("status") == "True" else "NotReady"


def _ending(ended: Plain) -> str:
    if ended.get("reason"):
        return str(ended["reason"])
    return f"Signal:{ended['signal']}" if ended.get("signal") else f"ExitCode:{ended.get('exitCode', 0)}"


def _overall(pod: Plain, status: Plain, tally: _Tally) -> str:
    if not pod["metadata"].get("deletionTimestamp"):
        return tally.status
    if status.get("reason") == "NodeLost":
        return "Unknown"
    return tally.status if status.get("phase") in ("Succeeded", "Failed") else "Terminating"


def _sidecars(spec: Plain) -> frozenset[str]:
    """Init containers that keep running (KEP-753)."""
    return frozenset(c["name"] for c in parts(spec, "initContainers") if c.get("restartPolicy") == "Always")


def _gates(pod: Plain, spec: Plain) -> str:
    gates = parts(spec, "readinessGates")
    if not gates:
        return NONE
    met = [printer.condition(pod, g["conditionType"]) for g in gates]
    return f"{sum(c is not None and c.get('status') == 'True' for c in met)}/{len(gates)}"


def _pod_over(pod: Plain) -> list[dict[str, str]]:
    match part(pod, "status").get("phase"):
        case "Succeeded":
            reason, message = "Succeeded", "The pod has completed successfully."
        case "Failed":
            reason, message = "Failed", "The pod failed."
        case _:
            return []
    return [{"type": "Completed", "status": "True", "reason": reason, "message": message}]


PODS = Printer(
    (NAME, *printer.texts("Ready", "Status", "Restarts"), AGE,
     *printer.wide("IP", "Node", "Nominated Node", "Readiness Gates")),
    _pod, _pod_over,
)  # fmt: skip


# --- Jobs ----------------------------------------------------------------------------------------------------------


def _job(job: Plain, now: float) -> list[Any]:
    spec, status = part(job, "spec"), part(job, "status")
    containers = parts(part(part(spec, "template"), "spec"), "containers")
    return [
        printer.name(job), _job_status(job), _completions(spec, status), _took(status, now), printer.age(job, now),
        printer.joined(c.get("name", "") for c in containers),
        printer.joined(c.get("image", "") for c in containers),
        printer.selector(spec.get("selector")),
    ]  # fmt: skip


def _job_status(job: Plain) -> str:
    true = {c["type"] for c in parts(part(job, "status"), "conditions") if c.get("status") == "True"}
    for type_ in ("Complete", "Failed"):
        if type_ in true:
            return type_
    if job["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return next((t for t in ("Suspended", "FailureTarget", "SuccessCriteriaMet") if t in true), "Running")


def _completions(spec: Plain, status: Plain) -> str:
    done = status.get("succeeded", 0)
    if spec.get("completions") is not None:
        return f"{done}/{spec['completions']}"
    parallel = spec.get("parallelism") or 0
    return f"{done}/1 of {parallel}" if parallel > 1 else f"{done}/1"


def _took(status: Plain, now: float) -> str:
    begun, ended = status.get("startTime"), status.get("completionTime")
    if not begun:
        return ""
    return duration.since(begun, duration.moment(ended) if ended else now)


JOBS = Printer(
    (NAME, *printer.texts("Status", "Completions", "Duration"), AGE, *printer.wide("Containers", "Images", "Selector")),
    _job,
)  # fmt: skip
