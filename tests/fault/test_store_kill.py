"""What was acknowledged survives `kill -9` and full disks; what was not is absent or whole."""

import asyncio
import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fairlead.store.mvcc import Put, Unavailable
from fairlead.store.sqlite import Locked, SqliteStore

WRITER = Path(__file__).with_name("store_writer.py")
ROUNDS = 15
SECONDS = 20.0


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {SECONDS:.0f} seconds"
        time.sleep(0.002)


class Writer:
    """The writing process. Its lines are read by a thread, so that its pipe is never full."""

    def __init__(self, folder: Path, seed: int, *options: str) -> None:
        command = [sys.executable, "-W", "error", str(WRITER), str(folder), str(seed), *options]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.lines: list[list[Any]] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            # The last line may be torn by the kill; then nothing was acknowledged by it.
            if line.endswith(b"\n"):
                self.lines.append(json.loads(line))

    def of(self, kind: str) -> list[Any]:
        return [line[1] for line in tuple(self.lines) if line[0] == kind]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


class Expected:
    """What the acknowledgements of all rounds say about the store."""

    def __init__(self) -> None:
        self.newest: dict[str, tuple[int, str]] = {}
        self.revision = self.compacted = 0

    def take(self, commits: list[Any]) -> None:
        for commit in commits:
            for key, revision, digest in commit:
                if revision > self.newest.get(key, (0, ""))[0]:
                    self.newest[key] = (revision, digest)
                self.revision = max(self.revision, revision)

    def check(self, folder: Path) -> None:
        store = SqliteStore.open(folder)
        assert store.revision >= self.revision
        assert store.compacted >= self.compacted
        for key, (revision, digest) in self.newest.items():
            entry = store.get(key)
            if entry is None:
                # Deleted as acknowledged, or by a later write whose acknowledgement did not get through.
                assert digest == "" or store.revision > revision, key
            elif entry.revision == revision:
                assert hashlib.sha256(entry.value).hexdigest()[:16] == digest, key
            else:
                assert entry.revision > revision, f"{key}: acknowledged at {revision}, found at {entry.revision}"
        for entry in store.list("/w").entries:
            assert entry.value.startswith(b"%d:" % entry.revision), f"{entry.key} is not whole"
        self.revision, self.compacted = store.revision, store.compacted
        asyncio.run(store.close())


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    chance, expected = random.Random(7), Expected()
    for number in range(ROUNDS):
        writer = Writer(tmp_path, number)
        try:
            until(lambda w=writer: len(w.lines) > 20, "the writer writes")  # type: ignore[misc]
            assert writer.of("open") == [expected.revision]
            time.sleep(chance.random() * 0.3)
        finally:
            writer.kill()
        assert writer.of("fail") == []
        expected.take(writer.of("ack"))
        expected.check(tmp_path)
    assert expected.compacted > 0


def test_a_commit_is_whole_or_absent_after_kill_9(tmp_path: Path) -> None:
    script = (
        "import asyncio, os, sys\n"
        "from fairlead.store.mvcc import Put\n"
        "from fairlead.store.sqlite import SqliteStore\n"
        "async def main():\n"
        "    store = SqliteStore.open(sys.argv[1])\n"
        "    for n in range(10**6):\n"
        "        await store.commit([Put(f'/{i}', lambda r: b'%d' % n + b' ' * 2000) for i in range(150)])\n"
        "        os.write(1, b'%d\\n' % n)\n"
        "asyncio.run(main())\n"
    )
    chance = random.Random(3)
    for _ in range(5):
        process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.random() * 0.1)
        process.kill()
        written, _ = process.communicate()
        store = SqliteStore.open(tmp_path)
        found = {int(entry.value) for entry in store.list("/").entries}
        assert len(found) == 1, "a commit is half there"
        assert min(found) >= max(map(int, written.split()[:-1]), default=0)
        assert store.revision % 150 == 0
        asyncio.run(store.close())


def test_a_second_process_is_refused_and_told_who_has_the_folder(tmp_path: Path) -> None:
    writer = Writer(tmp_path, 1)
    try:
        until(lambda: len(writer.lines) > 1, "the writer writes")
        with pytest.raises(Locked, match=f"{tmp_path} is in use by process {writer.process.pid};") as caught:
            SqliteStore.open(tmp_path)
        assert caught.value.pid == writer.process.pid
    finally:
        writer.kill()
    asyncio.run(SqliteStore.open(tmp_path).close())


def test_writes_that_find_no_room_fail_clearly_and_go_on_when_there_is(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: SQLite meets it at the same places."""
    writer = Writer(tmp_path, 5, "--limit", "3000000")
    expected = Expected()
    try:
        until(lambda: len(writer.of("fail")) > 50, "the disk is full")
        failed_at = len(writer.lines)
        assert all("store.db cannot be written" in text for text in writer.of("fail"))
        assert writer.process.poll() is None
        assert writer.process.stdin is not None
        writer.process.stdin.write(b"lift\n")
        writer.process.stdin.flush()
        until(lambda: len([x for x in writer.lines[failed_at:] if x[0] == "ack"]) > 500, "writes go on")
    finally:
        writer.kill()
    expected.take(writer.of("ack"))
    expected.check(tmp_path)


@contextmanager
def small_disk(at: Path, size: str) -> Iterator[Path]:
    at.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(at)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"mounting a small disk is not permitted here: {mounted.stderr.decode().strip()}")
    try:
        yield at
    finally:
        subprocess.run(["umount", str(at)], check=True)


async def fill(store: SqliteStore) -> None:
    for number in range(10_000):
        await store.commit([Put(f"/{number}", lambda r: b"%d" % r + b"x" * 5000)])


@pytest.mark.skipif(os.getuid() != 0, reason="mounting a small disk needs root")
async def test_a_really_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "4m") as disk:
        folder = disk / "store"
        store = SqliteStore.open(folder)
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * 2_000_000)
        with pytest.raises(Unavailable, match="check the disk's free space"):
            await fill(store)
        done = store.revision
        assert done > 100
        watch = store.watch("/", after=store.revision)
        assert (len(store.list("/").entries), store.get(f"/{done}")) == (done, None)
        ballast.unlink()
        assert (await store.commit([Put("/more", lambda r: b"%d" % r)]))[0].revision == done + 1
        assert [e.key for e in await anext(aiter(watch))] == ["/more"]
        await store.close()
        reopened = SqliteStore.open(folder)
        assert (reopened.revision, len(reopened.list("/").entries)) == (done + 1, done + 1)
        await reopened.close()
