"""exec, attach, cp, port-forward, run and debug with unmodified clients: SPDY (kubectl 1.27, 1.29) and websockets."""

from __future__ import annotations

import concurrent.futures
import contextlib
import fcntl
import gc
import hashlib
import json
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import termios
import time
import urllib.request
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from fairlead.testing import plane as planes
from fairlead.testing.plane import Plane

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # the Python client's
    pytest.mark.filterwarnings("ignore:.*:pytest.PytestUnraisableExceptionWarning"),  # its sockets
]

MINORS = (27, 29, 31, 33)
SERVER = """
import http.server, os
os.chdir("/data")
http.server.ThreadingHTTPServer(("127.0.0.1", 8080), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
POD = f"""
apiVersion: v1
kind: Pod
metadata: {{name: box}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: busybox
    command: [sleep, "3600"]
    env: [{{name: COLOUR, value: red}}]
    volumeMounts: [{{name: data, mountPath: /data}}]
  - name: web
    image: python
    command: [python3, -c, {json.dumps(SERVER)}]
    readinessProbe:
      periodSeconds: 1
      exec: {{command: [python3, -c, "import socket; socket.create_connection(('127.0.0.1', 8080))"]}}
    volumeMounts: [{{name: data, mountPath: /data}}]
  - name: talker
    image: busybox
    command: [sh, -c, 'while read line; do echo "heard $line"; done']
    stdin: true
  volumes: [{{name: data, emptyDir: {{}}}}]
"""


class Kubectl:
    """One version of kubectl, in the test's namespace."""

    def __init__(self, program: str, plane: Plane, namespace: str) -> None:
        self._head = [program, "--kubeconfig", str(plane.kubeconfig), "-n", namespace]
        self.environment = {**os.environ, "KUBECACHEDIR": str(plane.home.path / "kubecache")}

    def command(self, *arguments: str) -> list[str]:
        return [*self._head, *arguments]

    def __call__(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            self.command(*arguments), input=stdin, capture_output=True, timeout=60, env=self.environment, check=False
        )

    def terminal(self, *arguments: str) -> Terminal:
        return Terminal(self.command(*arguments), self.environment)


class Terminal:
    """A program on a terminal of 30 rows and 100 columns."""

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.execvpe(command[0], command, environment)
        self.shown = b""
        self._seen = 0
        self.resize(30, 100)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def sees(self, text: str, seconds: float = 20) -> None:
        """Return once that is shown, after what was seen before."""
        deadline = time.monotonic() + seconds
        while (at := self.shown.find(text.encode(), self._seen)) < 0:
            assert self._more(deadline - time.monotonic()), f"no {text!r} in {self.shown!r}"
        self._seen = at + len(text)

    def _more(self, seconds: float) -> bool:
        if seconds <= 0 or not select.select([self._fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._fd, 65536)
        except OSError:
            return False
        self.shown += data
        return bool(data)

    def until(self, typed: str, shown: str) -> None:
        """Type it again and again until it shows."""
        for _ in range(40):
            self.type(typed)
            with contextlib.suppress(AssertionError):
                self.sees(shown, 0.5)
                return
        raise AssertionError(f"no {shown!r} in {self.shown!r}")

    def ends(self) -> int:
        deadline = time.monotonic() + 20
        while self._more(deadline - time.monotonic()):
            pass
        _, status = os.waitpid(self._pid, 0)
        os.close(self._fd)
        return os.waitstatus_to_exitcode(status)


@pytest.fixture(scope="module")
def box(plane: Plane) -> Iterator[str]:
    """A namespace with the Pod `box`, shared by the module's tests."""
    plane.kubectl("create", "namespace", "sessions")
    plane.kubectl("apply", "-n", "sessions", "-f", "-", stdin=POD)
    plane.kubectl("wait", "-n", "sessions", "--for=condition=Ready", "pod/box", "--timeout=60s")
    yield "sessions"
    plane.kubectl("delete", "namespace", "sessions", "--wait=true", "--timeout=60s")


@pytest.fixture(params=MINORS, ids=lambda m: f"1.{m}")
def kubectl(request: pytest.FixtureRequest, plane: Plane, box: str) -> Kubectl:
    program = planes.find_kubectl(request.param)
    if program is None:
        pytest.skip(f"there is no kubectl 1.{request.param}")
    made = Kubectl(program, plane, box)
    made.environment["MINOR"] = str(request.param)
    return made


def test_exec_has_streams_and_an_exit_code(kubectl: Kubectl) -> None:
    done = kubectl("exec", "box", "-c", "c", "--", "sh", "-c", "echo $COLOUR; echo oops >&2; exit 3")
    assert (done.returncode, done.stdout) == (3, b"red\n")
    assert done.stderr.startswith(b"oops\n")
    assert kubectl("exec", "box", "-c", "c", "--", "true").returncode == 0


def test_exec_of_what_is_not_there(kubectl: Kubectl) -> None:
    for arguments, said in (
        (("box", "-c", "c", "--", "no-such-command"), b"command 'no-such-command': No such file or directory"),
        (("box", "-c", "z", "--", "true"), b"z"),
        (("nobody", "--", "true"), b'pods "nobody" not found'),
    ):
        done = kubectl("exec", *arguments)
        assert done.returncode == 1
        assert said in done.stderr


def test_ten_megabytes_there_and_back(kubectl: Kubectl) -> None:
    data = os.urandom(10 << 20)
    done = kubectl("exec", "-i", "box", "-c", "c", "--", "cat", stdin=data)
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()
    assert done.returncode == 0


def test_a_shell_on_a_terminal_that_changes_its_size(kubectl: Kubectl) -> None:
    shell = kubectl.terminal("exec", "-it", "box", "-c", "c", "--", "sh")
    shell.until("stty size\n", "30 100")
    shell.resize(50, 132)
    shell.until("stty size\n", "50 132")
    shell.type("exit 4\n")
    assert shell.ends() == 4


def test_who_is_killed_takes_the_command_along(kubectl: Kubectl) -> None:
    marker = f"32{kubectl.environment['MINOR']}"
    going = subprocess.Popen(
        kubectl.command("exec", "box", "-c", "c", "--", "sleep", marker), env=kubectl.environment,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    present = ("exec", "box", "-c", "c", "--", "pgrep", "-x", "-f", f"sleep {marker}")
    await_true(lambda: kubectl(*present).returncode == 0)
    going.kill()
    going.wait()
    await_true(lambda: kubectl(*present).returncode == 1)


def test_cp_both_ways(kubectl: Kubectl, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "big").write_bytes(os.urandom(3 << 20))
    (folder / "small").write_text("hello")
    place = f"/data/{kubectl.environment['MINOR']}"
    assert kubectl("cp", str(folder), f"box:{place}", "-c", "c").returncode == 0
    assert kubectl("exec", "box", "-c", "c", "--", "cat", f"{place}/small").stdout == b"hello"
    back = tmp_path / "back"
    assert kubectl("cp", f"box:{place}", str(back), "-c", "c").returncode == 0
    assert (back / "deep" / "big").read_bytes() == (folder / "deep" / "big").read_bytes()


def test_attach_speaks_to_the_container_and_leaves_it(kubectl: Kubectl) -> None:
    word = f"word{kubectl.environment['MINOR']}"
    attached = subprocess.Popen(
        kubectl.command("attach", "-i", "box", "-c", "talker"), env=kubectl.environment, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert attached.stdin is not None
    assert attached.stdout is not None
    attached.stdin.write(f"{word}\n".encode())
    attached.stdin.flush()
    for line in attached.stdout:
        if line == f"heard {word}\n".encode():
            break
    else:
        raise AssertionError("nothing was heard")
    attached.send_signal(signal.SIGINT)
    attached.communicate()
    log = kubectl("logs", "box", "-c", "talker").stdout.decode()
    assert log.count(f"heard {word}\n") == 1
    status = json.loads(kubectl("get", "pod", "box", "-o", "json").stdout)["status"]["containerStatuses"]
    assert all("running" in c["state"] and c["restartCount"] == 0 for c in status)


def test_port_forward(kubectl: Kubectl) -> None:
    name = f"file{kubectl.environment['MINOR']}"
    data = os.urandom(2 << 20)
    kubectl("exec", "-i", "box", "-c", "c", "--", "sh", "-c", f"cat >/data/{name}", stdin=data)
    with forwarding(kubectl, "8080") as port:
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            got = list(pool.map(lambda _: fetch(port, name), range(12)))
        assert all(g == data for g in got)


def test_port_forward_to_a_port_that_nobody_listens_on(kubectl: Kubectl) -> None:
    with forwarding(kubectl, "9") as port, pytest.raises(OSError, match=r"closed|reset"):
        fetch(port, "x")


@contextlib.contextmanager
def forwarding(kubectl: Kubectl, port: str) -> Iterator[int]:
    """A port of this machine that leads to a port of the Pod."""
    process = subprocess.Popen(
        kubectl.command("port-forward", "--address", "127.0.0.1", "pod/box", f":{port}"), env=kubectl.environment,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline().split(" -> ")[0].rpartition(":")[2])
    finally:
        process.kill()
        process.communicate()


def fetch(port: int, name: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{name}", timeout=20) as answer:
        body: bytes = answer.read()
        return body


def test_run_with_input_until_it_is_over(kubectl: Kubectl) -> None:
    name = f"once{kubectl.environment['MINOR']}"
    run = ("run", "-i", "--rm", name, "--image=busybox", "--restart=Never", "--")
    done = kubectl(*run, "cat", stdin=b"through the pod\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == b"through the pod"
    done = kubectl(*run, "sh", "-c", "echo first; exit 7")
    assert done.stdout.splitlines()[0] == b"first"
    assert done.returncode == 7
    assert b"not found" in kubectl("get", "pod", name).stderr


def test_run_a_shell_on_a_terminal(kubectl: Kubectl) -> None:
    name = f"shell{kubectl.environment['MINOR']}"
    shell = kubectl.terminal("run", "-it", "--rm", name, "--image=busybox", "--restart=Never")
    shell.until("stty size\n", "30 100")
    shell.resize(40, 90)
    shell.until("stty size\n", "40 90")
    shell.type("exit 5\n")
    assert shell.ends() == 5


def test_debug_beside_a_container(kubectl: Kubectl) -> None:
    name = f"debug{kubectl.environment['MINOR']}"
    script = b"echo in the pod; cat /proc/2/cmdline | tr '\\0' ' '; exit 6\n"
    done = kubectl("debug", "-i", "box", "--image=busybox", "-c", name, "--target=c", stdin=script)
    assert b"in the pod\nsleep 3600" in done.stdout, done.stderr
    found = json.loads(kubectl("get", "pod", "box", "-o", "json").stdout)
    states = {c["name"]: c["state"] for c in found["status"]["ephemeralContainerStatuses"]}
    assert states[name]["terminated"]["exitCode"] == 6
    assert found["status"]["phase"] == "Running"


def test_debug_shares_the_targets_processes(plane: Plane, kubectl: Kubectl) -> None:
    node = json.loads(plane.kubectl("get", "nodes", "-o", "json").stdout)["items"][0]
    if node["metadata"]["labels"]["fairlead.dev/sandbox"] != "namespaces":
        pytest.skip("this machine has no pid namespaces that can be joined")
    name = f"beside{kubectl.environment['MINOR']}"
    done = kubectl("debug", "-i", "box", "--image=busybox", "-c", name, "--target=c", "--", "pgrep", "-x", "sleep")
    assert done.stdout.strip(), done.stderr


def await_true(true: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# --- the official Python client ------------------------------------------------------------------------------------


@pytest.fixture
def core(plane: Plane, box: str) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kubernetes = pytest.importorskip("kubernetes", reason="make setup-e2e installs the kubernetes client")
        api = kubernetes.config.new_client_from_config(str(plane.kubeconfig))
    yield kubernetes.client.CoreV1Api(api)
    api.close()
    gc.collect()  # It leaves websockets open; the warnings belong to these tests.


def test_python_executes(core: Any) -> None:
    from kubernetes.stream import stream

    where = {"name": "box", "namespace": "sessions", "container": "c", "stdin": False, "stdout": True, "stderr": True}
    connect = core.connect_get_namespaced_pod_exec
    assert stream(connect, **where, command=["sh", "-c", "echo $COLOUR; echo oops >&2"], tty=False) == "red\noops\n"
    talking = stream(
        connect, **{**where, "stdin": True}, command=["sh"], tty=False, _preload_content=False
    )  # fmt: skip
    talking.write_stdin("echo hello; exit 3\n")
    talking.run_forever(timeout=20)
    assert talking.read_stdout() == "hello\n"
    assert talking.returncode == 3
    talking.close()


def test_python_forwards_a_port(core: Any, plane: Plane) -> None:
    from kubernetes.stream import portforward

    plane.kubectl("exec", "-n", "sessions", "box", "-c", "c", "--", "sh", "-c", "echo hello >/data/hello")
    forwarded = portforward(core.connect_get_namespaced_pod_portforward, "box", "sessions", ports="8080")
    connection: socket.socket = forwarded.socket(8080)
    connection.settimeout(20)
    connection.sendall(b"GET /hello HTTP/1.0\r\n\r\n")
    answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.endswith(b"\r\n\r\nhello\n")
    assert forwarded.error(8080) is None
    connection.close()
    forwarded.close()
    forwarded.websocket.shutdown()  # Its thread leaves the TLS socket open.
