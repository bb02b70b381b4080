"""names: the hosts files: one per namespace, and one per Pod that has host aliases. What is in them: `hosts`.

They are rewritten in place, because they are bound into containers, which hold on to the file and not to its name.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence

from fairlead.agent import hosts
from fairlead.api.core import Pod, Service

_GATHER = 0.01
"""Seconds in which changes may come together."""


class Names:
    """`services`: those that there are; `told(service, peers)`: the addresses that its name stands for."""

    def __init__(
        self,
        state: str,
        services: Callable[[], Sequence[Service]],
        told: Callable[[Service, Sequence[hosts.Peer]], Sequence[str]],
        fixed: Mapping[str, str],
    ) -> None:
        self._directory = os.path.join(os.path.abspath(state), "hosts")
        self._services, self._told, self._fixed = services, told, fixed
        self._peers: dict[str, hosts.Peer] = {}
        self._aliases: dict[str, tuple[str, str]] = {}
        self._written: dict[str, str] = {}
        self._timer: asyncio.TimerHandle | None = None
        os.makedirs(self._directory, exist_ok=True)

    def join(self, pod: Pod, ip: str) -> None:
        """A Pod has an address. Its namespace's file has it when this returns; other files soon have."""
        peer = hosts.peer(pod, ip)
        if self._peers.get(pod.metadata.uid) != peer:
            self._peers[pod.metadata.uid] = peer
            self._write(pod.metadata.namespace)
            self.refresh()

    def leave(self, uid: str) -> None:
        self._aliases.pop(uid, None)
        if self._peers.pop(uid, None) is not None:
            self.refresh()

    def refresh(self) -> None:
        """Services or Pods changed: rewrite, once for all changes that come together."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_GATHER, self._rewrite)

    def close(self) -> None:
        """What is still to be rewritten will be by the next agent."""
        if self._timer is not None:
            self._timer.cancel()

    def _rewrite(self) -> None:
        self._timer = None
        for namespace in list(self._written):
            self._write(namespace)

    def file(self, pod: Pod) -> str:
        """The hosts file for a Pod's containers."""
        namespace, aliases = pod.metadata.namespace, pod.spec.hostAliases
        if not aliases:
            if namespace not in self._written:
                self._write(namespace)
            return os.path.join(self._directory, namespace)
        text = "".join(f"{a.ip} {' '.join(a.hostnames)}\n" for a in aliases)
        self._aliases[pod.metadata.uid] = (namespace, text)
        self._write(namespace)
        return os.path.join(self._directory, namespace + "." + pod.metadata.uid)

    def peers(self, pod: Pod) -> dict[str, str]:
        """The dotted names that the Pod's namespace knows."""
        return hosts.dotted(pod.metadata.namespace, list(self._peers.values()), self._named())

    def _named(self) -> list[hosts.Named]:
        peers = list(self._peers.values())
        return [hosts.named(s, self._told(s, peers)) for s in self._services()]

    def _write(self, namespace: str) -> None:
        text = hosts.render(namespace, list(self._peers.values()), self._named(), self._fixed)
        if self._written.get(namespace) != text:
            self._written[namespace] = text
            _overwrite(os.path.join(self._directory, namespace), text)
        for uid, (of, aliases) in self._aliases.items():
            if of == namespace:
                _overwrite(os.path.join(self._directory, f"{namespace}.{uid}"), text + aliases)


def _overwrite(path: str, text: str) -> None:
    """Replace a file's content, not the file. Most changes append, so that a reader in between misses little."""
    data = text.encode()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.pwrite(fd, data, 0)
        os.ftruncate(fd, len(data))
    finally:
        os.close(fd)
