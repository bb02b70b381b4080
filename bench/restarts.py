"""From start to ready (/readyz), empty, again, and with 10,000 Pods stored.

    [KUBE_BIN=DIR] python bench/restarts.py [--pods 10000]

For Fairlead that is the whole control plane (`fairlead up`, with agent, scheduler and controllers), for the other side
kube-apiserver and etcd alone. The Pods wait for a scheduler that is not there, so that nobody runs 10,000 processes.
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import servers
import uvloop
import yaml
from servers import PODS, Figures, Server, Wire

from fairlead.testing.plane import Plane


def planned(name: str) -> bytes:
    """A Pod that nobody schedules."""
    obj = servers.pod(name)
    return msgspec.json.encode({**obj, "spec": {**obj["spec"], "schedulerName": "nobody"}})


async def fill(connect: Any, token: str, pods: int) -> None:
    """Create the Pods."""
    numbers = iter(range(pods))
    servers.TOKEN = token

    async def create() -> None:
        wire = await connect()
        for number in numbers:
            status, answer = await wire.ask("POST", PODS, planned(f"pod-{number:05}"))
            if status != 201:
                raise RuntimeError(answer.decode())
        wire.writer.close()

    await asyncio.gather(*(create() for _ in range(32)))


def fairlead(folder: Path, pods: int) -> Figures:
    """The three starts."""
    plane = Plane(folder)

    def start() -> float:
        begun = time.monotonic()
        plane.start()
        return time.monotonic() - begun

    first = start()
    plane.stop()
    again = start()
    config = yaml.safe_load(plane.kubeconfig.read_text())
    port = int(config["clusters"][0]["cluster"]["server"].rpartition(":")[2])
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    async def connect() -> Wire:
        return Wire(*await asyncio.open_connection("127.0.0.1", port, ssl=context, limit=1 << 22))

    uvloop.run(fill(connect, config["users"][0]["user"]["token"], pods))
    plane.stop()
    full = start()
    plane.stop()
    return figures(first, again, full, pods)


def kubernetes(folder: Path, pods: int) -> Figures:
    """The three starts."""
    servers.TOKEN = "benchmark"
    took: list[float] = []

    def started(then: Any = None) -> None:
        begun = time.monotonic()
        with servers.kubernetes(folder) as server:
            took.append(time.monotonic() - begun)
            if then is not None:
                uvloop.run(then(server))

    async def filled(server: Server) -> None:
        await fill(server.connect, servers.TOKEN, pods)

    started()
    started(filled)
    started()
    return figures(*took, pods)


def figures(first: float, again: float, full: float, pods: int) -> Figures:
    return {"first start, s": first, "again, s": again, f"with {pods:,} Pods, s": full}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=10_000)
    pods = parser.parse_args().pods
    with tempfile.TemporaryDirectory() as folder:
        ours = fairlead(Path(folder) / "state", pods)
    theirs = None
    if servers.binaries() is not None:
        with tempfile.TemporaryDirectory() as folder:
            theirs = kubernetes(Path(folder), pods)
    aims = dict.fromkeys(ours, "faster") | {f"with {pods:,} Pods, s": "2 s"}
    servers.show("From start to ready", ours, theirs, aims, less=True)


if __name__ == "__main__":
    main()
