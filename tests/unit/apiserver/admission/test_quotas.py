"""ResourceQuota and LimitRanger: what is filled in, what is refused, and in which words."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fairlead.api import core
from fairlead.base.errors import StatusError
from fairlead.controllers import resourcequota
from fairlead.testing import builders
from fairlead.testing.cluster import Cluster


def quota(name: str = "team", **spec: Any) -> Any:
    return builders.any_of(core.QUOTAS, name, spec=spec)


def limits(*items: dict[str, Any]) -> Any:
    return builders.any_of(core.LIMIT_RANGES, "range", spec={"limits": list(items)})


async def refused(up: Cluster, manifest: Any) -> str:
    with pytest.raises(StatusError) as error:
        await up.create(manifest)
    assert error.value.code == 403
    return error.value.message


async def test_a_quota_is_kept() -> None:
    async with Cluster([resourcequota.CONTROLLER]) as up:
        await up.apply(quota(hard={"pods": "2", "requests.cpu": "1"}))
        await up.create(builders.pod("a").requests(cpu="600m"))
        assert await refused(up, builders.pod("b").requests(cpu="500m")) == (
            'pods "b" is forbidden: exceeded quota: team, requested: requests.cpu=500m, used: requests.cpu=600m, '
            "limited: requests.cpu=1"
        )
        assert await refused(up, builders.pod("b")) == (
            'pods "b" is forbidden: failed quota: team: must specify requests.cpu for: main'
        )
        await up.create(builders.pod("b").requests(cpu="400m"))
        await up.run_until_quiet()
        status = (await up.get(core.QUOTAS, "team")).status
        assert status.used == {"pods": "2", "requests.cpu": "1"}
        await up.delete(core.PODS, "a")
        await up.run_until_quiet()
        await up.create(builders.pod("c").requests(cpu="600m"))


async def test_objects_that_come_together_do_not_slip_through() -> None:
    async with Cluster() as up:
        await up.apply(quota(hard={"configmaps": "2"}))
        made = await asyncio.gather(
            *(up.create(builders.config_map(f"c{i}")) for i in range(6)), return_exceptions=True
        )  # fmt: skip
        assert sum(1 for m in made if isinstance(m, StatusError)) == 4


async def test_any_kind_can_be_counted_and_scopes_choose_pods() -> None:
    async with Cluster() as up:
        await up.apply(quota(hard={"count/jobs.batch": "1"}))
        await up.create(builders.job("a"))
        assert "exceeded quota: team, requested: count/jobs.batch=1" in await refused(up, builders.job("b"))
        await up.apply(quota("idle", hard={"pods": "0"}, scopes=["BestEffort"]))
        assert "exceeded quota: idle" in await refused(up, builders.pod("lazy"))
        await up.create(builders.pod("busy").requests(cpu="1"))


async def test_limits_are_filled_in_and_noted() -> None:
    async with Cluster() as up:
        await up.apply(limits({"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "500m"}}))
        made = await up.create(builders.pod("a"))
        assert made["spec"]["containers"][0]["resources"] == {"requests": {"cpu": "500m"}, "limits": {"cpu": "1"}}
        note = "LimitRanger plugin set: cpu request for container main; cpu limit for container main"
        assert made["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == note


async def test_what_is_out_of_range_is_refused() -> None:
    async with Cluster() as up:
        await up.apply(
            limits(
                {"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "10Mi"}},
                {"type": "Pod", "max": {"memory": "1Gi"}},
            )
        )
        said = await refused(up, builders.pod("a").requests(memory="5Mi").limits(cpu="3", memory="2Gi"))
        assert "minimum memory usage per Container is 10Mi, but request is 5Mi" in said
        assert "maximum cpu usage per Container is 2, but limit is 3" in said
        assert "maximum memory usage per Pod is 1Gi, but limit is 2Gi" in said
        found = await up.get(core.LIMIT_RANGES, "range")
        assert found.spec.limits[0].default == {"cpu": "2"}
        assert found.spec.limits[0].defaultRequest == {"cpu": "2", "memory": "10Mi"}
