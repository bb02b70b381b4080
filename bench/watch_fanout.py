"""Watch over HTTPS: 100 watchers of 1,000 events a second. Every event once and in order to all, or it fails.
(kube-apiserver drops watchers that do not keep up.)

    [KUBE_BIN=DIR] python bench/watch_fanout.py [--watchers 100] [--rate 1000] [--seconds 5]

The writers change ConfigMaps at that rate; each says in the object when it wrote. A watcher's latency is from then to
when it has read the event. Writers and watchers are processes of their own, because they would wait for each other.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import re
import time
from multiprocessing.connection import Connection

import machine
import msgspec
import servers
import uvloop
from servers import Figures, Server

MAPS = "/api/v1/namespaces/default/configmaps"
MERGE = "application/merge-patch+json"
OBJECTS = 50
_REVISION = re.compile(rb'"resourceVersion":"(\d+)"')
_WRITTEN = re.compile(rb'"written":"([0-9.]+)"')
SAMPLE = 20
"""Of every that many events one watcher's latency is taken: all would cost more than the watch."""


class Watcher:
    """Reads one watch and keeps what it must have: revisions in order, and latencies."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.revisions: list[bytes] = []
        self.latencies: list[float] = []

    async def has(self, count: int, end: float) -> None:
        """Return when it has that many events, or at `end`."""
        for _ in range(int((end - time.monotonic()) / 0.05) + 1):
            if len(self.revisions) >= count:
                return
            await asyncio.sleep(0.05)

    async def follow(self, server: Server, revision: str, ready: asyncio.Semaphore) -> None:
        wire = await server.connect()
        wire.send("GET", f"{MAPS}?watch=1&resourceVersion={revision}")
        await wire.head()
        ready.release()
        rest = b""
        while chunk := await wire.chunk():
            now = time.time()
            data = rest + chunk
            whole = data.rfind(b"\n") + 1
            data, rest = data[:whole], data[whole:]
            for line in data.splitlines():
                found = _REVISION.search(line)
                assert found is not None
                self.revisions.append(found[1])
                if (len(self.revisions) + self.number) % SAMPLE == 0:
                    self.latencies.append(now - float(_WRITTEN.search(line)[1]))  # type: ignore[index]


async def watch(server: Server, revision: str, count: int, pipe: Connection) -> None:
    """All watchers, until told to stop."""
    watchers, ready = [Watcher(n) for n in range(count)], asyncio.Semaphore(0)
    tasks = [asyncio.create_task(w.follow(server, revision, ready)) for w in watchers]
    for _ in watchers:
        await ready.acquire()
    pipe.send("ready")
    expected = await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
    end = time.monotonic() + 20
    for watcher in watchers:
        await watcher.has(expected, end)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    pipe.send(([b" ".join(w.revisions) for w in watchers], [x for w in watchers for x in w.latencies]))


def watching(port: int, revision: str, count: int, pipe: Connection) -> None:
    """The watchers' process."""
    uvloop.run(watch(Server("", port, []), revision, count, pipe))


async def write(server: Server, rate: int, seconds: float) -> tuple[list[bytes], float]:
    """Change objects at that rate; answers the revisions, and the rate that was reached."""
    revisions: list[bytes] = []
    total = int(rate * seconds)
    numbers, begun = iter(range(total)), time.monotonic()

    async def change() -> None:
        wire = await server.connect()
        for number in numbers:
            pause = begun + number / rate - time.monotonic()
            if pause > 0:
                await asyncio.sleep(pause)
            body = msgspec.json.encode({"data": {"written": f"{time.time():.6f}"}})
            status, answer = await wire.ask("PATCH", f"{MAPS}/m{number % OBJECTS}", body, MERGE)
            assert status == 200, answer
            revisions.append(_REVISION.search(answer)[1])  # type: ignore[index]
        wire.writer.close()

    await asyncio.gather(*(change() for _ in range(32)))
    return revisions, total / (time.monotonic() - begun)


async def measure(server: Server, watchers: int, rate: int, seconds: float) -> Figures:
    """One run."""
    wire = await server.connect()
    for number in range(OBJECTS):
        obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"m{number}"}, "data": {"x": "y" * 200}}
        await wire.ask("POST", MAPS, msgspec.json.encode(obj))
    await write(server, rate, 1.0)
    listed = msgspec.json.decode((await wire.ask("GET", MAPS))[1])
    ours, theirs = multiprocessing.Pipe()
    arguments = (server.port, listed["metadata"]["resourceVersion"], watchers, theirs)
    process = multiprocessing.get_context("spawn").Process(target=watching, args=arguments)
    process.start()
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, ours.recv)
    busy, begun = server.cpu(), time.monotonic()
    revisions, reached = await write(server, rate, seconds)
    share = (server.cpu() - busy) / (time.monotonic() - begun)
    ours.send(len(revisions))
    seen, latencies = await loop.run_in_executor(None, ours.recv)
    process.join()
    expected = b" ".join(sorted(revisions, key=int))
    return {
        "watchers that saw every event once and in order": float(sum(s == expected for s in seen)),
        "events/s reached": reached,
        "deliveries/s": reached * watchers,
        "p50 ms": machine.percentile(latencies, 0.5) * 1000,
        "p99 ms": machine.percentile(latencies, 0.99) * 1000,
        "server cores": share,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--watchers", type=int, default=100)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    ours, theirs = servers.compare(lambda s: measure(s, given.watchers, given.rate, given.seconds))
    title = f"{given.watchers} watchers of {given.rate:,} events/s"
    told = "watchers that saw every event once and in order"
    servers.show(
        title, ours, theirs, {"p99 ms": "50", "events/s reached": f"{given.rate:,}", told: str(given.watchers)}
    )
    if ours[told] < given.watchers:
        raise SystemExit("events were lost, doubled or out of order")


if __name__ == "__main__":
    main()
