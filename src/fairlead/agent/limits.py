"""Limits: how a container's memory and CPU are held, behind one interface.

Three backends: cgroup v2 where the agent may make groups with controllers, cgroup v1 (with the controller-less v2 tree
of a hybrid system for `cgroup.kill`), and rlimits. The last cannot hold memory, so its `watched` is true and the
runtime looks at the resident memory of the container's processes now and then.

A group is named by the container's attempt; the shim puts the command into it, so that nothing ever runs outside.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import Protocol

import msgspec

from fairlead.agent.runtimes import Limits

PERIOD = 100_000
"""Microseconds in which a CPU quota is counted: the kernel's and Kubernetes' default."""


class Group(msgspec.Struct, frozen=True):
    """What the shim needs to put a command under its limits."""

    procs: tuple[str, ...] = ()
    """Files to write a pid to."""
    kill: str = ""
    """A file that ends all of the group's processes when "1" is written to it."""
    oom: str = ""
    """A file with the kernel's count of kills for memory."""
    rlimits: Mapping[str, int] = {}
    directories: tuple[str, ...] = ()


class Limiter(Protocol):
    """One way to hold limits."""

    name: str
    watched: bool
    """Memory has to be watched by the runtime, because nothing else holds it."""

    def create(self, name: str, limits: Limits) -> Group:
        """A new, empty group. Raises OSError when the kernel refuses."""

    def remove(self, group: Group) -> bool:
        """Take an empty group away; False while its last processes are being buried."""


def _write(path: str, text: str) -> None:
    with open(path, "w") as f:
        f.write(text)


def _remove(group: Group) -> bool:
    for directory in group.directories:
        with contextlib.suppress(OSError):
            os.rmdir(directory)
    return not any(os.path.exists(d) for d in group.directories)


def shares(milli: int) -> int:
    """cpu.shares of a request, as the kubelet counts them."""
    return min(max(2, milli * 1024 // 1000), 262144)


def weight(milli: int) -> int:
    """cpu.weight of a request: the kubelet's shares carried over to v2's range of 1 to 10000."""
    return 1 + (shares(milli) - 2) * 9999 // 262142


def _quota(milli: int) -> int:
    return max(1000, milli * PERIOD // 1000)


class CgroupV1:
    """`memory`, `cpu` and `pids` of version 1. `parents` maps a controller (and `unified`) to the parent directory."""

    name = "cgroup-v1"
    watched = False

    def __init__(self, parents: Mapping[str, str]) -> None:
        self._parents = parents

    def create(self, name: str, limits: Limits) -> Group:
        wanted = {c: f"{p}/{name}" for c, p in self._parents.items() if c != "pids" or limits.pids is not None}
        for directory in wanted.values():
            os.mkdir(directory)
        if limits.memory is not None:
            _write(wanted["memory"] + "/memory.limit_in_bytes", str(limits.memory))
        if limits.cpu_request:
            _write(wanted["cpu"] + "/cpu.shares", str(shares(limits.cpu_request)))
        if limits.cpu is not None:
            _write(wanted["cpu"] + "/cpu.cfs_period_us", str(PERIOD))
            _write(wanted["cpu"] + "/cpu.cfs_quota_us", str(_quota(limits.cpu)))
        if limits.pids is not None:
            _write(wanted["pids"] + "/pids.max", str(limits.pids))
        unified = wanted.get("unified")
        return Group(
            procs=tuple(d + "/cgroup.procs" for d in wanted.values()),
            kill=unified + "/cgroup.kill" if unified else "",
            oom=wanted["memory"] + "/memory.oom_control",
            directories=tuple(wanted.values()),
        )

    def remove(self, group: Group) -> bool:
        return _remove(group)


class CgroupV2:
    """One group of version 2 below `parent`, whose subtree has the memory, cpu and pids controllers."""

    name = "cgroup-v2"
    watched = False

    def __init__(self, parent: str) -> None:
        self._parent = parent

    def create(self, name: str, limits: Limits) -> Group:
        directory = f"{self._parent}/{name}"
        os.mkdir(directory)
        if limits.memory is not None:
            _write(directory + "/memory.max", str(limits.memory))
            _write(directory + "/memory.oom.group", "1")
        if limits.cpu_request:
            _write(directory + "/cpu.weight", str(weight(limits.cpu_request)))
        if limits.cpu is not None:
            _write(directory + "/cpu.max", f"{_quota(limits.cpu)} {PERIOD}")
        if limits.pids is not None:
            _write(directory + "/pids.max", str(limits.pids))
        return Group(
            procs=(directory + "/cgroup.procs",),
            kill=directory + "/cgroup.kill",
            oom=directory + "/memory.events",
            directories=(directory,),
        )

    def remove(self, group: Group) -> bool:
        return _remove(group)


class Rlimits:
    """No groups at all: memory is watched from outside, CPU is not limited."""

    name = "rlimits"
    watched = True

    def create(self, name: str, limits: Limits) -> Group:
        return Group(rlimits={} if limits.pids is None else {"NPROC": limits.pids})

    def remove(self, group: Group) -> bool:
        return True


# --- detection -----------------------------------------------------------------------------------------------------


def detect(directory_name: str = "fairlead", proc: str = "/proc", mount: str = "/sys/fs/cgroup") -> tuple[Limiter, str]:
    """The best backend that works here (tried, not guessed), and why it is not a better one."""
    try:
        with open(f"{proc}/self/cgroup") as f:
            own = _own_groups(f.read())
    except OSError:
        return Rlimits(), "this system has no cgroups"
    if os.path.exists(f"{mount}/cgroup.controllers"):
        return _detect_v2(mount, own.get("", "/"), directory_name)
    return _detect_v1(mount, own, directory_name)


def _own_groups(text: str) -> dict[str, str]:
    """Controller to path; version 2 has the empty name."""
    found = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = path
    return found


def _detect_v1(mount: str, own: Mapping[str, str], name: str) -> tuple[Limiter, str]:
    parents: dict[str, str] = {}
    try:
        for controller in ("memory", "cpu", "pids"):
            parents[controller] = _make(mount + f"/{controller}" + own.get(controller, "/").rstrip("/") + "/" + name)
    except OSError as e:
        return Rlimits(), f"cgroup v1 groups may not be made ({e.strerror})"
    try:
        unified = mount + "/unified" + own.get("", "/").rstrip("/")
        parents["unified"] = _make(f"{unified}/{name}")
        if not os.path.exists(parents["unified"] + "/cgroup.kill"):
            del parents["unified"]
    except OSError:
        parents.pop("unified", None)
    return _tried(CgroupV1(parents))


def _detect_v2(mount: str, own: str, name: str) -> tuple[Limiter, str]:
    """Below the root as root; else below our own group if it is delegated to us (and only we are in it)."""
    try:
        if os.geteuid() == 0 and own.count("/") <= 3:
            parent = _make(f"{mount}/{name}")
            _enable(mount)
        else:
            parent = _make(mount + own.rstrip("/") + "/" + name)
            _write(_make(mount + own.rstrip("/") + "/supervisor") + "/cgroup.procs", str(os.getpid()))
            _enable(mount + own.rstrip("/"))
        _enable(parent)
    except OSError as e:
        remedy = "start with `systemd-run --user --scope -p Delegate=yes` to have one"
        return Rlimits(), f"no cgroup is delegated to this process ({e.strerror}); {remedy}"
    return _tried(CgroupV2(parent))


def _enable(directory: str) -> None:
    with open(directory + "/cgroup.subtree_control") as f:
        missing = {"memory", "cpu", "pids"} - set(f.read().split())
    if missing:
        _write(directory + "/cgroup.subtree_control", " ".join("+" + c for c in sorted(missing)))


def _make(directory: str) -> str:
    os.makedirs(directory, exist_ok=True)
    return directory


def _tried(limiter: Limiter) -> tuple[Limiter, str]:
    """A backend is what it says only if a group with limits can be made."""
    try:
        group = limiter.create(f"try-{os.getpid()}", Limits(memory=64 << 20, cpu=500, cpu_request=100))
    except OSError as e:
        return Rlimits(), f"a trial group was refused ({e.strerror})"
    limiter.remove(group)
    return limiter, ""
