"""nursery: the agent's side of the zygote: where shims come from. Without a zygote they are started from scratch."""

from __future__ import annotations

import array
import os
import socket
import sys

from fairlead.agent import inside
from fairlead.base import telemetry

log = telemetry.logger("agent.process")


class Nursery:
    """Starts shims. `program` is the shim as byte code; a zygote is made when the first shim is wanted."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._zygote: tuple[int, socket.socket] | None = None

    def fork(self, order: int, answer: int) -> None:
        """A shim that reads its order and gives its answer on these descriptors, which stay the caller's to close."""
        for _ in range(2):
            pid, channel = self._zygote = self._zygote or self._make()
            try:
                channel.sendmsg([b"f"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", (order, answer)))])
            except OSError as e:
                log.info("the zygote is gone (%s): process=%d", e, pid)
                self.close()
            else:
                return
        raise OSError("no shim can be forked: two zygotes have ended at once")

    def spawn(self, order: int, answer: int) -> int:
        """A shim from scratch, which inherits what is inheritable. Answers its pid: it is our child."""
        files = [
            (os.POSIX_SPAWN_DUP2, order, 0), (os.POSIX_SPAWN_DUP2, answer, 1),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        ]  # fmt: skip
        command = [sys.executable, "-I", "-S", "-E", self._program]
        return os.posix_spawn(sys.executable, command, inside.ENVIRONMENT, file_actions=files)

    def _make(self) -> tuple[int, socket.socket]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        nothing = os.open(os.devnull, os.O_RDWR)
        try:
            return inside.spawn("zygote", (), (theirs.fileno(), nothing, nothing), ()), ours
        finally:
            theirs.close()
            os.close(nothing)

    def close(self) -> None:
        """Let the zygote go; its shims go on."""
        if self._zygote is not None:
            pid, channel = self._zygote
            self._zygote = None
            channel.close()
            inside.bury(pid)
