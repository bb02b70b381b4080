"""Home: the state folder of one embedded control plane, and whether that control plane runs.

`<dir>/kubeconfig` is for clients, `<dir>/api.sock` for those of this machine and without credentials,
`<dir>/fairlead.json` says which process serves the folder, `<dir>/fairlead.log` is the log of a detached one. The lock
that keeps two control planes apart is the store's, not decided here.
"""

from __future__ import annotations

import os
import select
from pathlib import Path

import msgspec

DIR_VARIABLE = "FAIRLEAD_DIR"


class Running(msgspec.Struct, frozen=True):
    """The process that serves a folder. `ticks` is its start time as the kernel counts it: pids are used again."""

    pid: int
    url: str
    started: float
    ticks: str = ""


class Home:
    """Paths of a state folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kubeconfig = path / "kubeconfig"
        self.log = path / "fairlead.log"
        self.record = path / "fairlead.json"
        self.socket = path / "api.sock"

    def running(self) -> Running | None:
        """The control plane that serves this folder now, if any."""
        try:
            found = msgspec.json.decode(self.record.read_bytes(), type=Running)
        except (OSError, msgspec.DecodeError):
            return None
        return found if alive(found.pid, found.ticks) else None

    def note(self, running: Running) -> None:
        """Record the process that serves this folder, whole or not at all."""
        draft = self.record.with_suffix(f".{os.getpid()}")
        draft.write_bytes(msgspec.json.encode(running))
        draft.replace(self.record)

    def forget(self) -> None:
        """The control plane has stopped."""
        self.record.unlink(missing_ok=True)


def default() -> Home:
    """The folder in $FAIRLEAD_DIR, else `~/.fairlead`."""
    return Home(Path(os.environ.get(DIR_VARIABLE) or Path.home() / ".fairlead"))


def ticks(pid: int) -> str:
    """The start time of a process in clock ticks since boot; empty where /proc does not tell."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]


def alive(pid: int, started: str = "") -> bool:
    """Whether that very process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return not started or not ticks(pid) or ticks(pid) == started


def wait(running: Running, seconds: float) -> bool:
    """Wait for the end of a process, at most that long. True when it has ended."""
    try:
        ended = os.pidfd_open(running.pid)
    except ProcessLookupError:
        return True
    try:
        return not alive(running.pid, running.ticks) or bool(select.select([ended], [], [], seconds)[0])
    finally:
        os.close(ended)
