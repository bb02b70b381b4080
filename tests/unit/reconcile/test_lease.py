import asyncio
from typing import Any

import pytest

from fairlead.api import coordination
from fairlead.api.meta import Key
from fairlead.base import errors, timestamp
from fairlead.reconcile.lease import Candidate, Elector, LeaseLost, Make, Observed, Take, Wait, decide, release
from fairlead.testing import builders
from fairlead.testing.clock import START
from fairlead.testing.cluster import Cluster

KEY = Key("kube-system", "manager")
ME, OTHER = Candidate("me", KEY), Candidate("other", KEY)
NOW = timestamp.micro(START)


def held(by: str, revision: int = 3) -> Any:
    return builders.lease("manager", "kube-system", by, START, 15).revision(revision).view()


def test_a_lease_that_is_not_there_is_made() -> None:
    assert decide(ME, Observed(), 0, START) == Make(
        {
            "holderIdentity": "me",
            "leaseDurationSeconds": 15,
            "renewTime": NOW,
            "acquireTime": NOW,
            "leaseTransitions": 0,
        }
    )


def test_the_holder_renews() -> None:
    expected = Take({"holderIdentity": "me", "leaseDurationSeconds": 15, "renewTime": NOW}, "3")
    assert decide(ME, Observed(held("me"), 0), 5, START) == expected


def test_others_wait_until_it_has_not_changed_for_its_duration() -> None:
    assert decide(ME, Observed(held("other"), 100), 114.9, START) == Wait("other")
    taken = decide(ME, Observed(held("other"), 100), 115, START)
    assert isinstance(taken, Take)
    assert taken.spec["leaseTransitions"] == 1


def test_a_renewal_seen_starts_the_wait_anew() -> None:
    seen = Observed(held("other"), 100)
    assert seen.then(held("other", 4), 110).since == 100
    renewed = builders.lease("manager", "kube-system", "other", START + 2, 15).view()
    assert seen.then(renewed, 110).since == 110


def test_a_released_lease_is_free() -> None:
    assert release(held("me"), START).spec["holderIdentity"] is None
    assert isinstance(decide(ME, Observed(held(""), 100), 100, START), Take)


async def test_one_leads_and_the_other_follows_when_it_stops() -> None:
    async with Cluster() as cluster:
        led: list[str] = []

        async def work(name: str) -> None:
            led.append(name)
            await asyncio.get_running_loop().create_future()

        electors = [Elector(cluster.client, cluster.clock, c) for c in (ME, OTHER)]
        tasks = [
            asyncio.create_task(e.lead(lambda n=n: work(n)))  # type: ignore[misc]
            for e, n in zip(electors, ("me", "other"), strict=True)
        ]
        await cluster.run_until_quiet(60)
        assert led == ["me"]
        tasks[0].cancel()
        await asyncio.gather(tasks[0], return_exceptions=True)
        await cluster.run_until_quiet(3)
        assert led == ["me", "other"]
        assert (await cluster.get(coordination.LEASES, KEY)).spec.leaseTransitions == 1
        tasks[1].cancel()
        await asyncio.gather(tasks[1], return_exceptions=True)


class Unreachable:
    """A client whose server stops answering."""

    def __init__(self, client: Any) -> None:
        self._client, self.broken = client, False

    def __getattr__(self, name: str) -> Any:
        if self.broken:
            raise errors.unavailable("no connection")
        return getattr(self._client, name)


async def test_a_leader_that_cannot_renew_gives_up_in_time() -> None:
    async with Cluster() as cluster:
        client = Unreachable(cluster.client)
        stopped = asyncio.Event()

        async def work() -> None:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                stopped.set()

        elector = Elector(client, cluster.clock, ME)  # type: ignore[arg-type]
        task = asyncio.create_task(elector.lead(work))
        await cluster.run_until_quiet(4)
        assert elector.leading
        client.broken = True
        await cluster.run_until_quiet(ME.duration - ME.retry)
        assert stopped.is_set()
        with pytest.raises(LeaseLost):
            await task
