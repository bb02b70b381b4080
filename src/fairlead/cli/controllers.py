"""`fairlead controllers`: run controllers against any API server, such as a cluster that lacks them.

The controllers are those of `fairlead up`; only the ones that real Kubernetes brings itself stay out, unless asked for
by name. Several of these may run at once: the holder of a Lease works, the others wait.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from fairlead import controllers
from fairlead.api.meta import Key
from fairlead.base import errors, telemetry
from fairlead.base.clock import SYSTEM
from fairlead.cli import terminal
from fairlead.client import kubeconfig
from fairlead.client.http import HttpClient
from fairlead.client.within import Within
from fairlead.reconcile.lease import Candidate, Elector, LeaseLost
from fairlead.reconcile.manager import Manager, select
from fairlead.reconcile.reconciler import Controller

LEASE = "fairlead-controllers"


class Wish(msgspec.Struct, frozen=True):
    """What to run and where. Without a Lease there is no election."""

    controllers: Sequence[Controller[Any]]
    namespace: str = ""
    lease: Key | None = None


@click.command(name="controllers")
@click.option(
    "--kubeconfig",
    "config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Which server (default: $KUBECONFIG, else ~/.kube/config, else the Pod's service account).",
)
@click.option(
    "--controllers",
    "names",
    default="*",
    show_default=True,
    metavar="NAME,...",
    help="Which to run: * is all that Kubernetes does not bring itself, NAME one more, -NAME one fewer.",
)
@click.option("--namespace", "-n", default="", help="Work in this namespace only (default: in all).")
@click.option("--leader-elect/--no-leader-elect", default=True, show_default=True, help="Work only while leading.")
@click.option("--lease-namespace", default="kube-system", show_default=True, help="Where the leader's Lease is.")
@click.option("--verbose", "-v", is_flag=True, help="Log more.")
def command(
    config: Path | None, names: str, namespace: str, leader_elect: bool, lease_namespace: str, verbose: bool
) -> None:
    """Run controllers against any Kubernetes API server, until stopped."""
    lease = Key(lease_namespace, f"{LEASE}-{namespace}" if namespace else LEASE)
    wish = Wish(_chosen(names), namespace, lease if leader_elect else None)
    try:
        connection = kubeconfig.load(config)
        telemetry.configure("DEBUG" if verbose else "INFO")
        asyncio.run(_run(connection, wish))
    except errors.StatusError as error:
        terminal.fail(error.message)
    except (kubeconfig.ConfigError, LeaseLost) as error:
        terminal.fail(str(error))


def _chosen(names: str) -> Sequence[Controller[Any]]:
    try:
        chosen = select(
            controllers.discover(), embedded=False, names=[n.strip() for n in names.split(",") if n.strip()]
        )
    except ValueError as error:
        terminal.fail(str(error), code=2)
    if not chosen:
        terminal.fail(f"--controllers {names} leaves none to run", code=2)
    return chosen


async def _run(connection: kubeconfig.Connection, wish: Wish) -> None:
    client = HttpClient(connection)
    try:
        served = {(r.group, r.kind) for r in await client.resources()}
        for controller in wish.controllers:
            primary = controller.primary
            waits = "*" not in primary.gvr and (primary.group, primary.kind) not in served
            until = f", once {primary.qualified} is served there" if waits else ""
            click.echo(f"running {controller.name} against {connection.server}{until}", err=True)
        manager = _manager(client, wish)
        loop = asyncio.get_running_loop()
        for told in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(told, manager.stop)
        await manager.run()
    finally:
        await client.close()


def _manager(client: HttpClient, wish: Wish) -> Manager:
    scope = Within(client, wish.namespace) if wish.namespace else client
    elector = None
    if wish.lease is not None:
        identity = f"{socket.gethostname()}_{secrets.token_hex(4)}"
        elector = Elector(client, SYSTEM, Candidate(identity, wish.lease))
    return Manager(scope, SYSTEM, wish.controllers, elector=elector)
