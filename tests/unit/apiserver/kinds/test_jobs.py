"""Jobs: defaults, the generated selector, rules, what an update may change."""

from __future__ import annotations

from typing import Any

import pytest


def job(pod: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x:1"}], **(pod or {})}}
    return {"metadata": {"name": "j"}, "spec": {"template": template, **spec}}


def test_defaults_and_what_is_generated(kinds: Any) -> None:
    spec = kinds.made("Job", job())["spec"]
    template = spec.pop("template")
    assert spec == {
        "completions": 1, "parallelism": 1, "backoffLimit": 6, "completionMode": "NonIndexed", "suspend": False,
        "manualSelector": False, "podReplacementPolicy": "TerminatingOrFailed",
        "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u-1"}},
    }  # fmt: skip
    assert template["metadata"]["labels"] == {
        "controller-uid": "u-1", "job-name": "j", "batch.kubernetes.io/controller-uid": "u-1",
        "batch.kubernetes.io/job-name": "j",
    }  # fmt: skip
    assert template["spec"]["dnsPolicy"] == "ClusterFirst"


def test_a_work_queue_has_no_completions(kinds: Any) -> None:
    spec = kinds.made("Job", job(parallelism=3))["spec"]
    assert "completions" not in spec


def test_a_limit_per_index_lifts_the_common_one(kinds: Any) -> None:
    spec = kinds.made("Job", job(completionMode="Indexed", completions=2, backoffLimitPerIndex=1))["spec"]
    assert spec["backoffLimit"] == 2**31 - 1


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (
            job({"restartPolicy": "Always"}),
            'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"',
        ),
        (
            job(completionMode="Indexed", parallelism=1),
            "spec.completions: Required value: when completion mode is Indexed",
        ),
        (job(parallelism=-1), "spec.parallelism: Invalid value: -1: must be greater than or equal to 0"),
        (
            job(completionMode="Other"),
            ('spec.completionMode: Unsupported value: "Other": supported values: "NonIndexed", "Indexed"'),
        ),
        (job(backoffLimitPerIndex=1), "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"),
        (
            job(managedBy="me"),
            ('spec.managedBy: Invalid value: "me": must be a domain-prefixed path (such as "acme.io/foo")'),
        ),
        (
            job(podReplacementPolicy="Never"),
            (
                'spec.podReplacementPolicy: Unsupported value: "Never": supported values: '
                '"Failed", "TerminatingOrFailed"'
            ),
        ),
        (job({"containers": []}), "spec.template.spec.containers: Required value"),
        (
            job(podFailurePolicy={"rules": [{"action": "Ignore"}]}),
            (
                "spec.podFailurePolicy.rules[0]: Invalid value: specifying "
                "one of OnExitCodes and OnPodConditions is required"
            ),
        ),
        (
            job({"restartPolicy": "OnFailure"}, podFailurePolicy={"rules": []}),
            (
                'spec.template.spec.restartPolicy: Invalid value: "OnFailure": only "Never" is '
                "supported when podFailurePolicy is specified"
            ),
        ),
        (
            job(successPolicy={"rules": [{"succeededCount": 1}]}),
            ('spec.successPolicy: Invalid value: {"rules":[{"succeededCount":1}]}: requires indexed completion mode'),
        ),
    ],
    ids=lambda v: v.split(":")[0] if isinstance(v, str) else "",
)
def test_rules(kinds: Any, given: dict[str, Any], wrong: str) -> None:
    found = kinds.create("Job", given)[1]
    assert wrong in found


def test_a_selector_by_hand_must_choose_the_jobs_pods(kinds: Any) -> None:
    given = job(manualSelector=True, selector={"matchLabels": {"a": "b"}})
    assert kinds.create("Job", given)[1][0].startswith("spec.template.metadata.labels: Invalid value: ")
    given["spec"]["template"]["metadata"] = {"labels": {"a": "b"}}
    assert kinds.made("Job", given)["spec"]["selector"] == {"matchLabels": {"a": "b"}}


@pytest.mark.parametrize(
    ("changed", "allowed"),
    [
        ({"spec__parallelism": 3}, True),
        ({"spec__suspend": True}, True),
        ({"spec__backoffLimit": 1}, True),
        ({"spec__completions": 3}, False),
        ({"spec__completionMode": "NonIndexed"}, False),
        ({"spec__completions": 4, "spec__parallelism": 4}, True),
        ({"spec__template__spec__containers__0__image": "y"}, False),
        ({"spec__template__spec__nodeSelector": {"a": "b"}}, False),
        ({"spec__managedBy": "a.b/c"}, False),
    ],
    ids=str,
)
def test_what_may_change(kinds: Any, changed: dict[str, Any], allowed: bool) -> None:
    old = kinds.made("Job", job(completionMode="Indexed", completions=2, parallelism=2))
    assert (kinds.update("Job", old, **changed)[1] == []) is allowed


def test_placement_may_change_while_suspended_and_not_started(kinds: Any) -> None:
    old = kinds.made("Job", job(suspend=True))
    place = {"spec__template__spec__nodeSelector": {"a": "b"}}
    assert kinds.update("Job", old, **place)[1] == []
    old["status"] = {"startTime": "2026-01-01T00:00:00Z"}
    assert kinds.update("Job", old, **place)[1]
