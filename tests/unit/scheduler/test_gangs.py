"""Which Pods go together, and when they are decided."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fairlead.api import coscheduling, scheduling
from fairlead.api.core import Pod
from fairlead.api.meta import Key
from fairlead.scheduler import gangs
from fairlead.scheduler.classes import Classes
from fairlead.scheduler.cycle import Pending, Unit
from fairlead.scheduler.gangs import Form, Group, Members, Waiting

TRAIN = Group(Form.NATIVE, Key("d", "train"))


def pod(labels: dict[str, str] | None = None, **spec: Any) -> Pod:
    return msgspec.convert({"metadata": {"name": "p", "namespace": "d", "labels": labels or {}}, "spec": spec}, Pod)


def members(count: int) -> list[Pending]:
    pod_class = Classes().of(pod())
    return [Pending(Key("d", f"p{i}"), f"u{i}", pod_class, float(i)) for i in range(count)]


@pytest.mark.parametrize(
    ("found", "group"),
    [
        (pod(), None),
        (pod(schedulingGroup={"podGroupName": "g"}), Group(Form.NATIVE, Key("d", "g"))),
        (pod({"scheduling.x-k8s.io/pod-group": "g"}), Group(Form.COSCHEDULING, Key("d", "g"))),
        (pod({"pod-group.scheduling.sigs.k8s.io/name": "g"}), Group(Form.LABELS, Key("d", "g"))),
    ],
)
def test_all_forms_are_read(found: Pod, group: Group | None) -> None:
    assert gangs.group_of(found) == group


def test_minimums() -> None:
    native = {"spec": {"schedulingPolicy": {"gang": {"minCount": 4}}}}
    assert gangs.native_minimum(msgspec.convert(native, scheduling.PodGroup)) == 4
    basic = {"spec": {"schedulingPolicy": {"basic": {}}}}
    assert gangs.native_minimum(msgspec.convert(basic, scheduling.PodGroup)) == 0
    assert gangs.coscheduling_minimum(msgspec.convert({"spec": {"minMember": 3}}, coscheduling.PodGroup)) == 3
    assert gangs.labelled_minimum(pod({gangs.OLD_MINIMUM: "2"})) == 2
    assert gangs.labelled_minimum(pod({gangs.OLD_MINIMUM: "two"})) is None


def test_a_gang_waits_for_its_members() -> None:
    pods = members(2)
    text = 'pod group "train" needs 3 pods at once; 2 exist so far'
    assert list(gangs.units(TRAIN, 3, Members(pods, 0))) == [Waiting(tuple(pods), text)]


def test_a_whole_gang_is_one_unit() -> None:
    pods = members(3)
    assert list(gangs.units(TRAIN, 3, Members(pods[::-1], 0))) == [Unit(tuple(pods), 3, "train")]


def test_settled_members_count() -> None:
    pods = members(1)
    assert list(gangs.units(TRAIN, 3, Members(pods, 2))) == [Unit(tuple(pods), 1, "train")]
    assert list(gangs.units(TRAIN, 3, Members(pods, 3))) == [Unit(tuple(pods))]


def test_a_group_without_a_minimum_says_what_to_do() -> None:
    assert "create it (podgroups.scheduling.k8s.io in namespace d)" in next(
        w.message for w in gangs.units(TRAIN, None, Members(members(1), 0)) if isinstance(w, Waiting)
    )
    old = Group(Form.LABELS, Key("d", "g"))
    assert "add the label pod-group.scheduling.sigs.k8s.io/min-available" in gangs.missing(old)
