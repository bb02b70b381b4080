"""Containers outlive whoever started them: the starter is killed by SIGKILL, and what it started is found again."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fairlead.agent import capabilities, limits, processes
from fairlead.agent.runtimes import ContainerSpec, Exited, Ref
from fairlead.agent.runtimes.process import ProcessRuntime

STARTER = """
import asyncio, sys
from fairlead.agent import capabilities, limits
from fairlead.agent.runtimes import ContainerSpec, Ref
from fairlead.agent.runtimes.process import ProcessRuntime

async def main(state, uid):
    runtime = ProcessRuntime(state, limits.detect()[0], capabilities.detect_sandbox(state)[0])
    runtime.open(lambda ref, exited: None)
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    for name, script in (
        ("short", "exit 3"),
        ("lives", "trap 'exit 6' TERM; echo ready; while :; do sleep 0.05; done"),
        ("waits", f"while [ ! -e {state}/go ]; do sleep 0.02; done; exit 5"),
    ):
        await runtime.start(ContainerSpec(Ref(uid, name, 0), ("sh", "-c", script), env))
    print("started", flush=True)
    await asyncio.sleep(60)

asyncio.run(main(*sys.argv[1:]))
"""


class Ends:
    """The reported ends, and waiting for them."""

    def __init__(self) -> None:
        self.all: dict[str, Exited] = {}
        self._changed = asyncio.Event()

    def __call__(self, ref: Ref, exited: Exited) -> None:
        self.all[ref.container] = exited
        self._changed.set()

    async def count(self, wanted: int) -> None:
        async with asyncio.timeout(20):
            while len(self.all) < wanted:
                self._changed.clear()
                await self._changed.wait()


def runtime_at(state: Path) -> ProcessRuntime:
    return ProcessRuntime(str(state), limits.detect()[0], capabilities.detect_sandbox(str(state))[0])


def log_of(runtime: ProcessRuntime, ref: Ref) -> str:
    with open(runtime.log(ref)) as log:
        return log.read()


@pytest.fixture
def uid(tmp_path: Path) -> str:
    """A Pod's, whose containers were started by a process that is dead now."""
    uid = f"survivor-{os.getpid()}"
    with subprocess.Popen([sys.executable, "-c", STARTER, str(tmp_path), uid], stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == b"started\n"
        starter.send_signal(signal.SIGKILL)
    return uid


async def test_containers_survive_and_are_adopted(tmp_path: Path, uid: str) -> None:
    (tmp_path / "go").touch()
    ends, runtime = Ends(), runtime_at(tmp_path)
    found = {f.ref.container: f for f in runtime.open(ends)}
    ends.all.update({name: f.exited for name, f in found.items() if f.exited is not None})

    assert found["lives"].exited is None
    runtime.signal(Ref(uid, "lives", 0), signal.SIGTERM)
    await ends.count(3)
    assert {name: e.code for name, e in ends.all.items()} == {"short": 3, "lives": 6, "waits": 5}
    assert log_of(runtime, Ref(uid, "lives", 0)) == "ready\n"
    runtime.close()


async def test_a_killed_shim_takes_its_container_along(tmp_path: Path) -> None:
    """Nobody is left to say how it ended: that is said, and nothing keeps running."""
    ends, runtime = Ends(), runtime_at(tmp_path)
    runtime.open(ends)
    ref = Ref(f"orphan-{os.getpid()}", "main", 0)
    started = await runtime.start(ContainerSpec(ref, ("sleep", "60"), {"PATH": os.defpath}))
    running = processes.open_pidfd(started.pid, processes.start_time(started.pid) or 0)
    assert running is not None
    record = json.loads((tmp_path / f"pods/{ref.uid}/containers/main/0/started.json").read_text())
    os.kill(record["shim"], signal.SIGKILL)
    await ends.count(1)
    assert (ends.all["main"].code, ends.all["main"].reason) == (137, "ContainerStatusUnknown")
    assert select.select([running], [], [], 20)[0], "the command ended, too"
    os.close(running)
    runtime.close()
