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
from fairlead.controllers import job as controller
from fairlead.machinery import patch
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

    def end(self, which: int, phase: str) -> None:
        running = [p for p in self.pods.values() if p["status"]["phase"] == "Running"]
        if running:
            pod = running[which % len(running)]
            pod["status"] = {"phase": phase}
            self.ends[pod["metadata"]["uid"]] = phase


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
