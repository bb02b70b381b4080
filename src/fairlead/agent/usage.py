"""What containers and the machine use: CPU seconds so far, memory now. Read from cgroups, or from /proc without them.

Rates are made by whoever asks twice. Memory is the working set: what would have to be found room for, so without file
pages that nobody has touched for a while.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from fairlead.agent import processes

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Used(NamedTuple):
    """CPU seconds so far, bytes of memory now."""

    cpu: float
    memory: int


def of_container(directories: Iterable[str], pid: int) -> Used | None:
    """Of a container with these cgroup directories (perhaps none) and that first process; None when it is gone."""
    cpu: float | None = None
    memory: int | None = None
    for directory in directories:
        cpu = _group_cpu(directory) if cpu is None else cpu
        memory = _group_memory(directory) if memory is None else memory
    if cpu is not None and memory is not None:
        return Used(cpu, memory)
    found = _of_processes([pid, *processes.descendants(pid)])
    if found is None:
        return None
    return Used(found.cpu if cpu is None else cpu, found.memory if memory is None else memory)


def of_machine(proc: str = "/proc") -> Used:
    """Of everything on this machine."""
    with open(f"{proc}/stat") as f:
        fields = [int(x) for x in f.readline().split()[1:9]]
    idle = fields[3] + fields[4]
    info = _pairs(f"{proc}/meminfo")
    free = info.get("MemAvailable:", info.get("MemFree:", 0))
    return Used((sum(fields) - idle) / _TICKS, (info.get("MemTotal:", 0) - free) * 1024)


def _group_cpu(directory: str) -> float | None:
    """Version 2 counts microseconds, version 1 nanoseconds."""
    stat = _pairs(f"{directory}/cpu.stat")
    if "usage_usec" in stat:
        return stat["usage_usec"] / 1e6
    nanos = _number(f"{directory}/cpuacct.usage")
    return None if nanos is None else nanos / 1e9


def _group_memory(directory: str) -> int | None:
    for total, cold in (("memory.current", "inactive_file"), ("memory.usage_in_bytes", "total_inactive_file")):
        used = _number(f"{directory}/{total}")
        if used is not None:
            return max(0, used - _pairs(f"{directory}/memory.stat").get(cold, 0))
    return None


def _of_processes(pids: Iterable[int]) -> Used | None:
    """Of processes and of those of their children that are over. A child that left its parent is not seen."""
    cpu, memory, seen = 0, 0, False
    for pid in pids:
        with contextlib.suppress(OSError, IndexError, ValueError), open(f"/proc/{pid}/stat", "rb") as f:
            fields = f.read().rpartition(b")")[2].split()
            cpu += sum(map(int, fields[11:15]))
            memory += int(fields[21])
            seen = True
    return Used(cpu / _TICKS, memory * _PAGE) if seen else None


def _number(path: str) -> int | None:
    try:
        with open(path) as f:
            return int(f.read())
    except (OSError, ValueError):
        return None


def _pairs(path: str) -> Mapping[str, int]:
    """`name number` on each line."""
    found = {}
    with contextlib.suppress(OSError), open(path) as f:
        for line in f:
            words = line.split()
            if len(words) >= 2 and words[1].isdigit():
                found[words[0]] = int(words[1])
    return found
