"""Policies of Jobs: which rule fits, and what it says."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fairlead.api.batch import Job
from fairlead.api.core import Pod
from fairlead.reconcile import jobpolicy


def job(**spec: Any) -> Job:
    return msgspec.convert({"metadata": {"name": "work", "namespace": "default"}, "spec": spec}, Job)


def failed(exits: dict[str, int] | None = None, init: dict[str, int] | None = None, **conditions: str) -> Pod:
    def statuses(codes: dict[str, int] | None) -> list[dict[str, Any]]:
        return [{"name": n, "state": {"terminated": {"exitCode": c}}} for n, c in (codes or {}).items()]

    told = [{"type": t, "status": s} for t, s in conditions.items()]
    status = {"containerStatuses": statuses(exits), "initContainerStatuses": statuses(init), "conditions": told}
    meta = {"name": "p", "namespace": "default"}
    return msgspec.convert({"metadata": meta, "status": {"phase": "Failed", **status}}, Pod)


def rule(action: str, operator: str = "In", values: tuple[int, ...] = (42,), **more: Any) -> dict[str, Any]:
    return {"action": action, "onExitCodes": {"operator": operator, "values": list(values), **more}}


DISRUPTED = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}


@pytest.mark.parametrize(
    ("rules", "pod", "action"),
    [
        ([rule("FailJob")], failed({"a": 42}), "FailJob"),
        ([rule("FailJob")], failed({"a": 1}), ""),
        ([rule("FailJob")], failed(init={"a": 42}), "FailJob"),
        ([rule("FailJob", containerName="b")], failed({"a": 42}), ""),
        ([rule("FailJob", containerName="b")], failed({"a": 42, "b": 42}), "FailJob"),
        ([rule("FailIndex", "NotIn", (1,))], failed({"a": 2}), "FailIndex"),
        ([rule("FailIndex", "NotIn", (1,))], failed({"a": 1}), ""),
        ([rule("FailJob", "NotIn", (1,))], failed({"a": 0}), ""),
        ([rule("Count"), rule("FailJob")], failed({"a": 42}), "Count"),
        ([DISRUPTED, rule("FailJob")], failed({"a": 42}, DisruptionTarget="True"), "Ignore"),
        ([DISRUPTED, rule("FailJob")], failed({"a": 42}, DisruptionTarget="False"), "FailJob"),
        ([], failed({"a": 42}), ""),
    ],
)
def test_the_first_rule_that_fits_decides(rules: list[dict[str, Any]], pod: Pod, action: str) -> None:
    found = jobpolicy.ruling(job(podFailurePolicy={"rules": rules}), pod)
    assert (found.action, found.counts) == (action, action != "Ignore")


def test_a_failed_job_says_why() -> None:
    by_code = jobpolicy.ruling(job(podFailurePolicy={"rules": [DISRUPTED, rule("FailJob")]}), failed({"a": 42}))
    assert by_code.message == (
        "Container a for pod default/p failed with exit code 42 matching FailJob rule at index 1"
    )
    fatal = {**DISRUPTED, "action": "FailJob"}
    by_condition = jobpolicy.ruling(job(podFailurePolicy={"rules": [fatal]}), failed(DisruptionTarget="True"))
    assert by_condition.message == "Pod default/p has condition DisruptionTarget matching FailJob rule at index 0"


@pytest.mark.parametrize(
    ("rules", "succeeded", "met"),
    [
        ([{"succeededIndexes": "0,2"}], {0, 1}, None),
        ([{"succeededIndexes": "0,2"}], {0, 1, 2}, 0),
        ([{"succeededIndexes": "1-3", "succeededCount": 2}], {1, 3}, 0),
        ([{"succeededIndexes": "1-3", "succeededCount": 2}], {0, 3}, None),
        ([{"succeededIndexes": "3"}, {"succeededCount": 2}], {0, 1}, 1),
        ([{"succeededIndexes": ""}], {0}, None),
        ([{"succeededCount": 0}], set(), None),
    ],
)
def test_success_is_met_by_indexes_and_counts(
    rules: list[dict[str, Any]], succeeded: set[int], met: int | None
) -> None:
    message = jobpolicy.satisfied(job(completions=5, successPolicy={"rules": rules}), succeeded)
    assert message == ("" if met is None else f"Matched rules at index {met}")
