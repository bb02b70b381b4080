"""Build a TrainJob from what a person says: nodes, GPUs, a command, a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from fairlead.api import trainer
from fairlead.sdk import code

MANAGER = "fairlead.dev/run"
TORCH = "torch-distributed"
PLAIN = "plain"

_PYTHON = ("python", "python3")


class Wish(msgspec.Struct, frozen=True):
    """What is asked for. `command` is run as it stands, except as `entrypoint` says."""

    name: str
    command: Sequence[str]
    namespace: str = "default"
    runtime: str = PLAIN
    nodes: int = 1
    gpus: int = 0
    cpu: str = ""
    memory: str = ""
    env: Mapping[str, str] = {}
    image: str = ""


def entrypoint(command: Sequence[str], runtime: str) -> list[str]:
    """The command a runtime starts: under torch, `python x.py` is `torchrun x.py`, as the Kubeflow SDK has it."""
    if runtime == TORCH and len(command) > 1 and command[0] in _PYTHON and not command[1].startswith("-"):
        return ["torchrun", *command[1:]]
    return list(command)


def build(wish: Wish, uploaded: code.Code | None = None) -> dict[str, Any]:
    """The TrainJob, as it is created."""
    command = entrypoint(wish.command, wish.runtime)
    job: dict[str, Any] = {"numNodes": wish.nodes, "command": code.unpacking(command) if uploaded else command}
    amounts = {"nvidia.com/gpu": str(wish.gpus) if wish.gpus else "", "cpu": wish.cpu, "memory": wish.memory}
    asked = {k: v for k, v in amounts.items() if v}
    if asked:
        job["resourcesPerNode"] = {"requests": asked, "limits": asked}
    if wish.env:
        job["env"] = [{"name": k, "value": v} for k, v in wish.env.items()]
    if wish.image:
        job["image"] = wish.image
    spec: dict[str, Any] = {
        "runtimeRef": {"apiGroup": trainer.GROUP, "kind": "ClusterTrainingRuntime", "name": wish.runtime},
        "trainer": job,
    }
    if uploaded:
        spec["runtimePatches"] = [{"manager": MANAGER, "trainingRuntimeSpec": _mounted(uploaded)}]
    return {
        "apiVersion": trainer.TRAIN_JOBS.api_version,
        "kind": "TrainJob",
        "metadata": {"name": wish.name, "namespace": wish.namespace},
        "spec": spec,
    }


def _mounted(uploaded: code.Code) -> dict[str, Any]:
    """The runtime patch that gives the trainer's container the code, and a folder to unpack it into."""
    sources = [{"configMap": {"name": name}} for name in uploaded.names]
    mounts = [
        {"name": "code", "mountPath": code.MOUNT, "readOnly": True},
        {"name": "work", "mountPath": code.WORK},
    ]
    pod = {
        "volumes": [{"name": "code", "projected": {"sources": sources}}, {"name": "work", "emptyDir": {}}],
        "containers": [{"name": trainer.NODE, "volumeMounts": mounts}],
    }
    replicated = {"name": trainer.NODE, "template": {"spec": {"template": {"spec": pod}}}}
    return {"template": {"spec": {"replicatedJobs": [replicated]}}}
