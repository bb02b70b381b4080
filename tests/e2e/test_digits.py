"""The example trains a real model on two nodes, and goes on when the control plane is killed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from fairlead.testing.plane import Plane

pytestmark = pytest.mark.e2e

EPOCH = re.compile(r"epoch=(\d+)/(\d+) .* accuracy=([\d.]+)")


@pytest.fixture
def own_plane(tmp_path: Path) -> Iterator[Plane]:
    """A control plane for one test, which may kill it."""
    up = Plane(tmp_path / "state")
    up.start()
    yield up
    up.stop()


def manifest(examples: Path, epochs: int, checkpoints: Path) -> str:
    objects = list(yaml.safe_load_all((examples / "train-digits.yaml").read_text()))
    env = {"EPOCHS": str(epochs), "CHECKPOINTS": str(checkpoints)}
    objects[1]["spec"]["trainer"]["env"] = [{"name": k, "value": v} for k, v in env.items()]
    return yaml.safe_dump_all(objects)


def epochs_of(plane: Plane) -> list[tuple[int, float]]:
    pods = plane.kubectl("get", "pods", "-l", "batch.kubernetes.io/job-completion-index=0", "-o", "name").stdout.split()
    lines = plane.kubectl("logs", pods[0], "--tail=-1").stdout.splitlines()
    return [(int(m[1]), float(m[3])) for line in lines if (m := EPOCH.search(line))]


def test_kill_of_the_control_plane_does_not_stop_training(own_plane: Plane, examples: Path, tmp_path: Path) -> None:
    checkpoints = tmp_path / "checkpoints"
    own_plane.kubectl("apply", "-f", "-", stdin=manifest(examples, 150, checkpoints))
    ready = '--for=jsonpath={.status.jobsStatus[?(@.name=="node")].ready}=1'
    own_plane.kubectl("wait", "trainjob/digits", ready, "--timeout=60s")
    follow = own_plane.kubectl("logs", "-f", "job/digits-node-0", "--limit-bytes=2000", wait=90)
    assert "epoch=" in follow.stdout
    own_plane.kill()
    own_plane.start()
    own_plane.kubectl("wait", "trainjob/digits", "--for=condition=Complete", "--timeout=240s", wait=250)
    seen = epochs_of(own_plane)
    assert [epoch for epoch, _ in seen] == list(range(1, 151))
    assert seen[-1][1] > 0.9
    assert (checkpoints / "checkpoint.pt").exists()
    restarts = own_plane.kubectl("get", "pods", "-o", "jsonpath={.items[*].status.containerStatuses[*].restartCount}")
    assert restarts.stdout == "0 0"
    states = "jsonpath={.status.conditions[*].type} {.status.jobsStatus[0].succeeded}"
    assert own_plane.kubectl("get", "trainjob", "digits", "-o", states).stdout == "Complete 1"
