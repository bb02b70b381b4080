"""NodeConnection: what the API server asks of a node's agent (the kubelet's API, as Pods' subresources need it).

The agent implements it; the composition root hands it to the API server. Neither imports the other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
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


class NodeConnection(Protocol):
    """One node's agent."""

    async def logs(self, namespace: str, pod: str, options: LogOptions) -> AsyncIterator[bytes]:
        """Chunks of a container's output. Raises StatusError before the first chunk (no such container, …)."""


class Nodes(Protocol):
    """Finds the agent of a node by the node's name; None when it is not connected."""

    def connection(self, node: str) -> NodeConnection | None:
        """The connection to that node's agent."""
