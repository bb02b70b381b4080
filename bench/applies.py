"""Server-side applies a second of a Deployment over HTTPS, 32 connections: creates, changes, and what changes nothing.

[KUBE_BIN=DIR] python bench/applies.py [--seconds 5]
"""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import Any

import msgspec
import servers
from servers import CONTAINER, Figures, Server

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
APPLY = "application/apply-patch+yaml"
CONNECTIONS = 32


def deployment(name: str, version: int) -> dict[str, Any]:
    """As a person writes it."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{**CONTAINER, "image": f"python:{version}"}]}}
    spec = {"replicas": 3, "selector": {"matchLabels": labels}, "template": template}
    metadata = {"name": name, "namespace": "default", "labels": labels}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


async def rate(server: Server, seconds: float, version: str, prefix: str) -> float:
    """Applies a second. `version`: whether each one is `new`, a `change`, or the `same` again."""
    done = 0
    begun = time.monotonic()

    async def apply(connection: int) -> None:
        nonlocal done
        wire, count = await server.connect(), 0
        while time.monotonic() - begun < seconds:
            name = f"{prefix}-{connection}" + (f"-{count}" if version == "new" else "")
            obj = deployment(name, count if version == "change" else 1)
            target = f"{DEPLOYMENTS}/{name}?fieldManager=bench&force=true"
            status, answer = await wire.ask("PATCH", target, msgspec.json.encode(obj), APPLY)
            if status not in (200, 201):
                raise RuntimeError(answer.decode())
            count += 1
            done += 1
        wire.writer.close()

    await asyncio.gather(*(apply(n) for n in range(CONNECTIONS)))
    return done / (time.monotonic() - begun)


async def measure(server: Server, seconds: float) -> Figures:
    """One run."""
    await rate(server, 1.0, "new", "warm")
    return {
        "changes/s": await rate(server, seconds, "change", "c"),
        "creates/s": await rate(server, seconds, "new", "n"),
        "applies/s that change nothing": await rate(server, seconds, "same", "s"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    ours, theirs = servers.compare(lambda s: measure(s, given.seconds))
    title = f"Server-side applies of a Deployment over HTTPS, {CONNECTIONS} connections"
    servers.show(title, ours, theirs, dict.fromkeys(ours, "2x"))


if __name__ == "__main__":
    main()
