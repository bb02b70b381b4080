"""What stands around the API of a running control plane: the audit log, the unix socket."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from fairlead.api import core
from fairlead.client.http import HttpClient
from fairlead.client.kubeconfig import Connection
from fairlead.testing import plane as planes

pytestmark = pytest.mark.e2e

POLICY = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, verbs: [create], resources: [{group: "", resources: [configmaps]}]}
"""


async def namespaces(socket: Path) -> list[str]:
    client = HttpClient(Connection("http://localhost", socket=socket))
    found = await client.list(core.NAMESPACES)
    await client.close()
    return [n.metadata.name for n in found.items]


def test_audit_log_and_unix_socket(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY)
    config = tmp_path / "config.yaml"
    config.write_text(f"audit: {{policy: {tmp_path / 'policy.yaml'}}}\n")
    with planes.started(tmp_path / "s", "--config", str(config)) as up:
        up.kubectl("create", "configmap", "a", "--from-literal=k=v")
        up.kubectl("get", "configmap", "a")
        assert "default" in asyncio.run(namespaces(up.home.socket))
    assert not up.home.socket.exists()
    (event,) = [json.loads(line) for line in (tmp_path / "s" / "audit.log").read_text().splitlines()]
    assert (event["verb"], event["objectRef"]["name"], event["user"]["username"]) == ("create", "a", "admin")


def test_a_policy_that_makes_no_sense_is_told(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("rules: []")
    config = tmp_path / "config.yaml"
    config.write_text(f"audit: {{policy: {tmp_path / 'policy.yaml'}}}\n")
    plane = planes.Plane(tmp_path / "s", "--config", str(config))
    with pytest.raises(RuntimeError, match=r"apiVersion must be audit.k8s.io/v1"):
        plane.start()
