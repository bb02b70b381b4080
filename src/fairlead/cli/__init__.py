"""The command line. A command's module is imported when it is called, so that `fairlead --help` is quick."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

import fairlead

COMMANDS = {
    "up": "fairlead.cli.up",
    "down": "fairlead.cli.down",
    "status": "fairlead.cli.status",
    "kubeconfig": "fairlead.cli.kubeconfig",
    "run": "fairlead.cli.run",
    "backup": "fairlead.cli.backup",
    "restore": "fairlead.cli.restore",
    "controllers": "fairlead.cli.controllers",
    "scheduler": "fairlead.cli.scheduler",
    "crds": "fairlead.cli.crds",
}


class _Lazy(click.Group):
    """A group whose commands are modules with a `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        found: Any = importlib.import_module(module).command
        assert isinstance(found, click.Command)
        return found


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(fairlead.__version__, prog_name="fairlead")
def commands() -> None:
    """AI workloads the Kubernetes way: an embedded control plane that runs Pods as processes."""


def main() -> None:
    """The `fairlead` program."""
    try:
        commands(prog_name="fairlead")
    except KeyboardInterrupt:
        sys.exit(130)
