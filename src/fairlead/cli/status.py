"""`fairlead status`: is it up, what does the machine offer, what runs and what waits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from fairlead.api import core, trainer
from fairlead.api.core import Node, Pod
from fairlead.api.trainer import TrainJob
from fairlead.base import errors, timestamp
from fairlead.base.clock import SYSTEM
from fairlead.cli import connect, terminal
from fairlead.client.http import HttpClient


@click.command(name="status")
@terminal.folder
@terminal.as_json
def command(directory: Path | None, output: str) -> None:
    """Show the control plane, its nodes, Pods by phase, and train jobs."""
    found = connect.connection(directory)
    try:
        report = asyncio.run(_report(found))
    except (OSError, errors.StatusError) as error:
        terminal.fail(f"{found.place} does not answer: {error}")
    if output == "json":
        terminal.emit(report)
        return
    click.echo(f"{report['server']} is up")
    terminal.table(["NODE", "READY", "CPU", "MEMORY", "GPUS", "PODS"], [_node_row(n) for n in report["nodes"]])
    phases = ", ".join(f"{count} {phase.lower()}" for phase, count in report["pods"].items()) or "none"
    click.echo(f"\npods: {phases}")
    if report["trainjobs"]:
        click.echo()
        terminal.table(
            ["NAMESPACE", "TRAINJOB", "STATE", "AGE"],
            [[j["namespace"], j["name"], j["state"], j["age"]] for j in report["trainjobs"]],
        )


async def _report(found: Any) -> dict[str, Any]:
    client = HttpClient(found)
    try:
        nodes = (await client.list(core.NODES)).items
        pods = (await client.list(core.PODS)).items
        jobs = (await client.list(trainer.TRAIN_JOBS)).items
    finally:
        await client.close()
    phases: dict[str, int] = {}
    for pod in pods:
        phases[pod.status.phase] = phases.get(pod.status.phase, 0) + 1
    return {
        "server": found.place,
        "nodes": [_node(n, pods) for n in nodes],
        "pods": phases,
        "trainjobs": [_job(j, pods) for j in jobs],
    }


def _node(node: Node, pods: Sequence[Pod]) -> dict[str, Any]:
    ready = next((c.status for c in node.status.conditions if c.type == "Ready"), "Unknown")
    here = [p for p in pods if p.spec.nodeName == node.metadata.name and not p.finished]
    return {
        "name": node.metadata.name,
        "ready": ready,
        "allocatable": {k: str(v) for k, v in node.status.allocatable.items()},
        "pods": len(here),
    }


def _node_row(node: dict[str, Any]) -> list[str]:
    amounts = node["allocatable"]
    gpus = amounts.get("nvidia.com/gpu", "0")
    return [node["name"], node["ready"], amounts.get("cpu", "?"), amounts.get("memory", "?"), gpus, str(node["pods"])]


def _job(job: TrainJob, pods: Sequence[Pod]) -> dict[str, Any]:
    state = next((c.type for c in job.status.conditions if c.status == "True"), "")
    if not state:
        mine = [p for p in pods if p.metadata.labels.get("jobset.sigs.k8s.io/jobset-name") == job.metadata.name]
        state = "Running" if any(p.status.phase == "Running" for p in mine) else "Pending"
    since = timestamp.parse(job.metadata.creationTimestamp or "1970-01-01T00:00:00Z")
    age = f"{int(SYSTEM.now() - since)}s"
    return {"namespace": job.metadata.namespace, "name": job.metadata.name, "state": state, "age": age}
