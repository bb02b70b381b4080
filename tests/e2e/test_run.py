"""`fairlead run` and the other commands, as a person types them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fairlead.testing.plane import Plane

pytestmark = pytest.mark.e2e

FAIRLEAD = str(Path(sys.executable).with_name("fairlead"))


def fairlead(*arguments: str, cwd: Path | None = None, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "KUBECONFIG"}
    if home is not None:
        environment["FAIRLEAD_DIR"] = str(home)
    return subprocess.run(
        [FAIRLEAD, *arguments], capture_output=True, text=True, cwd=cwd, timeout=120, check=False, env=environment
    )


def test_run_uploads_the_folder_streams_and_exits_with_the_code(plane: Plane, tmp_path: Path) -> None:
    (tmp_path / "lib.py").write_text("WORD = 'from the folder'\n")
    (tmp_path / "train.py").write_text(
        "import os, sys, lib\n"
        "print(lib.WORD, os.environ['CUDA_VISIBLE_DEVICES'].count(',') + 1, os.environ['STYLE'], flush=True)\n"
        "sys.exit(7)\n"
    )
    directory = ("--dir", str(plane.home.path))
    command = ("--name", "seven", "--gpus", "1", "-e", "STYLE=plain", "--", "python", "train.py")
    done = fairlead("run", *directory, *command, cwd=tmp_path)
    assert "[node-0] from the folder 1 plain" in done.stdout, done.stderr
    assert done.returncode == 7, done.stderr
    assert "uploaded 2 files" in done.stderr


def test_run_on_two_nodes_is_torchrun(plane: Plane, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "import torch.distributed as dist\n"
        "dist.init_process_group('gloo')\n"
        "print('rank', dist.get_rank(), 'of', dist.get_world_size(), flush=True)\n"
        "dist.destroy_process_group()\n"
    )
    done = fairlead("run", "--dir", str(plane.home.path), "--nodes", "2", "--", "python", "train.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    ranks = {line.partition("] ")[2] for line in done.stdout.splitlines()}
    assert {"rank 0 of 2", "rank 1 of 2"} <= ranks


def test_status_lists_nodes_and_jobs(plane: Plane) -> None:
    shown = json.loads(fairlead("status", "--dir", str(plane.home.path), "-o", "json").stdout)
    assert shown["nodes"][0]["ready"] == "True"
    assert shown["nodes"][0]["allocatable"]["nvidia.com/gpu"] == "4"
    text = fairlead("status", "--dir", str(plane.home.path)).stdout
    assert "NODE" in text


def test_detached_up_down_and_kubeconfig(tmp_path: Path) -> None:
    home = tmp_path / "home"
    started = fairlead("up", "--detach", "--port", "0", home=home)
    try:
        assert started.returncode == 0, started.stderr
        assert f"export KUBECONFIG={home / 'kubeconfig'}" in started.stdout
        assert fairlead("kubeconfig", "--path", home=home).stdout.strip() == str(home / "kubeconfig")
        again = fairlead("up", "--detach", home=home)
        assert (again.returncode, again.stdout) == (1, "")
        assert "is served already, by process" in again.stderr
    finally:
        stopped = fairlead("down", home=home)
    assert stopped.returncode == 0
    assert "stopped process" in stopped.stdout
    assert "nothing serves" in fairlead("down", home=home).stdout


def test_a_second_server_on_one_folder_is_refused_in_one_line(plane: Plane) -> None:
    command = [sys.executable, "-m", "fairlead.server", "--dir", str(plane.home.path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "is served already, by process" in done.stderr


def test_a_port_in_use_is_told_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = fairlead("up", "--dir", str(tmp_path), "--port", port)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"port {port}" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("launch",), "No such command 'launch'"),
        (("run", "--workdir", "/does/not/exist", "--", "true"), "the working folder '/does/not/exist' does not exist"),
        (("run", "-e", "novalue", "--", "true"), "--env 'novalue' is not NAME=VALUE"),
        (("status", "--dir", "/does/not/exist"), "nothing serves /does/not/exist; start it with: fairlead up"),
        (("kubeconfig", "--dir", "/does/not/exist"), "does not exist; start the control plane with"),
    ],
)
def test_wrong_calls_get_one_clear_line(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = fairlead(*arguments, home=tmp_path)
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_interrupting_run_leaves_the_job(plane: Plane, tmp_path: Path) -> None:
    command = [FAIRLEAD, "run", "--dir", str(plane.home.path), "--name", "goes-on", "--no-upload", "--", "sleep", "300"]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert running.stderr is not None
    assert "created" in running.stderr.readline()
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=30)
    assert running.returncode == 130
    assert "the job goes on" in said
    assert "goes-on" in plane.kubectl("get", "trainjob", "goes-on", "-o", "name").stdout
    plane.kubectl("delete", "trainjob", "goes-on", "--timeout=60s")


def test_a_scheduler_of_its_own_process_places_its_profiles_pods(plane: Plane, namespace: str) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "elsewhere", "namespace": namespace},
        "spec": {
            "schedulerName": "other",
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "c", "image": "i", "command": ["sleep", "60"]}],
        },
    }
    command = [FAIRLEAD, "scheduler", "--kubeconfig", str(plane.kubeconfig), "--profiles", "other"]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        plane.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
        plane.kubectl("wait", "-n", namespace, "pod/elsewhere", "--for=condition=Ready", "--timeout=40s")
    finally:
        running.terminate()
        _, said = running.communicate(timeout=30)
    assert "scheduling other against" in said
    assert running.returncode == 0, said


def test_bundled_definitions_can_be_applied_elsewhere(plane: Plane) -> None:
    printed = fairlead("crds", "--runtimes").stdout
    applied = plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=printed).stdout
    assert "customresourcedefinition.apiextensions.k8s.io/trainjobs.trainer.kubeflow.org serverside-applied" in applied
    assert "clustertrainingruntime.trainer.kubeflow.org/torch-distributed serverside-applied" in applied
