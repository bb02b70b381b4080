"""The process runtime, held to the runtimes' promises with every sandbox and limiter that this machine allows.

The ids of the cases say what was found; a machine without cgroups or namespaces runs fewer cases, never empty ones.
"""

from __future__ import annotations

import atexit
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from fairlead.agent import capabilities, limits
from fairlead.agent.runtimes.process import ProcessRuntime, Sandbox
from fairlead.testing.conformance import execution, runtime


def _cases() -> Iterator[tuple[limits.Limiter, Sandbox]]:
    holder = tempfile.TemporaryDirectory()
    atexit.register(holder.cleanup)
    limiter, _ = limits.detect()
    best, _ = capabilities.detect_sandbox(holder.name)
    yield limiter, best
    if best.mount and not best.user and not capabilities.trial(Sandbox(mount=True, pid=True, user=True), holder.name):
        yield limiter, Sandbox(mount=True, pid=True, user=True)
    yield limits.Rlimits(), Sandbox()


CASES = list(_cases())


@pytest.fixture(params=CASES, ids=[f"{limiter.name}+{box.name}" for limiter, box in CASES])
def make_bench(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], runtime.Bench]:
    limiter, box = request.param
    state, scratch = str(tmp_path / "state"), tmp_path.resolve() / "scratch"
    scratch.mkdir()
    # Groups are named by the Pod's uid, so benches side by side must not share one.
    named = Renamed(limiter, tmp_path.name)
    abilities = runtime.Abilities(mounts=box.mount)
    return lambda: runtime.Bench(lambda: ProcessRuntime(state, named, box), abilities, str(scratch))


@pytest.fixture
async def bench(make_bench: Callable[[], runtime.Bench]) -> AsyncIterator[runtime.Bench]:
    made = make_bench()
    yield made
    await made.close()


class Renamed:
    """A limiter whose groups have a prefix."""

    def __init__(self, inner: limits.Limiter, prefix: str) -> None:
        self._inner, self._prefix = inner, prefix
        self.name, self.watched = inner.name, inner.watched

    def create(self, name: str, wanted: limits.Limits) -> limits.Group:
        return self._inner.create(f"{self._prefix}-{os.getpid()}-{name}", wanted)

    def remove(self, group: limits.Group) -> bool:
        return self._inner.remove(group)


@pytest.mark.parametrize("check", runtime.CHECKS, ids=runtime.name)
async def test_conforms(check: runtime.Check, bench: runtime.Bench) -> None:
    await check(bench)


@pytest.mark.parametrize("check", execution.CHECKS, ids=runtime.name)
async def test_lets_others_in(check: runtime.Check, bench: runtime.Bench) -> None:
    await check(bench)


async def test_what_was_never_started_is_no_attempt(bench: runtime.Bench) -> None:
    """The agent died between making the directory and starting the command."""
    ref = await bench.start("true")
    await bench.end(ref)
    directory = Path(bench.runtime.log(ref)).parent
    for name in ("started.json", "exit.json"):
        (directory / name).unlink()
    bench.reopen()
    assert list(bench.found) == []
    assert list(bench.runtime.attempts("pod", "main")) == []
