"""`fairlead scheduler`: run the scheduler against any API server, beside or in place of its own.

It places the Pods whose `schedulerName` is one of `--profiles`; by default only `fairlead`, so that a cluster's own
scheduler keeps its Pods.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

import click

from fairlead.api.meta import Key
from fairlead.base import errors, telemetry
from fairlead.base.clock import SYSTEM
from fairlead.cli import terminal
from fairlead.client import kubeconfig
from fairlead.client.http import HttpClient
from fairlead.reconcile.lease import Candidate, Elector, LeaseLost
from fairlead.scheduler.loop import Scheduler

LEASE = "fairlead-scheduler"


@click.command(name="scheduler")
@click.option(
    "--kubeconfig",
    "config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Which server (default: $KUBECONFIG, else ~/.kube/config, else the Pod's service account).",
)
@click.option("--context", default="", help="Context of the kubeconfig (default: its current one).")
@click.option("--profiles", default="fairlead", show_default=True, metavar="NAME,...", help="schedulerNames to serve.")
@click.option("--leader-elect/--no-leader-elect", default=True, show_default=True, help="Work only while leading.")
@click.option("--lease-namespace", default="kube-system", show_default=True, help="Where the leader's Lease is.")
@click.option("--verbose", "-v", is_flag=True, help="Log more.")
def command(
    config: Path | None, context: str, profiles: str, leader_elect: bool, lease_namespace: str, verbose: bool
) -> None:
    """Run the scheduler against any Kubernetes API server, until stopped."""
    telemetry.configure("DEBUG" if verbose else "INFO")
    names = [name.strip() for name in profiles.split(",") if name.strip()]
    if not names:
        terminal.fail("--profiles names no schedulerName", code=2)
    lease = Key(lease_namespace, LEASE) if leader_elect else None
    try:
        asyncio.run(_run(kubeconfig.load(config, context), names, lease))
    except errors.StatusError as error:
        terminal.fail(error.message)
    except (kubeconfig.ConfigError, LeaseLost) as error:
        terminal.fail(str(error))


async def _run(connection: kubeconfig.Connection, profiles: Sequence[str], lease: Key | None) -> None:
    client = HttpClient(connection)
    scheduler = Scheduler(client, SYSTEM, profiles)
    loop = asyncio.get_running_loop()
    for told in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(told, scheduler.stop)
    click.echo(f"scheduling {', '.join(profiles)} against {connection.server}", err=True)
    try:
        if lease is None:
            await scheduler.run()
        else:
            identity = f"{socket.gethostname()}_{secrets.token_hex(4)}"
            await Elector(client, SYSTEM, Candidate(identity, lease)).lead(scheduler.run)
    finally:
        await client.close()
