"""Two Pods exchange bytes by host name, however this machine separates and connects them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead.testing import plane as planes
from fairlead.testing.plane import Plane

pytestmark = pytest.mark.e2e

MODES = (("auto", "auto"), ("loopback", "auto"), ("loopback", "none"))
"""Network and sandbox. The first is the best of both that the machine allows."""

EXCHANGE = """
import os, socket, sys, time
peer, index = os.environ["PEER"], int(os.environ["JOB_COMPLETION_INDEX"])
assert open(sys.argv[1]).read() == "told"
if index == 0:
    connection = socket.create_server((peer, 29500)).accept()[0]
    connection.sendall(b"hello 1")
    print(connection.recv(99).decode(), flush=True)
else:
    for _ in range(300):
        try:
            connection = socket.create_connection((peer, 29500))
            break
        except OSError:
            time.sleep(0.1)
    print(connection.recv(99).decode(), flush=True)
    connection.sendall(b"hello 0")
"""


def objects() -> str:
    """A headless Service, and a Job of two Pods that know each other's names; the second is started first by luck."""
    labels = {"app": "exchange"}
    ports = [{"port": 29500}]
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "peers"},
        "spec": {"clusterIP": "None", "selector": labels, "publishNotReadyAddresses": True, "ports": ports},
    }  # fmt: skip
    container = {
        "name": "main", "image": "python", "command": ["python", "/in/exchange.py", "/in/word"],
        "env": [{"name": "PEER", "value": "exchange-0.peers"}],
        "volumeMounts": [{"name": "in", "mountPath": "/in"}],
    }  # fmt: skip
    pod = {
        "subdomain": "peers", "restartPolicy": "Never", "containers": [container],
        "volumes": [{"name": "in", "configMap": {"name": "script"}}],
    }  # fmt: skip
    job = {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "exchange"},
        "spec": {
            "completions": 2, "parallelism": 2, "completionMode": "Indexed", "backoffLimit": 0,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }  # fmt: skip
    script = {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "script"},
        "data": {"exchange.py": EXCHANGE, "word": "told"},
    }  # fmt: skip
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [script, service, job]})


@pytest.fixture(params=MODES, ids=["-".join(mode) for mode in MODES])
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Plane]:
    network, sandbox = request.param
    with planes.started(tmp_path / "state", "--network", network, "--sandbox", sandbox) as up:
        yield up


def test_two_pods_exchange_by_name(own: Plane) -> None:
    own.kubectl("apply", "-f", "-", stdin=objects())
    own.kubectl("wait", "job/exchange", "--for=condition=Complete", "--timeout=60s")
    selector = "batch.kubernetes.io/job-completion-index"
    assert [own.kubectl("logs", "-l", f"{selector}={i}", "--tail=-1").stdout for i in (0, 1)] == [
        "hello 0\n",
        "hello 1\n",
    ]
