"""Which API server a command talks to: the embedded one of the state folder, or another kubeconfig's."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from fairlead.cli import terminal, up
from fairlead.client import kubeconfig
from fairlead.sdk import home


def connection(directory: Path | None, *, autostart: bool = False) -> kubeconfig.Connection:
    """With `--dir`: that control plane. Else $KUBECONFIG's server, else the default folder's; started if asked."""
    if directory is None and os.environ.get("KUBECONFIG"):
        return kubeconfig.load()
    place = terminal.opened(directory)
    if place.running() is None:
        if not autostart:
            terminal.fail(f"nothing serves {place.path}; start it with: fairlead up --detach")
        _start(place)
    if place.socket.exists():
        return kubeconfig.Connection("http://localhost", socket=place.socket)
    return kubeconfig.load(str(place.kubeconfig))


def _start(place: home.Home) -> None:
    click.echo(f"starting fairlead in {place.path}", err=True)
    up.start(place, [sys.executable, "-m", "fairlead.server", "--dir", str(place.path)])
