"""A process that writes to a store under load and says on standard output what was acknowledged; it is there to be
killed. A line is a JSON array: ["open", revision, compacted], ["ack", [[key, revision, digest], …]] or ["fail", text].

    python store_writer.py FOLDER SEED [--limit BYTES]

With `--limit` no file may grow beyond that many bytes, as on a full disk; the limit goes when a line comes on standard
input.
"""

import argparse
import asyncio
import hashlib
import json
import os
import random
import resource
import sys
from typing import Any

from fairlead.store.mvcc import Delete, Entry, Mismatch, Put, Unavailable, Write
from fairlead.store.sqlite import SqliteStore

WRITERS = 20
OWN_KEYS = 30


def say(*line: Any) -> None:
    os.write(1, json.dumps(line).encode() + b"\n")


def digest(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()[:16]


def value(chance: random.Random) -> Any:
    size = chance.choice([10, 300, 3000, 20_000])
    return lambda revision: b"%d:" % revision + chance.randbytes(size)


def acknowledged(entries: Any, writes: Any) -> list[Any]:
    def seen(entry: Entry, write: Write) -> Any:
        return [entry.key, entry.revision, "" if isinstance(write, Delete) else digest(entry.value)]

    return [seen(entry, write) for entry, write in zip(entries, writes, strict=True)]


async def write(store: SqliteStore, number: int, chance: random.Random) -> None:
    """Writes to keys of its own, sometimes several in a commit."""
    while True:
        keys = chance.sample(range(OWN_KEYS), chance.choice([1, 1, 1, 4]))
        writes: list[Write] = []
        for key in (f"/w{number}/{k}" for k in keys):
            deletes = chance.random() < 0.2 and store.get(key) is not None
            writes.append((Delete if deletes else Put)(key, value(chance)))
        try:
            say("ack", acknowledged(await store.commit(writes), writes))
        except Mismatch as error:
            say("fail", str(error))
        except Unavailable as error:
            say("fail", str(error))
            await asyncio.sleep(0.02)


async def lift(limit: int) -> None:
    """Lift the limit when asked to."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.readline()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("seed", type=int)
    parser.add_argument("--limit", type=int, default=0)
    given = parser.parse_args()
    # A short history, so that compaction runs all the time and is killed in all its stages.
    store = SqliteStore.open(given.folder, keep=200)
    say("open", store.revision, store.compacted)
    chance = random.Random(given.seed)
    work = [write(store, n, random.Random(chance.random())) for n in range(WRITERS)]
    await asyncio.gather(*work, *([lift(given.limit)] if given.limit else []))


if __name__ == "__main__":
    asyncio.run(main())
