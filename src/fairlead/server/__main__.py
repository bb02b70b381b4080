"""`python -m fairlead.server`: what `fairlead up` becomes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from fairlead.base import telemetry
from fairlead.server import settings


@click.command()
@click.option("--dir", "directory", type=click.Path(path_type=Path), required=True)
@click.option("--port", type=click.IntRange(0, 65535))
@click.option("--fake-gpus", type=int, default=0)
@click.option("--config", type=click.Path(path_type=Path))
@click.option("--network", default="auto")
@click.option("--sandbox", default="auto")
@click.option("--node", default="")
@click.option("--ready-fd", type=int)
@click.option("--verbose", is_flag=True)
def main(directory: Path, config: Path | None, ready_fd: int | None, verbose: bool, **options: Any) -> None:
    """Run the embedded control plane in the foreground."""
    telemetry.configure("DEBUG" if verbose else "INFO")
    from fairlead.server import process  # noqa: PLC0415  (a wrong option is told before anything heavy is loaded)

    try:
        told = settings.Settings(directory.absolute(), configuration=settings.configuration(config), **options)
        process.run(told, lambda: _tell(ready_fd))
    except (settings.SettingsError, process.StartError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201  (one line for people, not a log)
        sys.exit(1)


def _tell(ready_fd: int | None) -> None:
    if ready_fd is not None:
        os.write(ready_fd, b"1")
        os.close(ready_fd)


if __name__ == "__main__":
    main()
