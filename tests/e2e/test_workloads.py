"""Deployments, StatefulSets and their like, as people drive them with unmodified kubectls."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

Kubectl = Callable[..., Any]

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: c
        image: busybox
        command: [sleep, "600"]
        ports: [{containerPort: 8080}]
        resources: {requests: {cpu: 10m}}
"""

DB = """
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: c, image: busybox, command: [sleep, "600"]}]
"""

LOGS = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: logs}
spec:
  selector: {matchLabels: {app: logs}}
  template:
    metadata: {labels: {app: logs}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: c, image: busybox, command: [sleep, "600"]}]
"""


def apply(kubectl: Kubectl, namespace: str, manifest: str) -> None:
    kubectl("apply", "-n", namespace, "-f", "-", stdin=manifest)


def test_a_deployment_rolls_forward_and_back(kubectl: Kubectl, namespace: str) -> None:
    n = ("-n", namespace)
    apply(kubectl, namespace, WEB)
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", *n, "--timeout=60s").stdout
    table = kubectl("get", "deployments", *n).stdout.splitlines()
    assert table[0].split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert table[1].split()[:4] == ["web", "3/3", "3", "3"]
    kubectl("set", "image", "deployment/web", "c=busybox:2", *n)
    kubectl("annotate", "deployment/web", "kubernetes.io/change-cause=two", *n)
    kubectl("rollout", "status", "deployment/web", *n, "--timeout=60s")
    history = kubectl("rollout", "history", "deployment/web", *n).stdout
    assert [line.split() for line in history.splitlines()[2:] if line] == [["1", "<none>"], ["2", "two"]]
    assert "busybox:2" in kubectl("rollout", "history", "deployment/web", "--revision=2", *n).stdout
    kubectl("rollout", "undo", "deployment/web", *n)
    kubectl("rollout", "status", "deployment/web", *n, "--timeout=60s")
    web = json.loads(kubectl("get", "deployment", "web", *n, "-o", "json").stdout)
    assert web["spec"]["template"]["spec"]["containers"][0]["image"] == "busybox"
    assert web["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
    kubectl("rollout", "restart", "deployment/web", *n)
    kubectl("rollout", "status", "deployment/web", *n, "--timeout=60s")
    assert "Progressing    True    NewReplicaSetAvailable" in kubectl("describe", "deployment", "web", *n).stdout


def test_pause_resume_scale_and_expose(kubectl: Kubectl, namespace: str) -> None:
    n = ("-n", namespace)
    kubectl("create", "deployment", "web", "--image=busybox", "--replicas=2", *n, "--", "sleep", "600")
    kubectl("rollout", "status", "deployment/web", *n, "--timeout=60s")
    kubectl("rollout", "pause", "deployment/web", *n)
    kubectl("set", "env", "deployment/web", "A=b", *n)
    kubectl("scale", "deployment/web", "--replicas=3", *n)
    kubectl("wait", "--for=jsonpath={.status.availableReplicas}=3", "deployment/web", *n, "--timeout=30s")
    assert len(kubectl("get", "rs", "-o", "name", *n).stdout.split()) == 1
    kubectl("rollout", "resume", "deployment/web", *n)
    kubectl("rollout", "status", "deployment/web", *n, "--timeout=60s")
    assert len(kubectl("get", "rs", "-o", "name", *n).stdout.split()) == 2
    kubectl("expose", "deployment/web", "--port=80", "--target-port=8080", *n)
    service = json.loads(kubectl("get", "service", "web", *n, "-o", "json").stdout)
    assert service["spec"]["selector"] == {"app": "web"}
    scale = json.loads(kubectl("get", "--raw", f"/apis/apps/v1/namespaces/{namespace}/deployments/web/scale").stdout)
    assert (scale["spec"], scale["status"]) == ({"replicas": 3}, {"replicas": 3, "selector": "app=web"})
    kubectl("delete", "deployment", "web", *n, "--timeout=30s")
    kubectl("wait", "--for=delete", "pod", "-l", "app=web", *n, "--timeout=30s", check=False)
    assert kubectl("get", "rs,pods", "-o", "name", *n).stdout == ""


def test_top_shows_what_is_used(kubectl: Kubectl, namespace: str) -> None:
    n = ("-n", namespace)
    busy = (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: busy}\nspec:\n  terminationGracePeriodSeconds: 1\n  containers:\n"
    )
    busy += "  - {name: c, image: busybox, command: [sh, -c, 'while :; do :; done']}\n"
    apply(kubectl, namespace, busy)
    kubectl("wait", "--for=condition=Ready", "pod/busy", *n, "--timeout=30s")
    for _ in range(40):
        shown = kubectl("top", "pods", *n, "--no-headers", check=False).stdout.split()
        if shown and int(shown[1].removesuffix("m")) > 100:
            break
        time.sleep(1)
    assert shown[0] == "busy"
    assert int(shown[1].removesuffix("m")) > 100
    assert shown[2].endswith("Mi")
    nodes = kubectl("top", "nodes").stdout
    assert nodes.splitlines()[0].split()[:2] == ["NAME", "CPU(cores)"]
    assert len(nodes.splitlines()) == 2
    assert kubectl("top", "pod", "busy", "--containers", *n).stdout.split()[:2] == ["POD", "NAME"]


def test_autoscale(kubectl: Kubectl, namespace: str) -> None:
    n = ("-n", namespace)
    busy = WEB.replace('[sleep, "600"]', "[sh, -c, 'while :; do :; done']").replace("replicas: 3", "replicas: 1")
    apply(kubectl, namespace, busy.replace("name: web", "name: busy"))
    kubectl("autoscale", "deployment/busy", "--min=1", "--max=2", "--cpu-percent=50", *n)
    kubectl("wait", "--for=jsonpath={.spec.replicas}=2", "deployment/busy", *n, "--timeout=90s")
    shown = kubectl("get", "hpa", "busy", *n).stdout.splitlines()
    assert shown[0].split() == ["NAME", "REFERENCE", "TARGETS", "MINPODS", "MAXPODS", "REPLICAS", "AGE"]
    assert shown[1].split()[1] == "Deployment/busy"
    assert "/50%" in shown[1]
    path = f"/apis/autoscaling/v1/namespaces/{namespace}/horizontalpodautoscalers/busy"
    old = json.loads(kubectl("get", "--raw", path).stdout)
    assert old["spec"]["targetCPUUtilizationPercentage"] == 50


def test_cron_jobs_and_budgets(kubectl: Kubectl, namespace: str) -> None:
    n = ("-n", namespace)
    kubectl("create", "cronjob", "tick", "--image=busybox", "--schedule=0 0 1 1 *", *n, "--", "true")
    kubectl("create", "job", "now", "--from=cronjob/tick", *n)
    kubectl("wait", "--for=condition=Complete", "job/now", *n, "--timeout=30s")
    assert kubectl("get", "cronjobs", *n).stdout.split()[:3] == ["NAME", "SCHEDULE", "TIMEZONE"]
    apply(kubectl, namespace, WEB.replace("replicas: 3", "replicas: 1"))
    kubectl("create", "pdb", "keep", "--selector=app=web", "--min-available=1", *n)
    kubectl("rollout", "status", "deployment/web", *n, "--timeout=60s")
    kubectl("wait", "--for=jsonpath={.status.expectedPods}=1", "pdb/keep", *n, "--timeout=30s")
    pod = kubectl("get", "pods", "-l", "app=web", *n, "-o", "jsonpath={.items[0].metadata.name}").stdout
    body = json.dumps(
        {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace}}
    )
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction"
    refused = kubectl("create", "--raw", path, "-f", "-", stdin=body, check=False)
    assert "Cannot evict pod as it would violate the pod's disruption budget." in refused.stderr
    kubectl("delete", "pdb", "keep", *n)
    kubectl("create", "--raw", path, "-f", "-", stdin=body)


def test_drain_cordon_and_taint(kubectl: Kubectl, namespace: str) -> None:
    n = ("-n", namespace)
    node = kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}").stdout
    apply(kubectl, namespace, WEB.replace("replicas: 3", "replicas: 1"))
    kubectl("rollout", "status", "deployment/web", *n, "--timeout=60s")
    before = kubectl("get", "pods", "-l", "app=web", *n, "-o", "name").stdout
    try:
        kubectl("drain", node, "--pod-selector=app=web", "--timeout=60s", "--force", "--ignore-daemonsets")
        assert kubectl("get", "node", node, "-o", "jsonpath={.spec.unschedulable}").stdout == "true"
        pending = "--for=jsonpath={.status.unavailableReplicas}=1"
        kubectl("wait", pending, "deployment/web", *n, "--timeout=30s")
    finally:
        kubectl("uncordon", node)
    kubectl("rollout", "status", "deployment/web", *n, "--timeout=60s")
    assert kubectl("get", "pods", "-l", "app=web", *n, "-o", "name").stdout != before
    kubectl("taint", "nodes", node, "test=yes:PreferNoSchedule")
    kubectl("taint", "nodes", node, "test-")


def test_a_stateful_set_keeps_names_and_rolls_back(kubectl: Kubectl, namespace: str) -> None:
    n = ("-n", namespace)
    apply(kubectl, namespace, DB)
    kubectl("rollout", "status", "statefulset/db", *n, "--timeout=60s")
    assert kubectl("get", "pods", "-o", "name", *n).stdout.split() == ["pod/db-0", "pod/db-1"]
    kubectl("set", "image", "statefulset/db", "c=busybox:2", *n)
    kubectl("rollout", "status", "statefulset/db", *n, "--timeout=60s")
    kubectl("rollout", "undo", "statefulset/db", *n)
    kubectl("rollout", "status", "statefulset/db", *n, "--timeout=60s")
    images = kubectl("get", "pods", *n, "-o", "jsonpath={.items[*].spec.containers[0].image}").stdout
    assert images == "busybox busybox"


def test_a_daemon_set_is_on_every_node(kubectl: Kubectl, namespace: str) -> None:
    n = ("-n", namespace)
    apply(kubectl, namespace, LOGS)
    kubectl("rollout", "status", "daemonset/logs", *n, "--timeout=60s")
    nodes = len(kubectl("get", "nodes", "-o", "name").stdout.split())
    counts = "jsonpath={.status.desiredNumberScheduled} {.status.numberAvailable}"
    assert kubectl("get", "daemonset", "logs", *n, "-o", counts).stdout == f"{nodes} {nodes}"
    kubectl("rollout", "restart", "daemonset/logs", *n)
    kubectl("rollout", "status", "daemonset/logs", *n, "--timeout=60s")
    assert "2" in kubectl("rollout", "history", "daemonset/logs", *n).stdout
