"""Get and list of 10,000 Pods over HTTPS.

[KUBE_BIN=DIR] python bench/pod_lists.py [--pods 10000] [--seconds 4]
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable

import servers
from servers import PODS, Figures, Server


async def measure(server: Server, pods: int, seconds: float) -> Figures:
    """Answers a second of single gets, whole lists, pages of 500, lists of names, and lists by a label."""
    await server.fill(pods)
    return {
        "gets/s, 16 connections": await rate(server, lambda n: f"{PODS}/pod-{n * 7919 % pods:05}", 16, seconds),
        f"lists/s of all {pods:,}": await rate(server, lambda _: PODS, 1, seconds),
        "lists/s, resourceVersion=0": await rate(server, lambda _: f"{PODS}?resourceVersion=0", 1, seconds),
        "pages/s of 500": await rate(server, lambda _: f"{PODS}?limit=500", 4, seconds),
        "lists/s by a label that none has": await rate(server, lambda _: f"{PODS}?labelSelector=app=none", 1, seconds),
    }


async def rate(server: Server, target: Callable[[int], str], connections: int, seconds: float) -> float:
    """Answers a second."""
    done = 0
    begun = time.monotonic()

    async def ask(number: int) -> None:
        nonlocal done
        wire = await server.connect()
        while time.monotonic() - begun < seconds:
            status, answer = await wire.ask("GET", target(number + done))
            if status != 200:
                raise RuntimeError(answer.decode())
            done += 1
        wire.writer.close()

    await asyncio.gather(*(ask(n) for n in range(connections)))
    return done / (time.monotonic() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=4.0)
    given = parser.parse_args()
    ours, theirs = servers.compare(lambda s: measure(s, given.pods, given.seconds))
    servers.show(f"Get and list of {given.pods:,} Pods over HTTPS", ours, theirs, dict.fromkeys(ours, "1x"))


if __name__ == "__main__":
    main()
