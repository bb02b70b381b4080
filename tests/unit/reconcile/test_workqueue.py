import pytest

from fairlead.reconcile.workqueue import Workqueue


def drain(queue: Workqueue[str], now: float) -> list[str]:
    keys = []
    while (key := queue.get(now)) is not None:
        keys.append(key)
    return keys


def test_keys_come_once_and_in_order() -> None:
    queue: Workqueue[str] = Workqueue()
    for key in ("b", "a", "b"):
        queue.add(key)
    assert drain(queue, 0) == ["b", "a"]


def test_a_key_in_flight_is_given_out_again_only_when_done() -> None:
    queue: Workqueue[str] = Workqueue()
    queue.add("a")
    assert queue.get(0) == "a"
    queue.add("a")
    assert queue.get(0) is None
    queue.done("a")
    assert queue.get(0) == "a"


def test_back_off_doubles_up_to_the_cap_and_ends_with_a_success() -> None:
    queue: Workqueue[str] = Workqueue(base=1.0, cap=5.0)
    now, waits = 0.0, []
    queue.add("a")
    for _ in range(5):
        assert queue.get(now) == "a"
        retry = queue.fail("a", now)
        waits.append(retry - now)
        now = retry
    assert waits == [1.0, 2.0, 4.0, 5.0, 5.0]
    assert queue.get(now) == "a"
    queue.done("a")
    assert queue.failures("a") == 0


def test_the_earliest_time_counts_and_being_given_out_forgets_it() -> None:
    queue: Workqueue[str] = Workqueue()
    queue.add_at("a", 10.0)
    queue.add_at("a", 5.0)
    queue.add_at("a", 7.0)
    assert queue.next_time() == 5.0
    queue.add("a")
    assert queue.get(1.0) == "a"
    assert queue.next_time() is None


def test_an_add_during_the_back_off_wakes_at_once() -> None:
    queue: Workqueue[str] = Workqueue(base=60.0)
    queue.add("a")
    queue.get(0)
    queue.fail("a", 0)
    assert queue.get(1.0) is None
    queue.add("a")
    assert queue.get(1.0) == "a"


def test_only_what_was_given_out_can_come_back() -> None:
    with pytest.raises(ValueError, match="not being worked on"):
        Workqueue[str]().done("a")
