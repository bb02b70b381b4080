"""The workqueue against a model that keeps everything in plain sets."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fairlead.reconcile.workqueue import Workqueue

KEYS = st.sampled_from("abcd")


class WorkqueueMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.queue: Workqueue[str] = Workqueue(base=1.0, cap=8.0)
        self.now = 0.0
        self.ready: list[str] = []
        self.flight: set[str] = set()
        self.again: set[str] = set()
        self.times: dict[str, float] = {}
        self.failures: dict[str, int] = {}

    def _add(self, key: str) -> None:
        if key in self.flight:
            self.again.add(key)
        elif key not in self.ready:
            self.ready.append(key)

    @rule(key=KEYS)
    def add(self, key: str) -> None:
        self.queue.add(key)
        self._add(key)

    @rule(key=KEYS, delay=st.integers(0, 5))
    def add_at(self, key: str, delay: int) -> None:
        self.queue.add_at(key, self.now + delay)
        self.times[key] = min(self.times.get(key, self.now + delay), self.now + delay)

    @rule(seconds=st.integers(0, 4))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def get(self) -> None:
        due = {k: t for k, t in self.times.items() if t <= self.now}
        before = list(self.ready)
        for key in sorted(due, key=lambda k: due[k]):
            del self.times[key]
            self._add(key)
        got = self.queue.get(self.now)
        if got is None:
            assert not self.ready
            return
        assert got in self.ready
        assert not before or got == before[0], "first in, first out"
        self.ready.remove(got)
        self.times.pop(got, None)
        self.flight.add(got)

    @precondition(lambda self: self.flight)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.flight)))
        self.queue.done(key)
        self.flight.remove(key)
        self.failures.pop(key, None)
        if key in self.again:
            self.again.remove(key)
            self._add(key)

    @precondition(lambda self: self.flight)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.flight)))
        retry = self.now + min(8.0, 2.0 ** self.failures.get(key, 0))
        self.times[key] = min(self.times.get(key, retry), retry)
        assert self.queue.fail(key, self.now) == self.times[key]
        self.flight.remove(key)
        self.again.discard(key)
        self.failures[key] = self.failures.get(key, 0) + 1

    @invariant()
    def agrees(self) -> None:
        assert self.queue.ready == len(self.ready)
        assert self.queue.in_flight == len(self.flight)
        assert self.queue.next_time() == min(self.times.values(), default=None)
        assert {k: self.queue.failures(k) for k in "abcd"} == {k: self.failures.get(k, 0) for k in "abcd"}


WorkqueueMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestWorkqueue = WorkqueueMachine.TestCase
