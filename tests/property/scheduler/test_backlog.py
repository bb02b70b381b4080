"""Whatever happens in whatever order: nobody waits who could run, and no node holds more than it has."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fairlead.api import coscheduling, scheduling
from fairlead.api.core import Node, Pod
from fairlead.scheduler import gangs, plugins
from fairlead.scheduler.backlog import Backlog
from fairlead.scheduler.cycle import Placement

PLUGINS = plugins.load()
names = st.integers(0, 3)
GROUPS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"schedulingGroup": "native"},
    {"labels": {coscheduling.POD_GROUP_LABEL: "cosched"}},
    {"labels": {gangs.OLD_NAME: "old", gangs.OLD_MINIMUM: "2"}},
)


class World(RuleBasedStateMachine):
    """A cluster as its API server would tell it; decisions are confirmed, lost or refused at will."""

    def __init__(self) -> None:
        super().__init__()
        self.backlog = Backlog(PLUGINS)
        self.pods: dict[str, Pod] = {}
        self.bindings: list[Placement] = []
        self.count = 0

    # --- what happens

    @initialize(cpu=st.integers(1, 4))
    def first_node(self, cpu: int) -> None:
        self.node(0, cpu, "a", False)

    @rule(name=names, cpu=st.integers(0, 4), zone=st.sampled_from("ab"), cordoned=st.booleans())
    def new_node(self, name: int, cpu: int, zone: str, cordoned: bool) -> None:
        self.node(name, cpu, zone, cordoned)

    def node(self, name: int, cpu: int, zone: str, cordoned: bool) -> None:
        offered = {"cpu": str(cpu), "memory": "8Gi", "pods": "5"}
        meta = {"name": f"n{name}", "labels": {"zone": zone}}
        found = {"metadata": meta, "spec": {"unschedulable": cordoned}, "status": {"allocatable": offered}}
        self.backlog.put_node(msgspec.convert(found, Node))

    @rule(name=names)
    def no_node(self, name: int) -> None:
        self.backlog.drop_node(f"n{name}")

    @rule(count=st.integers(1, 4), cpu=st.integers(0, 2), group=st.sampled_from(GROUPS))
    def pods_alike(self, count: int, cpu: int, group: dict[str, Any]) -> None:
        for _ in range(count):
            self.pod(cpu, "", group, False)

    @rule(cpu=st.integers(0, 2), zone=st.sampled_from(["", "a"]), group=st.sampled_from(GROUPS), held=st.booleans())
    def new_pod(self, cpu: int, zone: str, group: dict[str, Any], held: bool) -> None:
        self.pod(cpu, zone, group, held)

    def pod(self, cpu: int, zone: str, group: dict[str, Any], held: bool) -> None:
        self.count += 1
        spec: dict[str, Any] = {"containers": [{"name": "c", "resources": {"requests": {"cpu": str(cpu)}}}]}
        spec |= {"nodeSelector": {"zone": zone}} if zone else {}
        spec |= {"schedulingGates": [{"name": "g"}]} if held else {}
        if "schedulingGroup" in group:
            spec["schedulingGroup"] = {"podGroupName": group["schedulingGroup"]}
        name = f"p{self.count}"
        meta = {"name": name, "namespace": "d", "uid": name, "labels": group.get("labels", {})}
        self.put(msgspec.convert({"metadata": meta, "spec": spec}, Pod))

    @rule(minimum=st.integers(1, 3), native=st.booleans())
    def group(self, minimum: int, native: bool) -> None:
        if native:
            policy = {"schedulingPolicy": {"gang": {"minCount": minimum}}}
            meta = {"name": "native", "namespace": "d"}
            self.backlog.put_group(msgspec.convert({"metadata": meta, "spec": policy}, scheduling.PodGroup))
        else:
            plain = {"metadata": {"name": "cosched", "namespace": "d"}, "spec": {"minMember": minimum}}
            self.backlog.put_group(msgspec.convert(plain, coscheduling.PodGroup))

    @rule(chance=st.integers(0, 99))
    def ungate(self, chance: int) -> None:
        held = [p for p in self.pods.values() if p.spec.schedulingGates]
        if held:
            found = held[chance % len(held)]
            self.put(msgspec.structs.replace(found, spec=msgspec.structs.replace(found.spec, schedulingGates=[])))

    @rule()
    def bind_all(self) -> None:
        while self.bindings:
            self.bind(0, False)

    @rule(chance=st.integers(0, 99), fails=st.booleans())
    def bind_one(self, chance: int, fails: bool) -> None:
        self.bind(chance, fails)

    def bind(self, chance: int, fails: bool) -> None:
        if not self.bindings:
            return
        placement = self.bindings.pop(chance % len(self.bindings))
        found = self.pods.get(placement.pod.uid)
        if fails or found is None:
            self.backlog.release([placement.pod])
            if found is None:
                self.backlog.discard(placement.pod)
            else:
                self.backlog.put_pod(found)
            return
        self.put(msgspec.structs.replace(found, spec=msgspec.structs.replace(found.spec, nodeName=placement.node)))

    @rule(chance=st.integers(0, 99), phase=st.sampled_from(["Running", "Succeeded", "Failed", "gone"]))
    def live(self, chance: int, phase: str) -> None:
        bound = [p for p in self.pods.values() if p.spec.nodeName]
        if not bound:
            return
        found = bound[chance % len(bound)]
        if phase == "gone":
            del self.pods[found.metadata.uid]
            self.backlog.drop_pod(found)
        elif not found.finished:
            self.put(msgspec.structs.replace(found, status=msgspec.structs.replace(found.status, phase=phase)))

    @rule(chance=st.integers(0, 99))
    def delete_pending(self, chance: int) -> None:
        unbound = [p for p in self.pods.values() if not p.spec.nodeName]
        if unbound:
            found = unbound[chance % len(unbound)]
            del self.pods[found.metadata.uid]
            self.backlog.drop_pod(found)

    def put(self, found: Pod) -> None:
        self.pods[found.metadata.uid] = found
        self.backlog.put_pod(found)

    # --- what holds

    @invariant()
    def nobody_waits_who_could_run(self) -> None:
        rounds = 0
        while self.backlog.active:
            rounds += 1
            assert rounds < 20, "never settles"
            for placed in self.backlog.decide(0.0).decisions.placed:
                self.bindings.extend(placed.placements)
        waiting = [p for p in self.pods.values() if self.waits(p)]
        assert len(waiting) == self.backlog.pending()
        for found in waiting:
            if gangs.group_of(found) is None:
                assert not self.possible(found), f"{found.metadata.name} waits though it fits"
        self.gangs_wait_for_cause([p for p in waiting if gangs.group_of(p) is not None])

    def gangs_wait_for_cause(self, waiting: list[Pod]) -> None:
        for group in {gangs.group_of(p) for p in waiting}:
            assert group is not None
            members = [p for p in waiting if gangs.group_of(p) == group]
            settled = sum(self.counts(p) for p in self.pods.values() if gangs.group_of(p) == group)
            minimum = self.backlog._minimums.get(group)
            if minimum is None or len(members) + settled < minimum:
                continue
            classes = {id(self.backlog.classes.of(p)) for p in members}
            if len(classes) == 1:
                evaluation = self.backlog.evaluations.of(self.backlog.classes.of(members[0]))
                needed = max(1, minimum - settled)
                assert evaluation.room(needed) < needed, f"group {group} waits though there is room"

    @invariant()
    def no_node_holds_more_than_it_has_by_our_doing(self) -> None:
        """A node may shrink or be full of Pods that others bound; these worlds only shrink."""
        for placement in self.bindings:
            assert self.backlog.columns.node_of(placement.pod.uid) in (placement.node, None)

    def waits(self, found: Pod) -> bool:
        assumed = any(b.pod.uid == found.metadata.uid for b in self.bindings)
        return not found.spec.nodeName and not found.spec.schedulingGates and not assumed

    def counts(self, found: Pod) -> bool:
        assumed = any(b.pod.uid == found.metadata.uid for b in self.bindings)
        return (bool(found.spec.nodeName) or assumed) and found.status.phase != "Failed"

    def possible(self, found: Pod) -> bool:
        return self.backlog.evaluations.of(self.backlog.classes.of(found)).possible()


TestWorld = World.TestCase
TestWorld.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
