"""The demo: start Fairlead, train a small network on two nodes of this machine, show the result.

Run it with `make demo`. State, log and checkpoint stay in `.demo/` to look at; the control plane is stopped at the end.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from fairlead.api import core, trainer
from fairlead.api.meta import Key
from fairlead.base.errors import StatusError
from fairlead.client import kubeconfig
from fairlead.client.http import HttpClient
from fairlead.client.protocol import DeleteOptions, ListOptions, WriteOptions
from fairlead.sdk.follow import Follower

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".demo" / "state"
OUTPUT = ROOT / ".demo" / "digits"
MANIFEST = ROOT / "examples" / "train-digits.yaml"
FAIRLEAD = Path(sys.executable).with_name("fairlead")
JOB = Key("default", "digits")

EPOCH = re.compile(r"epoch=(\d+)/(\d+) loss=([\d.]+) accuracy=([\d.]+) images/s=(\d+)")

console = Console(highlight=False)


class Show:
    """Turns the job's lines into a progress bar, and keeps what the summary needs."""

    def __init__(self, bar: Progress, applied: float) -> None:
        self.bar, self.applied = bar, applied
        self.task = bar.add_task("starting", total=None, detail="")
        self.first_step = 0.0
        self.accuracy = ""
        self.rows: list[tuple[str, str, str]] = []

    def line(self, text: str) -> None:
        if "first step done" in text:
            self.first_step = time.monotonic() - self.applied
        found = EPOCH.search(text)
        if found is None:
            self.bar.console.print(f"  {text}", markup=False)
            return
        epoch, epochs, loss, self.accuracy, speed = found.groups()
        self.rows.append((epoch, loss, self.accuracy))
        detail = f"loss {loss}  accuracy {float(self.accuracy):.1%}  {speed} images/s"
        self.bar.update(self.task, description="training", total=int(epochs), completed=int(epoch), detail=detail)

    def note(self, text: str) -> None:
        self.bar.console.print(f"  {text}", style="dim", markup=False)


def manifests() -> list[dict[str, Any]]:
    """The example's objects, with the folder for checkpoints inside of the demo's own."""
    objects = list(yaml.safe_load_all(MANIFEST.read_text()))
    for obj in objects:
        if obj["kind"] == "TrainJob":
            obj["spec"]["trainer"]["env"] = [{"name": "CHECKPOINTS", "value": str(OUTPUT)}]
    return objects


async def apply(client: HttpClient, objects: list[dict[str, Any]]) -> None:
    """Apply the objects: with kubectl where there is one, else with the same requests made here."""
    kubectl = shutil.which("kubectl")
    if kubectl:
        command = [kubectl, "--kubeconfig", str(STATE / "kubeconfig"), "apply", "-f", "-"]
        document = yaml.safe_dump_all(objects)
        console.print("kubectl apply -f examples/train-digits.yaml", style="bold")
        done = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE)
        await done.communicate(document.encode())
        if done.returncode:
            raise SystemExit(f"kubectl apply failed with {done.returncode}")
        return
    console.print("no kubectl on PATH: applying with Fairlead's own client", style="bold")
    for obj in objects:
        obj["metadata"].setdefault("namespace", "default")
        resource: Any = trainer.TRAIN_JOBS if obj["kind"] == "TrainJob" else core.CONFIG_MAPS
        await client.apply(resource.plain, obj, WriteOptions(manager="demo", force=True))


async def remove_old(client: HttpClient) -> None:
    """Remove the job of an earlier demo, and wait until it is gone."""
    try:
        await client.delete(trainer.TRAIN_JOBS, JOB, DeleteOptions(propagation="Foreground"))
    except StatusError as error:
        if error.code != 404:
            raise
        return
    listing = await client.list(trainer.TRAIN_JOBS, "default")
    if listing.items:
        async for event in client.watch(trainer.TRAIN_JOBS, "default", ListOptions(revision=listing.revision)):
            if event.type == "DELETED":
                return


async def train() -> int:
    client = HttpClient(kubeconfig.load(str(STATE / "kubeconfig")))
    try:
        await remove_old(client)
        started = time.monotonic()
        await apply(client, manifests())
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=console) as bar:
            show = Show(bar, started)
            code = await Follower(client, JOB, show.line, show.note).run()
        summary(show, code, time.monotonic() - started)
        return code
    finally:
        await client.close()


def summary(show: Show, code: int, seconds: float) -> None:
    if code:
        console.print(f"the training failed with exit code {code}; see {STATE / 'fairlead.log'}", style="bold red")
        return
    console.print()
    console.print(f"accuracy on held-out digits  {float(show.accuracy):.1%}", style="bold green")
    console.print(f"apply to first step          {show.first_step:.1f} s")
    console.print(f"apply to the end             {seconds:.1f} s")
    console.print(f"checkpoint                   {OUTPUT / 'checkpoint.pt'}")
    console.print(f"logs of the Pods             {STATE / 'pods'}  (or: kubectl logs)")
    console.print(f"log of the control plane     {STATE / 'fairlead.log'}")
    console.print(f"look around                  {FAIRLEAD} up --dir {STATE} --detach")


def main() -> int:
    """Up, train, down."""
    shutil.rmtree(OUTPUT, ignore_errors=True)
    begun = time.monotonic()
    subprocess.run([FAIRLEAD, "down", "--dir", STATE], check=False, stdout=subprocess.DEVNULL)
    subprocess.run([FAIRLEAD, "up", "--detach", "--dir", STATE], check=True)
    console.print(f"up in {time.monotonic() - begun:.1f} s\n")
    try:
        return asyncio.run(train())
    finally:
        subprocess.run([FAIRLEAD, "down", "--dir", STATE], check=False, env=os.environ)


if __name__ == "__main__":
    sys.exit(main())
