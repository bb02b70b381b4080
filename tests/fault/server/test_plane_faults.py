"""A real control plane under HTTPS load: `kill -9`, a full disk, a torn write-ahead log, an open log and `down`."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import resource
import shutil
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fairlead.api.core import CONFIG_MAPS, PODS, ConfigMap
from fairlead.api.meta import Key
from fairlead.base.errors import StatusError
from fairlead.client.http import HttpClient
from fairlead.client.protocol import ListOptions, PatchType
from fairlead.store.log import Damaged
from fairlead.store.sqlite import SqliteStore
from fairlead.testing import plane as planes
from fairlead.testing.plane import Plane
from fairlead.testing.register import FOREVER, Operation, linearizable

ROUNDS = 6
WRITERS = 12
PATH = "/api/v1/namespaces/default/configmaps"


def config(name: str, **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


class Writer:
    """Writes one object over and over, and knows what may be there."""

    def __init__(self, number: int) -> None:
        self.key = Key("default", f"w{number}")
        self.number = itertools.count(1)
        self.acknowledged: str | None = None
        self.tried: str | None = None

    async def write(self, client: HttpClient) -> None:
        while True:
            number = next(self.number)
            self.tried = None if number % 9 == 0 else str(number)
            if self.tried is None:
                await client.delete(CONFIG_MAPS, self.key)
            else:
                await client.apply(CONFIG_MAPS, config(self.key.name, n=self.tried))
            self.acknowledged = self.tried

    async def check(self, client: HttpClient) -> None:
        listing = await client.list(CONFIG_MAPS, "default", ListOptions(fields=f"metadata.name={self.key.name}"))
        found = next((m.data["n"] for m in listing.items), None)
        assert found in (self.acknowledged, self.tried), f"{self.key}: acknowledged {self.acknowledged}, found {found}"
        self.acknowledged = found
        if found is None:
            await client.apply(CONFIG_MAPS, config(self.key.name, n="0"))
            self.acknowledged = "0"


class Watcher:
    """Keeps the state that events tell, from one list on, across broken connections."""

    def __init__(self) -> None:
        self.state: dict[str, str] = {}
        self.revision = ""
        self.seen = 0
        self.refused: StatusError | None = None

    async def begin(self, client: HttpClient) -> None:
        listing = await client.list(CONFIG_MAPS, "default")
        self.revision = listing.revision
        self.state = {m.metadata.name: m.data.get("n", "") for m in listing.items}

    async def follow(self, client: HttpClient) -> None:
        while True:
            try:
                async for event in client.watch(CONFIG_MAPS, "default", ListOptions(revision=self.revision)):
                    self._take(event.type, event.object, int(event.revision))
            except StatusError as error:
                self.refused = self.refused if error.code == 503 else error
            await asyncio.sleep(0.05)

    def _take(self, type_: str, obj: ConfigMap | None, revision: int) -> None:
        old = int(self.revision)
        self.revision = str(revision)
        if obj is None:
            assert revision >= old
            return
        assert revision > old, "an event twice, or out of order"
        self.seen += 1
        if type_ == "DELETED":
            del self.state[obj.metadata.name]
        else:
            assert (obj.metadata.name in self.state) == (type_ == "MODIFIED")
            self.state[obj.metadata.name] = obj.data.get("n", "")


async def until_broken(*works: Any) -> None:
    """Run until all have ended by the server's end."""
    for result in await asyncio.gather(*works, return_exceptions=True):
        assert isinstance(result, StatusError), result
        assert result.code == 503, result


async def test_what_was_acknowledged_survives_kill_9_and_watches_go_on(tmp_path: Path) -> None:
    chance = random.Random(11)
    plane = Plane(tmp_path / "state")
    plane.start()
    client = plane.client()
    writers, watcher = [Writer(n) for n in range(WRITERS)], Watcher()
    await watcher.begin(client)
    following = asyncio.create_task(watcher.follow(client))
    try:
        for _ in range(ROUNDS):
            load = asyncio.gather(until_broken(*(w.write(client) for w in writers)))
            await asyncio.sleep(0.2 + chance.random() * 0.5)
            await asyncio.to_thread(plane.kill)
            await load
            await asyncio.to_thread(plane.start)
            await asyncio.gather(*(w.check(client) for w in writers))
        newest = await client.list(CONFIG_MAPS, "default")
        for _ in range(500):
            if int(watcher.revision) >= max(int(m.metadata.resourceVersion) for m in newest.items):
                break
            await asyncio.sleep(0.02)
        assert watcher.state == {m.metadata.name: m.data.get("n", "") for m in newest.items}
        assert watcher.seen > ROUNDS * WRITERS
        assert (following.done(), watcher.refused) == (False, None)
    finally:
        following.cancel()
        await client.close()
        plane.stop()


class Contender:
    """One of several clients that read, write and swap the same object; keeps its history."""

    def __init__(self, client: HttpClient, name: str, chance: random.Random, history: list[Operation]) -> None:
        self.client, self.target, self.chance, self.history = client, f"{PATH}/{name}", chance, history
        self.key = Key("default", name)
        self.known: tuple[str, str] | None = None

    async def contend(self, seconds: float, serving: asyncio.Event) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await serving.wait()
            (step,) = self.chance.choices([self.read, self.write, self.swap], (4, 1, 8))
            try:
                await step()
            except StatusError as error:
                if error.code != 503:
                    raise
                self.known = None
                await asyncio.sleep(0.01)

    async def read(self) -> None:
        called = time.monotonic()
        found = msgspec.json.decode(await self.client.raw("GET", self.target))
        value = found["data"]["v"]
        self.history.append(Operation("read", value, called, time.monotonic()))
        self.known = (value, found["metadata"]["resourceVersion"])

    async def write(self) -> None:
        value = f"{self.chance.getrandbits(60):x}"
        called = time.monotonic()
        try:
            await self.client.patch(CONFIG_MAPS, self.key, {"data": {"v": value}}, PatchType.MERGE)
        except StatusError:
            self.history.append(Operation("write", value, called, FOREVER, done=None))
            raise
        self.history.append(Operation("write", value, called, time.monotonic()))

    async def swap(self) -> None:
        if self.known is None:
            return
        expected, revision = self.known
        value, called = f"{self.chance.getrandbits(60):x}", time.monotonic()
        body = config(self.key.name, v=value)
        body["metadata"]["resourceVersion"] = revision
        done: bool | None = True
        returned = FOREVER
        try:
            await self.client.raw("PUT", self.target, msgspec.json.encode(body))
            returned = time.monotonic()
        except StatusError as error:
            done = False if error.code == 409 else None
            returned = time.monotonic() if error.code == 409 else FOREVER
            if error.code != 409:
                raise
        finally:
            self.history.append(Operation("swap", value, called, returned, expected, done))
        self.known = None


async def test_writers_on_one_object_are_linearizable_even_across_kill_9(tmp_path: Path) -> None:
    plane = Plane(tmp_path / "state")
    plane.start()
    clients = [plane.client() for _ in range(4)]
    histories: dict[str, list[Operation]] = {f"r{n}": [] for n in range(4)}
    for name in histories:
        await clients[0].create(CONFIG_MAPS, config(name, v="start"))
    chance = random.Random(5)
    assert plane.process is not None
    contenders = [
        Contender(client, name, random.Random(chance.random()), history)
        for name, history in histories.items()
        for client in clients
    ]
    serving = asyncio.Event()
    serving.set()
    work = asyncio.gather(*(c.contend(5.0, serving) for c in contenders))
    for pause in (1.0, 1.0):
        await asyncio.sleep(pause)
        plane.process.kill()
        serving.clear()
        await asyncio.to_thread(plane.kill)
        await asyncio.to_thread(plane.start)
        serving.set()
    await work
    for client in clients:
        await client.close()
    plane.stop()
    for name, history in histories.items():
        kinds = {(o.what, o.done) for o in history}
        assert {("read", True), ("write", True), ("swap", True), ("swap", False)} <= kinds, (name, len(history))
        assert linearizable(history, "start"), f"{name}: no order explains these {len(history)} operations"


def limit_files(plane: Plane, size: int) -> None:
    """A limit on the size of files stands for the disk: SQLite meets it at the same places."""
    assert plane.process is not None
    resource.prlimit(plane.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


async def test_a_full_disk_is_told_reads_go_on_and_it_recovers(tmp_path: Path) -> None:
    with planes.started(tmp_path / "state") as plane:
        client = plane.client()
        await client.create(CONFIG_MAPS, config("before", n="1"))
        watcher = Watcher()
        await watcher.begin(client)
        following = asyncio.create_task(watcher.follow(client))
        limit_files(plane, 4096)
        told: list[StatusError] = []
        for number in range(5):
            with pytest.raises(StatusError) as caught:
                await client.create(CONFIG_MAPS, config(f"during{number}", n="x" * 5000))
            told.append(caught.value)
        for error in told:
            assert (error.code, error.reason) == (503, "ServiceUnavailable")
            assert "cannot be written" in error.message
            assert "check the disk's free space" in error.message
        assert (await client.get(CONFIG_MAPS, Key("default", "before"))).data == {"n": "1"}
        names = {m.metadata.name for m in (await client.list(CONFIG_MAPS, "default")).items}
        assert names == {"before", "kube-root-ca.crt"}
        limit_files(plane, resource.RLIM_INFINITY)
        await client.create(CONFIG_MAPS, config("after", n="2"))
        for _ in range(200):
            if "after" in watcher.state:
                break
            await asyncio.sleep(0.02)
        assert watcher.state.keys() == {"before", "kube-root-ca.crt", "after"}
        following.cancel()
        await client.close()
        plane.kill()
        plane.start()
        client = plane.client()
        names = {m.metadata.name for m in (await client.list(CONFIG_MAPS, "default")).items}
        assert names == {"before", "kube-root-ca.crt", "after"}
        await client.close()


async def test_a_torn_write_ahead_log(tmp_path: Path) -> None:
    """What was being written when the machine went down is torn: it was not acknowledged, and goes."""
    plane = Plane(tmp_path / "state")
    plane.start()
    client = plane.client()
    writers = [Writer(n) for n in range(4)]
    load = asyncio.gather(until_broken(*(w.write(client) for w in writers)))
    await asyncio.sleep(0.5)
    await asyncio.to_thread(plane.kill)
    await load
    wal = plane.home.path / "store" / "store.db-wal"
    whole = wal.read_bytes()
    torn_anywhere(plane.home.path / "store", tmp_path, whole)
    wal.write_bytes(whole + os.urandom(24) + b"\0" * 3000)
    plane.start()
    await asyncio.gather(*(w.check(client) for w in writers))
    await client.close()
    plane.stop()


def torn_anywhere(store: Path, scratch: Path, whole: bytes) -> None:
    """However short the log is cut: what is left opens, is whole, and is a beginning of what was written."""
    chance = random.Random(3)
    revisions = []
    for cut in sorted(chance.randrange(len(whole)) for _ in range(10)):
        folder = scratch / f"cut{cut}"
        shutil.copytree(store, folder, ignore=shutil.ignore_patterns("*-shm", "*-wal", "lock"))
        (folder / "store.db-wal").write_bytes(whole[:cut] + os.urandom(min(200, len(whole) - cut)))
        try:
            opened = SqliteStore.open(folder)
        except Damaged:
            if cut > 50_000:
                raise
            continue  # the table itself was in what is cut off
        revisions.append(opened.revision)
        for entry in opened.list("/").entries:
            told = msgspec.json.decode(entry.value)["metadata"]["resourceVersion"]
            assert int(told) == entry.revision
        opened._disk.close()
        opened._lock.release()
        opened._worker.shutdown()
    assert revisions == sorted(revisions)
    assert len(set(revisions)) > 3


async def test_open_streams_do_not_hold_down(tmp_path: Path) -> None:
    plane = Plane(tmp_path / "state")
    plane.start()
    client = plane.client()
    script = ["sh", "-c", "while :; do echo x; sleep 0.1; done"]
    spec = {"containers": [{"name": "main", "image": "host", "command": script}], "terminationGracePeriodSeconds": 0}
    await client.create(PODS, {"metadata": {"name": "p", "namespace": "default"}, "spec": spec})
    for _ in range(500):
        if (await client.get(PODS, Key("default", "p"))).status.phase == "Running":
            break
        await asyncio.sleep(0.02)
    logs = client.stream_logs(Key("default", "p"), {"follow": "true"})
    assert await anext(logs)
    watcher = Watcher()
    await watcher.begin(client)
    following = asyncio.create_task(watcher.follow(client))
    begun = time.monotonic()
    await asyncio.to_thread(plane.stop, pods=False)
    took = time.monotonic() - begun
    following.cancel()
    await logs.aclose()
    await client.close()
    plane.start()
    plane.stop()
    assert took < 2.5, f"the control plane took {took:.1f} s to stop"
