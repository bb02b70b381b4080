"""NodeConnection: what the API server asks of a node's agent (the kubelet's API, as Pods' subresources need it).

The agent implements it; the composition root hands it to the API server. Neither imports the other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from enum import IntEnum
from typing import Protocol

import msgspec


class LogOptions(msgspec.Struct, frozen=True):
    """`PodLogOptions`. `since` is seconds since the epoch (the server resolves sinceSeconds and sinceTime)."""

    container: str
    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    since: float | None = None
    tail_lines: int | None = None
    limit_bytes: int | None = None


class Channel(IntEnum):
    """The streams of a process, with the numbers that they have on the wire."""

    STDIN = 0
    STDOUT = 1
    STDERR = 2
    ERROR = 3
    """One message, the last: a Status, with the exit code where it is not 0."""
    RESIZE = 4
    """Messages of a `Size`."""


class Forward(IntEnum):
    """The streams of a connection to a port."""

    DATA = 0
    ERROR = 1
    """One message, the last, and only when something went wrong: a line of text."""


class Size(msgspec.Struct, frozen=True, rename="pascal"):
    """A terminal's size in characters."""

    width: int
    height: int


class AttachOptions(msgspec.Struct, frozen=True):
    """`PodAttachOptions`: which streams are wanted. With a terminal there is no stderr of its own."""

    container: str
    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    tty: bool = False


class ExecOptions(AttachOptions, frozen=True):
    """`PodExecOptions`."""

    command: tuple[str, ...] = ()


class Duplex(Protocol):
    """Bytes both ways, in numbered channels (`Channel` or `Forward`).

    Iterated once, it gives (channel, bytes) until there is no more. Whoever holds one closes it, at any time: what
    it started then ends, if it has not.
    """

    def __aiter__(self) -> AsyncIterator[tuple[int, bytes]]:
        """What comes."""

    async def send(self, channel: int, data: bytes) -> None:
        """Send; returns when it can take more. No bytes end the channel. Nothing happens where nobody listens."""

    async def close(self) -> None:
        """Let go, and end what runs for it."""


class ContainerUsage(msgspec.Struct, frozen=True):
    """CPU seconds since this attempt started, and bytes of memory now."""

    name: str
    attempt: int
    cpu: float
    memory: int


class PodUsage(msgspec.Struct, frozen=True):
    """A Pod's running containers."""

    namespace: str
    name: str
    uid: str
    containers: tuple[ContainerUsage, ...] = ()


class NodeUsage(msgspec.Struct, frozen=True):
    """A reading: what the machine has used of CPU (seconds since some time) and memory, and its Pods. `time` is when,
    in seconds since the epoch."""

    time: float
    cpu: float
    memory: int
    pods: tuple[PodUsage, ...] = ()


class NodeConnection(Protocol):
    """One node's agent. Each method raises StatusError when it cannot be done at all (no such container, …)."""

    async def logs(self, namespace: str, pod: str, options: LogOptions) -> AsyncIterator[bytes]:
        """Chunks of a container's output. Raises StatusError before the first chunk (no such container, …)."""

    async def exec(self, namespace: str, pod: str, options: ExecOptions) -> Duplex:
        """Run a command inside a running container."""

    async def attach(self, namespace: str, pod: str, options: AttachOptions) -> Duplex:
        """Join a container's own streams. Its end ends them; closing them does not end it."""

    async def port_forward(self, namespace: str, pod: str, port: int) -> Duplex:
        """One connection to a port of a Pod."""

    async def usage(self) -> NodeUsage:
        """What the node and its Pods use."""


class Nodes(Protocol):
    """Finds the agent of a node by the node's name; None when it is not connected."""

    def connection(self, node: str) -> NodeConnection | None:
        """The connection to that node's agent."""
