from __future__ import annotations

from pathlib import Path

import pytest

from fairlead.agent.limits import CgroupV2, Rlimits, shares, weight
from fairlead.agent.runtimes import Limits
from fairlead.agent.specification import limits_of
from fairlead.api.core import Container, ResourceRequirements


@pytest.mark.parametrize(("milli", "expected"), [(0, 2), (1, 2), (1000, 1024), (10_000_000, 262144)])
def test_shares(milli: int, expected: int) -> None:
    assert shares(milli) == expected


def test_weight_covers_its_range() -> None:
    assert (weight(0), weight(10_000_000)) == (1, 10000)


def test_version_2_writes(tmp_path: Path) -> None:
    """What is written, on a directory that stands in for the kernel's."""
    group = CgroupV2(str(tmp_path)).create("g", Limits(memory=1 << 20, cpu=500, cpu_request=250, pids=9))
    written = {p.name: p.read_text() for p in (tmp_path / "g").iterdir()}
    assert written == {
        "memory.max": "1048576", "memory.oom.group": "1", "cpu.weight": str(weight(250)), "cpu.max": "50000 100000",
        "pids.max": "9",
    }  # fmt: skip
    assert group.kill == f"{tmp_path}/g/cgroup.kill"


def test_rlimits_hold_only_the_number_of_processes() -> None:
    assert Rlimits().create("g", Limits(memory=1, pids=5)).rlimits == {"NPROC": 5}


def test_limits_of_a_container() -> None:
    limited = ResourceRequirements(limits={"cpu": "1500m", "memory": "1Gi"}, requests={"cpu": 0.25})
    assert limits_of(Container("c", resources=limited)) == Limits(1 << 30, 1500, 250)
    assert limits_of(Container("c")) == Limits()
