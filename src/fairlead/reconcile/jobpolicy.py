"""What a Job's policies say: of a Pod that failed (KEP-3329), and of the indexes that succeeded (KEP-3998). Pure.

The rules are asked in their order and the first that fits decides. A Pod that no rule fits counts as failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set

import msgspec

from fairlead.api.batch import FailureRule, Job, OnExitCodes, OnPodCondition
from fairlead.api.core import ContainerStatus, Pod
from fairlead.api.meta import Condition
from fairlead.reconcile import indexes


class Ruling(msgspec.Struct, frozen=True):
    """What is to be made of a failed Pod; `message` is that of the Job's failure, if it is to fail."""

    action: str = ""
    message: str = ""

    @property
    def counts(self) -> bool:
        """Whether it counts against the limits."""
        return self.action != "Ignore"


UNRULED = Ruling()


def ruling(job: Job, pod: Pod) -> Ruling:
    """What the first rule that fits says of a failed Pod."""
    policy = job.spec.podFailurePolicy
    for number, rule in enumerate(policy.rules if policy else ()):
        why = _fits(rule, pod)
        if why:
            text = f"{why} matching {rule.action} rule at index {number}" if rule.action == "FailJob" else ""
            return Ruling(rule.action, text)
    return UNRULED


def _fits(rule: FailureRule, pod: Pod) -> str:
    """Why a rule fits the Pod; nothing when it does not."""
    where = f"{pod.metadata.namespace}/{pod.metadata.name}"
    if rule.onExitCodes is not None:
        for name, code in _exits((*pod.status.containerStatuses, *pod.status.initContainerStatuses)):
            if _takes(rule.onExitCodes, name, code):
                return f"Container {name} for pod {where} failed with exit code {code}"
        return ""
    found = next((c for c in pod.status.conditions if _meant(rule.onPodConditions, c)), None)
    return f"Pod {where} has condition {found.type}" if found else ""


def _exits(containers: Iterable[ContainerStatus]) -> Iterator[tuple[str, int]]:
    for container in containers:
        ended = container.state.terminated
        if ended is not None and ended.exitCode != 0:
            yield container.name, ended.exitCode


def _takes(rule: OnExitCodes, name: str, code: int) -> bool:
    return rule.containerName in (None, name) and (code in rule.values) == (rule.operator == "In")


def _meant(patterns: Iterable[OnPodCondition], condition: Condition) -> bool:
    return any((p.type, p.status) == (condition.type, condition.status) for p in patterns)


def satisfied(job: Job, succeeded: Set[int]) -> str:
    """The message of the first rule of the success policy that the succeeded indexes meet; nothing when none is."""
    policy = job.spec.successPolicy
    for number, rule in enumerate(policy.rules if policy and succeeded else ()):
        count = rule.succeededCount
        if rule.succeededIndexes is None:
            met = count is not None and len(succeeded) >= count
        else:
            named = indexes.expand(rule.succeededIndexes, job.spec.completions)
            there = len(named & succeeded)
            met = bool(named) and (there == len(named) or (count is not None and there >= count))
        if met:
            return f"Matched rules at index {number}"
    return ""
