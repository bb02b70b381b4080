"""`fairlead controllers`: what it says when it cannot begin."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from fairlead.cli import controllers


def run(*options: str) -> tuple[int, str]:
    done = CliRunner().invoke(controllers.command, options)
    return done.exit_code, done.stderr


def test_an_unknown_controller() -> None:
    code, said = run("--controllers", "jobs-controller")
    assert code == 2
    assert said.startswith("error: no controller is named jobs-controller; there are ")


def test_no_controller_left() -> None:
    code, said = run("--controllers", "-jobset-controller")
    assert (code, said) == (2, "error: --controllers -jobset-controller leaves none to run\n")


def test_no_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    code, said = run()
    assert code == 1
    assert said.startswith(f"error: kubeconfig {tmp_path}/none cannot be read")
