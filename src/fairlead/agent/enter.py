"""enter: runs one more command in a running container, and tells how it ended. A process of its own, beside the shim.

    agent --order on a pipe--> enter --setns, fork--> the command
          <--started, then the end, or an error, on a pipe--

It joins the namespaces of the container's first process, which is named by pid and start time, and the container's
groups, then becomes what the container's own command is: its user, its directory, its environment. Namespaces that
are the host's own are not entered again. When the agent is gone (its end of the pipe is), the command is killed; this
process ends after it, because a dead child that nobody buries would hold up the end of the container's namespace.
"""

from __future__ import annotations

import os
import select
import sys

from fairlead.agent import shim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

NAMESPACES = ("user", "uts", "net", "pid", "mnt")
"""In the order in which they are entered: the user's first, which gives the right to the others."""


class Doors:
    """Descriptors of what is to be entered, opened while the host's files can be seen."""

    def __init__(self, order: shim.Order) -> None:
        pid = order["pid"]
        self.groups = [os.open(path, os.O_WRONLY) for path in order["cgroups"]]
        self.namespaces = [os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY) for name in NAMESPACES if _differs(pid, name)]
        if shim.start_time(pid) != order["pid_start"]:
            raise shim.Refused("the container has ended")

    def enter(self) -> None:
        for fd in self.namespaces:
            shim.call("setns", fd, 0)
            os.close(fd)


def _differs(pid: int, name: str) -> bool:
    return os.readlink(f"/proc/{pid}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}")


def become(order: shim.Order, doors: Doors) -> NoReturn:
    """Turn this process into the command."""
    os.setsid()
    for fd in doors.groups:
        os.write(fd, b"0")
        os.close(fd)
    shim.begin(order)


def launch(order: shim.Order) -> tuple[int, str]:
    """Make the process. Answers (pid, error text)."""
    doors = Doors(order)
    doors.enter()
    told, errors = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            become(order, doors)
        except BaseException as e:
            os.write(errors, shim.explain(e).encode())
        os._exit(127)
    os.close(errors)
    for fd in (0, 1, 2):
        os.close(fd)
    return child, shim.read_all(told).decode("utf-8", "replace")


def run(order: shim.Order, answer: int) -> None:
    child, error = launch(order)
    if error:
        os.waitpid(child, 0)
        os.write(answer, shim.encode({"error": error}))
        return
    shim.quietly(os.write, answer, shim.encode({"pid": os.getpid()}))
    await_either(os.pidfd_open(child), answer)
    shim.quietly(os.kill, child, shim.SIGKILL)  # If it has ended, this does nothing: it is not yet buried.
    _, status = os.waitpid(child, 0)
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
    shim.quietly(os.write, answer, shim.encode({"code": code}))


def await_either(command: int, answer: int) -> None:
    """Return when the command has ended, or nobody reads the answer any more."""
    poll = select.poll()
    poll.register(command, select.POLLIN)
    poll.register(answer, 0)
    poll.poll()


def main() -> None:
    source, answer = int(sys.argv[2]), int(sys.argv[3])
    os.set_inheritable(answer, False)
    try:
        order = shim.decode(shim.read_all(source).decode())
        os.close(source)
        run(order, answer)
    except BaseException as e:
        shim.quietly(os.write, answer, shim.encode({"error": shim.explain(e)}))
