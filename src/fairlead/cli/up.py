"""`fairlead up`: start the embedded control plane, here or in the background.

The server is its own program (`python -m fairlead.server`): this command becomes it, or starts it and waits until it
answers.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import click

from fairlead.cli import terminal
from fairlead.sdk import home

WAIT = 30.0
"""Seconds that a detached control plane may take until it answers."""


@click.command(name="up")
@terminal.folder
@click.option("--detach", "-d", is_flag=True, help="Run in the background; the log is in the state folder.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="HTTPS port (default: the last one, else 6443 or a free one)."
)
@click.option(
    "--fake-gpus", type=click.IntRange(0, 1024), default=0, help="Pretend to have N GPUs, to try queues with."
)
@click.option("--config", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Configuration (YAML).")
@click.option(
    "--network", type=click.Choice(["auto", "netns", "loopback"]), default="auto", help="How Pods get addresses."
)
@click.option(
    "--sandbox", type=click.Choice(["auto", "none"]), default="auto", help="Whether containers get a view of their own."
)
@click.option("--verbose", "-v", is_flag=True, help="Log more.")
def command(
    directory: Path | None,
    detach: bool,
    port: int | None,
    fake_gpus: int,
    config: Path | None,
    verbose: bool,
    **modes: str,
) -> None:
    """Start the embedded control plane and the agent of this machine."""
    place = terminal.opened(directory)
    arguments = ["--dir", str(place.path), "--fake-gpus", str(fake_gpus)]
    arguments += [part for name, value in modes.items() for part in (f"--{name}", value)]
    arguments += ["--port", str(port)] if port is not None else []
    arguments += ["--config", str(config.absolute())] if config is not None else []
    arguments += ["--verbose"] if verbose else []
    program = [sys.executable, "-m", "fairlead.server", *arguments]
    if detach:
        start(place, program)
    else:
        os.execv(program[0], program)


def start(place: home.Home, program: list[str]) -> home.Running:
    """Start a control plane in the background, and wait until it answers."""
    running = place.running()
    if running is not None:
        terminal.fail(f"{place.path} is served already, by process {running.pid} at {running.url}")
    place.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    offset = place.log.stat().st_size if place.log.exists() else 0
    told, tell = os.pipe()
    with place.log.open("ab") as log:
        process = subprocess.Popen(
            [*program, "--ready-fd", str(tell)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(tell,),
        )
    os.close(tell)
    if not select.select([told], [], [], WAIT)[0]:
        terminal.fail(f"no answer within {WAIT:.0f} s; see {place.log}")
    ready = os.read(told, 1)
    os.close(told)
    running = place.running()
    if not ready or running is None:
        raise SystemExit(_said(place.log, offset) or process.wait())
    click.echo(f"fairlead is up at {running.url} (process {running.pid})")
    click.echo(f"export KUBECONFIG={place.kubeconfig}")
    return running


def _said(log: Path, offset: int) -> int:
    """Repeat why the server ended."""
    with log.open("rb") as lines:
        lines.seek(offset)
        click.echo(lines.read().decode(errors="replace").strip(), err=True)
    return 1
