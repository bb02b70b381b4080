"""Unmodified kubectls, oldest and newest of those that are supported."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from fairlead.testing import plane as planes
from fairlead.testing.plane import Plane

pytestmark = pytest.mark.e2e

Kubectl = Callable[..., Any]

JOB = """
apiVersion: batch/v1
kind: Job
metadata: {name: hello, labels: {app: hello}}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: c
        image: busybox
        command: [sh, -c, 'for i in 1 2 3; do echo line $i; done; echo to-stderr >&2']
"""

CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: "1"}
"""


def test_apply_get_logs_and_delete_of_a_job(kubectl: Kubectl, namespace: str) -> None:
    kubectl("apply", "-n", namespace, "-f", "-", stdin=JOB)
    kubectl("wait", "-n", namespace, "--for=condition=Complete", "job/hello", "--timeout=30s")
    table = kubectl("get", "jobs", "-n", namespace).stdout.splitlines()
    assert table[0].split()[:3] == ["NAME", "STATUS", "COMPLETIONS"]
    assert table[1].split()[:3] == ["hello", "Complete", "1/1"]
    assert kubectl("logs", "-f", "-n", namespace, "job/hello").stdout.splitlines() == [
        "line 1",
        "line 2",
        "line 3",
        "to-stderr",
    ]
    tail = kubectl("logs", "-n", namespace, "job/hello", "--tail=1", "--timestamps").stdout
    assert tail.endswith(" to-stderr\n")
    assert tail[:2] == "20"
    pod = json.loads(kubectl("get", "pods", "-n", namespace, "-l", "job-name=hello", "-o", "json").stdout)["items"][0]
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"
    kubectl("delete", "job", "hello", "-n", namespace, "--timeout=30s")
    kubectl("wait", "-n", namespace, "--for=delete", "pod", "-l", "job-name=hello", "--timeout=30s", check=False)
    assert "No resources found" in kubectl("get", "jobs,pods", "-n", namespace).stderr


def test_apply_twice_diff_and_server_side_apply(kubectl: Kubectl, namespace: str) -> None:
    assert "created" in kubectl("apply", "-n", namespace, "-f", "-", stdin=CONFIG).stdout
    assert "unchanged" in kubectl("apply", "-n", namespace, "-f", "-", stdin=CONFIG).stdout
    changed = CONFIG.replace('"1"', '"2"')
    diff = kubectl("diff", "-n", namespace, "-f", "-", stdin=changed, check=False)
    assert diff.returncode == 1, diff.stderr
    assert '+  a: "2"' in diff.stdout
    assert "configured" in kubectl("apply", "-n", namespace, "-f", "-", stdin=changed).stdout
    other = kubectl(
        "apply", "--server-side", "--field-manager=other", "-n", namespace, "-f", "-", stdin=CONFIG, check=False
    )
    assert 'conflict with "kubectl-client-side-apply"' in other.stderr
    forced = kubectl(
        "apply", "--server-side", "--force-conflicts", "--field-manager=other", "-n", namespace, "-f", "-", stdin=CONFIG
    )
    assert "serverside-applied" in forced.stdout


def test_label_patch_annotate_and_edit_in_place(kubectl: Kubectl, namespace: str) -> None:
    kubectl("create", "configmap", "box", "--from-literal=k=v", "-n", namespace)
    kubectl("label", "configmap", "box", "team=red", "-n", namespace)
    kubectl("annotate", "configmap", "box", "note=x", "-n", namespace)
    kubectl("patch", "configmap", "box", "-n", namespace, "--type=merge", "-p", '{"data":{"k":null,"m":"w"}}')
    kubectl(
        "patch", "configmap", "box", "-n", namespace, "--type=json", "-p", '[{"op":"add","path":"/data/n","value":"1"}]'
    )
    got = json.loads(kubectl("get", "configmap", "box", "-n", namespace, "-o", "json").stdout)
    assert got["data"] == {"m": "w", "n": "1"}
    assert got["metadata"]["labels"] == {"team": "red"}
    assert kubectl("get", "cm", "-n", namespace, "-l", "team in (red)", "-o", "name").stdout == "configmap/box\n"


def test_an_unknown_field_is_refused_with_its_path(kubectl: Kubectl, namespace: str) -> None:
    wrong = JOB.replace("backoffLimit: 0", "backofLimit: 0")
    refused = kubectl("apply", "-n", namespace, "-f", "-", stdin=wrong, check=False)
    assert refused.returncode == 1
    assert 'unknown field "spec.backofLimit"' in refused.stderr


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (JOB.replace("backoffLimit: 0", "backoffLimit: many"), "backoffLimit"),
        (JOB.replace("name: hello", "name: Hello"), "metadata.name: Invalid value"),
        (JOB.replace("command:", "resources: {requests: {cpu: lots}}\n        command:"), "quantities must match"),
        (JOB.replace("restartPolicy: Never", "restartPolicy: Always"), "spec.template.spec.restartPolicy"),
    ],
    ids=["type", "name", "quantity", "value"],
)
def test_bad_manifests_get_upstreams_errors(plane: Plane, namespace: str, wrong: str, said: str) -> None:
    refused = plane.kubectl("apply", "-n", namespace, "-f", "-", stdin=wrong, check=False)
    assert refused.returncode == 1
    assert said in refused.stderr


def test_an_immutable_change_is_refused(kubectl: Kubectl, namespace: str) -> None:
    kubectl("apply", "-n", namespace, "-f", "-", stdin=JOB)
    refused = kubectl("apply", "-n", namespace, "-f", "-", stdin=JOB.replace("line $i", "row $i"), check=False)
    assert "spec.template" in refused.stderr
    assert "field is immutable" in refused.stderr


def test_describe_explain_and_discovery(kubectl: Kubectl, namespace: str) -> None:
    kubectl("apply", "-n", namespace, "-f", "-", stdin=JOB)
    kubectl("wait", "-n", namespace, "--for=condition=Complete", "job/hello", "--timeout=30s")
    described = kubectl("describe", "job", "hello", "-n", namespace).stdout
    assert "Pods Statuses:" in described
    assert "Completed" in described
    names = kubectl("api-resources", "-o", "name").stdout.split()
    assert {"pods", "jobs.batch", "trainjobs.trainer.kubeflow.org", "jobsets.jobset.x-k8s.io"} <= set(names)
    assert "batch/v1" in kubectl("api-versions").stdout.split()
    assert "numNodes" in kubectl("explain", "trainjob.spec.trainer").stdout
    assert "completions" in kubectl("explain", "job.spec").stdout


def test_get_watches(kubectl: Kubectl, plane: Plane, namespace: str) -> None:
    program = kubectl("version", "--client", "-o", "json")
    assert json.loads(program.stdout)["clientVersion"]["major"] == "1"
    command = [planes.find_kubectl() or "kubectl", "--kubeconfig", str(plane.kubeconfig)]
    watching = subprocess.Popen(
        [*command, "get", "jobs", "-n", namespace, "-w", "-o", "name"], stdout=subprocess.PIPE, text=True
    )
    try:
        kubectl("apply", "-n", namespace, "-f", "-", stdin=JOB)
        assert watching.stdout is not None
        assert watching.stdout.readline() == "job.batch/hello\n"
    finally:
        watching.kill()
        watching.communicate()


def test_typed_creates_send_protobuf(kubectl: Kubectl, namespace: str) -> None:
    kubectl("create", "secret", "generic", "s", "--from-literal=a=b", "-n", namespace)
    kubectl("create", "serviceaccount", "bot", "-n", namespace)
    kubectl("create", "job", "quick", "--image=busybox", "-n", namespace, "--", "true")
    kubectl("wait", "-n", namespace, "--for=condition=Complete", "job/quick", "--timeout=30s")
    assert len(kubectl("create", "token", "bot", "-n", namespace).stdout.split(".")) == 3
    assert kubectl("auth", "can-i", "create", "jobs").stdout == "yes\n"


def test_previous_logs_and_restarts(kubectl: Kubectl, namespace: str) -> None:
    script = "test -e /scratch/x && { echo second; exec sleep 300; }; touch /scratch/x; echo first; exit 3"
    pod = f"""
apiVersion: v1
kind: Pod
metadata: {{name: again}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: busybox
    command: [sh, -c, "{script}"]
    volumeMounts: [{{name: s, mountPath: /scratch}}]
  volumes: [{{name: s, emptyDir: {{}}}}]
"""
    kubectl("apply", "-n", namespace, "-f", "-", stdin=pod)
    kubectl("wait", "-n", namespace, "--for=jsonpath={.status.containerStatuses[0].restartCount}=1", "pod/again")
    kubectl("wait", "-n", namespace, "--for=condition=Ready", "pod/again", "--timeout=30s")
    assert kubectl("logs", "again", "-n", namespace, "--previous").stdout == "first\n"
    last = "jsonpath={.status.containerStatuses[0].lastState.terminated.exitCode}"
    assert kubectl("get", "pod", "again", "-n", namespace, "-o", last).stdout == "3"


def test_a_pod_that_cannot_run_waits_with_a_reason(kubectl: Kubectl, namespace: str) -> None:
    for name, spec, said in (
        ("greedy", "resources: {limits: {nvidia.com/gpu: 64}}", "Insufficient nvidia.com/gpu"),
        ("windows", "x", "didn't match Pod's node affinity/selector"),
    ):
        more = f", {spec}" if spec != "x" else ""
        select = "" if spec != "x" else "\n  nodeSelector: {kubernetes.io/os: windows}"
        pod = f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  containers: [{{name: c, image: i, command: [sleep, "1"]{more}}}]{select}
"""
        kubectl("apply", "-n", namespace, "-f", "-", stdin=pod)
        kubectl("wait", "-n", namespace, "--for=condition=PodScheduled=False", f"pod/{name}", "--timeout=20s")
        message = "jsonpath={.status.conditions[?(@.type=='PodScheduled')].message}"
        assert said in kubectl("get", "pod", name, "-n", namespace, "-o", message).stdout


def test_gpus_are_assigned_one_by_one(kubectl: Kubectl, namespace: str) -> None:
    def pod(name: str) -> str:
        script = "echo $CUDA_VISIBLE_DEVICES; exec sleep 60"
        return f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: i
    command: [sh, -c, '{script}']
    resources: {{limits: {{nvidia.com/gpu: 2}}}}
"""

    for name in ("one", "two"):
        kubectl("apply", "-n", namespace, "-f", "-", stdin=pod(name))
        kubectl("wait", "-n", namespace, "--for=condition=Ready", f"pod/{name}", "--timeout=30s")
    devices = [kubectl("logs", name, "-n", namespace).stdout.strip().split(",") for name in ("one", "two")]
    assert all(len(d) == 2 for d in devices)
    assert not set(devices[0]) & set(devices[1])


def test_namespace_deletion_empties_it(kubectl: Kubectl, plane: Plane) -> None:
    name = "gone-" + kubectl("version", "--client", "-o", "json").stdout.split('"minor": "')[1][:2]
    kubectl("create", "namespace", name)
    kubectl("apply", "-n", name, "-f", "-", stdin=JOB)
    kubectl("delete", "namespace", name, "--timeout=60s")
    assert "not found" in kubectl("get", "namespace", name, check=False).stderr
    kubectl("create", "namespace", name)
    assert kubectl("get", "jobs,pods", "-n", name, "-o", "name").stdout == ""
    plane.kubectl("delete", "namespace", name, "--timeout=60s")
