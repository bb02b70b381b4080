"""What every command says in the same way: errors in one line, tables, JSON, and which state folder is meant."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from fairlead.sdk import home

F = TypeVar("F", bound=Callable[..., Any])


def folder(function: F) -> F:
    """The option `--dir`."""
    text = "State folder (default: $FAIRLEAD_DIR, else ~/.fairlead)."
    return click.option("--dir", "directory", type=click.Path(file_okay=False, path_type=Path), help=text)(function)


def as_json(function: F) -> F:
    """The option `-o json`."""
    text = "Output format."
    return click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", help=text)(function)


def opened(directory: Path | None) -> home.Home:
    """The state folder that is meant."""
    return home.Home(directory.absolute()) if directory is not None else home.default()


def fail(message: str, code: int = 1) -> NoReturn:
    """End with one line on standard error."""
    click.echo(f"error: {message}", err=True)
    raise SystemExit(code)


def emit(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2))


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their columns, as kubectl does."""
    widths = [max(len(str(line[i])) for line in [columns, *rows]) for i in range(len(columns))]
    for line in [columns, *rows]:
        cells = [str(cell).ljust(width) for cell, width in zip(line, widths, strict=True)]
        click.echo("   ".join(cells).rstrip())
