"""Gangs: which Pods belong together, and how many of them must be placed at once.

Three forms are read, the first that a Pod has:

- `spec.schedulingGroup.podGroupName`: a PodGroup of scheduling.k8s.io with `schedulingPolicy.gang.minCount`
  (`basic` means that its Pods are placed one by one);
- the label `scheduling.x-k8s.io/pod-group`: the coscheduling plugin's PodGroup with `minMember`;
- the labels `pod-group.scheduling.sigs.k8s.io/name` and `…/min-available`, an older form without an object.

A gang waits until the minimum of Pods exists. Members that are placed already, or have succeeded, count towards it: a
gang that lost one Pod needs one node for its successor, not all at once again. Once the minimum is met, more members
are placed one by one. A minimum of 0 is no gang: its Pods are placed one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple

import msgspec

from fairlead.api import coscheduling, scheduling
from fairlead.api.core import Pod
from fairlead.api.meta import Key
from fairlead.scheduler import explain
from fairlead.scheduler.cycle import Pending, Unit

OLD_NAME = "pod-group.scheduling.sigs.k8s.io/name"
OLD_MINIMUM = "pod-group.scheduling.sigs.k8s.io/min-available"


class Form(Enum):
    """Where a gang's minimum is written."""

    NATIVE = "podgroups.scheduling.k8s.io"
    COSCHEDULING = "podgroups.scheduling.x-k8s.io"
    LABELS = "labels"


class Group(NamedTuple):
    """A gang's identity. Pods of one group share it."""

    form: Form
    key: Key


class Members(msgspec.Struct, frozen=True):
    """A group's Pods as they stand: those that wait, and how many are placed or have succeeded."""

    pending: Sequence[Pending]
    settled: int


class Waiting(msgspec.Struct, frozen=True):
    """A group that cannot be decided yet, and why."""

    pods: tuple[Pending, ...]
    message: str


def group_of(pod: Pod) -> Group | None:
    """The gang that the Pod says it is of."""
    namespace, labels = pod.metadata.namespace, pod.metadata.labels
    if pod.spec.schedulingGroup is not None and pod.spec.schedulingGroup.podGroupName:
        return Group(Form.NATIVE, Key(namespace, pod.spec.schedulingGroup.podGroupName))
    if name := labels.get(coscheduling.POD_GROUP_LABEL):
        return Group(Form.COSCHEDULING, Key(namespace, name))
    if name := labels.get(OLD_NAME):
        return Group(Form.LABELS, Key(namespace, name))
    return None


def labelled_minimum(pod: Pod) -> int | None:
    """The minimum of the older form on a Pod's labels; None where it is missing or no whole number."""
    text = pod.metadata.labels.get(OLD_MINIMUM, "")
    return int(text) if text.isdigit() else None


def native_minimum(group: scheduling.PodGroup) -> int:
    gang = group.spec.schedulingPolicy.gang
    return gang.minCount if gang is not None else 0


def coscheduling_minimum(group: coscheduling.PodGroup) -> int:
    return group.spec.minMember


def units(group: Group, minimum: int | None, members: Members) -> Iterable[Unit | Waiting]:
    """How a group's pending Pods are decided."""
    pods = tuple(sorted(members.pending, key=lambda p: (p.created, p.key)))
    if not pods:
        return ()
    if minimum is None:
        return (Waiting(pods, missing(group)),)
    short = minimum - members.settled
    if short <= 0:
        return tuple(Unit((pod,)) for pod in pods)
    if len(pods) < short:
        return (Waiting(pods, explain.waiting(group.key.name, minimum, members.settled + len(pods))),)
    return (Unit(pods, short, group.key.name),)


def missing(group: Group) -> str:
    """The message for Pods whose group says no minimum."""
    name = group.key.name
    if group.form is Form.LABELS:
        return f'pod group "{name}" has no minimum: add the label {OLD_MINIMUM} with a whole number to its pods'
    return f'pod group "{name}" not found: create it ({group.form.value} in namespace {group.key.namespace})'
