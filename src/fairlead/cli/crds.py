"""`fairlead crds`: the bundled definitions, to be applied to a cluster that has not got them."""

from __future__ import annotations

import json

import click
import yaml

from fairlead.machinery import tables


@click.command(name="crds")
@click.option("-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
@click.option("--runtimes", is_flag=True, help="Also the stock training runtimes.")
def command(output: str, runtimes: bool) -> None:
    """Print the definitions: `fairlead crds | kubectl apply --server-side -f -`."""
    objects = [*tables.bundled_crds(), *(tables.stock_runtimes() if runtimes else ())]
    if output == "json":
        click.echo(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}, indent=2))
    else:
        click.echo(yaml.safe_dump_all(objects, sort_keys=False), nl=False)
