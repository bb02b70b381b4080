"""Programs in Pods that talk to the API server as they would in any cluster: by the files and variables they find."""

from __future__ import annotations

import json
import sys
import time

import pytest

from fairlead.testing.plane import Plane

pytestmark = pytest.mark.e2e

LIST_PODS = """
import sys, warnings
warnings.simplefilter("ignore")
import kubernetes
kubernetes.config.load_incluster_config()
namespace = open("/var/run/secrets/kubernetes.io/serviceaccount/namespace").read()
try:
    found = kubernetes.client.CoreV1Api().list_namespaced_pod(namespace)
    print("pods", sorted(p.metadata.name for p in found.items))
except kubernetes.client.ApiException as error:
    print("refused", error.status)
"""


def run(plane: Plane, namespace: str, name: str) -> str:
    """What the script says in a Pod."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "c", "image": "python", "command": [sys.executable, "-c", LIST_PODS]}],
        },
    }
    plane.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        phase = plane.kubectl("-n", namespace, "get", "pod", name, "-o", "jsonpath={.status.phase}").stdout
        if phase in ("Succeeded", "Failed"):
            return plane.kubectl("-n", namespace, "logs", name).stdout.strip()
        time.sleep(0.1)
    raise AssertionError(plane.kubectl("-n", namespace, "describe", "pod", name).stdout)


def test_a_pod_lists_pods_once_it_may(plane: Plane, namespace: str) -> None:
    pytest.importorskip("kubernetes", reason="make setup-e2e installs the kubernetes client")
    assert run(plane, namespace, "before") == "refused 403"
    account = f"--serviceaccount={namespace}:default"
    plane.kubectl("-n", namespace, "create", "rolebinding", "view", "--clusterrole=view", account)
    assert run(plane, namespace, "after") == "pods ['after', 'before']"
