"""`fairlead run`: a command on N nodes, as a TrainJob; uploads the folder, streams the logs, exits with its code."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import Any

import click

from fairlead.api import core, trainer
from fairlead.api.meta import Key
from fairlead.base import errors
from fairlead.cli import connect, terminal
from fairlead.client.http import HttpClient
from fairlead.client.protocol import WriteOptions
from fairlead.sdk import code, follow, trainjob


@click.command(name="run", context_settings={"ignore_unknown_options": True})
@terminal.folder
@click.option("--name", help="Name of the TrainJob (default: made from the command).")
@click.option("--namespace", "-n", default="default", show_default=True)
@click.option("--nodes", type=click.IntRange(1), default=1, show_default=True, help="Pods that run the command.")
@click.option("--gpus", type=click.IntRange(0), default=0, show_default=True, help="GPUs of each node.")
@click.option("--cpu", default="", help="CPUs of each node, for instance 2 or 500m.")
@click.option("--memory", default="", help="Memory of each node, for instance 4Gi.")
@click.option("--runtime", help="ClusterTrainingRuntime (default: torch-distributed for several nodes, else plain).")
@click.option("--env", "-e", multiple=True, metavar="NAME=VALUE", help="Environment variable; may be repeated.")
@click.option("--image", default="", help="Image of the runtime's container, in place of its own.")
@click.option(
    "--workdir", type=click.Path(path_type=Path), default=Path(), help="Folder to upload (default: this one)."
)
@click.option("--no-upload", is_flag=True, help="Run the command without the folder.")
@click.option("--detach", is_flag=True, help="Do not wait for the job's end.")
@click.argument("arguments", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
def command(directory: Path | None, workdir: Path, no_upload: bool, detach: bool, **options: Any) -> None:
    """Run COMMAND as a TrainJob. Under torch-distributed, `python x.py` becomes `torchrun x.py` on every node."""
    try:
        wish = _wish(options)
        packed = None if no_upload else code.pack(workdir.resolve())
    except code.CodeError as error:
        terminal.fail(str(error))
    found = connect.connection(directory, autostart=True)
    try:
        ended = asyncio.run(_run(found, wish, packed, detach))
    except errors.StatusError as error:
        terminal.fail(error.message)
    except OSError as error:
        terminal.fail(f"{found.place} does not answer: {error}")
    except KeyboardInterrupt:
        click.echo(f"\nno longer following; the job goes on. Stop it with: {_stop(wish)}", err=True)
        ended = 130
    raise SystemExit(ended)


def _wish(options: dict[str, Any]) -> trainjob.Wish:
    arguments: tuple[str, ...] = options["arguments"]
    variables: dict[str, str] = {}
    for one in options["env"]:
        name, found, value = one.partition("=")
        if not found or not name:
            raise code.CodeError(f"--env {one!r} is not NAME=VALUE")
        variables[name] = value
    runtime = options["runtime"] or (trainjob.TORCH if options["nodes"] > 1 else trainjob.PLAIN)
    return trainjob.Wish(
        name=options["name"] or _name(arguments),
        command=arguments,
        namespace=options["namespace"],
        runtime=runtime,
        nodes=options["nodes"],
        gpus=options["gpus"],
        cpu=options["cpu"],
        memory=options["memory"],
        env=variables,
        image=options["image"],
    )


def _name(arguments: tuple[str, ...]) -> str:
    """A name that tells the command: `train-x7k2p` for `python train.py`."""
    words = [a for a in arguments if not a.startswith("-")]
    stem = Path(words[1] if len(words) > 1 and words[0].startswith("python") else words[0]).stem.lower()
    clean = "".join(c if c.isalnum() and c.isascii() else "-" for c in stem).strip("-")[:40]
    safe = clean if clean[:1].isalpha() else f"run-{clean}".rstrip("-")
    return f"{safe}-{secrets.token_hex(3)[:5]}"


def _stop(wish: trainjob.Wish) -> str:
    return f"kubectl delete trainjob {wish.name} -n {wish.namespace}"


async def _run(found: Any, wish: trainjob.Wish, packed: code.Code | None, detach: bool) -> int:
    client = HttpClient(found)
    try:
        await _submit(client, wish, packed)
        click.echo(f"trainjob.trainer.kubeflow.org/{wish.name} created", err=True)
        if detach:
            return 0
        follower = follow.Follower(
            client, Key(wish.namespace, wish.name), click.echo, lambda t: click.echo(t, err=True)
        )
        return await follower.run()
    finally:
        await client.close()


async def _submit(client: HttpClient, wish: trainjob.Wish, packed: code.Code | None) -> None:
    """The code first, so that no Pod waits for it; then the job, and the job as an owner of the code."""
    manifests = packed.manifests(wish.namespace) if packed is not None else []
    for manifest in manifests:
        await client.apply(core.CONFIG_MAPS, manifest, WriteOptions(manager="fairlead-code", force=True))
    if packed is not None:
        click.echo(f"uploaded {packed.files} files, {packed.size / 1000:.1f} kB packed", err=True)
    built = trainjob.build(wish, packed)
    job = await client.create(trainer.TRAIN_JOBS, built, WriteOptions(manager="fairlead-run"))
    owner = {
        "apiVersion": built["apiVersion"],
        "kind": "TrainJob",
        "name": job.metadata.name,
        "uid": job.metadata.uid,
    }
    for manifest in manifests:
        meta = {"name": manifest["metadata"]["name"], "namespace": wish.namespace, "ownerReferences": [owner]}
        owned = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}
        await client.apply(
            core.CONFIG_MAPS, owned, WriteOptions(manager=f"fairlead-run-{job.metadata.uid}", force=True)
        )
