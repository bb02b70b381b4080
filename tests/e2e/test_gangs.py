"""TrainJobs whose runtime asks for coscheduling: placed as a whole or not at all."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fairlead.testing import plane as planes
from fairlead.testing.plane import Plane

pytestmark = pytest.mark.e2e

RUNTIME = """
apiVersion: v1
kind: ConfigMap
metadata: {name: script, namespace: default}
data: {run: "sleep 300"}
---
apiVersion: trainer.kubeflow.org/v1alpha1
kind: ClusterTrainingRuntime
metadata: {name: gang, labels: {trainer.kubeflow.org/framework: plain}}
spec:
  mlPolicy: {numNodes: 1}
  podGroupPolicy: {coscheduling: {scheduleTimeoutSeconds: 120}}
  template:
    spec:
      replicatedJobs:
      - name: node
        template:
          metadata: {labels: {trainer.kubeflow.org/trainjob-ancestor-step: trainer}}
          spec:
            template:
              spec:
                restartPolicy: Never
                terminationGracePeriodSeconds: 1
                securityContext: {seccompProfile: {type: RuntimeDefault}}
                containers:
                - name: node
                  image: busybox
                  command: [sh, -c, 'exec $RUN']
                  env: [{name: RUN, valueFrom: {configMapKeyRef: {name: script, key: run}}}]
---
"""

TRAIN_JOB = """
apiVersion: trainer.kubeflow.org/v1alpha1
kind: TrainJob
metadata: {name: NAME, namespace: default}
spec:
  runtimeRef: {name: gang}
  trainer:
    numNodes: 2
    resourcesPerNode: {limits: {nvidia.com/gpu: 3}}
"""


@pytest.fixture
def eight(tmp_path: Path) -> Iterator[Plane]:
    """A machine of eight GPUs: two nodes of three each fit once, and half of the second would fit beside them."""
    config = tmp_path / "config.yaml"
    config.write_text("cpus: 16\n")
    with planes.started(tmp_path / "state", "--fake-gpus", "8", "--config", str(config)) as up:
        yield up


def pods(plane: Plane, job: str) -> list[Any]:
    label = f"scheduling.x-k8s.io/pod-group={job}"
    return list(json.loads(plane.kubectl("get", "pods", "-l", label, "-o", "json").stdout)["items"])


def eventually(what: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it has not come true"
        time.sleep(0.1)


def phases(plane: Plane, job: str) -> list[str]:
    return [pod["status"]["phase"] for pod in pods(plane, job)]


def refusals(plane: Plane, job: str) -> list[str]:
    """Why the Pods of a job are not placed, as their conditions say."""
    found = (c for pod in pods(plane, job) for c in pod["status"].get("conditions", ()))
    return [c["message"] for c in found if c["type"] == "PodScheduled" and c["status"] == "False"]


def test_the_second_gang_waits_as_a_whole(eight: Plane) -> None:
    early = eight.kubectl("apply", "-f", "-", stdin=TRAIN_JOB.replace("NAME", "first"), check=False)
    assert 'clustertrainingruntimes.trainer.kubeflow.org "gang" not found' in early.stderr
    applied = eight.kubectl("apply", "-f", "-", stdin=RUNTIME + TRAIN_JOB.replace("NAME", "first"))
    assert "trainjob.trainer.kubeflow.org/first created" in applied.stdout
    assert "securityContext.seccompProfile: has no effect here" in applied.stderr
    eventually(lambda: phases(eight, "first") == ["Running", "Running"])

    eight.kubectl("apply", "-f", "-", stdin=TRAIN_JOB.replace("NAME", "second"))
    eventually(lambda: len(refusals(eight, "second")) == 2)
    assert phases(eight, "second") == ["Pending", "Pending"]
    assert not [pod for pod in pods(eight, "second") if pod["spec"].get("nodeName")]
    for message in refusals(eight, "second"):
        assert '"second"' in message
    group = json.loads(eight.kubectl("get", "podgroups.scheduling.x-k8s.io", "second", "-o", "json").stdout)
    assert group["spec"] == {
        "minMember": 2,
        "minResources": {"nvidia.com/gpu": "6"},
        "scheduleTimeoutSeconds": 120,
    }

    eight.kubectl("delete", "trainjob", "first", "--timeout=60s")
    eventually(lambda: phases(eight, "second") == ["Running", "Running"], 60)
    table = eight.kubectl("get", "podgroups.scheduling.x-k8s.io").stdout.splitlines()
    assert table[0].split() == ["NAME", "PHASE", "MINMEMBER", "RUNNING", "SUCCEEDED", "FAILED", "AGE"]
    assert [line.split()[0] for line in table[1:]] == ["second"]
