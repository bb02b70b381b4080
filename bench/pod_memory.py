"""Memory with 10,000 Pods stored: all processes of the server, and what the Pods added.

[KUBE_BIN=DIR] python bench/pod_memory.py [--pods 10000]
"""

from __future__ import annotations

import argparse
import asyncio

import servers
from servers import Figures, Server


async def measure(server: Server, pods: int) -> Figures:
    """Resident memory before and after, a while after the last write."""
    await asyncio.sleep(2)
    before = server.resident()
    await server.fill(pods)
    await asyncio.sleep(5)
    after = server.resident()
    return {"empty, MB": before, f"with {pods:,} Pods, MB": after, "KB a Pod": (after - before) * 1024 / pods}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=10_000)
    given = parser.parse_args()
    ours, theirs = servers.compare(lambda s: measure(s, given.pods))
    aims = {f"with {given.pods:,} Pods, MB": "half"}
    servers.show(f"Resident memory with {given.pods:,} Pods stored", ours, theirs, aims, less=True)


if __name__ == "__main__":
    main()
