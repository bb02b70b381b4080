"""Durable creates a second over HTTPS, with all admission, on one core.

    python bench/create_rate.py [--seconds 5] [--connections 64] [--profile]

The server is a process of its own with a SQLite store on the file system of the temporary folder; this process is the
client: keep-alive connections, each with one request under way. The yardstick is a bare aiohttp HTTPS server that
answers every request with its body, measured in the same run by the same client.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import multiprocessing
import pstats
import ssl
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import machine
import msgspec
import uvloop
from aiohttp import web

from fairlead.apiserver import app, assembly, auth, certs
from fairlead.base.clock import SYSTEM
from fairlead.store.sqlite import SqliteStore

TOKEN = "benchmark"
CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1", "b": "2", "c": "x" * 100}}
CONTAINER = {
    "name": "main", "image": "python", "command": ["python", "train.py"],
    "env": [{"name": "RANK", "value": "0"}, {"name": "WORLD_SIZE", "value": "8"}],
    "resources": {"limits": {"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "1"}},
}  # fmt: skip
POD = {"apiVersion": "v1", "kind": "Pod", "spec": {"restartPolicy": "Never", "containers": [CONTAINER]}}


async def echo(request: web.BaseRequest) -> web.StreamResponse:
    """The yardstick's whole work."""
    return web.Response(body=await request.read(), status=201, headers={"Content-Type": "application/json"})


async def serve(folder: str, pipe: Connection, *, bare: bool) -> None:
    """Serve until the client is done."""
    context = certs.server_context(certs.ensure(Path(folder) / "pki", now=SYSTEM.now()))
    loop = asyncio.get_running_loop()
    if bare:
        runner = web.ServerRunner(web.Server(echo, access_log=None))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context, backlog=1024).start()
        pipe.send(app.bound_port(runner))
        await loop.run_in_executor(None, pipe.recv)
        return await runner.cleanup()
    store = SqliteStore.open(Path(folder) / "store")
    server = assembly.assemble(store, assembly.Settings(tokens={TOKEN: auth.ADMIN}))
    await server.start()
    runner = await app.serve(server.app, 0, context)
    pipe.send(app.bound_port(runner))
    await loop.run_in_executor(None, pipe.recv)
    await server.close()
    await runner.cleanup()
    return await store.close()


def server_process(folder: str, pipe: Connection, bare: bool, profile: str) -> None:
    """The server's process."""
    if not profile:
        return uvloop.run(serve(folder, pipe, bare=bare))
    profiler = cProfile.Profile()
    profiler.runcall(uvloop.run, serve(folder, pipe, bare=bare))
    return pstats.Stats(profiler).sort_stats("tottime").print_stats(45)


def request(path: str, body: bytes) -> bytes:
    """A POST as kubectl sends it, minus what no server reads."""
    head = (
        f"POST {path}?fieldManager=kubectl-create&fieldValidation=Strict HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {TOKEN}\r\nUser-Agent: kubectl/v1.33.0\r\nAccept: application/json\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def one_connection(port: int, context: ssl.SSLContext, plural: str, obj: dict, prefix: str, end: float) -> int:
    """Create until the time is up; answers how many."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    done, path = 0, f"/api/v1/namespaces/default/{plural}"
    while time.monotonic() < end:
        body = msgspec.json.encode({**obj, "metadata": {"name": f"{prefix}-{done}", "labels": {"app": "bench"}}})
        writer.write(request(path, body))
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 201"):
            raise RuntimeError((head + await reader.read(2000)).decode())
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        done += 1
    writer.close()
    return done


async def measure(port: int, pid: int, plural: str, obj: dict, options: argparse.Namespace) -> tuple[float, float]:
    """Creates a second, and the server's share of one core."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    started, busy = time.monotonic(), machine.cpu_seconds(pid)
    end = started + options.seconds
    tag = f"{plural[0]}{int(started)}"
    counts = await asyncio.gather(
        *(one_connection(port, context, plural, obj, f"{tag}-{i}", end) for i in range(options.connections))
    )
    passed = time.monotonic() - started
    return sum(counts) / passed, (machine.cpu_seconds(pid) - busy) / passed


def run(bare: bool, kinds: dict[str, dict], options: argparse.Namespace) -> dict[str, tuple[float, float]]:
    """Start a server, measure each kind, stop it."""
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = multiprocessing.Pipe()
        profile = "yes" if options.profile and not bare else ""
        process = multiprocessing.Process(target=server_process, args=(folder, theirs, bare, profile))
        process.start()
        port = ours.recv()
        found = {kind: uvloop.run(measure(port, process.pid or 0, kind, obj, options)) for kind, obj in kinds.items()}
        ours.send("done")
        process.join()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--kind", choices=("configmaps", "pods"), help="only this one")
    parser.add_argument("--profile", action="store_true", help="print where the server's time goes (slows it down)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    kinds = {k: o for k, o in {"configmaps": CONFIG_MAP, "pods": POD}.items() if options.kind in (None, k)}
    yardstick, creates = run(True, kinds, options), run(False, kinds, options)
    if options.json:
        print(json.dumps({"bare": yardstick, "creates": creates}))
        return
    rows = []
    for kind in kinds:
        (bare, _), (rate, share) = yardstick[kind], creates[kind]
        micros = share / rate * 1e6
        rows.append((kind, f"{rate:.0f}", f"{share:.2f}", f"{micros:.0f}", f"{bare:.0f}", f"{rate / bare:.2f}"))
    columns = ("kind", "creates/s", "server cores", "CPU µs each", "bare echo/s", "ratio")
    machine.show(f"Durable creates over HTTPS, {options.connections} connections", columns, rows)


if __name__ == "__main__":
    main()
