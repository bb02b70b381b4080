"""`fairlead controllers` as a program, on the embedded server and on a real one."""

from __future__ import annotations

import asyncio
import json
import signal
import sys

from fairlead.apiserver.auth import ADMIN

JOBS = "/apis/batch/v1/{ns}/jobs"


async def test_command_runs_controllers(http, request, side, tmp_path):
    config = request.config.getoption("--kubeconfig") if side == "real" else kubeconfig(http, tmp_path)
    options = ["--controllers", "job-controller", "--namespace", http.namespace, "--lease-namespace", http.namespace]
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from fairlead.cli import main; main()", "controllers",
        "--kubeconfig", str(config), *options, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said = await program.stderr.readline()
    assert said.startswith(b"running job-controller against http")
    pod = {"containers": [{"name": "main", "image": "example"}], "restartPolicy": "Never"}
    job = {"metadata": {"name": "work"}, "spec": {"suspend": True, "template": {"spec": pod}}}
    assert (await http.send("POST", JOBS, job))["code"] == 201
    async with asyncio.timeout(30):
        status = {}
        while not status.get("conditions"):
            await asyncio.sleep(0.05)
            status = (await http.send("GET", JOBS + "/work"))["body"].get("status", {})
    assert status["conditions"][0]["type"] == "Suspended"
    program.send_signal(signal.SIGTERM)
    assert await program.wait() == 0
    lease = await http.send("GET", f"/apis/coordination.k8s.io/v1/{{ns}}/leases/fairlead-controllers-{http.namespace}")
    assert not lease["body"]["spec"].get("holderIdentity")


def kubeconfig(http, folder):
    """A kubeconfig of the embedded server."""
    config = {
        "clusters": [{"name": "c", "cluster": {"server": http.base}}],
        "users": [{"name": ADMIN.name, "user": {"token": "secret"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": ADMIN.name}}],
        "current-context": "c",
    }
    path = folder / "config"
    path.write_text(json.dumps(config))
    return path
