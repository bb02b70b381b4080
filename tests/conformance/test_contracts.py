"""The import contracts are checks, not wishes: a planted violation of each is found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT = Path(sys.executable).with_name("lint-imports")


def lint(source: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(source)}
    return subprocess.run(
        [LINT, "--config", str(ROOT / ".importlinter"), "--no-cache"],
        capture_output=True, text=True, env=environment, cwd=source, check=False, timeout=120,
    )  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the package, to be spoilt."""
    shutil.copytree(ROOT / "src" / "fairlead", tmp_path / "fairlead", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.mark.parametrize(
    ("module", "planted", "contract"),
    [
        ("machinery/quantity.py", "from fairlead.store import mvcc", "The law"),
        ("controllers/job.py", "from fairlead.scheduler import cycle", "The law"),
        ("sdk/home.py", "from fairlead.apiserver import rest", "The seam"),
        ("reconcile/applier.py", "from fairlead.store import mvcc", "The seam"),
        ("controllers/job.py", "import time", "The pure cores"),
        ("scheduler/cycle.py", "import random", "The pure cores"),
        ("api/meta.py", "from fairlead.base import clock", "The pure cores"),
    ],
)
def test_a_planted_violation_is_found(source: Path, module: str, planted: str, contract: str) -> None:
    path = source / "fairlead" / module
    path.write_text(f"{path.read_text()}\n{planted}\n")
    found = lint(source)
    assert found.returncode == 1, found.stdout + found.stderr
    broken = [line for line in found.stdout.splitlines() if line.endswith("BROKEN")]
    assert any(line.startswith(contract) for line in broken), found.stdout
