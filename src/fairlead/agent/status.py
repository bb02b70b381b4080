"""status: what a PodMachine's state reads as in `status`: phase, conditions, container statuses. Pure.

Upstream's rules (the kubelet's `getPhase` and `generate.go`); strict output types, because typed clients check them:
every container status has `image`, `imageID`, `ready`, `restartCount`, `started`, `state` and `lastState`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fairlead.api.meta import Condition
from fairlead.base import timestamp

if TYPE_CHECKING:
    from fairlead.agent.containers import ContainerState
    from fairlead.agent.lifecycle import Exit
    from fairlead.agent.podmachine import PodMachine

OWN_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")


def compose(machine: PodMachine, now: float) -> dict[str, Any]:
    """The whole of what the agent owns in a Pod's status."""
    pod = machine.pod
    phase = _phase(machine)
    result: dict[str, Any] = {
        "phase": phase,
        "conditions": _conditions(machine, phase, now),
        "containerStatuses": [_container(machine, c) for c in machine.mains],
        "qosClass": quality(pod.spec.containers),
    }
    if machine.inits:
        result["initContainerStatuses"] = [_container(machine, c) for c in machine.inits]
    if machine.ephemerals:  # Never ready: nothing asks for them.
        result["ephemeralContainerStatuses"] = [
            {**_container(machine, c), "ready": False, "started": False} for c in machine.ephemerals
        ]
    if machine.start_time is not None:
        result["startTime"] = timestamp.seconds(machine.start_time)
    if machine.prepared is not None:
        result["hostIP"] = machine.prepared.host_ip
        result["hostIPs"] = [{"ip": machine.prepared.host_ip}]
        result["podIP"] = machine.prepared.ip
        result["podIPs"] = [{"ip": machine.prepared.ip}]
    if machine.reason:
        result["reason"], result["message"] = machine.reason, machine.message
    return result


def initialized(machine: PodMachine) -> bool:
    """All init containers succeeded; sidecars have started."""
    return all(c.succeeded or (c.sidecar and c.passed) for c in machine.inits)


def _phase(machine: PodMachine) -> str:
    if machine.finished:
        return machine.phase
    if not initialized(machine):
        return "Pending"
    begun = [c for c in machine.mains if c.up or c.phase == "exited" or c.last is not None]
    return "Running" if machine.mains and len(begun) == len(machine.mains) else "Pending"


def _conditions(machine: PodMachine, phase: str, now: float) -> list[dict[str, Any]]:
    unready = [c.spec.name for c in (*machine.inits, *machine.mains) if not c.ready and (c.sidecar or not c.init)]
    done = phase == "Succeeded"
    why = ("PodCompleted", "") if done else ("PodFailed", "") if phase == "Failed" else _unready(unready)
    all_ready = not unready and not machine.finished
    containers = (all_ready, *(("", "") if all_ready else why))
    truths = {
        "PodReadyToStartContainers": (machine.prepared is not None and not machine.finished, "", ""),
        "Initialized": _initialized_condition(machine, done),
        "Ready": _gates(machine) if all_ready else containers,
        "ContainersReady": containers,
    }
    return [_condition(machine, name, *truth, now) for name, truth in truths.items()]


def _unready(names: Sequence[str]) -> tuple[str, str]:
    return "ContainersNotReady", f"containers with unready status: [{' '.join(names)}]"


def _gates(machine: PodMachine) -> tuple[bool, str, str]:
    """Whether the conditions that others have to set are set (KEP-580), once the containers are ready."""
    closed = []
    for gate in machine.pod.spec.readinessGates:
        name, found = gate.conditionType, machine.pod.condition(gate.conditionType)
        if found is None:
            closed.append(f'corresponding condition of pod readiness gate "{name}" does not exist.')
        elif found.status != "True":
            closed.append(f'the status of pod readiness gate "{name}" is not "True", but {found.status}')
    return (False, "ReadinessGatesNotReady", ", ".join(closed)) if closed else (True, "", "")


def _initialized_condition(machine: PodMachine, done: bool) -> tuple[bool, str, str]:
    if done:
        return True, "PodCompleted", ""
    missing = [c.spec.name for c in machine.inits if not (c.passed if c.sidecar else c.succeeded)]
    if initialized(machine):
        return True, "", ""
    return False, "ContainersNotInitialized", f"containers with incomplete status: [{' '.join(missing)}]"


def _condition(machine: PodMachine, name: str, truth: bool, reason: str, message: str, now: float) -> dict[str, Any]:
    known = machine.transitions.get(name)
    value = "True" if truth else "False"
    since = known.lastTransitionTime if known is not None and known.status == value else timestamp.seconds(now)
    machine.transitions[name] = Condition(name, value, reason, message, since)
    result: dict[str, Any] = {"type": name, "status": value, "lastTransitionTime": since}
    # The list is merged by type: null takes away what an earlier status said.
    for field, text in (("reason", reason), ("message", message)):
        if text or (known is not None and getattr(known, field)):
            result[field] = text or None
    return result


# --- containers ----------------------------------------------------------------------------------------------------


def _container(machine: PodMachine, c: ContainerState) -> dict[str, Any]:
    shown = c.attempt if c.phase != "waiting" or c.last is None else c.attempt - 1
    result: dict[str, Any] = {
        "name": c.spec.name,
        "image": c.spec.image,
        "imageID": "",
        "ready": c.succeeded if c.init and not c.sidecar else c.ready,
        "started": c.started,
        "restartCount": shown if c.phase == "waiting" else c.attempt,
        "state": _state(machine, c),
        "lastState": _last_state(machine, c),
    }
    if c.phase in ("running", "exited") or c.last is not None:
        result["containerID"] = container_id(machine.pod.metadata.uid, c.spec.name, shown)
    return result


def container_id(uid: str, name: str, attempt: int) -> str:
    return f"fairlead://{uid}/{name}/{attempt}"


def _state(machine: PodMachine, c: ContainerState) -> dict[str, Any]:
    if c.up:
        return {"running": {"startedAt": timestamp.seconds(c.started_at)}}
    if c.phase == "exited" and c.last is not None:
        return {"terminated": _terminated(machine, c, c.last, c.attempt)}
    reason = c.reason or ("ContainerCreating" if c.init or initialized(machine) else "PodInitializing")
    waiting = {"reason": reason}
    if c.message:
        waiting["message"] = c.message
    return {"waiting": waiting}


def _last_state(machine: PodMachine, c: ContainerState) -> dict[str, Any]:
    if c.last is None or c.phase == "exited" or not c.attempt:
        return {}
    return {"terminated": _terminated(machine, c, c.last, c.attempt - 1)}


def reason_of(how: Exit) -> str:
    """Why it ended, in upstream's words."""
    if how.reason:
        return how.reason
    if how.oom:
        return "OOMKilled"
    return "Completed" if how.code == 0 else "Error"


def _terminated(machine: PodMachine, c: ContainerState, how: Exit, attempt: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "exitCode": how.code,
        "reason": reason_of(how),
        "startedAt": timestamp.seconds(how.started) if how.started else None,
        "finishedAt": timestamp.seconds(how.finished) if how.finished else None,
        "containerID": container_id(machine.pod.metadata.uid, c.spec.name, attempt),
    }
    if how.message:
        result["message"] = how.message
    # No `signal`: Kubernetes folds it into the exit code (128 + n), and so do its clients expect it.
    return result


def quality(containers: Sequence[Any]) -> str:
    """The quality of service class, from what the containers request and limit of cpu and memory."""
    relevant = ("cpu", "memory")
    requests = [{k: v for k, v in c.resources.requests.items() if k in relevant} for c in containers]
    limits = [{k: v for k, v in c.resources.limits.items() if k in relevant} for c in containers]
    if not any(requests) and not any(limits):
        return "BestEffort"
    pairs = zip(requests, limits, strict=True)
    same = all(len(most) == 2 and all(least.get(k, v) == v for k, v in most.items()) for least, most in pairs)
    return "Guaranteed" if same else "Burstable"
