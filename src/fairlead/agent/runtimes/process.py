"""The process runtime: a container is a process in a directory of its own, behind the shim.

    <state>/pods/<uid>/containers/<name>/<attempt>/
        container.json   what was started, without its environment (which may hold secrets)
        output.log       standard output and error, as they came
        started.json     the shim's and the command's pids with their start times
        exit.json        how it ended
        input            the pipe to its standard input, where it has one
        work/            the working directory, unless the container names one or has a root of its own
    <state>/view/        the shims' scratch mount point, which each has in a mount namespace of its own

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
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from fairlead.agent import inside, limits, pipes, processes
from fairlead.agent import usage as accounting
from fairlead.agent.nursery import Nursery
from fairlead.agent.runtimes import ContainerSpec, Executed, Exited, Found, OnExit, Ref, Started, StartError, User
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
    cwd: str = "/"
    user: User = User()


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

    __slots__ = ("alive", "env", "fd", "over", "record")

    def __init__(self, alive: _Alive, fd: int, record: _Record, env: Mapping[str, str] | None = None) -> None:
        self.alive, self.fd, self.record, self.over = alive, fd, record, False
        self.env = env
        """What it was started with; None for one that was adopted."""

    @property
    def group(self) -> limits.Group:
        return self.record.group


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
        self._view = os.path.join(os.path.abspath(state), "view")
        os.makedirs(self._view, exist_ok=True)
        self._nursery = Nursery(_compiled(os.path.abspath(state)))

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
                self._follow(ref, _Run(alive, fd, record or _Record(0.0, limits.Group())))
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
        self._check(spec)
        directory, group = self._directory(spec.ref), limits.Group()
        try:
            os.makedirs(directory)
            os.mkdir(directory + "/work")
            group = self._limiter.create("_".join(map(str, spec.ref)), spec.limits)
            console = await self._console(spec, directory)
        except OSError as e:
            self._clean(group)
            if not isinstance(e, FileExistsError):
                shutil.rmtree(directory, ignore_errors=True)
            raise StartError("CreateContainerError", f"container {spec.ref.container}: {e}") from e
        if spec.user.uid is not None:
            os.chown(directory + "/work", spec.user.uid, -1 if spec.user.gid is None else spec.user.gid)
        cwd = spec.cwd or ("/" if spec.root else directory + "/work")
        record = _Record(self._clock.now(), group, spec.limits.memory, cwd, spec.user)
        _write(directory, "container", record)
        try:
            pid, answer = await self._spawn(self._order(spec, directory, record), console)
        finally:
            if console is not None:
                console.close()
        return self._launched(spec, record, pid, answer)

    def _check(self, spec: ContainerSpec) -> None:
        """Refuse what this node cannot do, before anything is made."""
        if not self._sandbox.mount and (spec.root or spec.mounts):
            raise StartError("CreateContainerError", "mounts and root directories need a sandbox; this node has none")
        self._processes_of(spec.beside)

    async def _console(self, spec: ContainerSpec, directory: str) -> inside.Console | None:
        if not spec.stdin and not spec.tty:
            return None
        return await inside.open_console(spec, directory + "/input", directory + "/output.log")

    def _launched(self, spec: ContainerSpec, record: _Record, pid: int, answer: bytes) -> Started:
        """The shim has answered."""
        directory, group = self._directory(spec.ref), record.group
        try:
            alive = msgspec.json.decode(answer, type=_Alive)
        except msgspec.DecodeError:
            if pid:
                inside.bury(pid)
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
            self._follow(spec.ref, _Run(alive, fd, record, spec.env))
        return Started(alive.pid, alive.started)

    def _ended_at_once(self, ref: Ref, alive: _Alive, group: limits.Group) -> None:
        inside.bury(alive.shim)
        self._report(ref, alive, group)

    async def _spawn(self, order: dict[str, Any], console: inside.Console | None) -> tuple[int, bytes]:
        """Start a shim, give it its order, and wait for its one line of answer."""
        inherited = (console.stdin, console.drained) if console is not None else ()
        for fd in inherited:
            os.set_inheritable(fd, True)
        try:
            pid, order_in, answer_out = self._fork(from_scratch=bool(inherited))
        finally:
            for fd in inherited:
                os.set_inheritable(fd, False)
        try:
            await pipes.write_all(order_in, msgspec.json.encode({**order, "inherited": inherited}))
        except BrokenPipeError:
            pass  # It is gone; its answer, or the lack of one, says so.
        finally:
            os.close(order_in)
        try:
            return pid, await pipes.read_line(answer_out)
        finally:
            os.close(answer_out)

    def _fork(self, *, from_scratch: bool) -> tuple[int, int, int]:
        """A new shim: its pid if it is our own child, its input, its output."""
        order_out, order_in = os.pipe()
        answer_out, answer_in = os.pipe()
        pid = 0
        try:
            if from_scratch:
                pid = self._nursery.spawn(order_out, answer_in)
            else:
                self._nursery.fork(order_out, answer_in)
        finally:
            os.close(order_out)
            os.close(answer_in)
        return pid, order_in, answer_out

    def _order(self, spec: ContainerSpec, directory: str, record: _Record) -> dict[str, Any]:
        return {
            "dir": directory, "command": spec.command, "env": _environment(spec.env, spec.tty), "cwd": record.cwd,
            "log": directory + "/output.log", "scratch": self._view, "root": spec.root,
            "hostname": spec.hostname if self._sandbox.mount else "", "netns": spec.netns, "mounts": spec.mounts,
            "mountns": self._sandbox.mount, "pidns": self._sandbox.pid, "userns": self._sandbox.user,
            "beside": self._processes_of(spec.beside),
            "kill": record.group.kill, "oom": record.group.oom, **_limits(record), "terminal": spec.tty,
        }  # fmt: skip

    def _processes_of(self, ref: Ref | None) -> str:
        """The pid namespace to join; empty for one of its own, or where there are none."""
        run = self._runs.get(ref) if ref is not None else None
        if ref is None or not self._sandbox.pid:
            return ""
        if run is None or self._sandbox.user:
            why = "does not run" if run is None else "is in a user namespace, which cannot be joined"
            raise StartError("CreateContainerError", f"the processes of {ref.container} cannot be shared: it {why}")
        return f"/proc/{run.alive.pid}/ns/pid"

    async def execute(
        self, ref: Ref, command: Sequence[str], files: tuple[int, int, int], *, terminal: bool = False
    ) -> Executed:
        run = self._runs.get(ref)
        if run is None:
            raise StartError("ContainerNotRunning", f"container {ref.container} is not running")
        alive = run.alive
        env = _environment_of(alive.pid) if run.env is None else run.env
        order = {
            "command": command, "env": _environment(env, terminal), "cwd": run.record.cwd, "terminal": terminal,
            "pid": alive.pid, "pid_start": alive.pid_start, **_limits(run.record),
        }  # fmt: skip
        return await inside.execute(order, files)

    def input(self, ref: Ref) -> str:
        path = self._directory(ref) + "/input"
        return path if os.path.exists(path) else ""

    # --- ends

    def _follow(self, ref: Ref, run: _Run) -> None:
        self._runs[ref] = run
        asyncio.get_running_loop().add_reader(run.fd, self._shim_ended, ref)

    def _shim_ended(self, ref: Ref) -> None:
        run = self._runs.pop(ref)
        asyncio.get_running_loop().remove_reader(run.fd)
        os.close(run.fd)
        inside.bury(run.alive.shim)
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

    def usage(self, ref: Ref) -> accounting.Used | None:
        run = self._runs.get(ref)
        return accounting.of_container(run.group.directories, run.alive.pid) if run is not None else None

    def _end_group(self, group: limits.Group) -> None:
        if group.kill:
            with contextlib.suppress(OSError), open(group.kill, "w") as f:
                f.write("1")

    async def _watch_memory(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            for ref, run in list(self._runs.items()):
                most = run.record.memory
                if most is not None and processes.resident(run.alive.shim) > most:
                    log.info("over its memory limit: container=%s limit=%d", ref, most)
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
        self._nursery.close()
        loop = asyncio.get_running_loop()
        for run in self._runs.values():
            loop.remove_reader(run.fd)
            os.close(run.fd)
        self._runs.clear()


def _limits(record: _Record) -> dict[str, Any]:
    """Where a command is put, and whom it runs as."""
    user, group = record.user, record.group
    groups = list(user.groups) if os.geteuid() == 0 and (user.uid is not None or user.groups) else None
    return {"cgroups": group.procs, "rlimits": group.rlimits, "uid": user.uid, "gid": user.gid, "groups": groups}


def _environment(env: Mapping[str, str], terminal: bool) -> Mapping[str, str]:
    return {"TERM": "xterm", **env} if terminal else env


def _environment_of(pid: int) -> dict[str, str]:
    """What a process was started with."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as f:
            pairs = (os.fsdecode(pair).partition("=") for pair in f.read().split(b"\0") if b"=" in pair)
            return {name: value for name, _, value in pairs}
    except OSError:
        return {}


def _compiled(state: str) -> str:
    """The shim as byte code: compiling it at every start would cost as much as all that it does."""
    source = os.path.join(os.path.dirname(os.path.dirname(__file__)), "shim.py")
    target = os.path.join(state, f"shim.{sys.implementation.cache_tag}.pyc")
    py_compile.compile(source, target, doraise=True)
    return target


def _refusal(answer: bytes) -> _Refusal:
    try:
        return msgspec.json.decode(answer, type=_Refusal)
    except msgspec.DecodeError:
        return _Refusal("the shim ended without an answer")


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
