"""Limits, users, deadlines, volumes of a container, as kubectl shows them and as the container sees them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from fairlead.testing.plane import Plane

pytestmark = pytest.mark.e2e


class Pods:
    """Pods in a namespace of the test's own."""

    def __init__(self, plane: Plane, namespace: str) -> None:
        self._plane, self._namespace = plane, namespace

    def kubectl(self, *arguments: str, **more: Any) -> str:
        return self._plane.kubectl("-n", self._namespace, *arguments, **more).stdout

    def run(self, name: str, *command: str, container: dict[str, Any] | None = None, **spec: Any) -> None:
        main = {"name": "main", "image": "python", "command": list(command), **(container or {})}
        body = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [main], **spec}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"of": name}}, "spec": body}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(pod))

    def status(self, name: str, phase: str) -> dict[str, Any]:
        self.kubectl("wait", f"pod/{name}", f"--for=jsonpath={{.status.phase}}={phase}", "--timeout=30s")
        found: dict[str, Any] = json.loads(self.kubectl("get", "pod", name, "-o", "json"))["status"]
        return found

    def ended(self, name: str, phase: str) -> dict[str, Any]:
        """How the container ended."""
        state: dict[str, Any] = self.status(name, phase)["containerStatuses"][0]["state"]["terminated"]
        return state

    def log(self, name: str) -> str:
        self.status(name, "Succeeded")
        return self.kubectl("logs", name)


@pytest.fixture
def pods(plane: Plane, namespace: str) -> Pods:
    return Pods(plane, namespace)


def ability(plane: Plane, what: str) -> str:
    """What the node says of itself."""
    path = "{.items[0].metadata.labels.fairlead\\.dev/" + what + "}"
    return plane.kubectl("get", "nodes", "-o", f"jsonpath={path}").stdout


def needs_mounts(plane: Plane) -> None:
    if ability(plane, "sandbox") == "none":
        pytest.skip("this machine allows no mount namespaces, so volumes are not at their paths")


def test_too_much_memory(pods: Pods) -> None:
    script = "import time\nx = []\nwhile True: x.append(b'x' * (1 << 22)); time.sleep(0.01)"
    limited = {"resources": {"limits": {"memory": "64Mi"}}}
    pods.run("greedy", "python", "-c", script, container=limited)
    ended = pods.ended("greedy", "Failed")
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


def test_too_much_memory_is_started_again(pods: Pods) -> None:
    script = "x = b'x' * (200 << 20); import time; time.sleep(60)"
    limited = {"resources": {"limits": {"memory": "64Mi"}}}
    pods.run("again", "python", "-c", script, container=limited, restartPolicy="Always")
    path = "{.status.containerStatuses[0].lastState.terminated.reason}"
    pods.kubectl("wait", "pod/again", f"--for=jsonpath={path}=OOMKilled", "--timeout=30s")


def test_a_limit_of_cpu(plane: Plane, pods: Pods) -> None:
    if ability(plane, "limits") == "rlimits":
        pytest.skip("this machine gives no control groups, so CPU is not limited")
    script = (
        "import time\nbegan = time.monotonic()\nwhile time.monotonic() - began < 1.5: pass\n"
        "print(time.process_time() / (time.monotonic() - began))"
    )
    pods.run("slow", "python", "-c", script, container={"resources": {"limits": {"cpu": "200m"}}})
    assert float(pods.log("slow")) < 0.45


def test_another_user(pods: Pods) -> None:
    context = {"runAsUser": 12345, "runAsGroup": 2345, "fsGroup": 3456}
    mounts = [{"name": "scratch", "mountPath": "/scratch"}]
    script = "id -u; id -g; id -G; echo written > here; cat here; echo shared > /scratch/x; cat /scratch/x"
    pods.run("other", "sh", "-c", script, container={"volumeMounts": mounts}, securityContext=context,
             volumes=[{"name": "scratch", "emptyDir": {}}])  # fmt: skip
    if os.geteuid() != 0:
        path = "{.status.containerStatuses[0].state.waiting.reason}"
        pods.kubectl("wait", "pod/other", f"--for=jsonpath={path}=CreateContainerError", "--timeout=30s")
        return
    assert pods.log("other").splitlines() == ["12345", "2345", "2345 3456", "written", "shared"]


def test_a_last_word(pods: Pods) -> None:
    pods.run("says", "sh", "-c", "echo because > /dev/termination-log; exit 3")
    ended = pods.ended("says", "Failed")
    assert (ended["exitCode"], ended["message"]) == (3, "because\n")
    fallback = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    pods.run("prints", "sh", "-c", "echo the last line; exit 4", container=fallback)
    assert pods.ended("prints", "Failed")["message"] == "the last line\n"


def test_a_deadline(pods: Pods) -> None:
    pods.run("late", "sleep", "60", activeDeadlineSeconds=1)
    status = pods.status("late", "Failed")
    assert status["reason"] == "DeadlineExceeded"


def test_folders_of_the_host_and_parts_of_volumes(plane: Plane, pods: Pods, tmp_path: Path) -> None:
    needs_mounts(plane)
    (tmp_path / "data" / "part").mkdir(parents=True)
    (tmp_path / "data" / "part" / "in").write_text("from the host")
    volumes = [
        {"name": "host", "hostPath": {"path": str(tmp_path / "data"), "type": "Directory"}},
        {"name": "made", "hostPath": {"path": str(tmp_path / "made"), "type": "DirectoryOrCreate"}},
        {"name": "scratch", "emptyDir": {}},
    ]
    mounts = [
        {"name": "host", "mountPath": "/whole", "readOnly": True},
        {"name": "host", "mountPath": "/part", "subPath": "part"},
        {"name": "made", "mountPath": "/made"},
        {"name": "scratch", "mountPath": "/mine", "subPathExpr": "of-$(NAME)"},
        {"name": "scratch", "mountPath": "/scratch"},
    ]
    env = [{"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    script = (
        "cat /part/in; echo; echo new > /part/out; echo made > /made/x; touch /mine/x; ls /scratch; "
        "touch /whole/no 2>/dev/null || echo read-only"
    )
    pods.run("files", "sh", "-c", script, container={"volumeMounts": mounts, "env": env}, volumes=volumes)
    assert pods.log("files").splitlines() == ["from the host", "of-files", "read-only"]
    assert (tmp_path / "data" / "part" / "out").read_text() == "new\n"
    assert (tmp_path / "made" / "x").read_text() == "made\n"


def test_a_folder_that_is_not_there_is_waited_for(plane: Plane, pods: Pods, tmp_path: Path) -> None:
    needs_mounts(plane)
    volume = {"name": "host", "hostPath": {"path": str(tmp_path / "later"), "type": "Directory"}}
    mounts = [{"name": "host", "mountPath": "/in"}]
    pods.run("waits", "cat", "/in/word", container={"volumeMounts": mounts}, volumes=[volume])
    path = "{.status.containerStatuses[0].state.waiting.message}"
    said = f'volume "host": hostPath type check failed: {tmp_path / "later"} is not a Directory'
    pods.kubectl("wait", "pod/waits", f"--for=jsonpath={path}={said}", "--timeout=30s")
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "word").write_text("here")
    assert pods.log("waits") == "here"


def test_one_folder_of_many_sources(plane: Plane, pods: Pods) -> None:
    needs_mounts(plane)
    pods.kubectl("create", "configmap", "settings", "--from-literal=a=from-map", "--from-literal=b=unused")
    pods.kubectl("create", "secret", "generic", "key", "--from-literal=k=from-secret")
    resources = {"requests": {"cpu": "250m", "memory": "32Mi"}, "limits": {"cpu": "1500m", "memory": "64Mi"}}
    about = [
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        {"path": "memory", "resourceFieldRef": {
            "containerName": "main", "resource": "limits.memory", "divisor": "1Mi"}},
        {"path": "cpu", "resourceFieldRef": {"containerName": "main", "resource": "requests.cpu", "divisor": "1m"}},
    ]  # fmt: skip
    sources = [
        {"configMap": {"name": "settings", "items": [{"key": "a", "path": "deep/a", "mode": 0o400}]}},
        {"secret": {"name": "key"}},
        {"downwardAPI": {"items": about}},
        {"configMap": {"name": "absent", "optional": True}},
    ]
    env = [{"name": "CORES", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]
    script = (
        "cd /all; cat deep/a; echo; cat k; echo; cat labels; echo; cat memory; echo; cat cpu; echo; echo $CORES; "
        + ("stat -L -c %a deep/a; ls")
    )
    container = {"volumeMounts": [{"name": "all", "mountPath": "/all"}], "resources": resources, "env": env}
    pods.run(
        "many", "sh", "-c", script, container=container, volumes=[{"name": "all", "projected": {"sources": sources}}]
    )
    assert pods.log("many").splitlines() == [
        "from-map", "from-secret", 'of="many"', "64", "250", "2", "400", "cpu", "deep", "k", "labels", "memory",
    ]  # fmt: skip
