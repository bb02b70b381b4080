"""Jobs: accepted to exec'd, one at a time; and 200 one-second Jobs at once, 50 Pods at a time.

The limit of the burst in the same run is arithmetic: 200 Jobs of one second, 50 at a time, take 4 seconds.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import machine

from fairlead.api import batch
from fairlead.client.protocol import ListOptions
from fairlead.testing.plane import Plane, started

SINGLE = 60
BURST = 200
AT_ONCE = 50


def job(name: str, script: str) -> dict[str, Any]:
    container = {"name": "c", "image": "busybox", "command": ["sh", "-c", script]}
    pod = {"restartPolicy": "Never", "containers": [container]}
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {"template": {"spec": pod}}}


async def completed(client: Any, count: int) -> None:
    """Wait until that many Jobs are complete."""
    done: set[str] = set()
    listing = await client.list(batch.JOBS, "default")
    for one in listing.items:
        if one.condition("Complete"):
            done.add(one.metadata.name)
    async for event in client.watch(batch.JOBS, "default", ListOptions(revision=listing.revision)):
        if len(done) >= count:
            return
        if event.object is not None and event.object.condition("Complete"):
            done.add(event.object.metadata.name)
            if len(done) >= count:
                return


async def one_by_one(plane: Plane, out: Path) -> list[float]:
    client, waits = plane.client(), []
    for i in range(SINGLE):
        file = out / f"single-{i}"
        await client.create(batch.JOBS, job(f"single-{i}", f"date +%s.%N > {file}"))
        accepted = time.time()
        await completed(client, i + 1)
        waits.append(float(file.read_text()) - accepted)
    await client.close()
    return waits


async def burst(plane: Plane, out: Path) -> tuple[float, int, int]:
    client = plane.client()
    begun = time.monotonic()
    script = f"echo $HOSTNAME >> {out}/burst; sleep 1"
    await asyncio.gather(*(client.create(batch.JOBS, job(f"burst-{i}", script)) for i in range(BURST)))
    await asyncio.wait_for(completed(client, SINGLE + BURST), 120)
    seconds = time.monotonic() - begun
    await client.close()
    lines = (out / "burst").read_text().split()
    return seconds, len(lines), len(set(lines))


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "out"
        out.mkdir()
        config = Path(scratch) / "config.yaml"
        config.write_text(f"maxPods: {AT_ONCE}\ncpus: 64\n")
        with started(Path(scratch) / "state", "--config", str(config)) as plane:
            waits = asyncio.run(one_by_one(plane, out))
            seconds, starts, distinct = asyncio.run(burst(plane, out))
    ideal = BURST / AT_ONCE
    machine.show(
        "Jobs",
        ["what", "measured", "aim"],
        [
            ["accepted to exec'd, p50", f"{machine.percentile(waits, 0.5) * 1000:.0f} ms", "100 ms"],
            ["accepted to exec'd, p99", f"{machine.percentile(waits, 0.99) * 1000:.0f} ms", "500 ms"],
            [
                f"{BURST} one-second Jobs, {AT_ONCE} at a time",
                f"{seconds:.1f} s = {seconds / ideal:.2f} x the ideal",
                "2 x",
            ],
            ["starts, distinct Pods", f"{starts}, {distinct}", f"{BURST}, {BURST}"],
        ],
    )
    if starts != BURST or distinct != BURST:
        raise SystemExit("a Pod was lost or started twice")


if __name__ == "__main__":
    main()
