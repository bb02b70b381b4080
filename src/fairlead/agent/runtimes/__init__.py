"""Runtimes: what runs one container. `Runtime` is the protocol; each file beside this one exports `RUNTIME`.

A runtime knows no API and no Pod life cycle. It starts what a `ContainerSpec` says, reports each end exactly once, and
finds again after a restart of the agent whatever it started before. Its facts survive the agent; its memory does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

import msgspec

from fairlead.agent.usage import Used


class Ref(NamedTuple):
    """One run of one container: the Pod's uid, the container's name, and which attempt it is (from 0)."""

    uid: str
    container: str
    attempt: int

    def __str__(self) -> str:
        return f"{self.uid}/{self.container}/{self.attempt}"


class Mount(msgspec.Struct, frozen=True):
    """A path of the host at a path of the container. `tmpfs` has no source."""

    target: str
    source: str = ""
    read_only: bool = False
    kind: Literal["bind", "tmpfs"] = "bind"
    size: int = 0
    """Bytes; tmpfs only, 0 for no limit of its own."""


class Limits(msgspec.Struct, frozen=True):
    """What a container may use; None is without limit."""

    memory: int | None = None
    """Bytes."""
    cpu: int | None = None
    """Thousandths of a core."""
    cpu_request: int = 0
    """Thousandths of a core: the weight under contention."""
    pids: int | None = None


class User(msgspec.Struct, frozen=True):
    """Whom a container runs as; None leaves it as the agent's own."""

    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] = ()


class ContainerSpec(msgspec.Struct, frozen=True):
    """Everything needed to start one attempt of one container."""

    ref: Ref
    command: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str = ""
    """Empty: a directory of its own, made for this attempt."""
    hostname: str = ""
    netns: str = ""
    """A network namespace's file; empty for the host's network."""
    mounts: tuple[Mount, ...] = ()
    limits: Limits = Limits()
    user: User = User()
    root: str = ""
    """A directory that becomes the container's root; empty for the host's."""
    stdin: bool = False
    """Its standard input is kept open for whoever attaches; else it is empty."""
    stdin_once: bool = False
    """The first to attach ends it, too."""
    tty: bool = False
    """Its standard streams are one terminal."""
    beside: Ref | None = None
    """A running attempt whose processes it sees and may signal."""


class Started(msgspec.Struct, frozen=True):
    """A container whose command was executed. `pid` is the command's, in the host's numbering."""

    pid: int
    at: float


class Exited(msgspec.Struct, frozen=True):
    """How an attempt ended. `code` is 128 + n for signal n."""

    code: int
    signal: int = 0
    oom: bool = False
    started: float = 0.0
    finished: float = 0.0
    reason: str = ""
    """Set where the runtime knows better than the code tells, such as `ContainerStatusUnknown`."""
    message: str = ""


class Found(msgspec.Struct, frozen=True):
    """What a runtime knows of one attempt: it runs (`exited` is None) or ended."""

    ref: Ref
    started: float
    exited: Exited | None = None
    pid: int = 0


class StartError(Exception):
    """The container could not be started. `reason` is a waiting reason, such as CreateContainerError.

    `fatal`: the attempt counts (its command cannot be executed), as Kubernetes counts it: exit code 128, StartError.
    """

    def __init__(self, reason: str, message: str, *, fatal: bool = False) -> None:
        super().__init__(message)
        self.reason, self.message, self.fatal = reason, message, fatal


class Executed(Protocol):
    """A further process in a running container."""

    async def wait(self) -> int:
        """Its exit code (128 + n for signal n). What it started may go on."""

    def kill(self) -> None:
        """End it and everything that it started. Nothing happens when it has ended."""


OnExit = Callable[[Ref, Exited], None]


class Runtime(Protocol):
    """See the module's text. All methods are called from one event loop."""

    def open(self, on_exit: OnExit) -> Sequence[Found]:
        """Adopt whatever was started before and is still known; from now on report each end to `on_exit`.

        Ends that happened while nobody looked are in the answer, not reported.
        """

    async def start(self, spec: ContainerSpec) -> Started:
        """Start an attempt; returns once its command was executed. Raises StartError, and then nothing of it runs."""

    def signal(self, ref: Ref, number: int) -> None:
        """Send a signal to the command (not to its children). Nothing happens when it has ended."""

    def kill(self, ref: Ref) -> None:
        """End the command and everything that it started, wherever it went. The end is reported as usual."""

    async def execute(
        self, ref: Ref, command: Sequence[str], files: tuple[int, int, int], *, terminal: bool = False
    ) -> Executed:
        """Run a command in a running container, as the container's user, in its directory, with its environment.

        `files` become its standard streams; they stay the caller's to close. With `terminal` they are a terminal, which
        becomes its own. Raises StartError when the container does not run or the command cannot be executed.
        """

    def input(self, ref: Ref) -> str:
        """The pipe that leads to the container's standard input (`console`); empty when there is none."""

    def usage(self, ref: Ref) -> Used | None:
        """What a running container has used of CPU and uses of memory; None when it is over."""

    def log(self, ref: Ref) -> str:
        """The file that has its output."""

    def attempts(self, uid: str, container: str) -> Sequence[int]:
        """The attempts that have a directory, oldest first."""

    def forget(self, ref: Ref) -> None:
        """Remove the directory of an attempt that ended."""

    def close(self) -> None:
        """Stop watching. What runs keeps running."""
