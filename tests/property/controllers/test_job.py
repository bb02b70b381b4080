"""Whatever happens to its Pods, and wherever the applier stops, a Job counts each end once and settles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.api import batch, core
from fairlead.api.batch import Job
from fairlead.api.core import Pod
from fairlead.api.meta import Key
from fairlead.base import timestamp
from fairlead.controllers import job as controller
from fairlead.machinery import patch
from fairlead.reconcile import indexes
from fairlead.reconcile.reconciler import Change, Create, Delete, Patch, SetStatus, View

KEY = Key("default", "work")


class World:
    """A Job and its Pods as plain objects; applies a controller's changes as an API server would."""

    def __init__(self, spec: dict[str, Any]) -> None:
        meta = {"name": "work", "namespace": "default", "uid": "u-1", "resourceVersion": "1"}
        self.job: dict[str, Any] = {"metadata": meta, "spec": spec, "status": {}}
        self.pods: dict[str, dict[str, Any]] = {}
        self.made: list[str] = []
        self.ends: dict[str, str] = {}
        self.retired: set[str] = set()
        self.failures: dict[str, int] = {}
        self.now = 1_000_000.0

    def view(self) -> View[Job]:
        pods = [msgspec.convert(p, Pod) for p in self.pods.values()]
        return View(KEY, msgspec.convert(self.job, Job), {core.PODS: pods}, self.now)

    def changes(self) -> Sequence[Change]:
        return controller.reconcile(self.view())

    def settle(self, stops: Sequence[int] = ()) -> None:
        """Reconcile and apply, stopping early as `stops` says, until nothing is asked for."""
        early = list(stops)
        for _ in range(60):
            asked = [c for c in self.changes() if isinstance(c, SetStatus | Patch | Create | Delete)]
            if not asked:
                return
            for change in asked[: early.pop() if early else None]:
                self.do(change)
        raise AssertionError(f"does not settle: {self.changes()}")

    def do(self, change: Change) -> None:
        match change:
            case SetStatus(status=status, revision=revision):
                assert revision == self.job["metadata"]["resourceVersion"]
                self.job["status"] = patch.merge_patch(self.job["status"], status)
                self.job["metadata"]["resourceVersion"] = str(int(revision) + 1)
            case Patch(key=key, patch=wanted):
                if key.name in self.pods:
                    self.pods[key.name] = patch.merge_patch(self.pods[key.name], wanted)
                    self._collect(key.name)
            case Create(object=obj):
                self._create(dict(obj))
            case Delete(key=key) if key.name in self.pods:
                pod = self.pods[key.name]
                pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
                if controller.FINALIZER not in (pod["metadata"].get("finalizers") or []):
                    self.retired.add(pod["metadata"]["uid"])
                self._collect(key.name)

    def _create(self, obj: dict[str, Any]) -> None:
        name = obj["metadata"]["name"]
        if name in self.pods:
            return
        uid = f"pod-{len(self.made)}"
        self.made.append(uid)
        meta = obj["metadata"] | {"uid": uid, "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z"}
        self.pods[name] = obj | {"metadata": meta, "status": {"phase": "Running"}}

    def _collect(self, name: str) -> None:
        meta = self.pods[name]["metadata"]
        if meta.get("deletionTimestamp") and not meta.get("finalizers"):
            del self.pods[name]

    def end(self, which: int, phase: str, code: int = 0) -> None:
        running = [p for p in self.pods.values() if p["status"]["phase"] == "Running"]
        if running:
            pod = running[which % len(running)]
            state = {"terminated": {"exitCode": code, "finishedAt": timestamp.seconds(self.now)}}
            pod["status"] = {"phase": phase, "containerStatuses": [{"name": "c", "state": state}]}
            self.ends[pod["metadata"]["uid"]] = phase
            if phase == "Failed":
                index = pod["metadata"].get("annotations", {}).get(indexes.INDEX, "")
                self.failures[index] = self.failures.get(index, 0) + (code != 7)

    def disrupt(self, which: int) -> None:
        """Somebody else deletes a Pod, and its node ends it later."""
        pods = list(self.pods.values())
        if pods:
            pods[which % len(pods)]["metadata"]["deletionTimestamp"] = timestamp.seconds(self.now)

    def sweep(self) -> None:
        """The nodes end what is on its way out."""
        for name, pod in list(self.pods.items()):
            if pod["metadata"].get("deletionTimestamp") and pod["status"]["phase"] == "Running":
                pod["status"] = {"phase": "Failed"}
            self._collect(name)

    @property
    def running(self) -> list[dict[str, Any]]:
        return [p for p in self.pods.values() if p["status"]["phase"] == "Running"]

    @property
    def status(self) -> batch.JobStatus:
        return msgspec.convert(self.job["status"], batch.JobStatus)

    @property
    def ended(self) -> bool:
        return any(c.status == "True" and c.type in ("Complete", "Failed") for c in self.status.conditions)


@st.composite
def jobs(draw: st.DrawFn) -> dict[str, Any]:
    mode = draw(st.sampled_from(["Indexed", "NonIndexed"]))
    spec: dict[str, Any] = {
        "completionMode": mode,
        "parallelism": draw(st.integers(1, 4)),
        "completions": draw(st.integers(1, 5)),
        "backoffLimit": draw(st.integers(0, 3)),
        "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}},
    }
    return spec


steps = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(["Succeeded", "Succeeded", "Failed"]), st.lists(st.integers(0, 4))),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(jobs(), steps)
def test_counts_each_end_once_and_settles(spec: dict[str, Any], happenings: list[tuple[int, str, list[int]]]) -> None:
    world = World(spec)
    world.settle()
    for which, phase, stops in happenings:
        world.end(which, phase)
        world.now += 700.0
        world.settle(stops)
        active = [p for p in world.pods.values() if p["status"]["phase"] == "Running"]
        assert len(active) <= spec["parallelism"]
    status = msgspec.convert(world.job["status"], batch.JobStatus)
    succeeded = sum(1 for p in world.ends.values() if p == "Succeeded")
    failed = sum(1 for p in world.ends.values() if p == "Failed")
    ended = any(c.status == "True" and c.type in ("Complete", "Failed") for c in status.conditions)
    assert status.succeeded == succeeded
    if not ended:
        assert status.failed == failed
    assert (status.succeeded >= spec["completions"]) == any(c.type == "Complete" for c in status.conditions)
    assert status.uncountedTerminatedPods in (None, batch.UncountedPods())


@settings(max_examples=80, deadline=None)
@given(jobs(), st.integers(0, 4))
def test_a_stale_view_repeats_the_same_names(spec: dict[str, Any], seen: int) -> None:
    world = World(spec)
    world.settle()
    everything = dict(world.pods)
    world.pods = dict(list(everything.items())[:seen])
    again = {c.object["metadata"]["name"] for c in world.changes() if isinstance(c, Create)}
    assert again <= set(everything)


def rule(action: str, code: int) -> dict[str, Any]:
    return {"action": action, "onExitCodes": {"operator": "In", "values": [code]}}


@st.composite
def policies(draw: st.DrawFn) -> dict[str, Any]:
    """Indexed Jobs with a back-off for each index, and rules for some exit codes."""
    completions = draw(st.integers(1, 4))
    spec = draw(jobs()) | {
        "completionMode": "Indexed",
        "completions": completions,
        "backoffLimit": 1 << 30,
        "backoffLimitPerIndex": draw(st.integers(0, 2)),
        "maxFailedIndexes": draw(st.none() | st.integers(0, completions)),
    }
    if draw(st.booleans()):
        spec["podFailurePolicy"] = {"rules": [rule("Ignore", 7), rule("FailIndex", 42), rule("FailJob", 99)]}
    if draw(st.booleans()):
        spec["successPolicy"] = {"rules": [{"succeededCount": draw(st.integers(1, completions))}]}
    return {k: v for k, v in spec.items() if v is not None}


ENDS = st.sampled_from([("Succeeded", 0), ("Failed", 1), ("Failed", 7), ("Failed", 42), ("Failed", 99), ("deleted", 0)])
turns = st.lists(st.tuples(st.integers(0, 5), ENDS, st.lists(st.integers(0, 4))), max_size=14)


@settings(max_examples=200, deadline=None)
@given(policies(), turns)
def test_policies_decide_each_index_once(
    spec: dict[str, Any], happenings: list[tuple[int, tuple[str, int], list[int]]]
) -> None:
    world = World(spec)
    world.settle()
    before: tuple[set[int], set[int]] = set(), set()
    for which, (how, code), stops in happenings:
        if how == "deleted":
            world.disrupt(which)
        else:
            world.end(which, how, code)
        world.now += 700.0
        world.settle(stops)
        world.sweep()
        world.settle()
        status = world.status
        done, lost = indexes.expand(status.completedIndexes), indexes.expand(status.failedIndexes or "")
        assert not done & lost
        assert done >= before[0]
        assert lost >= before[1]
        before = done, lost
        busy = [p["metadata"]["annotations"][indexes.INDEX] for p in world.running]
        assert len(busy) == len(set(busy)) <= spec["parallelism"]
        assert not {int(i) for i in busy} & (done | lost)
        tries = spec["backoffLimitPerIndex"] + 1
        assert "podFailurePolicy" not in spec or all(n <= tries for n in world.failures.values())
        for pod in world.running:
            assert int(pod["metadata"]["annotations"][indexes.FAILURES]) <= spec["backoffLimitPerIndex"]
    status = world.status
    if world.ended:
        assert (status.active, status.terminating, world.running) == (0, 0, [])
    if len(before[0]) == spec["completions"]:
        assert [c.type for c in status.conditions][-1] == "Complete"
    most = spec.get("maxFailedIndexes", spec["completions"])
    if len(before[1]) > most:
        assert world.ended


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.lists(st.tuples(st.integers(0, 5), st.integers(1, 6)), min_size=1, max_size=8))
def test_an_elastic_job_has_the_indexes_that_it_says(first: int, sizes: list[tuple[int, int]]) -> None:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
    world = World({"completionMode": "Indexed", "parallelism": first, "completions": first, "template": template})
    world.settle()
    for which, size in sizes:
        if world.ended:
            return
        world.job["spec"] |= {"parallelism": size, "completions": size}
        world.settle()
        world.end(which, "Succeeded")
        world.settle()
        done = indexes.expand(world.status.completedIndexes)
        busy = {int(p["metadata"]["annotations"][indexes.INDEX]) for p in world.running}
        assert world.ended or done | busy == set(range(size))
        assert not done & busy
