"""Persistent volumes, seen with kubectl: claims, data that stays, what goes with a claim."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from fairlead.testing.plane import Plane

pytestmark = pytest.mark.e2e

Kubectl = Callable[..., Any]

CLAIM = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Gi}}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec:
  restartPolicy: Never
  containers:
  - name: c
    image: busybox
    command: [sh, -c, 'COMMAND']
    volumeMounts: [{name: v, mountPath: /data}]
  volumes: [{name: v, persistentVolumeClaim: {claimName: data}}]
"""
SET = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 2
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: c
        image: busybox
        command: [sh, -c, 'echo $HOSTNAME >> /data/log; cat /data/log; exec sleep 300']
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec:
      accessModes: [ReadWriteOnce]
      resources: {requests: {storage: 1Mi}}
"""


def pod(name: str, command: str) -> str:
    return POD.replace("NAME", name).replace("COMMAND", command)


def get(plane: Plane, kind: str, name: str, namespace: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(plane.kubectl("get", kind, name, "-n", namespace, "-o", "json").stdout)
    return found


def test_data_outlives_its_pod_and_goes_with_its_claim(kubectl: Kubectl, plane: Plane, namespace: str) -> None:
    kubectl("apply", "-n", namespace, "-f", "-", stdin=CLAIM)
    assert "(default)" in kubectl("get", "storageclass").stdout
    assert kubectl("get", "pvc", "-n", namespace).stdout.splitlines()[1].split()[:3] == [
        "data",
        "Pending",
        "local-path",
    ]
    for name, command in (("writer", "echo kept > /data/file"), ("reader", "cat /data/file")):
        kubectl("apply", "-n", namespace, "-f", "-", stdin=pod(name, command))
        kubectl("wait", "-n", namespace, f"pod/{name}", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
        if name == "writer":
            kubectl("delete", "pod", name, "-n", namespace, "--timeout=30s")
    assert kubectl("logs", "reader", "-n", namespace).stdout == "kept\n"
    shown = kubectl("get", "pvc", "-n", namespace).stdout.splitlines()[1].split()
    assert (shown[1], *shown[3:6]) == ("Bound", "1Gi", "RWO", "local-path")
    volume = get(plane, "pvc", "data", namespace)["spec"]["volumeName"]
    row = next(r for r in kubectl("get", "pv").stdout.splitlines() if r.startswith(volume)).split()
    assert row[1:7] == ["1Gi", "RWO", "Delete", "Bound", f"{namespace}/data", "local-path"]
    described = kubectl("describe", "pvc", "data", "-n", namespace).stdout
    assert "WaitForFirstConsumer" in described
    assert "ProvisioningSucceeded" in described
    path = plane.home.path / "volumes" / f"{volume}_{namespace}_data"
    assert (path / "file").read_text() == "kept\n"
    kubectl("delete", "pod", "reader", "-n", namespace, "--timeout=30s")
    kubectl("delete", "pvc", "data", "-n", namespace, "--timeout=30s")
    kubectl("wait", f"pv/{volume}", "--for=delete", "--timeout=30s")
    assert not path.exists()


def test_a_claim_in_use_goes_only_after_its_pod(plane: Plane, namespace: str) -> None:
    plane.kubectl("apply", "-n", namespace, "-f", "-", stdin=CLAIM)
    plane.kubectl("apply", "-n", namespace, "-f", "-", stdin=pod("user", "exec sleep 300"))
    plane.kubectl("wait", "-n", namespace, "pod/user", "--for=condition=Ready", "--timeout=60s")
    plane.kubectl("delete", "pvc", "data", "-n", namespace, "--wait=false")
    assert "Terminating" in plane.kubectl("get", "pvc", "-n", namespace).stdout
    plane.kubectl("delete", "pod", "user", "-n", namespace, "--grace-period=1", "--timeout=30s")
    plane.kubectl("wait", "-n", namespace, "pvc/data", "--for=delete", "--timeout=30s")


def test_each_pod_of_a_stateful_set_keeps_its_own_volume(plane: Plane, namespace: str) -> None:
    plane.kubectl("apply", "-n", namespace, "-f", "-", stdin=SET)
    plane.kubectl("rollout", "status", "statefulset/db", "-n", namespace, "--timeout=90s")
    before = get(plane, "pod", "db-1", namespace)["metadata"]["uid"]
    plane.kubectl("delete", "pod", "db-1", "-n", namespace, "--timeout=30s")
    plane.kubectl("rollout", "status", "statefulset/db", "-n", namespace, "--timeout=90s")
    assert get(plane, "pod", "db-1", namespace)["metadata"]["uid"] != before
    logs = {n: plane.kubectl("logs", n, "-n", namespace).stdout.split() for n in ("db-0", "db-1")}
    assert logs == {"db-0": ["db-0"], "db-1": ["db-1", "db-1"]}
    names = plane.kubectl("get", "pvc", "-n", namespace, "-o", "name").stdout.split()
    assert names == ["persistentvolumeclaim/data-db-0", "persistentvolumeclaim/data-db-1"]


def test_a_pod_says_that_it_waits_for_its_claim(plane: Plane, namespace: str) -> None:
    plane.kubectl("apply", "-n", namespace, "-f", "-", stdin=CLAIM.replace("spec:", "spec:\n  storageClassName: ''"))
    plane.kubectl("apply", "-n", namespace, "-f", "-", stdin=pod("waits", "true"))
    condition = "jsonpath={.status.conditions[?(@.type=='PodScheduled')].reason}=Unschedulable"
    plane.kubectl("wait", "-n", namespace, "pod/waits", f"--for={condition}", "--timeout=30s")
    told = get(plane, "pod", "waits", namespace)["status"]["conditions"][0]["message"]
    assert told == "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    folder = plane.home.path / "static"
    folder.mkdir(exist_ok=True)
    volume = {
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"static-{namespace}"},
        "spec": {"capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": str(folder)}},
    }  # fmt: skip
    plane.kubectl("apply", "-f", "-", stdin=json.dumps(volume))
    plane.kubectl("wait", "-n", namespace, "pod/waits", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=30s")
    plane.kubectl("delete", "pod", "waits", "-n", namespace, "--timeout=30s")
    plane.kubectl("delete", "pvc", "data", "-n", namespace, "--timeout=30s")
    released = "--for=jsonpath={.status.phase}=Released"
    plane.kubectl("wait", f"pv/static-{namespace}", released, "--timeout=30s")
    plane.kubectl("delete", "pv", f"static-{namespace}", "--timeout=30s")
