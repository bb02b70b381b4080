from typing import Any

from fairlead.api import core
from fairlead.api.meta import Resource
from fairlead.client.cache import Cache
from fairlead.reconcile.applier import Deleted, Outcome, Written
from fairlead.reconcile.expectations import PATIENCE, Expectations
from fairlead.testing import builders

POD = builders.pod("p")


def made(*pods: Any) -> tuple[Cache[Any], Expectations[str]]:
    cache: Cache[Any] = Cache(core.PODS)
    for pod in pods:
        cache.put(pod.view())
    cache.saw("10")

    def lookup(resource: Resource[Any]) -> Cache[Any] | None:
        return cache if resource == core.PODS else None

    return cache, Expectations(lookup)


def test_writes_are_awaited_until_their_revision_is_seen() -> None:
    cache, expectations = made()
    outcome = Outcome([Written(core.PODS, 12), Written(core.PODS, 11)])
    assert expectations.expect("k", outcome, 0)
    cache.saw("11")
    assert list(expectations.saw(core.PODS, POD.key, POD.view())) == []
    cache.saw("12")
    assert list(expectations.saw(core.PODS, POD.key, POD.view())) == ["k"]
    assert len(expectations) == 0


def test_what_is_seen_already_or_not_read_is_not_awaited() -> None:
    _, expectations = made()
    assert not expectations.expect("k", Outcome([Written(core.PODS, 10), Written(core.EVENTS, 99)]), 0)


def test_deletes_are_awaited_until_the_object_is_going() -> None:
    _, expectations = made(POD)
    assert expectations.expect("k", Outcome(deleted=[Deleted(core.PODS, POD.key, POD.uid)]), 0)
    assert list(expectations.saw(core.PODS, POD.key, POD.view())) == []
    assert list(expectations.saw(core.PODS, POD.key, POD.deleting().view())) == ["k"]
    assert not expectations.expect("k", Outcome(deleted=[Deleted(core.PODS, POD.key, "another")]), 0)


def test_nobody_waits_for_ever() -> None:
    cache, expectations = made()
    expectations.expect("k", Outcome([Written(core.PODS, 12)]), 100)
    assert expectations.next_time() == 100 + PATIENCE
    assert list(expectations.overdue(104)) == []
    assert list(expectations.overdue(105)) == ["k"]
    cache.saw("12")
    assert list(expectations.saw(core.PODS, POD.key, None)) == []
