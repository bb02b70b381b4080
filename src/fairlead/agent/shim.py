"""The shim: starts one container, waits for it, and writes down how it ended. It outlives the agent.

It is a single file of the standard library alone, run as `python -I -S -E`: a start costs milliseconds (imports are
chosen by cost: no `json`, no `signal`, no `subprocess`), and a running shim does not care about an upgrade of Fairlead.

    agent --spec on stdin--> shim (host namespaces) --fork--> init (pid 1 of the container) --fork--> the command
          <--started, or an error, on stdout--

The shim stays in the host's mount namespace, to write `exit.json` beside the log, and out of the container's memory
group, lest the kernel choose it when memory runs out. With a pid namespace, the end of init is the end of everything in
the container; without, the shim is the subreaper of all orphans and ends them. Init dies with the shim.

Mounts, in order: the root (an image's directory, never written to, or the host's own), a new /proc, then each mount,
shorter targets first. A missing mount point is never made on the host: directly under / the root is replaced by a tmpfs
with every entry of the real root bound into it; deeper down, the nearest directory that exists gets an overlay (where
the kernel allows none, again a tmpfs with all entries bound). Under a mount of the container itself it is simply made.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
import time

try:  # The json module's import costs more than all else that is done here; its scanner alone is enough.
    from _json import make_scanner
except ImportError:
    import json

    make_scanner = None  # type: ignore[assignment, misc]  # The stub knows no Python without it.

TYPE_CHECKING = False
if TYPE_CHECKING:  # Importing typing for its own flag would cost milliseconds.
    from collections.abc import Callable, Mapping
    from typing import Any, NoReturn

    Order = dict[str, Any]

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = (1 << bit for bit in (17, 26, 28, 29, 30))
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = (1 << bit for bit in (0, 1, 2, 3))
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = (1 << bit for bit in (5, 12, 14, 18))
MNT_DETACH, PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 2, 1, 36
SIGKILL, SIGPIPE, SIGXFSZ, TIOCSCTTY = 9, 13, 25, 0x540E
CONSOLES = (*(f"tty{i}" for i in range(10)), "ttyS", "vcs", "loop", "ram")
"""Device files that no container has, and that would cost a mount each where /dev is built anew."""

_libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """A step that failed, with what was tried."""


class NotExecuted(Refused):
    """The fault of what was asked for: all is set up, but the command cannot be executed."""


def call(name: str, *args: object) -> None:
    """A function of libc by name; raises Refused with the step and the reason."""
    if getattr(_libc, name)(*args) < 0:
        number = ctypes.get_errno()
        shown = " ".join(str(a.decode() if isinstance(a, bytes) else a) for a in args if a)
        raise Refused(f"{name} {shown}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    call("mount", os.fsencode(source), os.fsencode(target), kind.encode() or None,
         ctypes.c_ulong(flags), data.encode() or None)  # fmt: skip


def decode(text: str) -> Any:
    if make_scanner is None:
        return json.loads(text)

    class Context:
        strict = False
        object_hook = object_pairs_hook = None
        parse_float, parse_int, parse_constant = float, int, float
        memo: dict[str, str] = {}

    scanner: Callable[[Any], Callable[[str, int], tuple[Any, int]]] = make_scanner
    return scanner(Context)(text, 0)[0]


def encode(record: Mapping[str, object]) -> bytes:
    """One flat JSON object."""
    parts = []
    for name, value in record.items():
        if isinstance(value, (int, float)):  # Booleans are numbers, too.
            shown = repr(value).lower()
        else:
            shown = '"' + "".join(c if c not in '"\\' and " " <= c < "\x7f" else f"\\u{min(ord(c), 0xFFFF):04x}"
                                  for c in str(value)) + '"'  # fmt: skip
        parts.append(f'"{name}": {shown}')
    return ("{" + ", ".join(parts) + "}\n").encode()


def write(path: str, record: Mapping[str, object]) -> None:
    """Put a record in place whole: a reader sees all of it or none."""
    put(path + ".new", encode(record).decode())
    os.rename(path + ".new", path)


def start_time(pid: int) -> int:
    """A process's start in clock ticks since boot: with the pid it names a process for good. 0: it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as f:
            return int(f.read().rpartition(b")")[2].split()[19])
    except OSError:
        return 0


def read_all(fd: int) -> bytes:
    return b"".join(iter(lambda: os.read(fd, 1 << 16), b""))


# --- the container's view of the file system -----------------------------------------------------------------------


def new_user_namespace() -> None:
    """A user namespace that maps only the present user, to itself."""
    uid, gid = os.getuid(), os.getgid()
    call("unshare", CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        put("/proc/self/" + name, text)


def submounts(path: str) -> list[str]:
    """The mount points below `path`, outermost first."""
    below = path.rstrip("/") + "/"
    with open("/proc/self/mountinfo") as f:
        points = [os.fsdecode(line.split()[4].encode().decode("unicode_escape").encode("latin-1")) for line in f]
    return [p for p in points if p.startswith(below)]


def make_point(path: str, *, like_directory: bool) -> None:
    """The mount point itself; its parents are made too."""
    os.makedirs(path if like_directory else os.path.dirname(path), exist_ok=True)
    if not like_directory:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))


class View:
    """The file system as one container sees it. `scratch` is an empty directory for the tmpfs that builds are made in.

    `own` lists the directories in which a mount point may be made; "//" stands for / alone and nothing deeper.
    """

    def __init__(self, scratch: str, root: str) -> None:
        self.scratch, self.base, self.image, self.layers = scratch, "", root, 0
        self.own: list[str] = []

    def enter(self, mounts: list[Order], hostname: str, *, new_proc: bool) -> None:
        call("unshare", CLONE_NEWNS | (CLONE_NEWUTS if hostname else 0))
        mount("none", "/", flags=MS_REC | MS_PRIVATE)
        # Else this container would hold on to the network namespaces of all others.
        _libc.umount2(b"/run/netns", MNT_DETACH)
        mount("tmpfs", self.scratch, "tmpfs", 0, "mode=755")
        if hostname:
            call("sethostname", hostname.encode(), len(hostname.encode()))
        mounts = sorted(mounts, key=lambda m: m["target"].count("/") if m["target"] != "/" else 0)
        self.choose_root(mounts)
        if new_proc:
            mount("proc", self.base + "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
        for each in mounts:
            self.attach(each)
        if self.base:
            self.pivot()
        _libc.umount2(os.fsencode(self.scratch), MNT_DETACH)

    def choose_root(self, mounts: list[Order]) -> None:
        """An image's directory gets the kernel's file systems; the host's root is replaced if / lacks a mount point."""
        self.base = self.scratch + "/root"
        if self.image:
            for name in ("/root", "/upper", "/work"):
                os.mkdir(self.scratch + name)
            layers = f"lowerdir={self.image},upperdir={self.scratch}/upper,workdir={self.scratch}/work"
            mount("overlay", self.base, "overlay", 0, layers)
            for name in ("/dev", "/proc", "/sys"):
                os.makedirs(self.base + name, exist_ok=True)
                mount(name, self.base + name, flags=MS_BIND | MS_REC)
            self.own.append("/")
        elif any(not os.path.lexists("/" + m["target"].split("/")[1]) for m in mounts):
            os.mkdir(self.base)
            mount("tmpfs", self.base, "tmpfs", 0, "mode=755")
            self.mirror("/", self.base)
            self.own.append("//")
        else:
            self.base = ""

    def mirror(self, source: str, target: str) -> None:
        """Every entry of `source` in the empty directory `target`, by binding; symbolic links as they are."""
        # The directory that holds the scratch goes first, before there is much in it to be bound along.
        for entry in sorted(os.scandir(source), key=lambda e: not self.scratch.startswith(e.path + "/")):
            point = target + "/" + entry.name
            if source.endswith("/lower") and entry.name.startswith(CONSOLES):
                continue
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), point)
                continue
            make_point(point, like_directory=entry.is_dir(follow_symlinks=False))
            mount(entry.path, point, flags=MS_BIND | MS_REC)

    def attach(self, each: Order) -> None:
        target = each["target"].rstrip("/") or "/"
        is_directory = each["kind"] == "tmpfs" or os.path.isdir(each["source"])
        point = self.base + target
        if not os.path.exists(point):
            self.provide(target)
            make_point(point, like_directory=is_directory)
        if each["kind"] == "tmpfs":
            size = f",size={each['size']}" if each["size"] else ""
            mount("tmpfs", point, "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777" + size)
        else:
            mount(each["source"], point, flags=MS_BIND | MS_REC)
        if each["read_only"]:
            flags = os.statvfs(point).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC)
            mount("none", point, flags=MS_REMOUNT | MS_BIND | MS_RDONLY | flags)
        if is_directory:
            self.own.append(target)

    def provide(self, target: str) -> None:
        """See to it that a missing mount point may be made without a trace on the host."""
        above = os.path.dirname(target)
        while not os.path.isdir(self.base + above):
            above = os.path.dirname(above)
        inside = [o for o in self.own if o != "//" and (above + "/").startswith(o.rstrip("/") + "/")]
        hosts = inside == ["/"] and above.split("/")[1] in ("dev", "proc", "sys")  # In an image's root, too.
        if (above == "/" and "//" in self.own) or (inside and not hosts):
            return
        self.cover(above)
        self.own.append(above)

    def cover(self, directory: str) -> None:
        """Lay something writable over a directory of the host, with everything below it still there."""
        self.layers += 1
        stage = f"{self.scratch}/{self.layers}"
        point = self.base + directory
        for name in ("", "/lower", "/upper", "/work"):
            os.mkdir(stage + name)
        mount(point, stage + "/lower", flags=MS_BIND | MS_REC)
        below = [p[len(point) :] for p in submounts(point)]
        try:
            if directory == "/dev":
                raise Refused("device files do not open on an overlay in a user namespace")
            mount("overlay", point, "overlay", 0, f"lowerdir={stage}/lower,upperdir={stage}/upper,workdir={stage}/work")
        except Refused:
            mount("tmpfs", point, "tmpfs", 0, "mode=755")
            self.mirror(stage + "/lower", point)
            return
        done: list[str] = []
        for inner in below:
            if not any(inner.startswith(d + "/") for d in done):
                mount(stage + "/lower" + inner, point + inner, flags=MS_BIND | MS_REC)
                done.append(inner)

    def pivot(self) -> None:
        os.chdir(self.base)
        call("pivot_root", b".", b".")
        call("umount2", b".", MNT_DETACH)
        os.chdir("/")


# --- processes -----------------------------------------------------------------------------------------------------


class Kept:
    """Descriptors that are opened in the host's namespaces and used in the container's."""

    def __init__(self, spec: Order) -> None:
        self.log = os.open(spec["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        for fd in spec["inherited"]:
            os.set_inheritable(fd, False)
        self.stdin = spec["inherited"][0] if spec["inherited"] else os.open("/dev/null", os.O_RDONLY)
        self.groups = [os.open(path, os.O_WRONLY) for path in spec["cgroups"]]
        self.netns = os.open(spec["netns"], os.O_RDONLY) if spec["netns"] else -1
        self.procfs = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
        self.told, self.errors = os.pipe()
        """The command's pid in the host's numbering, then why it could not be executed; closed when it was."""
        self.end, self.ended = os.pipe()
        """The command's wait status, from init."""

    def close(self) -> None:
        """All but what the shim reads itself."""
        for fd in (self.log, self.stdin, self.procfs, self.errors, self.ended, *self.groups, self.netns):
            quietly(os.close, fd)


def enter_namespaces(spec: Order, kept: Kept) -> None:
    """Join the Pod's network, then get a view of the file system of its own."""
    if kept.netns >= 0:
        call("setns", kept.netns, CLONE_NEWNET)
    if spec["mountns"]:
        View(spec["scratch"], spec["root"]).enter(spec["mounts"], spec["hostname"], new_proc=spec["pidns"])


def become(spec: Order, kept: Kept) -> NoReturn:
    """Turn this process into the container's command."""
    os.setsid()
    for fd in kept.groups:
        os.write(fd, b"0")
    output = kept.stdin if spec["terminal"] else kept.log
    for target, source in enumerate((kept.stdin, output, output)):
        os.dup2(source, target)
    begin(spec)


def begin(spec: Order) -> NoReturn:
    """The container's limits, user and directory; then the command. (`enter` does the same for further ones.)"""
    if spec["terminal"]:
        call("ioctl", 0, TIOCSCTTY, 0)
    there = quietly(os.chdir, spec["cwd"])  # Another user may be unable to pass the folders above.
    limit_and_drop(spec)
    _libc.prctl(PR_SET_PDEATHSIG, SIGKILL)
    for number in (SIGPIPE, SIGXFSZ):  # Python ignores both, and an ignored signal stays ignored across exec.
        _libc.signal(number, None)
    os.umask(0o022)
    if not there and not quietly(os.chdir, spec["cwd"]):
        raise NotExecuted(f"workingDir {spec['cwd']}: there is no such directory, or it may not be entered")
    execute(spec["command"], spec["env"])


def execute(command: list[str], env: dict[str, str]) -> NoReturn:
    """As os.execvpe does, but that imports a module, which may be out of reach by now."""
    name, folders = command[0], env.get("PATH", os.defpath)
    wrong = OSError(2, os.strerror(2))
    for folder in [""] if "/" in name else folders.split(":"):
        try:
            os.execve(os.path.join(folder, name), command, env)
        except OSError as e:
            wrong = wrong if isinstance(e, (FileNotFoundError, NotADirectoryError)) else e
    where = f", and no such name on PATH ({folders})" if wrong.errno == 2 and "/" not in name else ""
    raise NotExecuted(f"command {name!r}: {wrong.strerror}{where}")


def limit_and_drop(spec: Order) -> None:
    for name, wanted in spec["rlimits"].items():
        kind = getattr(resource, "RLIMIT_" + name)
        hard = resource.getrlimit(kind)[1]
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (value, value))
    if spec["groups"] is not None:
        os.setgroups(spec["groups"])
    if spec["gid"] is not None:
        os.setresgid(spec["gid"], spec["gid"], spec["gid"])
    if spec["uid"] is not None:
        os.setresuid(spec["uid"], spec["uid"], spec["uid"])


def explain(error: BaseException) -> str:
    where = f"{error.filename or 'start'}: " if isinstance(error, OSError) else f"{type(error).__name__}: "
    return str(error) if isinstance(error, Refused) else where + str(getattr(error, "strerror", error))


def command_process(spec: Order, kept: Kept) -> NoReturn:
    """In the child: say who we are in the host's numbering, then become the command; an error goes to the pipe."""
    try:
        os.write(kept.errors, b"%s\n" % os.fsencode(os.readlink("self", dir_fd=kept.procfs)))
        if not spec["pidns"]:
            enter_namespaces(spec, kept)
        become(spec, kept)
    except BaseException as e:
        os.write(kept.errors, (b"!" if isinstance(e, NotExecuted) else b"") + explain(e).encode())
    os._exit(127)


def init_process(spec: Order, kept: Kept) -> NoReturn:
    """Pid 1 of the container: start the command, bury orphans, pass on how the command ended. All ends with it."""
    try:
        _libc.prctl(PR_SET_PDEATHSIG, SIGKILL)
        enter_namespaces(spec, kept)
        child = os.fork()
    except BaseException as e:
        os.write(kept.errors, b"0\n" + explain(e).encode())
        os._exit(127)
    if child == 0:
        command_process(spec, kept)
    for fd in (0, 1, kept.errors, kept.log, kept.stdin, kept.procfs, *kept.groups):
        os.close(fd)
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            os.write(kept.ended, b"%d" % status)
            os._exit(0)


def children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as f:
            return [int(p) for p in f.read().split()]
    except OSError:
        return []


def quietly(act: Callable[..., object], *args: object) -> bool:
    """Try; answers whether it went well."""
    try:
        act(*args)
    except OSError:
        return False
    return True


def end_rest(kill_file: str) -> None:
    """End what the command left behind: by cgroup where there is one, then every orphan that comes to us."""
    if kill_file:
        quietly(put, kill_file, "1")
    while True:
        for pid in children():
            quietly(os.kill, pid, SIGKILL)
        if not quietly(os.waitpid, -1, 0):
            return


def put(path: str, text: str) -> None:
    with open(path, "w") as f:
        f.write(text)


def out_of_memory(path: str) -> bool:
    """Whether the kernel killed for memory in the container's group (v1: memory.oom_control, v2: memory.events)."""
    try:
        with open(path) as f:
            counts = dict(line.split()[:2] for line in f)
    except OSError:  # There is no group.
        return False
    return int(counts.get("oom_kill", 0)) > 0


def launch(spec: Order) -> tuple[int, int, int, str]:
    """Make the processes. Answers (child of ours, host pid of the command, pipe that tells the end, error text)."""
    kept = Kept(spec)
    if spec["userns"]:
        new_user_namespace()
    if spec["beside"]:
        call("setns", os.open(spec["beside"], os.O_RDONLY), CLONE_NEWPID)
    elif spec["pidns"]:
        call("unshare", CLONE_NEWPID)
    child = os.fork()
    if child == 0:
        os.close(kept.told)
        if spec["pidns"]:
            init_process(spec, kept)
        command_process(spec, kept)
    kept.close()
    pid, _, error = read_all(kept.told).decode("utf-8", "replace").partition("\n")
    os.close(kept.told)
    return child, int(pid or 0), kept.end, error


def await_end(spec: Order, child: int, end: int) -> int:
    """The command's wait status."""
    while (ended := os.waitpid(-1, 0))[0] != child:
        pass
    if spec["pidns"]:
        told = os.read(end, 32)
        return int(told) if told else SIGKILL  # Init was killed, and all with it.
    return ended[1]


def run(spec: Order) -> None:
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    child, pid, end, error = launch(spec)
    started = time.time()
    if error:
        os.waitpid(child, 0)
        end_rest(spec["kill"])
        os.write(1, encode({"error": error.lstrip("!"), "executable": not error.startswith("!")}))
        return
    record = {"shim": os.getpid(), "shim_start": start_time(os.getpid()), "init": child if spec["pidns"] else 0,
              "pid": pid, "pid_start": start_time(pid), "started": started}  # fmt: skip
    write(spec["dir"] + "/started.json", record)
    quietly(os.write, 1, encode(record))  # Nobody reads it if the agent has died meanwhile; the file is found later.
    os.close(1)
    status = await_end(spec, child, end)
    finished = time.time()
    end_rest(spec["kill"])
    if spec["terminal"]:
        read_all(spec["inherited"][1])  # Closed when the console has written all that the terminal still held.
    number = status & 0x7F
    code = 128 + number if number else status >> 8
    write(spec["dir"] + "/exit.json", {
        "code": code, "signal": number, "oom": code != 0 and out_of_memory(spec["oom"]),
        "started": started, "finished": finished,
    })  # fmt: skip


def main() -> None:
    quietly(os.setsid)
    try:
        run(decode(read_all(0).decode()))
    except BaseException as e:
        quietly(os.write, 1, encode({"error": explain(e)}))
        sys.exit(1)


if __name__ == "__main__":
    main()
