"""The agent against the real API server (in process) and real containers: restarts, deletions, orphans, logs, names."""

from __future__ import annotations

import asyncio
import os

import pytest

from fairlead.api.core import CONFIG_MAPS, EVENTS, NODES, PODS, SECRETS, SERVICES, Pod
from fairlead.api.meta import Key
from fairlead.base.errors import StatusError
from fairlead.client.node import LogOptions
from fairlead.client.protocol import DeleteOptions, WriteOptions
from fairlead.testing import builders
from fairlead.testing.machine import Machine, in_phase

FORCED = WriteOptions(manager="test", force=True)


async def test_pods_run_through_a_restart(machine: Machine) -> None:
    await machine.create(
        builders.pod("lives")
        .restart("Never")
        .command("sh", "-c", "echo ready; trap 'exit 0' TERM; while :; do sleep 0.05; done")
    )
    go = machine.state / "go"
    await machine.create(
        builders.pod("ends").restart("Never").command("sh", "-c", f"while [ ! -e {go} ]; do sleep 0.02; done; exit 3")
    )
    before = await machine.see("lives", in_phase("Running"))
    await machine.see("ends", in_phase("Running"))
    await machine.logged("lives", "ready")

    await machine.down()
    go.touch()
    await machine.up()

    ended = await machine.see("ends", in_phase("Failed"))
    state = ended.status.containerStatuses[0].state.terminated
    assert state is not None
    assert (state.exitCode, state.reason) == (3, "Error")
    after = await machine.see("lives", in_phase("Running"))
    assert after.status.podIP == before.status.podIP
    assert after.status.containerStatuses[0].containerID == before.status.containerStatuses[0].containerID
    await machine.client.delete(PODS, after.key)
    await machine.see("lives", lambda pod: pod is None)


async def test_deletions_while_away_are_caught_up_with(machine: Machine) -> None:
    await machine.create(builders.pod("asked").command("sleep", "60"))
    await machine.create(builders.pod("forced").command("sleep", "60"))
    for name in ("asked", "forced"):
        await machine.see(name, in_phase("Running"))
    await machine.down()
    await machine.client.delete(PODS, Key("default", "asked"), DeleteOptions(grace_seconds=1))
    await machine.client.delete(PODS, Key("default", "forced"), DeleteOptions(grace_seconds=0))
    await machine.up()
    await machine.see("asked", lambda pod: pod is None)
    async with asyncio.timeout(20):
        while os.listdir(machine.state / "pods"):  # noqa: ASYNC110 - a directory tells nobody
            await asyncio.sleep(0.02)


async def test_crash_loop_and_previous_log(machine: Machine) -> None:
    await machine.create(builders.pod("loops").restart("Always").command("sh", "-c", "echo attempt; exit 1"))
    pod = await machine.see(
        "loops", lambda p: p is not None and any(c.restartCount >= 2 for c in p.status.containerStatuses)
    )
    status = pod.status.containerStatuses[0]
    assert status.lastState.terminated is not None
    assert status.lastState.terminated.exitCode == 1
    assert await machine.log("loops", LogOptions("main", previous=True)) == "attempt\n"
    with pytest.raises(StatusError, match="container other is not valid"):
        await machine.log("loops", LogOptions("other"))


async def test_config_and_secrets_reach_files_and_variables(machine: Machine) -> None:
    if not machine.agent or not machine.agent.capabilities.sandbox.mount:
        pytest.skip("this machine allows no mount namespaces, so volumes are not at their paths")
    config = builders.config_map("settings", data={"greeting": "hello"})
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "key", "namespace": "default"},
        "stringData": {"k": "v"},
    }
    volumes = [
        {"name": "c", "configMap": {"name": "settings"}},
        {"name": "s", "secret": {"secretName": "key", "defaultMode": 0o400}},
        {"name": "d", "downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        {"name": "e", "emptyDir": {}},
    ]
    mounts = [{"name": n, "mountPath": f"/in/{n}"} for n in "csde"]
    env = [
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "K", "valueFrom": {"secretKeyRef": {"name": "key", "key": "k"}}},
        {"name": "BOTH", "value": "$(K)-$(IP)"},
    ]
    pod = builders.pod("reads").restart("Never").spec(volumes=volumes)
    script = "cat /in/c/greeting; echo; cat /in/s/k; echo; cat /in/d/name; echo; echo $BOTH; touch /in/e/x; " + (
        "while grep -q hello /in/c/greeting; do sleep 0.05; done; cat /in/c/greeting"
    )
    pod = pod.changed(lambda w: w["spec"]["containers"][0].update(volumeMounts=mounts, env=env)).command(
        "sh", "-c", script
    )
    await machine.create(pod)
    waiting = await machine.see("reads", lambda p: p is not None and bool(p.status.containerStatuses))
    assert waiting.status.phase == "Pending"
    await machine.client.create(CONFIG_MAPS, config.manifest())
    await machine.client.create(SECRETS, secret)
    running = await machine.see("reads", in_phase("Running"))
    await machine.logged("reads", "v-")
    await machine.client.apply(
        CONFIG_MAPS, builders.config_map("settings", data={"greeting": "bye"}).manifest(), FORCED
    )
    await machine.see("reads", in_phase("Succeeded"))
    assert (await machine.log("reads")).split() == ["hello", "v", "reads", f"v-{running.status.podIP}", "bye"]


async def test_peers_find_each_other_by_name(machine: Machine) -> None:
    if not machine.agent or not machine.agent.capabilities.sandbox.mount:
        pytest.skip("this machine allows no mount namespaces, so peers are not in /etc/hosts")
    await machine.client.create(SERVICES, builders.service("ring").headless().selects(app="ring").manifest())
    serve = (
        "import socket; h = socket.gethostname(); s = socket.create_server((h, 29500)); s.accept()[0].send(h.encode())"
    )
    dial = (
        "import socket, time\n"
        "for _ in range(200):\n"
        "    try: print(socket.create_connection(('ring-0.ring', 29500)).recv(99).decode()); break\n"
        "    except OSError: time.sleep(0.05)\n"
    )
    for i, code in ((1, dial), (0, serve)):  # The one that is looked for comes later.
        pod = builders.pod(f"ring-{i}").labels(app="ring").spec(hostname=f"ring-{i}", subdomain="ring").restart("Never")
        await machine.create(pod.command("python3", "-c", code))
    for i in (0, 1):
        await machine.see(f"ring-{i}", in_phase("Succeeded"))
    assert await machine.log("ring-1") == "ring-0\n"


async def test_devices_are_exclusive(machine: Machine) -> None:
    for i in (0, 1):
        pod = builders.pod(f"gpu-{i}").command("sh", "-c", "echo $CUDA_VISIBLE_DEVICES; sleep 60")
        await machine.create(pod.limits({"nvidia.com/gpu": "1"}))
        await machine.see(f"gpu-{i}", in_phase("Running"))
        await machine.logged(f"gpu-{i}", "\n")
    assert {await machine.log("gpu-0"), await machine.log("gpu-1")} == {"0\n", "1\n"}
    node = await machine.client.get(NODES, Key("", "local"))
    assert node.status.allocatable["nvidia.com/gpu"] == "2"


async def test_what_cannot_start_says_so(machine: Machine) -> None:
    await machine.create(builders.pod("empty").image("some/image").command())
    pod = await machine.see("empty", lambda p: p is not None and waiting_for(p) == "CreateContainerError")
    waiting = pod.status.containerStatuses[0].state.waiting
    assert waiting is not None
    assert "set `command`" in waiting.message
    await machine.create(builders.pod("typo").restart("Never").command("no-such-command"))
    pod = await machine.see("typo", in_phase("Failed"))
    assert pod.status.containerStatuses[0].state.terminated is not None
    assert pod.status.containerStatuses[0].state.terminated.exitCode == 128


def waiting_for(pod: Pod) -> str:
    waiting = pod.status.containerStatuses[0].state.waiting if pod.status.containerStatuses else None
    return waiting.reason if waiting else ""


async def test_a_container_may_say_why_it_ends(machine: Machine) -> None:
    if not machine.agent or not machine.agent.capabilities.sandbox.mount:
        pytest.skip("this machine allows no mount namespaces, so there is no /dev/termination-log")
    script = "echo because > /dev/termination-log; head -c1 /dev/urandom > /dev/null; ls /dev/shm > /dev/null; exit 1"
    await machine.create(builders.pod("speaks").restart("Never").command("sh", "-c", script))
    pod = await machine.see("speaks", in_phase("Failed"))
    ended = pod.status.containerStatuses[0].state.terminated
    assert ended is not None
    assert (ended.exitCode, ended.message) == (1, "because\n")
    assert await machine.log("speaks") == ""
    assert "termination-log" not in os.listdir("/dev")


async def test_substitution_is_an_event(machine: Machine) -> None:
    await machine.create(builders.pod("says").image("pytorch/pytorch:2").restart("Never").command("true"))
    await machine.see("says", in_phase("Succeeded"))
    async with asyncio.timeout(10):
        while True:
            events = (await machine.client.list(EVENTS, "default")).items
            if {"ImageSubstituted", "Started"} <= {e.reason for e in events}:
                break
            await asyncio.sleep(0.02)
