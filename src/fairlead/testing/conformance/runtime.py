"""What every runtime must do: the promises of `agent.runtimes.Runtime` as checks, each a function of a fresh bench.

@pytest.mark.parametrize("check", runtime.CHECKS, ids=runtime.name)
async def test_conforms(check, bench):
    await check(bench)

The checks start real containers. What a machine cannot do is not silently passed: a check that needs it is told by
`Abilities`, and then holds the runtime to its refusal instead.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from fairlead.agent.runtimes import ContainerSpec, Exited, Found, Limits, Mount, Ref, Runtime, StartError

Check = Callable[["Bench"], Awaitable[None]]
CHECKS: list[Check] = []
SECONDS = 20.0
"""How long a check waits for what must happen soon."""


class Abilities(msgspec.Struct, frozen=True):
    """What the runtime can do on this machine."""

    mounts: bool = True
    memory: bool = True
    """A memory limit is held."""


class Bench:
    """A runtime on a workbench. `make` makes one over the same state directory again and again."""

    def __init__(self, make: Callable[[], Runtime], abilities: Abilities, scratch: str) -> None:
        self._make, self.abilities, self.scratch = make, abilities, scratch
        self.ends: dict[Ref, Exited] = {}
        self.reports = 0
        self._changed = asyncio.Event()
        self.runtime = make()
        self.found: Sequence[Found] = self.runtime.open(self._ended)

    def _ended(self, ref: Ref, exited: Exited) -> None:
        self.ends[ref] = exited
        self.reports += 1
        self._changed.set()

    def reopen(self) -> None:
        """Another runtime over the same state, as after a restart of the agent."""
        self.runtime.close()
        self.runtime = self._make()
        self.found = self.runtime.open(self._ended)

    async def start(self, *command: str, container: str = "main", attempt: int = 0, **more: object) -> Ref:
        ref = Ref("pod", container, attempt)
        fields = {"env": {"PATH": os.environ.get("PATH", os.defpath)}, **more}
        await self.runtime.start(msgspec.structs.replace(ContainerSpec(ref, command, {}), **fields))
        return ref

    async def end(self, ref: Ref) -> Exited:
        """The end of an attempt, reported by the runtime."""
        async with asyncio.timeout(SECONDS):
            while ref not in self.ends:
                self._changed.clear()
                await self._changed.wait()
        return self.ends[ref]

    def log(self, ref: Ref) -> str:
        with open(self.runtime.log(ref)) as f:
            return f.read()

    def place(self, file: str, content: str) -> str:
        """Write a file into the scratch directory; answers its path."""
        path = os.path.join(self.scratch, file)
        with open(path, "w") as f:
            f.write(content)
        return path

    async def said(self, ref: Ref, text: str) -> None:
        """Return once the log has that text."""
        await until(lambda: os.path.exists(self.runtime.log(ref)) and text in self.log(ref))

    async def close(self) -> None:
        """End everything."""
        self.reopen()
        running = [f.ref for f in self.found if f.exited is None]
        for ref in running:
            self.runtime.kill(ref)
        for ref in running:
            await self.end(ref)
        self.runtime.close()


async def until(true: Callable[[], bool]) -> None:
    """Return once it is true."""
    limit = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < limit, "waited in vain"
        await asyncio.sleep(0.005)


def name(check: Check) -> str:
    """A check's name, for reports."""
    return str(getattr(check, "__name__", check))


def _check(function: Check) -> Check:
    CHECKS.append(function)
    return function


# --- how it ends ---------------------------------------------------------------------------------------------------


@_check
async def reports_the_exit_code(bench: Bench) -> None:
    ref = await bench.start("sh", "-c", "exit 7")
    end = await bench.end(ref)
    assert (end.code, end.signal, end.oom) == (7, 0, False)
    assert 0 < end.started <= end.finished <= time.time() + 1
    assert bench.reports == 1


@_check
async def reports_a_signal_as_128_and_its_number(bench: Bench) -> None:
    ref = await bench.start("sleep", "60")
    bench.runtime.signal(ref, signal.SIGTERM)
    end = await bench.end(ref)
    assert (end.code, end.signal) == (143, 15)


@_check
async def passes_signals_to_the_command(bench: Bench) -> None:
    ref = await bench.start("sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done")
    await bench.said(ref, "ready")
    bench.runtime.signal(ref, signal.SIGTERM)
    assert (await bench.end(ref)).code == 5


@_check
async def kills_what_does_not_listen(bench: Bench) -> None:
    ref = await bench.start("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    await bench.said(ref, "ready")
    bench.runtime.signal(ref, signal.SIGTERM)
    bench.runtime.kill(ref)
    assert (await bench.end(ref)).code == 137


@_check
async def kills_what_left_the_session(bench: Bench) -> None:
    """As torchrun's ranks do. They are told from other processes by a file that only they hold open."""
    ref = await bench.start("sh", "-c", _escape(bench) + "echo ready; sleep 60")
    await bench.said(ref, "ready")
    assert _holders(bench)
    bench.runtime.kill(ref)
    await bench.end(ref)
    assert not _holders(bench)


@_check
async def ends_what_the_command_leaves_behind(bench: Bench) -> None:
    ref = await bench.start("sh", "-c", _escape(bench) + "exit 0")
    assert (await bench.end(ref)).code == 0
    assert not _holders(bench)


def _escape(bench: Bench) -> str:
    """Shell text: start a process in a session of its own that holds a file open, twice removed from its parent."""
    marker = os.path.join(bench.scratch, "marker")
    return f"exec 9>{marker}; (setsid sleep 61 &) ; exec 9>&-; "


def _holders(bench: Bench) -> list[str]:
    """The processes that hold the marker file open."""
    marker, found = os.path.join(bench.scratch, "marker"), []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        except OSError:
            continue
        if marker in links:
            found.append(pid)
    return found


@_check
async def memory_beyond_the_limit_is_reported(bench: Bench) -> None:
    if not bench.abilities.memory:
        return
    hog = "x = bytearray(400 << 20); print('allocated'); import time; time.sleep(60)"
    ref = await bench.start(shutil.which("python3") or "python3", "-c", hog, limits=Limits(memory=64 << 20))
    end = await bench.end(ref)
    assert (end.code, end.oom) == (137, True)


# --- how it begins -------------------------------------------------------------------------------------------------


@_check
async def output_is_in_the_log(bench: Bench) -> None:
    ref = await bench.start("sh", "-c", "echo out; echo err >&2")
    await bench.end(ref)
    assert sorted(bench.log(ref).splitlines()) == ["err", "out"]


@_check
async def environment_is_what_was_asked_for(bench: Bench) -> None:
    ref = await bench.start("env", env={"PATH": os.environ.get("PATH", os.defpath), "MINE": "a b\nü"})
    await bench.end(ref)
    lines = bench.log(ref).splitlines()
    assert "MINE=a b" in lines
    assert "ü" in lines
    assert {line.split("=")[0] for line in lines if "=" in line} == {"PATH", "MINE"}


@_check
async def each_attempt_has_a_directory_of_its_own(bench: Bench) -> None:
    first = await bench.start("sh", "-c", "ls -a; touch mine")
    await bench.end(first)
    second = await bench.start("sh", "-c", "ls", attempt=1)
    await bench.end(second)
    assert bench.log(second) == ""
    assert list(bench.runtime.attempts("pod", "main")) == [0, 1]
    bench.runtime.forget(first)
    assert list(bench.runtime.attempts("pod", "main")) == [1]


@_check
async def a_working_directory_may_be_named(bench: Bench) -> None:
    ref = await bench.start("pwd", cwd=bench.scratch)
    await bench.end(ref)
    assert bench.log(ref).strip() == bench.scratch


@_check
async def a_command_that_is_not_there_counts_as_an_attempt(bench: Bench) -> None:
    error = await _refusal(bench.start("no-such-command"))
    assert error.fatal
    assert "no-such-command" in str(error)
    assert list(bench.runtime.attempts("pod", "main")) == [0]
    bench.reopen()
    assert [f.exited.code for f in bench.found if f.exited] == [128]


@_check
async def a_container_starts_once(bench: Bench) -> None:
    ref = await bench.start("sleep", "60")
    await _refusal(bench.start("sleep", "60"))
    bench.runtime.kill(ref)
    await bench.end(ref)
    assert bench.reports == 1


async def _refusal(start: Awaitable[Ref]) -> StartError:
    try:
        await start
    except StartError as e:
        return e
    raise AssertionError("started")


@_check
async def many_start_at_once(bench: Bench) -> None:
    refs = await asyncio.gather(*[bench.start("sh", "-c", f"exit {i}", container=f"c{i}") for i in range(20)])
    assert [(await bench.end(ref)).code for ref in refs] == list(range(20))


# --- what it sees --------------------------------------------------------------------------------------------------


@_check
async def a_mount_is_at_its_path_and_nowhere_on_the_host(bench: Bench) -> None:
    bench.place("file", "content")
    targets = ["/fairlead-check", "/etc/fairlead-check/deep", "/usr/share/fairlead-check"]
    mounts = tuple(Mount(t, bench.scratch) for t in targets)
    if not bench.abilities.mounts:
        await _refusal(bench.start("true", mounts=mounts))
        return
    ref = await bench.start(
        "sh", "-c", f"cat {targets[0]}/file; touch {' '.join(t + '/t$$' for t in targets)}", mounts=mounts
    )
    assert (await bench.end(ref)).code == 0
    assert bench.log(ref) == "content"
    assert any(n.startswith("t") for n in os.listdir(bench.scratch))
    assert not _there(targets[0], "/etc/fairlead-check", targets[2])


@_check
async def a_read_only_mount_is_read_only(bench: Bench) -> None:
    if not bench.abilities.mounts:
        return
    mount = Mount("/fairlead-check", bench.scratch, read_only=True)
    ref = await bench.start("sh", "-c", "touch /fairlead-check/x", mounts=(mount,))
    assert (await bench.end(ref)).code != 0
    assert not _there(bench.scratch + "/x")


def _there(*paths: str) -> list[str]:
    """Those that exist on the host."""
    return [p for p in paths if os.path.lexists(p)]


@_check
async def a_file_may_be_mounted_over_another(bench: Bench) -> None:
    if not bench.abilities.mounts:
        return
    hosts = bench.place("hosts", "127.0.0.1 first\n")
    ref = await bench.start("sh", "-c", "cat /etc/hosts; echo; sleep 60", mounts=(Mount("/etc/hosts", hosts),))
    await bench.said(ref, "first")
    bench.runtime.kill(ref)
    await bench.end(ref)


# --- restarts of the agent -----------------------------------------------------------------------------------------


@_check
async def what_runs_is_adopted(bench: Bench) -> None:
    ref = await bench.start("sh", "-c", "echo ready; trap 'exit 9' TERM; while :; do sleep 0.05; done")
    await bench.said(ref, "ready")
    bench.reopen()
    assert [(f.ref, f.exited) for f in bench.found] == [(ref, None)]
    bench.runtime.signal(ref, signal.SIGTERM)
    assert (await bench.end(ref)).code == 9
    assert bench.reports == 1


@_check
async def what_ended_while_nobody_looked_is_found(bench: Bench) -> None:
    go = os.path.join(bench.scratch, "go")
    ref = await bench.start("sh", "-c", f"while [ ! -e {go} ]; do sleep 0.02; done; exit 4")
    bench.runtime.close()
    bench.place("go", "")
    await asyncio.sleep(0.3)
    bench.runtime = bench._make()
    found = bench.runtime.open(bench._ended)
    if found[0].exited is None:  # A slow machine: then it is reported instead.
        assert (await bench.end(ref)).code == 4
        return
    assert [(f.ref, f.exited.code) for f in found if f.exited] == [(ref, 4)]
    assert bench.reports == 0


@_check
async def signals_after_the_end_do_nothing(bench: Bench) -> None:
    ref = await bench.start("true")
    await bench.end(ref)
    bench.runtime.signal(ref, signal.SIGTERM)
    bench.runtime.kill(ref)
    bench.reopen()
    assert [f.ref for f in bench.found] == [ref]
    assert bench.reports == 1
