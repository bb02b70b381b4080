"""Reading what is used: both versions of cgroups, and /proc."""

from __future__ import annotations

import os
from pathlib import Path

from fairlead.agent import usage


def test_version_2(tmp_path: Path) -> None:
    (tmp_path / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1000000\n")
    (tmp_path / "memory.current").write_text("4096000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 96000\n")
    assert usage.of_container([str(tmp_path)], 0) == usage.Used(1.5, 4_000_000)


def test_version_1(tmp_path: Path) -> None:
    cpu, memory = tmp_path / "cpu", tmp_path / "memory"
    cpu.mkdir()
    memory.mkdir()
    (cpu / "cpuacct.usage").write_text("2500000000\n")
    (memory / "memory.usage_in_bytes").write_text("1000\n")
    (memory / "memory.stat").write_text("total_inactive_file 4000\n")
    assert usage.of_container([str(memory), str(cpu)], 0) == usage.Used(2.5, 0)


def test_without_groups_processes_are_asked() -> None:
    own = usage.of_container([], os.getpid())
    assert own is not None
    assert own.cpu > 0
    assert own.memory > 1_000_000
    assert usage.of_container([], 2**22 + 1) is None


def test_the_machine() -> None:
    found = usage.of_machine()
    assert found.cpu > 0
    assert found.memory > 0
