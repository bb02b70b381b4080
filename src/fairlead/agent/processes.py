"""Processes as /proc tells of them: named by pid and start time together, because pids come back.

It never signals by process group: torchrun's ranks, and whatever else calls setsid, have left it.
"""

from __future__ import annotations

import contextlib
import os
import signal


def start_time(pid: int) -> int | None:
    """Clock ticks from boot to the process's start; None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as f:
            return int(f.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError):
        return None


def open_pidfd(pid: int, started: int) -> int | None:
    """A descriptor that becomes readable when that very process ends; None when it is gone."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return None
    if start_time(pid) == started:
        return fd
    os.close(fd)
    return None


def signal_if_same(pid: int, started: int, number: int) -> None:
    """Signal that very process; nothing happens when it is gone."""
    fd = open_pidfd(pid, started)
    if fd is None:
        return
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(fd, number)
    os.close(fd)


def kill_if_same(pid: int, started: int) -> None:
    signal_if_same(pid, started, signal.SIGKILL)


def children(pid: int) -> list[int]:
    """The direct children of all of a process's threads."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as f:
                found += [int(p) for p in f.read().split()]
    except OSError:
        pass
    return found


def descendants(pid: int) -> list[int]:
    """Everything below a process, parents before children."""
    found = children(pid)
    for each in found:
        found += children(each)
    return found


def kill_descendants(pid: int) -> None:
    """End everything below a child of ours. All are stopped first, so that none starts another meanwhile."""
    known: list[int] = []
    while fresh := [p for p in descendants(pid) if p not in known]:
        for each in fresh:
            _send(each, signal.SIGSTOP)
        known += fresh
    for each in known:
        _send(each, signal.SIGKILL)


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def resident(pid: int) -> int:
    """Bytes of memory of everything below a process (pages that are shared count once for each)."""
    total = 0
    for each in descendants(pid):
        try:
            with open(f"/proc/{each}/statm") as f:
                total += int(f.read().split()[1])
        except OSError:
            continue
    return total * os.sysconf("SC_PAGE_SIZE")
