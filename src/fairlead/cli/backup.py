"""`fairlead backup`: write the control plane to one file, while it runs or when it does not."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from fairlead.cli import terminal


@click.command(name="backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@terminal.folder
def command(file: Path, directory: Path | None) -> None:
    """Write all objects at one revision, with keys and tokens, to FILE (a tar file). It contains secrets.

    The control plane may run: nothing waits for the backup. Logs, volumes and processes of Pods are not in it.
    """
    program(directory, "backup", file)


def program(directory: Path | None, what: str, file: Path) -> None:
    """Become the program that reads and writes archives."""
    place = terminal.opened(directory)
    if not file.parent.is_dir():
        terminal.fail(f"{file.parent} is no folder")
    os.execv(
        sys.executable, [sys.executable, "-m", "fairlead.server.archive", what, "--dir", str(place.path), str(file)]
    )
