"""The process runtime: a container is a process in a directory of its own, behind the shim.

    <state>/pods/<uid>/containers/<name>/<attempt>/
        container.json   what was started, without its environment (which may hold secrets)
        output.log       standard output and error, as they came
        started.json     the shim's and the command's pids with their start times
        exit.json        how it ended
        work/            the working directory, unless the container names one
        view/            the shim's scratch mount point

Invariants: a directory is made before anything runs, so that what runs is always found again; a pid is believed only
together with its start time; an end is reported once. It is not a security boundary.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import py_compile
import shutil
import signal as signals
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from fairlead.agent import limits, processes
from fairlead.agent.runtimes import ContainerSpec, Exited, Found, OnExit, Ref, Started, StartError
from fairlead.base import clock as clocks
from fairlead.base import telemetry

log = telemetry.logger("agent.process")

WATCH_SECONDS = 0.5
"""How often memory is looked at where nothing in the kernel holds it."""


class Sandbox(msgspec.Struct, frozen=True):
    """Which namespaces a container gets. All false: it shares everything with the host."""

    mount: bool = False
    pid: bool = False
    user: bool = False
    """The others are made inside a user namespace, because the agent is not root."""

    @property
    def name(self) -> str:
        if not self.mount:
            return "none"
        return "user-namespaces" if self.user else "namespaces"


class _Record(msgspec.Struct, frozen=True):
    """container.json."""

    created: float
    group: limits.Group
    memory: int | None = None


class _Alive(msgspec.Struct, frozen=True):
    """started.json."""

    shim: int
    shim_start: int
    pid: int
    pid_start: int
    started: float
    init: int = 0


class _Refusal(msgspec.Struct, frozen=True):
    """The shim's answer when nothing was started. `executable`: the fault is not the command's."""

    error: str
    executable: bool = True


class _Run:
    """One attempt that has not been reported as ended."""

    __slots__ = ("alive", "fd", "group", "memory", "over")

    def __init__(self, alive: _Alive, fd: int, group: limits.Group, memory: int | None) -> None:
        self.alive, self.fd, self.group, self.memory, self.over = alive, fd, group, memory, False


class ProcessRuntime:
    """See the module's text."""

    def __init__(
        self, state: str, limiter: limits.Limiter, sandbox: Sandbox, clock: clocks.Clock = clocks.SYSTEM
    ) -> None:
        self._pods = os.path.join(os.path.abspath(state), "pods")
        self._limiter, self._sandbox, self._clock = limiter, sandbox, clock
        self._runs: dict[Ref, _Run] = {}
        self._on_exit: OnExit = lambda ref, exited: None
        self._watcher: asyncio.Task[None] | None = None
        os.makedirs(self._pods, exist_ok=True)
        self._shim = _compiled(os.path.abspath(state))

    # --- adoption

    def open(self, on_exit: OnExit) -> Sequence[Found]:
        self._on_exit = on_exit
        found = [known for ref in list(self._known()) if (known := self._adopt(ref)) is not None]
        if self._limiter.watched:
            self._watcher = asyncio.get_running_loop().create_task(self._watch_memory())
        return found

    def _known(self) -> Iterator[Ref]:
        for uid in sorted(os.listdir(self._pods)):
            base = os.path.join(self._pods, uid, "containers")
            for name in sorted(os.listdir(base)) if os.path.isdir(base) else ():
                yield from (Ref(uid, name, attempt) for attempt in self.attempts(uid, name))

    def _adopt(self, ref: Ref) -> Found | None:
        """What became of an attempt; None for one that the last agent did not live to start."""
        directory = self._directory(ref)
        alive, record = _read(directory, "started", _Alive), _read(directory, "container", _Record)
        exited = _read(directory, "exit", Exited)
        if exited is None and alive is not None:
            fd = processes.open_pidfd(alive.shim, alive.shim_start)
            if fd is not None:
                group = record.group if record else limits.Group()
                self._follow(ref, _Run(alive, fd, group, record.memory if record else None))
                return Found(ref, alive.started, pid=alive.pid)
            exited = _read(directory, "exit", Exited)  # It may have ended between the two looks.
        if exited is None and alive is None:
            self._end_group(record.group if record else limits.Group())
            self._clean(record.group if record else limits.Group())
            self.forget(ref)
            return None
        if exited is None:
            exited = self._lost(ref, alive, record)
        self._clean(record.group if record else limits.Group())
        return Found(ref, exited.started, self._judged(ref, exited), alive.pid if alive else 0)

    def _lost(self, ref: Ref, alive: _Alive | None, record: _Record | None) -> Exited:
        """The shim is gone without a word: the machine was restarted, or somebody killed it. Nothing may remain."""
        if record is not None:
            self._end_group(record.group)
        if alive is not None:
            processes.kill_if_same(alive.pid, alive.pid_start)
        exited = Exited(
            137, started=alive.started if alive else 0.0, finished=self._clock.now(), reason="ContainerStatusUnknown",
            message="the container could not be located: its shim ended without recording how the container did",
        )  # fmt: skip
        _write(self._directory(ref), "exit", exited)
        return exited

    # --- starting

    async def start(self, spec: ContainerSpec) -> Started:
        directory = self._directory(spec.ref)
        try:
            os.makedirs(directory)
            os.mkdir(directory + "/work")
            os.mkdir(directory + "/view")
            group = self._limiter.create("_".join(map(str, spec.ref)), spec.limits)
        except OSError as e:
            if not isinstance(e, FileExistsError):
                shutil.rmtree(directory, ignore_errors=True)
            raise StartError("CreateContainerError", f"container {spec.ref.container}: {e}") from e
        if spec.user.uid is not None:
            os.chown(directory + "/work", spec.user.uid, -1 if spec.user.gid is None else spec.user.gid)
        _write(directory, "container", _Record(self._clock.now(), group, spec.limits.memory))
        return await self._launch(spec, directory, group)

    async def _launch(self, spec: ContainerSpec, directory: str, group: limits.Group) -> Started:
        pid, answer = await self._spawn(msgspec.json.encode(self._order(spec, directory, group)))
        try:
            alive = msgspec.json.decode(answer, type=_Alive)
        except msgspec.DecodeError:
            _bury(pid)
            self._clean(group)
            refusal = _refusal(answer)
            if not refusal.executable:
                now = self._clock.now()
                ended = Exited(128, started=now, finished=now, reason="StartError", message=refusal.error)
                _write(directory, "exit", ended)
                raise StartError("StartError", refusal.error, fatal=True) from None
            shutil.rmtree(directory, ignore_errors=True)
            message = f"container {spec.ref.container}: {refusal.error}"
            raise StartError("CreateContainerError", message) from None
        fd = processes.open_pidfd(alive.shim, alive.shim_start)
        if fd is None:  # It ended before we looked; its record is there.
            asyncio.get_running_loop().call_soon(self._ended_at_once, spec.ref, alive, group)
        else:
            self._follow(spec.ref, _Run(alive, fd, group, spec.limits.memory))
        return Started(alive.pid, alive.started)

    def _ended_at_once(self, ref: Ref, alive: _Alive, group: limits.Group) -> None:
        _bury(alive.shim)
        self._report(ref, alive, group)

    async def _spawn(self, order: bytes) -> tuple[int, bytes]:
        """Start a shim, give it its order, and wait for its one line of answer."""
        pid, order_in, answer_out = self._fork()
        try:
            await _write_all(order_in, order)
        except BrokenPipeError:
            pass  # It is gone; its answer, or the lack of one, says so.
        finally:
            os.close(order_in)
        try:
            return pid, await _read_line(answer_out)
        finally:
            os.close(answer_out)

    def _fork(self) -> tuple[int, int, int]:
        """A new shim (vfork and exec, no shell): its pid, its input, its output."""
        order_out, order_in = os.pipe()
        answer_out, answer_in = os.pipe()
        files = [
            (os.POSIX_SPAWN_DUP2, order_out, 0), (os.POSIX_SPAWN_DUP2, answer_in, 1),
            (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0),
        ]  # fmt: skip
        command = [sys.executable, "-I", "-S", "-E", self._shim]
        try:
            pid = os.posix_spawn(sys.executable, command, {"LC_ALL": "C.UTF-8"}, file_actions=files)
        finally:
            os.close(order_out)
            os.close(answer_in)
        return pid, order_in, answer_out

    def _order(self, spec: ContainerSpec, directory: str, group: limits.Group) -> dict[str, Any]:
        if not self._sandbox.mount and (spec.root or spec.mounts):
            raise StartError("CreateContainerError", "mounts and root directories need a sandbox; this node has none")
        return {
            "dir": directory, "command": spec.command, "env": spec.env, "cwd": spec.cwd or directory + "/work",
            "log": directory + "/output.log", "scratch": directory + "/view", "root": spec.root,
            "hostname": spec.hostname if self._sandbox.mount else "", "netns": spec.netns, "mounts": spec.mounts,
            "mountns": self._sandbox.mount, "pidns": self._sandbox.pid, "userns": self._sandbox.user,
            "cgroups": group.procs, "kill": group.kill, "oom": group.oom, "rlimits": group.rlimits,
            "uid": spec.user.uid, "gid": spec.user.gid, "groups": _groups(spec),
        }  # fmt: skip

    # --- ends

    def _follow(self, ref: Ref, run: _Run) -> None:
        self._runs[ref] = run
        asyncio.get_running_loop().add_reader(run.fd, self._shim_ended, ref)

    def _shim_ended(self, ref: Ref) -> None:
        run = self._runs.pop(ref)
        asyncio.get_running_loop().remove_reader(run.fd)
        os.close(run.fd)
        _bury(run.alive.shim)
        if run.over:
            _write(self._directory(ref), "oom", True)
        self._report(ref, run.alive, run.group)

    def _report(self, ref: Ref, alive: _Alive, group: limits.Group) -> None:
        exited = _read(self._directory(ref), "exit", Exited)
        if exited is None:
            exited = self._lost(ref, alive, _Record(0.0, group))
        self._clean(group)
        self._on_exit(ref, self._judged(ref, exited))

    def _judged(self, ref: Ref, exited: Exited) -> Exited:
        """With the runtime's own kills for memory counted as such."""
        over = exited.code != 0 and os.path.exists(self._directory(ref) + "/oom.json")
        return msgspec.structs.replace(exited, oom=True) if over else exited

    def _clean(self, group: limits.Group, tries: int = 20) -> None:
        """Remove the group; again a little later, if the kernel still buries its last processes."""
        if not self._limiter.remove(group) and tries:
            asyncio.get_running_loop().call_later(0.1, self._clean, group, tries - 1)

    # --- acting on what runs

    def signal(self, ref: Ref, number: int) -> None:
        run = self._runs.get(ref)
        if run is not None:
            processes.signal_if_same(run.alive.pid, run.alive.pid_start, number)

    def kill(self, ref: Ref) -> None:
        run = self._runs.get(ref)
        if run is None:
            return
        self._end_group(run.group)
        if run.alive.init:
            with contextlib.suppress(ProcessLookupError):
                os.kill(run.alive.init, signals.SIGKILL)  # The shim has not buried it: the pid is still its own.
        processes.kill_if_same(run.alive.pid, run.alive.pid_start)

    def _end_group(self, group: limits.Group) -> None:
        if group.kill:
            with contextlib.suppress(OSError), open(group.kill, "w") as f:
                f.write("1")

    async def _watch_memory(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            for ref, run in list(self._runs.items()):
                if run.memory is not None and processes.resident(run.alive.shim) > run.memory:
                    log.info("over its memory limit: container=%s limit=%d", ref, run.memory)
                    run.over = True
                    self.kill(ref)

    # --- directories

    def _directory(self, ref: Ref) -> str:
        return f"{self._pods}/{ref.uid}/containers/{ref.container}/{ref.attempt}"

    def log(self, ref: Ref) -> str:
        return self._directory(ref) + "/output.log"

    def attempts(self, uid: str, container: str) -> Sequence[int]:
        try:
            return sorted(int(n) for n in os.listdir(f"{self._pods}/{uid}/containers/{container}") if n.isdigit())
        except FileNotFoundError:
            return ()

    def forget(self, ref: Ref) -> None:
        shutil.rmtree(self._directory(ref), ignore_errors=True)

    def close(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
        loop = asyncio.get_running_loop()
        for run in self._runs.values():
            loop.remove_reader(run.fd)
            os.close(run.fd)
        self._runs.clear()


def _groups(spec: ContainerSpec) -> list[int] | None:
    user = spec.user
    if os.geteuid() != 0 or (user.uid is None and not user.groups):
        return None
    return list(user.groups)


def _compiled(state: str) -> str:
    """The shim as byte code: compiling it at every start would cost as much as all that it does."""
    source = os.path.join(os.path.dirname(os.path.dirname(__file__)), "shim.py")
    target = os.path.join(state, f"shim.{sys.implementation.cache_tag}.pyc")
    py_compile.compile(source, target, doraise=True)
    return target


def _bury(pid: int) -> None:
    """Collect an ended shim if it is our own child; one that was adopted is somebody else's."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _refusal(answer: bytes) -> _Refusal:
    try:
        return msgspec.json.decode(answer, type=_Refusal)
    except msgspec.DecodeError:
        return _Refusal("the shim ended without an answer")


async def _write_all(fd: int, data: bytes) -> None:
    """A pipe takes 64 KiB at once; more has to wait until the shim reads."""
    os.set_blocking(fd, False)
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            await _ready(fd, writing=True)


async def _read_line(fd: int) -> bytes:
    os.set_blocking(fd, False)
    data = b""
    while not data.endswith(b"\n"):
        await _ready(fd, writing=False)
        part = os.read(fd, 1 << 16)
        if not part:
            break
        data += part
    return data


async def _ready(fd: int, *, writing: bool) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    add, remove = (loop.add_writer, loop.remove_writer) if writing else (loop.add_reader, loop.remove_reader)
    add(fd, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        remove(fd)


def _read(directory: str, name: str, type_: type[Any]) -> Any:
    try:
        with open(f"{directory}/{name}.json", "rb") as f:
            return msgspec.json.decode(f.read(), type=type_)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _write(directory: str, name: str, record: Any) -> None:
    path = f"{directory}/{name}.json"
    with open(path + ".new", "wb") as f:
        f.write(msgspec.json.encode(record))
    os.rename(path + ".new", path)


RUNTIME = ProcessRuntime
