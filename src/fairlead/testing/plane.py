"""Plane: a real embedded control plane in a folder of its own, as a process, for tests with real clients.

    with plane.started(tmp_path / "state") as up:
        up.kubectl("apply", "-f", "job.yaml")

Nothing here is a double: the process is what `fairlead up` starts, and can be killed and started again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from fairlead.client import kubeconfig
from fairlead.client.http import HttpClient
from fairlead.sdk import home


class Plane:
    """One control plane. `start` and `kill` may be called again and again."""

    def __init__(self, directory: Path, *options: str, environment: Mapping[str, str] | None = None) -> None:
        self.home = home.Home(directory)
        self.options = options
        self.environment = {**os.environ, **(environment or {})}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def kubeconfig(self) -> Path:
        return self.home.kubeconfig

    def start(self, *options: str) -> None:
        """Start it, and wait until it answers. Raises RuntimeError with what it said when it ends instead."""
        told, tell = os.pipe()
        self.home.path.mkdir(parents=True, exist_ok=True)
        first = [] if self.kubeconfig.exists() else ["--port", "0"]
        arguments = ["--dir", str(self.home.path), *first, *self.options, *options, "--ready-fd", str(tell)]
        with self.home.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fairlead.server", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(tell,),
                env=self.environment,
            )
        os.close(tell)
        answered = os.read(told, 1)
        os.close(told)
        if not answered:
            code = self.process.wait()
            raise RuntimeError(f"fairlead ended with {code}:\n{self.home.log.read_text()[-4000:]}")

    def kill(self) -> None:
        """`kill -9`: nothing is told, nothing is closed."""
        self._end(signal.SIGKILL)

    def stop(self, *, pods: bool = True) -> None:
        """Stop it; with its Pods, unless they are to go on."""
        self._end(signal.SIGUSR1 if pods else signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(60)

    def client(self) -> HttpClient:
        """A client of it, over HTTPS."""
        return HttpClient(kubeconfig.load(str(self.kubeconfig)))

    def kubectl(
        self,
        *arguments: str,
        program: str | None = None,
        stdin: str | None = None,
        check: bool = True,
        wait: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl against it. Raises AssertionError with the output when it fails and `check` is set."""
        command = [program or find_kubectl() or "kubectl", "--kubeconfig", str(self.kubeconfig), *arguments]
        environment = {**os.environ, "KUBECACHEDIR": str(self.home.path / "kubecache")}
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=wait, env=environment, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command[3:])} failed ({done.returncode}):\n{done.stdout}{done.stderr}")
        return done


@contextlib.contextmanager
def started(directory: Path, *options: str, environment: Mapping[str, str] | None = None) -> Iterator[Plane]:
    """A running control plane, stopped with its Pods at the end."""
    plane = Plane(directory, *options, environment=environment)
    plane.start()
    try:
        yield plane
    finally:
        plane.stop()


def find_kubectl(minor: int | None = None) -> str | None:
    """A kubectl from PATH; with `minor`, of that version, from beside the one on PATH (`kubectl.1.33`)."""
    plain = shutil.which("kubectl")
    if minor is None or plain is None:
        return plain
    for folder in (Path(plain).parent, Path(plain).resolve().parent, _sdk()):
        if folder is not None and (found := folder / f"kubectl.1.{minor}").exists():
            return str(found)
    return None


def _sdk() -> Path | None:
    """Where the Google Cloud SDK keeps its kubectls, found by its own program."""
    gcloud = shutil.which("gcloud")
    return Path(gcloud).resolve().parent if gcloud else None
