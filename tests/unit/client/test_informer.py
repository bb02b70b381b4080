from collections.abc import AsyncIterator
from typing import Any

import pytest

from fairlead.api import core
from fairlead.api.core import Pod
from fairlead.api.meta import Key, ObjectMeta, OwnerReference
from fairlead.base import errors
from fairlead.client import informer as informers
from fairlead.client.cache import Cache
from fairlead.client.informer import (
    Changed,
    DoList,
    DoSleep,
    DoWatch,
    Ended,
    Failed,
    Handlers,
    Informer,
    Listed,
    Slept,
    Started,
    Synced,
    Watched,
)
from fairlead.client.protocol import Listing, ListOptions, WatchEvent
from fairlead.testing.clock import FakeClock


def pod(name: str, revision: int, uid: str = "", **labels: str) -> Pod:
    owners = [OwnerReference("batch/v1", "Job", "j", "job-uid", controller=True)] if "job" in labels else []
    meta = ObjectMeta(
        name=name, namespace="a", uid=uid or f"uid-{name}", resourceVersion=str(revision), labels=labels,
        ownerReferences=owners,
    )  # fmt: skip
    return Pod(metadata=meta)


def listed(*pods: Pod, revision: int, continues: str = "") -> Listed:
    return Listed(Listing(pods, str(revision), continues))


def synced(*pods: Pod, revision: int = 10) -> Informer[Pod]:
    informer = Informer(core.PODS)
    informer.step(Started())
    informer.step(listed(*pods, revision=revision))
    return informer


def test_lists_page_by_page_and_then_watches() -> None:
    informer = Informer(core.PODS)
    assert informer.step(Started()) == (DoList(),)
    assert informer.step(listed(pod("a", 1), revision=9, continues="t")) == (DoList("t"),)
    assert not informer.synced
    b = pod("b", 2)
    assert informer.step(listed(b, revision=9)) == (
        Changed(None, pod("a", 1)), Changed(None, b), Synced(), DoWatch("9")
    )  # fmt: skip
    assert informer.cache.revision == 9


def test_watch_events_change_the_cache_and_bookmarks_only_the_revision() -> None:
    a, b = pod("a", 1), pod("b", 11)
    informer = synced(a)
    assert informer.step(Watched(WatchEvent("ADDED", b, "11"))) == (Changed(None, b),)
    newer = pod("a", 12, x="y")
    assert informer.step(Watched(WatchEvent("MODIFIED", newer, "12"))) == (Changed(a, newer),)
    assert informer.step(Watched(WatchEvent("BOOKMARK", None, "20"))) == ()
    assert informer.step(Watched(WatchEvent("DELETED", pod("b", 21), "21"))) == (Changed(b, None),)
    assert informer.step(Ended()) == (DoWatch("21"),)
    assert list(informer.cache) == [newer]


def test_after_410_a_list_tells_what_was_missed() -> None:
    kept, gone, replaced = pod("kept", 1), pod("gone", 2), pod("replaced", 3)
    informer = synced(kept, gone, replaced)
    assert informer.step(Failed(errors.expired("too old"))) == (DoList(),)
    new, again = pod("new", 20), pod("replaced", 21, uid="other")
    assert informer.step(listed(kept, new, again, revision=30)) == (
        Changed(None, new), Changed(replaced, None), Changed(None, again), Changed(gone, None), DoWatch("30"),
    )  # fmt: skip


def test_a_second_410_in_a_row_waits() -> None:
    informer = synced()
    assert informer.step(Failed(errors.expired("old"))) == (DoList(),)
    assert informer.step(Failed(errors.expired("old"), chance=1.0)) == (DoSleep(0.4),)
    assert informer.step(Slept()) == (DoList(),)


def test_failures_back_off_and_resume_where_the_watch_was() -> None:
    informer = synced()
    sleeps = [informer.step(Failed(OSError("refused"), chance=1.0)) for _ in range(3)]
    assert sleeps == [(DoSleep(0.2),), (DoSleep(0.4),), (DoSleep(0.8),)]
    assert informer.step(Failed(OSError("refused"), chance=0.0)) == (DoSleep(0.8),)
    assert informer.step(Slept()) == (DoWatch("10"),)


def test_a_kind_that_is_not_served_counts_as_empty() -> None:
    informer = Informer(core.PODS)
    informer.step(Started())
    told = informer.step(Failed(errors.path_not_found(), chance=1.0))
    assert told == (Synced(), DoSleep(0.2))
    assert informer.synced
    assert not informer.served
    assert informer.step(Slept()) == (DoList(),)
    assert informer.step(listed(pod("a", 1), revision=1)) == (Changed(None, pod("a", 1)), DoWatch("1"))
    assert informer.served


def test_a_watch_that_brings_nothing_is_not_repeated_at_once() -> None:
    informer = synced()
    assert informer.step(Ended()) == (DoWatch("10"),)
    assert informer.step(Ended()) == (DoSleep(0.2),)


def test_indexes_follow_changes() -> None:
    cache: Cache[Pod] = Cache(core.PODS)
    cache.put(pod("b", 1, job="x", tier="1"))
    cache.index("tier", lambda p: [p.metadata.labels.get("tier", "")])
    cache.put(pod("a", 2, job="x", tier="1"))
    assert [p.metadata.name for p in cache.by("tier", "1")] == ["a", "b"]
    assert [p.metadata.name for p in cache.owned_by("job-uid")] == ["a", "b"]
    cache.put(pod("a", 3, tier="2"))
    assert [p.metadata.name for p in cache.by("tier", "1")] == ["b"]
    assert [p.metadata.name for p in cache.owned_by("job-uid")] == ["b"]
    cache.drop(Key("a", "b"))
    assert cache.by("tier", "1") == []
    assert [p.metadata.name for p in cache.in_namespace("a")] == ["a"]


class Stop(BaseException):
    """Ends `run` from inside the script."""


class Scripted:
    """A client whose lists and watches are written down beforehand."""

    def __init__(self, lists: list[Any], watches: list[list[Any]]) -> None:
        self.lists, self.watches, self.asked = lists, watches, list[str]()

    async def list(self, resource: Any, namespace: str, options: ListOptions) -> Any:
        self.asked.append(f"list {options.continues}")
        answer = self.lists.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def watch(self, resource: Any, namespace: str, options: ListOptions) -> AsyncIterator[Any]:
        self.asked.append(f"watch {options.revision}")
        if not self.watches:
            raise Stop
        for event in self.watches.pop(0):
            if isinstance(event, Exception):
                raise event
            yield event


async def test_run_carries_the_instructions_out() -> None:
    a, b = pod("a", 1), pod("b", 6)
    client = Scripted(
        [Listing([a], "5"), Listing([a, b], "9")],
        [[WatchEvent("ADDED", b, "6"), errors.expired("old")]],
    )
    told: list[Any] = []
    handlers: Handlers[Pod] = Handlers(lambda old, new: told.append((old, new)), lambda: told.append("synced"))
    with pytest.raises(Stop):
        await informers.run(client, Informer(core.PODS), FakeClock(), handlers)  # type: ignore[arg-type]
    assert told == [(None, a), "synced", (None, b)]
    assert client.asked == ["list ", "watch 5", "list ", "watch 9"]
