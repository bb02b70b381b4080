"""The rules of Jobs in upstream's words: of policies, of what may change, of statuses."""

from __future__ import annotations

import re

JOBS = "/apis/batch/v1/{ns}/jobs"
MERGE = "application/merge-patch+json"
VALUE = re.compile(r"\{.*?\}: (?=[a-z`])")


def job(name, labels=None, restart="Never", **spec):
    pod = {"restartPolicy": restart, "containers": [{"name": "main", "image": "busybox"}]}
    template = {"metadata": {"labels": labels or {"app": "example"}}, "spec": pod}
    # Nobody else's: what is asked here is what the server lets pass.
    spec = {"managedBy": "example.com/nobody", "template": template} | spec
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}


def indexed(name, completions=3, **spec):
    return job(name, completionMode="Indexed", completions=completions, **{"parallelism": 3} | spec)


def failures(*rules, **spec):
    return job("wrong", podFailurePolicy={"rules": list(rules)}, **spec)


def codes(action="FailJob", operator="In", values=(1,), **more):
    return {"action": action, "onExitCodes": {"operator": operator, "values": list(values), **more}}


def pattern(**fields):
    return {"action": "Ignore", "onPodConditions": [fields]}


def success(*rules, **spec):
    return indexed("wrong", successPolicy={"rules": list(rules)}, **spec)


WRONG = {
    "no action": failures({"onExitCodes": {"operator": "In", "values": [1]}}),
    "unknown action": failures(codes("Other")),
    "fail index": failures(codes("FailIndex")),
    "no operator": failures({"action": "Count", "onExitCodes": {"values": [1]}}),
    "unknown operator": failures(codes(operator="Other")),
    "no values": failures(codes(values=())),
    "zero": failures(codes(values=(0, 1))),
    "not in zero": failures(codes(operator="NotIn", values=(0, 1))) | {"metadata": {"name": "not-in-zero"}},
    "twice": failures(codes(values=(1, 1, 2))),
    "not ordered": failures(codes(values=(3, 1))),
    "many values": failures(codes(values=range(1, 258))),
    "other container": failures(codes(containerName="other")),
    "both": failures({**codes(), "onPodConditions": [{"type": "A", "status": "True"}]}),
    "neither": failures({"action": "Count"}),
    "condition type": failures(pattern(type="a/b/c", status="True")),
    "condition without type": failures(pattern(status="True")),
    "condition status": failures(pattern(type="A", status="Maybe")),
    "many rules": failures(*[codes()] * 21),
    "restart policy": failures(codes(), restart="OnFailure"),
    "replacement": failures(codes(), podReplacementPolicy="TerminatingOrFailed"),
    "success not indexed": job("wrong", successPolicy={"rules": [{"succeededCount": 1}]}),
    "success without rules": success(),
    "success empty rule": success({}),
    "success large index": success({"succeededIndexes": "0,5"}),
    "success falling": success({"succeededIndexes": "2,1"}),
    "success falling run": success({"succeededIndexes": "2-1"}),
    "success no number": success({"succeededIndexes": "a"}),
    "success three parts": success({"succeededIndexes": "0-1-2"}),
    "success count": success({"succeededCount": 9}),
    "success negative count": success({"succeededCount": -1}),
    "success count of indexes": success({"succeededIndexes": "0-1", "succeededCount": 3}),
    "per index": job("wrong", backoffLimitPerIndex=1),
    "max failed": job("wrong", maxFailedIndexes=1),
    "max failed of few": indexed("wrong", backoffLimitPerIndex=1, maxFailedIndexes=9),
    "negative": indexed("wrong", backoffLimitPerIndex=-1, maxFailedIndexes=-1),
    "many completions": indexed("wrong", 200_000, backoffLimitPerIndex=1, parallelism=20_000),
    "many failed indexes": indexed("wrong", 200_000, backoffLimitPerIndex=1, maxFailedIndexes=150_000),
    "large parallelism": indexed("wrong", parallelism=200_000),
    "no completions": job("wrong", completionMode="Indexed", parallelism=1),
    "restart always": job("wrong", restart="Always"),
    "restart unknown": job("wrong", restart="Sometimes"),
    "label of another": job("wrong", labels={"job-name": "other", "batch.kubernetes.io/job-name": "other"}),
    "selector by hand": job("wrong", selector={"matchLabels": {"a": "b"}}),
    "host name": indexed("a" * 62),
    "host name of few": indexed("a" * 61, 9),
    "defaults": indexed("defaults", backoffLimitPerIndex=1, podFailurePolicy={"rules": [pattern(type="A")]}),
}


async def test_policies(http, judge):
    judge("requests-job-policies", await answers(http, {n: ("POST", JOBS, body) for n, body in WRONG.items()}))


def condition(type_, status="True"):
    return {"type": type_, "status": status, "lastTransitionTime": "2026-01-01T00:00:00Z", "reason": "R"}


DONE = {"ready": 0, "startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:00:01Z"}
COMPLETE = [condition("SuccessCriteriaMet"), condition("Complete")]
STATUSES = {
    "negative": {"active": -1, "failed": -1, "terminating": -1},
    "ready": {"active": 1, "ready": 2},
    "uncounted": {"uncountedTerminatedPods": {"succeeded": ["a", ""], "failed": ["a"]}},
    "complete and failed": {**DONE, "conditions": [*COMPLETE, condition("FailureTarget"), condition("Failed")]},
    "no criteria": {**DONE, "conditions": COMPLETE[1:]},
    "no target": {"startTime": DONE["startTime"], "conditions": [condition("Failed")]},
    "criteria and target": {"conditions": [COMPLETE[0], condition("FailureTarget")]},
    "no time": {"startTime": DONE["startTime"], "conditions": COMPLETE},
    "time too soon": {"completionTime": "2026-01-01T00:00:01Z"},
    "time before start": {**DONE, "completionTime": "2025-01-01T00:00:00Z", "conditions": COMPLETE},
    "no start": {"completionTime": DONE["completionTime"], "conditions": COMPLETE},
    "active": {**DONE, "active": 1, "conditions": COMPLETE},
    "terminating": {**DONE, "terminating": 1, "conditions": COMPLETE},
    "left": {**DONE, "uncountedTerminatedPods": {"failed": ["a"]}, "conditions": COMPLETE},
    "completed large": {"completedIndexes": "0,7"},
    "completed falling": {"completedIndexes": "1,0"},
    "failed no number": {"failedIndexes": "x"},
    "overlap": {"completedIndexes": "0-1", "failedIndexes": "1,2"},
    "counts": {"succeeded": 1, "failed": 2, "startTime": DONE["startTime"]},
    "fewer failed": {"failed": 1},
    "fewer succeeded": {"succeeded": None},
    "start moves": {"startTime": "2026-01-01T00:00:09Z"},
    "done": {**DONE, "conditions": COMPLETE},
    "undone": {"conditions": []},
    "time moves": {"completionTime": "2026-01-01T00:00:05Z"},
}


async def test_statuses(http, judge):
    rows = {"create": ("POST", JOBS, indexed("work", backoffLimitPerIndex=1))}
    for name, status in STATUSES.items():
        rows[name] = ("PATCH", JOBS + "/work/status", {"status": status}, MERGE)
    rows["plain"] = ("POST", JOBS, job("plain"))
    for name in ("completedIndexes", "failedIndexes"):
        rows[name] = ("PATCH", JOBS + "/plain/status", {"status": {name: "0"}}, MERGE)
    judge("requests-job-statuses", await answers(http, rows))


async def answers(http, rows):
    found = {}
    for name, (method, path, body, *kind) in rows.items():
        found[name] = [told(await http.send(method, path, body, **({"Content_Type": kind[0]} if kind else {})))]
    return found


def told(answer):
    """Each broken rule once; not how a value looks that is an object: upstream shows it as Go's own types have it."""
    body = answer["body"]
    if body["kind"] == "Status":
        body["message"] = VALUE.sub("<value>: ", body["message"])
        causes = [{**c, "message": VALUE.sub("<value>: ", c["message"])} for c in body["details"].get("causes", ())]
        body["details"]["causes"] = [c for i, c in enumerate(causes) if c not in causes[:i]]
    return answer


CHANGES = {
    "smaller": {"completions": 2, "parallelism": 2},
    "larger": {"completions": 5, "parallelism": 5},
    "completions alone": {"completions": 4},
    "policy": {"podFailurePolicy": {"rules": [codes()]}},
    "success": {"successPolicy": {"rules": [{"succeededCount": 1}]}},
    "per index": {"backoffLimitPerIndex": 2},
    "manager": {"managedBy": "example.com/other"},
    "mode": {"completionMode": "NonIndexed"},
    "max failed": {"maxFailedIndexes": 1},
    "labels": {"template": {"metadata": {"labels": {"more": "yes"}}}},
    "node": {"template": {"spec": {"nodeSelector": {"zone": "a"}}}},
    "node affinity": {"template": {"spec": {"affinity": {"nodeAffinity": {}}}}},
    "pod affinity": {"template": {"spec": {"affinity": {"podAffinity": {}}}}},
    "resources": {"template": {"spec": {"containers": [
        {"name": "main", "image": "busybox", "resources": {"limits": {"cpu": "1"}}}]}}},
    "other image": {"template": {"spec": {"containers": [{"name": "main", "image": "other"}]}}},
}  # fmt: skip


async def test_changes(http, judge):
    rows = {}
    for name, held in (("held", True), ("free", False)):
        rows[name] = ("POST", JOBS, indexed(name, backoffLimitPerIndex=1, suspend=held))
        for change, spec in CHANGES.items():
            rows[f"{name}: {change}"] = ("PATCH", f"{JOBS}/{name}", {"spec": spec}, MERGE)
    judge("requests-job-changes", await answers(http, rows))
