"""`fairlead restore`: make a state folder from what `fairlead backup` wrote."""

from __future__ import annotations

from pathlib import Path

import click

from fairlead.cli import backup, terminal


@click.command(name="restore")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@terminal.folder
def command(file: Path, directory: Path | None) -> None:
    """Make a state folder from the backup FILE. The folder must be empty or not there yet.

    Stop the old control plane with `fairlead down --stop-pods` first if it still runs: a Pod that was running counts as
    ended by the restore, and is started again if its restartPolicy says so.
    """
    backup.program(directory, "restore", file)
