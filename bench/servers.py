"""The servers that benchmarks compare: Fairlead's API server with its store, and kube-apiserver with etcd.

The second is there when the environment variable KUBE_BIN names a folder with the binaries `kube-apiserver` and `etcd`;
without it, benchmarks print Fairlead's figures alone. Both run alone on loopback, with TLS, a token, durable writes and
the admission that each has by default; neither has controllers or nodes. The client is this process: connections that
are kept open, with one request under way on each.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import machine
import msgspec
import uvloop
from cryptography.hazmat.primitives import serialization

from fairlead.apiserver import app, assembly, auth, certs
from fairlead.base.clock import SYSTEM
from fairlead.server import process
from fairlead.store.sqlite import SqliteStore

TOKEN = "benchmark"
PODS = "/api/v1/namespaces/default/pods"
CONTAINER = {
    "name": "main", "image": "python", "command": ["python", "train.py"],
    "env": [{"name": "RANK", "value": "0"}, {"name": "WORLD_SIZE", "value": "8"}],
    "resources": {"limits": {"cpu": "2", "memory": "4Gi"}},
}  # fmt: skip
SPEC = {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [CONTAINER]}


def pod(name: str) -> dict[str, Any]:
    """A Pod as trainers make them."""
    metadata = {"name": name, "labels": {"app": "bench"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": SPEC}


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(
        self, method: str, target: str, body: bytes = b"", kind: str = "application/json"
    ) -> tuple[int, bytes]:
        """Send a request and read the whole answer."""
        self.send(method, target, body, kind)
        status, length = await self.head()
        if length >= 0:
            return status, await self.reader.readexactly(length)
        parts = []
        while chunk := await self.chunk():
            parts.append(chunk)
        return status, b"".join(parts)

    def send(self, method: str, target: str, body: bytes = b"", kind: str = "application/json") -> None:
        """Send a request."""
        head = (
            f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
            f"User-Agent: bench/1\r\nAccept: application/json\r\n"
        )
        if body:
            head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        self.writer.write(head.encode() + b"\r\n" + body)

    async def head(self) -> tuple[int, int]:
        """Status, and length (-1: in chunks)."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        _, found, rest = head.partition(b"content-length:")
        return int(head[9:12]), int(rest.partition(b"\r\n")[0]) if found else -1

    async def chunk(self) -> bytes:
        """One chunk; empty at the end."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:-2]


class Server:
    """A server that answers at `port`. `pids`: its processes."""

    def __init__(self, name: str, port: int, pids: list[int]) -> None:
        self.name, self.port, self.pids = name, port, pids
        self.context = ssl.create_default_context()
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE

    async def connect(self) -> Wire:
        """A new connection."""
        streams = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.context, limit=1 << 22)
        return Wire(*streams)

    async def fill(self, count: int, connections: int = 32) -> None:
        """Create that many Pods."""
        numbers = iter(range(count))

        async def create() -> None:
            wire = await self.connect()
            for number in numbers:
                status, answer = await wire.ask("POST", PODS, msgspec.json.encode(pod(f"pod-{number:05}")))
                if status != 201:
                    raise RuntimeError(answer.decode())
            wire.writer.close()

        await asyncio.gather(*(create() for _ in range(connections)))

    def resident(self) -> float:
        """Memory of all its processes, MB."""
        return sum(map(machine.resident, self.pids))

    def cpu(self) -> float:
        """CPU seconds of all its processes."""
        return sum(map(machine.cpu_seconds, self.pids))


# --- Fairlead ------------------------------------------------------------------------------------------------------


async def _serve(folder: str, pipe: Connection) -> None:
    context = certs.server_context(certs.ensure(Path(folder) / "pki", now=SYSTEM.now()))
    store = SqliteStore.open(Path(folder) / "store")
    server = assembly.assemble(store, assembly.Settings(tokens={TOKEN: auth.ADMIN}))
    await server.start()
    runner = await app.serve(server.app, 0, context)
    process.settle_memory()
    pipe.send(app.bound_port(runner))
    await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
    await server.close()
    await runner.cleanup()
    await store.close()


def _process(folder: str, pipe: Connection) -> None:
    uvloop.run(_serve(folder, pipe))


@contextmanager
def fairlead(folder: Path) -> Iterator[Server]:
    """Fairlead's API server over the store in `folder`."""
    ours, theirs = multiprocessing.Pipe()
    # A new interpreter: a fork would count this process's memory as the server's.
    started = multiprocessing.get_context("spawn").Process(target=_process, args=(str(folder), theirs))
    started.start()
    try:
        yield Server("fairlead", ours.recv(), [started.pid or 0])
    finally:
        ours.send("done")
        started.join()


# --- Kubernetes ----------------------------------------------------------------------------------------------------


def binaries() -> Path | None:
    """Where kube-apiserver and etcd are."""
    named = os.environ.get("KUBE_BIN")
    folder = Path(named) if named else None
    if folder is not None and not all((folder / name).is_file() for name in ("kube-apiserver", "etcd")):
        raise SystemExit(f"KUBE_BIN: {folder} does not have kube-apiserver and etcd")
    return folder


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def kubernetes(folder: Path) -> Iterator[Server]:
    """kube-apiserver with etcd over the data in `folder`."""
    where = binaries()
    assert where is not None
    made = certs.ensure(folder / "pki", now=SYSTEM.now())
    (folder / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n')
    client, peer, port = _free_port(), _free_port(), _free_port()
    here = {"CLIENT_URLS": f"http://127.0.0.1:{client}", "PEER_URLS": f"http://127.0.0.1:{peer}"}
    etcd = [
        str(where / "etcd"), f"--data-dir={folder / 'etcd'}", f"--listen-client-urls={here['CLIENT_URLS']}",
        f"--listen-peer-urls={here['PEER_URLS']}", "--unsafe-no-fsync=false",
    ]  # fmt: skip
    told = {f"ETCD_{which}ADVERTISE_{urls}": url for urls, url in here.items() for which in ("", "INITIAL_")}
    environment = {**os.environ, **told, "ETCD_INITIAL_CLUSTER": f"default={here['PEER_URLS']}"}
    server = [
        str(where / "kube-apiserver"), f"--etcd-servers=http://127.0.0.1:{client}", "--bind-address=127.0.0.1",
        f"--secure-port={port}", "--advertise-address=127.0.0.1", f"--tls-cert-file={made.server}",
        f"--tls-private-key-file={made.server}", f"--token-auth-file={folder / 'tokens.csv'}",
        "--service-account-issuer=https://localhost", f"--service-account-key-file={_public(made.signing_key)}",
        f"--service-account-signing-key-file={made.signing_key}", "--service-cluster-ip-range=10.96.0.0/16",
        "--authorization-mode=Node,RBAC", "--endpoint-reconciler-type=none", "--shutdown-delay-duration=0s",
    ]  # fmt: skip
    with (folder / "log").open("ab") as log:
        processes = [subprocess.Popen(command, stdout=log, stderr=log, env=environment) for command in (etcd, server)]
    try:
        found = Server("kube-apiserver, etcd", port, [p.pid for p in processes])
        if not uvloop.run(_until_ready(found)):
            raise SystemExit(f"kube-apiserver is not ready:\n{(folder / 'log').read_text()[-2000:]}")
        yield found
    finally:
        for each in reversed(processes):
            each.terminate()
            each.wait()


def _public(key: Path) -> Path:
    """The public half of a key, in a file beside it."""
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    file = key.with_suffix(".pub")
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    file.write_bytes(private.public_key().public_bytes(serialization.Encoding.PEM, spki))
    return file


async def _until_ready(server: Server) -> bool:
    end = time.monotonic() + 120
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    while time.monotonic() < end:
        try:
            wire = await server.connect()
            status, _ = await wire.ask("GET", "/readyz")
            if status == 200:
                target = "/api/v1/namespaces/default/serviceaccounts"
                status, _ = await wire.ask("POST", target, msgspec.json.encode(account))
            wire.writer.close()
            if status in (201, 409):
                return True
        except (OSError, asyncio.IncompleteReadError):
            pass
        await asyncio.sleep(0.02)
    return False


# --- comparing -----------------------------------------------------------------------------------------------------

Figures = dict[str, float]


def compare(measure: Callable[[Server], Awaitable[Figures]]) -> tuple[Figures, Figures | None]:
    """What `measure` finds at Fairlead and, where it is there, at Kubernetes; each in a fresh folder."""
    results: list[Figures] = []
    for start in (fairlead, kubernetes) if binaries() is not None else (fairlead,):
        with tempfile.TemporaryDirectory() as folder, start(Path(folder)) as server:
            results.append(uvloop.run(_measured(measure, server)))
    return results[0], results[1] if len(results) > 1 else None


async def _measured(measure: Callable[[Server], Awaitable[Figures]], server: Server) -> Figures:
    return await measure(server)


def show(title: str, ours: Figures, theirs: Figures | None, aims: dict[str, str], *, less: bool = False) -> None:
    """Print the figures side by side. The ratio says how many times better Fairlead is."""
    rows = []
    for what, figure in ours.items():
        row = [what, f"{figure:,.2f}" if figure < 100 else f"{figure:,.0f}"]
        if theirs is not None:
            other = theirs[what]
            ratio = (other / figure if less else figure / other) if figure and other else 0.0
            row += [f"{other:,.2f}" if other < 100 else f"{other:,.0f}", f"{ratio:.2f}" if ratio else "-"]
        rows.append([*row, aims.get(what, "")])
    columns = ["what", "Fairlead", *(["kube-apiserver + etcd", "times better"] if theirs is not None else []), "aim"]
    machine.show(title, columns, rows)
