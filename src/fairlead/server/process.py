"""The process: opens the state folder, wires the parts together, serves until told to stop.

Order matters in three places: the folder's lock comes first, the port is bound before anything is announced, and Pods
are adopted before the folder is reported ready. A signal to stop leaves Pods running (SIGUSR1 stops them, too).
"""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import signal
import ssl
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop
import yaml
from aiohttp import web

from fairlead.apiserver import app as http
from fairlead.apiserver import assembly, auth, certs
from fairlead.apiserver.audit import policy as audit
from fairlead.apiserver.audit.writer import Rotation
from fairlead.base import telemetry
from fairlead.base.clock import SYSTEM
from fairlead.sdk import home
from fairlead.server import contents, node, settings
from fairlead.server.settings import Settings
from fairlead.store import folder
from fairlead.store.sqlite import SqliteStore

_log = telemetry.logger("server")
_SOCKET_PATH = 107


class StartError(Exception):
    """The control plane cannot start; the message is one line for people."""


def run(told: Settings, ready: Callable[[], None]) -> None:
    """Serve until a signal. `ready` is called when everything answers."""
    place = home.Home(told.directory)
    try:
        place.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        store = SqliteStore.open(place.path / "store")
    except folder.Locked as error:
        raise StartError(_served_already(place, error)) from error
    except OSError as error:
        raise StartError(f"{place.path} cannot be used: {error.strerror or error}") from error
    uvloop.run(_Process(told, place, store).serve(ready))


def _served_already(place: home.Home, error: Exception) -> str:
    running = place.running()
    if running is None:
        return str(error)
    return f"{place.path} is served already, by process {running.pid} at {running.url}; name another folder with --dir"


class _Process:
    """The parts of one control plane."""

    def __init__(self, told: Settings, place: home.Home, store: SqliteStore) -> None:
        self.told, self.place, self.store = told, place, store
        self._stop = asyncio.Event()
        self._stop_pods = False
        self._tasks: list[asyncio.Task[None]] = []
        self._runners: list[web.ServerRunner] = []

    async def serve(self, ready: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop.set)
        loop.add_signal_handler(signal.SIGINT, self._stop.set)
        loop.add_signal_handler(signal.SIGUSR1, self._end_pods)
        found = node.detect(self.told)
        hosts = [found.network.gateway, str(found.network.services[1])]
        certificates = certs.ensure(self.place.path / "pki", now=SYSTEM.now(), hosts=hosts)
        tokens = auth.ensure_tokens(self.place.path / "pki" / "tokens.csv")
        agents = node.Agents()
        wiring = assembly.Settings(
            tokens, certificates.signing_key.read_bytes(), agents, services=found.network.services,
            audit=_audit(self.told, self.place), requests_at_once=self.told.configuration.requestsAtOnce,
        )  # fmt: skip
        server = assembly.assemble(self.store, wiring)
        await server.start()
        client = server.client()
        await contents.fill(client, certificates.ca_pem)
        port = await self._listen(server.app, certs.server_context(certificates), found.network.gateway)
        await self._listen_locally(server.app)
        await contents.publish(client, found.network.gateway, port)
        url = f"https://127.0.0.1:{port}"
        self._write_kubeconfig(auth.kubeconfig(url, certificates.ca_pem, auth.token_of(tokens, auth.ADMIN.name)))
        agent = node.agent(self.told, client, agents, found, port)
        self._watch_over("agent", agent.run())
        for name, work in node.brains(client):
            self._watch_over(name, work)
        settle_memory()
        self.place.note(home.Running(os.getpid(), url, SYSTEM.now(), home.ticks(os.getpid())))
        self._announce(url, found.summary())
        ready()
        try:
            await self._stop.wait()
        finally:
            await agent.stop(keep_pods=not self._stop_pods)
            await self._shut(server)

    async def _listen(self, app: http.App, context: ssl.SSLContext, gateway: str) -> int:
        """Serve on loopback, and where Pods with a network of their own reach this machine. Answers the port."""
        candidates = settings.ports(self.told, settings.last_port(self.place.kubeconfig))
        for wished in candidates:
            try:
                self._runners.append(await http.serve(app, wished, context))
                break
            except OSError as error:
                if error.errno != errno.EADDRINUSE or wished == candidates[-1]:
                    raise StartError(str(error.strerror or error)) from error
        port = http.bound_port(self._runners[0])
        if gateway != "127.0.0.1":
            self._runners.append(await http.serve(app, port, context, host=gateway))
        return port

    async def _listen_locally(self, app: http.App) -> None:
        """Serve on the unix socket, where its path is short enough for one (the kernel allows 107 bytes)."""
        path = str(self.place.socket)
        if len(os.fsencode(path)) > _SOCKET_PATH:
            _log.warning("%s is too long a path for a unix socket: local clients use the kubeconfig", path)
            return
        self.place.socket.unlink(missing_ok=True)
        owner = self.place.path.stat().st_uid
        self._runners.append(await http.serve_local(app, path, owner))

    def _write_kubeconfig(self, config: dict[str, Any]) -> None:
        text = yaml.safe_dump(config, sort_keys=False)
        path = self.place.kubeconfig
        if path.exists() and path.read_text() == text:
            return
        draft = path.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(text)
        draft.replace(path)

    def _watch_over(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run a part. If it ends before it was told to, that is the end of the process, with the reason in the log."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and not self._stop.is_set():
            _log.error("%s ended: %r", task.get_name(), task.exception())
            self._stop.set()

    def _end_pods(self) -> None:
        self._stop_pods = True
        self._stop.set()

    async def _shut(self, server: assembly.Server) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await server.close()
        for runner in self._runners:
            await runner.cleanup()
        self.place.socket.unlink(missing_ok=True)
        await self.store.close()
        self.place.forget()

    def _announce(self, url: str, summary: list[tuple[str, str, str]]) -> None:
        lines = [f"fairlead is up at {url}", f"state: {self.place.path}", "this machine:"]
        lines += [f"  {what:<10} {how:<16} {consequence}" for what, how, consequence in summary]
        lines.append(f"export KUBECONFIG={self.place.kubeconfig}")
        print("\n".join(lines), file=sys.stderr, flush=True)  # noqa: T201  (for people, not a log)


def _audit(told: Settings, place: home.Home) -> assembly.Audit | None:
    """What is recorded of requests. Raises StartError for a policy that cannot be used."""
    asked = told.configuration.audit
    if asked is None:
        return None
    try:
        policy = audit.read(asked.policy)
    except audit.Invalid as error:
        raise StartError(str(error)) from error
    rotation = Rotation(asked.maxSize * 1024 * 1024, asked.maxBackups, asked.maxAge)
    return assembly.Audit(policy, asked.path or place.path / "audit.log", rotation)


def settle_memory() -> None:
    """What start-up made stays: no collection needs to look at it again.

    Others come seldom: a request leaves next to no cycles, but those under way look like garbage that piles up.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
