"""`fairlead kubeconfig`: the kubeconfig of the control plane, or where it lies."""

from __future__ import annotations

from pathlib import Path

import click

from fairlead.cli import terminal


@click.command(name="kubeconfig")
@terminal.folder
@click.option("--path", "only_path", is_flag=True, help="Print the file's path only.")
def command(directory: Path | None, only_path: bool) -> None:
    """Print the kubeconfig: `export KUBECONFIG=$(fairlead kubeconfig --path)`."""
    place = terminal.opened(directory)
    if not place.kubeconfig.exists():
        terminal.fail(f"{place.kubeconfig} does not exist; start the control plane with: fairlead up --detach")
    click.echo(str(place.kubeconfig) if only_path else place.kubeconfig.read_text(), nl=only_path)
