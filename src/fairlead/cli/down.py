"""`fairlead down`: stop the control plane. Running Pods go on, unless asked otherwise."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import click

from fairlead.cli import terminal
from fairlead.sdk import home

WAIT = 60.0


@click.command(name="down")
@terminal.folder
@click.option("--stop-pods", is_flag=True, help="Stop running Pods, too (each gets its grace period).")
def command(directory: Path | None, stop_pods: bool) -> None:
    """Stop the control plane; running Pods go on and are adopted by the next `fairlead up`."""
    place = terminal.opened(directory)
    running = place.running()
    if running is None:
        click.echo(f"nothing serves {place.path}")
        return
    os.kill(running.pid, signal.SIGUSR1 if stop_pods else signal.SIGTERM)
    if not home.wait(running, WAIT):
        terminal.fail(f"process {running.pid} did not end within {WAIT:.0f} s; see {place.log}")
    click.echo(f"stopped process {running.pid}")
