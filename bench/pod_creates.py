"""Creates a second of a Pod over HTTPS, 64 connections, durable, with all admission.

[KUBE_BIN=DIR] python bench/pod_creates.py [--seconds 8] [--connections 64]
"""

from __future__ import annotations

import argparse
import asyncio
import time

import machine
import msgspec
import servers
from servers import PODS, Figures, Server


async def measure(server: Server, seconds: float, connections: int) -> Figures:
    """Creates a second in the second half, after the server has warmed up."""
    latencies: list[float] = []
    half = time.monotonic() + seconds / 2
    end = half + seconds / 2

    async def create(number: int) -> None:
        wire, count = await server.connect(), 0
        while (begun := time.monotonic()) < end:
            status, answer = await wire.ask("POST", PODS, msgspec.json.encode(servers.pod(f"p-{number}-{count}")))
            if status != 201:
                raise RuntimeError(answer.decode())
            count += 1
            if begun >= half:
                latencies.append(time.monotonic() - begun)
        wire.writer.close()

    await asyncio.gather(*(create(n) for n in range(connections)))
    return {"creates/s": len(latencies) / (seconds / 2), "p99 ms": machine.percentile(latencies, 0.99) * 1000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--connections", type=int, default=64)
    given = parser.parse_args()
    ours, theirs = servers.compare(lambda s: measure(s, given.seconds, given.connections))
    servers.show(f"Creates of a Pod over HTTPS, {given.connections} connections", ours, theirs, {"creates/s": "3x"})


if __name__ == "__main__":
    main()
