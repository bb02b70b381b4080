"""Probes and hooks of real containers."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from fairlead.api.core import PODS, Pod
from fairlead.api.meta import Key
from fairlead.client.protocol import PatchType, WriteOptions
from fairlead.testing import builders
from fairlead.testing.builders import PodBuilder
from fairlead.testing.machine import Machine, in_phase

EVERY_SECOND = {"periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": 2}
SERVE = """
import http.server, os, pathlib, socket
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        well = pathlib.Path(os.environ['FILE']).exists() and self.headers['User-Agent'].startswith('kube-probe/')
        self.send_response(200 if well and self.path == '/well?x=1' else 503)
        self.end_headers()
    def log_message(self, *args): pass
http.server.HTTPServer((socket.gethostname(), 8080), Answer).serve_forever()
"""


def probing(name: str, *command: str, **more: Any) -> PodBuilder:
    """A Pod whose container has those fields, and no patience when it is to end."""
    made = builders.pod(name).command(*command).restart("Always").spec(terminationGracePeriodSeconds=1)
    return made.changed(lambda pod: pod["spec"]["containers"][0].update(more))


def ready(truth: bool) -> Any:
    def look(pod: Pod | None) -> bool:
        found = pod.condition("Ready") if pod is not None else None
        return found is not None and (found.status == "True") is truth

    return look


def restarted(pod: Pod | None) -> bool:
    return pod is not None and any(c.restartCount for c in pod.status.containerStatuses)


async def test_http_readiness_follows_what_the_server_says(machine: Machine) -> None:
    file = machine.state / "well"
    probe = {"httpGet": {"path": "/well?x=1", "port": "web"}, **EVERY_SECOND}
    await machine.create(
        probing(
            "web", "python3", "-c", SERVE, env=[{"name": "FILE", "value": str(file)}],
            ports=[{"name": "web", "containerPort": 8080}], readinessProbe=probe,
        )
    )  # fmt: skip
    await machine.see("web", lambda p: in_phase("Running")(p) and ready(False)(p))
    told = await machine.events("web", "Unhealthy")
    assert told["Unhealthy"].startswith("Readiness probe failed: ")
    file.touch()
    pod = await machine.see("web", ready(True))
    assert pod.status.containerStatuses[0].ready is True
    file.unlink()
    pod = await machine.see("web", ready(False))
    assert pod.status.phase == "Running"
    assert not restarted(pod)


async def test_tcp_and_exec(machine: Machine) -> None:
    serve = "import socket; s = socket.create_server((socket.gethostname(), 9000))\nwhile True: s.accept()[0].close()"
    tcp = {"tcpSocket": {"port": 9000}, **EVERY_SECOND}
    command = ["sh", "-c", 'test "$MARK" = here && test -e $FILE']
    run = {"exec": {"command": command}, **EVERY_SECOND, "failureThreshold": 60}
    file = machine.state / "well"
    env = [{"name": "MARK", "value": "here"}, {"name": "FILE", "value": str(file)}]
    pod = probing("both", "python3", "-c", serve, env=env, readinessProbe=tcp, startupProbe=run)
    await machine.create(pod)
    seen = await machine.see("both", in_phase("Running"))
    assert (seen.status.containerStatuses[0].started, seen.status.containerStatuses[0].ready) == (False, False)
    file.touch()
    seen = await machine.see("both", ready(True))
    assert seen.status.containerStatuses[0].started is True


async def test_a_failed_liveness_probe_starts_the_container_again(machine: Machine) -> None:
    live = {"exec": {"command": ["sh", "-c", "echo unwell; false"]}, **EVERY_SECOND}
    await machine.create(
        probing("ill", "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done", livenessProbe=live)
    )
    pod = await machine.see("ill", restarted)
    told = await machine.events("ill", "Unhealthy", "Killing")
    assert told["Unhealthy"] == "Liveness probe failed: unwell\n"
    assert told["Killing"] == "Container main failed liveness probe, will be restarted"
    assert pod.status.phase == "Running"


async def test_a_command_that_takes_too_long_has_failed_and_is_ended(machine: Machine) -> None:
    file = machine.state / "pid"
    slow = {"exec": {"command": ["sh", "-c", f"echo $$ >> {file}; sleep 61"]}, **EVERY_SECOND, "timeoutSeconds": 1}
    await machine.create(probing("slow", "sleep", "60", readinessProbe=slow))
    told = await machine.events("slow", "Unhealthy")
    assert told["Unhealthy"] == "Readiness probe failed: no answer within 1s"


async def test_a_command_that_is_not_there_is_said(machine: Machine) -> None:
    await machine.create(
        probing("odd", "sleep", "60", livenessProbe={"exec": {"command": ["no-such"]}, **EVERY_SECOND})
    )
    told = await machine.events("odd", "Unhealthy")
    assert told["Unhealthy"].startswith("Liveness probe errored: ")
    assert not restarted(await machine.see("odd", in_phase("Running")))


async def test_hooks_run_inside_before_ready_and_before_the_signal(machine: Machine) -> None:
    file = machine.state / "story"
    script = f"trap 'echo signalled >> {file}; exit 0' TERM; while :; do sleep 0.05; done"
    hooks = {
        "postStart": {"exec": {"command": ["sh", "-c", f"sleep 0.3; echo begun >> {file}"]}},
        "preStop": {"exec": {"command": ["sh", "-c", f"echo asked >> {file}; sleep 0.3"]}},
    }
    await machine.create(probing("hooked", "sh", "-c", script, lifecycle=hooks).spec(terminationGracePeriodSeconds=20))
    await machine.see("hooked", in_phase("Running"))
    assert file.read_text() == "begun\n"
    await machine.client.delete(PODS, Key("default", "hooked"))
    await machine.see("hooked", lambda pod: pod is None)
    assert file.read_text() == "begun\nasked\nsignalled\n"


async def test_a_failed_post_start_hook_is_said_and_ends_the_container(machine: Machine) -> None:
    hooks = {"postStart": {"exec": {"command": ["sh", "-c", "echo no; exit 3"]}}}
    await machine.create(probing("bad", "sleep", "60", lifecycle=hooks))
    told = await machine.events("bad", "FailedPostStartHook", "Killing")
    assert told["FailedPostStartHook"] == "PostStartHook failed: command 'sh -c echo no; exit 3' exited with 3: no\n"
    await machine.see("bad", restarted)


async def test_a_sleeping_hook_is_bounded_by_the_grace_period(machine: Machine) -> None:
    await machine.create(probing("sleepy", "sleep", "60", lifecycle={"preStop": {"sleep": {"seconds": 30}}}))
    await machine.see("sleepy", in_phase("Running"))
    began = time.monotonic()
    await machine.client.delete(PODS, Key("default", "sleepy"))
    told = await machine.events("sleepy", "FailedPreStopHook")
    assert "longer than" in told["FailedPreStopHook"]
    await machine.see("sleepy", lambda pod: pod is None)
    assert 1 <= time.monotonic() - began < 10


async def test_readiness_gates_open_the_pod(machine: Machine) -> None:
    gates = [{"conditionType": "example.com/balanced"}]
    await machine.create(probing("gated", "sleep", "60").spec(readinessGates=gates))
    pod = await machine.see(
        "gated", lambda p: in_phase("Running")(p) and p.condition("ContainersReady").status == "True"
    )
    assert pod.condition("Ready").reason == "ReadinessGatesNotReady"
    opened = {"status": {"conditions": [{"type": "example.com/balanced", "status": "True"}]}}
    options = WriteOptions(manager="balancer", subresource="status")
    await machine.client.patch(PODS, pod.key, opened, PatchType.STRATEGIC, options)
    await machine.see("gated", ready(True))


async def test_readiness_outlives_the_agent(machine: Machine) -> None:
    probe = {"exec": {"command": ["true"]}, **EVERY_SECOND}
    await machine.create(probing("steady", "sleep", "60", readinessProbe=probe))
    await machine.see("steady", ready(True))
    seen: list[bool] = []

    async def follow() -> None:
        async for event in machine.client.watch(PODS, "default"):
            if event.object is not None:
                seen.append(ready(True)(event.object))

    following = asyncio.create_task(follow())
    await machine.down()
    await machine.up()
    await asyncio.sleep(1.5)
    following.cancel()
    assert False not in seen
