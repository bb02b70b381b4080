"""The drill: a control plane under load is backed up, lost, and restored; every object is as it was at one revision."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from fairlead.api.core import CONFIG_MAPS, PODS
from fairlead.api.meta import Key
from fairlead.client.http import HttpClient
from fairlead.store.sqlite import SqliteStore
from fairlead.testing import plane as planes
from fairlead.testing.plane import Plane

WRITERS = 16


def fairlead(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from fairlead.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=os.environ.copy())


async def backed_up(place: Path, file: Path) -> int:
    done = await asyncio.to_thread(fairlead, "backup", str(file), "--dir", str(place))
    assert done.returncode == 0, done.stderr
    with tarfile.open(file) as tar:
        content = tar.extractfile("manifest.json")
        assert content is not None
        return int(msgspec.json.decode(content.read())["revision"])


@asynccontextmanager
async def load(client: HttpClient) -> AsyncIterator[dict[str, int]]:
    """Writers that create, change and delete; what is yielded counts acknowledged writes."""
    done = {"writes": 0}

    async def write(writer: int) -> None:
        for number in itertools.count():
            name = f"w{writer}-{number % 40}"
            obj = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"n": str(number)}}
            obj["metadata"] = {"name": name, "namespace": "default"}
            if number % 40 == 7:
                await client.apply(CONFIG_MAPS, obj)
                await client.delete(CONFIG_MAPS, Key("default", name))
            else:
                await client.apply(CONFIG_MAPS, obj)
            done["writes"] += 1

    tasks = [asyncio.create_task(write(n)) for n in range(WRITERS)]
    try:
        yield done
        assert not any(t.done() for t in tasks), [t.exception() for t in tasks if t.done()]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(true: Any, what: str, seconds: float = 30.0) -> None:
    for _ in range(int(seconds / 0.05)):
        if await true():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds:.0f} s")


async def as_of(client: HttpClient, revision: int) -> dict[str, Any]:
    """Every object that the server has at a revision, by its key in the store. (Events have two groups, one store.)"""
    found: dict[str, Any] = {}
    known: set[str] = set()
    for kind in sorted(await client.resources(), key=lambda r: r.group):
        if "list" not in kind.verbs:
            continue
        root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
        target = f"{root}/{kind.plural}?resourceVersion={revision}&resourceVersionMatch=Exact"
        for item in msgspec.json.decode(await client.raw("GET", target))["items"]:
            if item["metadata"]["uid"] in known:
                continue
            known.add(item["metadata"]["uid"])
            place = Key(item["metadata"].get("namespace", ""), item["metadata"]["name"])
            whole = {"apiVersion": kind.api_version, "kind": kind.kind, **item}
            found[f"/registry/{kind.group or 'core'}/{kind.plural}/{place}"] = whole
    return found


def pod(name: str, policy: str) -> dict[str, Any]:
    container = {"name": "main", "image": "host", "command": ["sleep", "600"]}
    spec = {"restartPolicy": policy, "terminationGracePeriodSeconds": 1, "containers": [container]}
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec,
    }  # fmt: skip


async def phase(client: HttpClient, name: str) -> str:
    return (await client.get(PODS, Key("default", name))).status.phase


async def test_what_is_restored_is_what_was_at_one_revision(tmp_path: Path) -> None:
    file, second = tmp_path / "backup.tar", tmp_path / "restored"
    with planes.started(tmp_path / "first") as first:
        client = first.client()
        for name, policy in (("once", "Never"), ("always", "Always")):
            await client.create(PODS, pod(name, policy))

        async def running() -> bool:
            return all([await phase(client, name) == "Running" for name in ("once", "always")])

        await until(running, "the Pods run")
        async with load(client) as done:

            async def loaded() -> bool:
                return done["writes"] > 300

            await until(loaded, "writes are acknowledged")
            before = done["writes"]
            revision = await backed_up(first.home.path, file)
            assert done["writes"] > before, "the writers waited for the backup"
        expected = await as_of(client, revision)
        newest = (await client.list(CONFIG_MAPS)).revision
        uid = (await client.get(PODS, Key("default", "always"))).metadata.uid
        await client.close()
    assert (file.stat().st_mode & 0o777, int(newest) > revision) == (0o600, True)

    done_ = fairlead("restore", str(file), "--dir", str(second))
    assert done_.returncode == 0, done_.stderr
    assert f"objects at revision {revision}" in done_.stdout
    await compare(second, expected)
    for name in ("authority.pem", "server.pem", "service-account.pem", "tokens.csv"):
        place = Path("pki") / name
        assert (second / place).read_bytes() == (first.home.path / place).read_bytes()
        assert (second / place).stat().st_mode & 0o777 == 0o600
    await lives_on(second, int(newest), uid)


async def compare(folder: Path, expected: dict[str, Any]) -> None:
    store = SqliteStore.open(folder / "store")
    restored = {e.key: msgspec.json.decode(e.value) for e in store.list("/").entries}
    await store.close()
    assert restored.keys() == expected.keys()
    assert [k for k in expected if restored[k] != expected[k]] == []
    assert sum("/configmaps/" in key for key in expected) > 100


async def lives_on(folder: Path, newest: int, uid: str) -> None:
    """Clients of the lost control plane use the restored one: same address, authority and token; Pods are seen to."""
    with planes.started(folder) as restored:
        client = restored.client()

        async def told() -> bool:
            return await phase(client, "once") == "Failed"

        await until(told, "a Pod whose process is gone has failed")
        once = await client.get(PODS, Key("default", "once"))
        (status,) = once.status.containerStatuses
        assert status.state.terminated is not None
        assert (status.state.terminated.reason, status.restartCount) == ("ContainerStatusUnknown", 0)

        async def again() -> bool:
            found = await client.get(PODS, Key("default", "always"))
            (one,) = found.status.containerStatuses
            assert found.metadata.uid == uid
            return one.state.running is not None and one.restartCount == 1

        await until(again, "a Pod that is to be restarted runs again")
        target = f"/api/v1/namespaces/default/configmaps?watch=1&resourceVersion={newest}&timeoutSeconds=5"
        answer = msgspec.json.decode((await client.raw("GET", target)).splitlines()[0])
        assert (answer["type"], answer["object"]["code"]) == ("ERROR", 410)
        assert int((await client.list(CONFIG_MAPS)).revision) > newest
        await client.close()


async def test_a_stopped_control_plane_is_backed_up_and_a_restore_never_overwrites(tmp_path: Path) -> None:
    plane = Plane(tmp_path / "first")
    plane.start()
    plane.stop()
    file = tmp_path / "backup.tar"
    await backed_up(plane.home.path, file)
    refused = fairlead("restore", str(file), "--dir", str(plane.home.path))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        f"error: {plane.home.path} is not empty, and a restore never overwrites: "
        "name a new folder with --dir, or move it away\n"
    )
    (tmp_path / "second").mkdir()
    assert fairlead("restore", str(file), "--dir", str(tmp_path / "second")).returncode == 0
    assert sorted(os.listdir(tmp_path)) == ["backup.tar", "first", "second"]
