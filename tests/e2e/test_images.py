"""What images stand for: the table of the configuration file, seen from inside containers."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fairlead.testing import plane as planes
from fairlead.testing.plane import Plane

pytestmark = pytest.mark.e2e

PROGRAMS = ("sh", "cat", "ls", "sleep")


def make_root(root: Path) -> None:
    """A root directory with a few of this machine's programs, the libraries that they need, and nothing else."""
    for folder in ("bin", "etc", "tmp"):
        (root / folder).mkdir(parents=True)
    (root / "etc" / "marker").write_text("another root\n")
    for name in PROGRAMS:
        program = shutil.which(name)
        assert program is not None
        shutil.copy(program, root / "bin" / name)
        needed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        for library in re.findall(r"(/\S+) \(0x", needed):
            target = root / library.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, target)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def own(place: Path) -> Iterator[Plane]:
    """A control plane with an image table."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place / "venv"], check=True)
    packages = next((place / "venv" / "lib").glob("python*")) / "site-packages"
    (packages / "only_here.py").write_text("WORD = 'from the environment'\n")
    make_root(place / "root")
    images: list[dict[str, Any]] = [
        {"pattern": "team/train:*", "use": "venv", "path": str(place / "venv"), "env": {"STYLE": "plain"}},
        {"pattern": "team/tiny", "use": "root", "path": str(place / "root"), "command": ["/bin/cat", "/etc/marker"]},
        {"pattern": "team/gone", "use": "venv", "path": str(place / "gone")},
        {"pattern": "secret/*", "use": "refuse", "message": "secret images do not run on laptops: use the cluster"},
    ]
    config = place / "config.yaml"
    config.write_text(yaml.safe_dump({"images": images}))
    with planes.started(place / "state", "--config", str(config)) as up:
        yield up


def run(plane: Plane, name: str, image: str, command: list[str] | None = None, **spec: Any) -> None:
    container: dict[str, Any] = {"name": "main", "image": image} | ({"command": command} if command else {})
    container |= {"volumeMounts": spec.pop("mounts", [])}
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"restartPolicy": "Never", "containers": [container], **spec},
    }  # fmt: skip
    plane.kubectl("apply", "-f", "-", stdin=json.dumps(pod))


def ended(plane: Plane, name: str) -> str:
    """The log of a Pod that has succeeded."""
    plane.kubectl("wait", f"pod/{name}", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=30s")
    return plane.kubectl("logs", name).stdout


def waiting(plane: Plane, name: str, reason: str) -> str:
    """What a Pod's container waits for, with that reason."""
    path = "{.status.containerStatuses[0].state.waiting.reason}"
    plane.kubectl("wait", f"pod/{name}", f"--for=jsonpath={path}={reason}", "--timeout=30s")
    return plane.kubectl(
        "get", "pod", name, "-o", "jsonpath={.status.containerStatuses[0].state.waiting.message}"
    ).stdout


def events(plane: Plane, name: str) -> dict[str, str]:
    shown = plane.kubectl("get", "events", "--field-selector", f"involvedObject.name={name}", "-o", "json").stdout
    return {e["reason"]: e["message"] for e in json.loads(shown)["items"]}


def test_a_virtual_environment(own: Plane, place: Path) -> None:
    script = "import os, sys, only_here; print(only_here.WORD, sys.prefix, os.environ['STYLE'])"
    run(own, "venv", "team/train:v2", ["python", "-c", script])
    assert ended(own, "venv") == f"from the environment {place / 'venv'} plain\n"
    assert events(own, "venv")["ImageSubstituted"] == (
        f'Image "team/train:v2" stands for the environment {place / "venv"}'
    )


def test_a_root_directory(own: Plane, place: Path) -> None:
    script = "cat /etc/marker; echo mine > /tmp/new; cat /tmp/new /in/put; ls /bin"
    volume = {"name": "in", "configMap": {"name": "input"}}
    own.kubectl("create", "configmap", "input", "--from-literal=put=from a volume")
    run(own, "root", "team/tiny", ["sh", "-c", script], volumes=[volume], mounts=[{"name": "in", "mountPath": "/in"}])
    assert ended(own, "root") == "another root\nmine\nfrom a volume" + "\n".join(sorted(PROGRAMS)) + "\n"
    assert not (place / "root" / "tmp" / "new").exists(), "the directory is never written to"
    assert not Path("/dev/termination-log").exists(), "nor is the host's /dev"


def test_an_image_may_bring_a_command(own: Plane) -> None:
    run(own, "brings", "team/tiny")
    assert ended(own, "brings") == "another root\n"


def test_a_refused_image_waits_with_a_reason(own: Plane) -> None:
    run(own, "refused", "secret/model:1", ["true"])
    said = "secret images do not run on laptops: use the cluster"
    assert waiting(own, "refused", "ErrImageNeverPull") == said
    assert events(own, "refused")["Failed"] == f"Error: {said}"
    assert own.kubectl("get", "pod", "refused", "-o", "jsonpath={.status.phase}").stdout == "Pending"
    own.kubectl("delete", "pod", "refused", "--timeout=30s")


def test_an_environment_that_is_not_there_is_told_and_then_found(own: Plane, place: Path) -> None:
    run(own, "late", "team/gone", ["python", "-c", "import sys; print(sys.prefix)"])
    assert "has no bin directory" in waiting(own, "late", "CreateContainerError")
    shutil.copytree(place / "venv", place / "gone", symlinks=True)
    assert ended(own, "late") == f"{place / 'gone'}\n"
