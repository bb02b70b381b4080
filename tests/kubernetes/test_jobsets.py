"""JobSets: what becomes of them, on the embedded server and on a real one.

The manifests say what JobSet's webhook would add, because a bare API server has the definition only.
"""

from __future__ import annotations

from fairlead.api.batch import JOBS
from fairlead.api.jobset import JOBSETS
from fairlead.testing import builders


def template(script="", pods=1, **spec):
    pod = builders.pod("template").spec(automountServiceAccountToken=False)
    pod = pod.simulate(script) if script else pod
    job = builders.job("template").template(pod).parallelism(pods).completions(pods).backoff_limit(0)
    return job.spec(completionMode="Indexed", **spec)


def jobset(**spec):
    complete = {
        "successPolicy": {"operator": "All"},
        "startupPolicy": {"startupPolicyOrder": "AnyOrder"},
        "network": {"enableDNSHostnames": True, "publishNotReadyAddresses": True},
    }
    return builders.jobset("set").spec(**(complete | spec))


async def test_jobset_completes(world, judge):
    await world.create(jobset().replicated("a", template("run=0.1s", pods=2), 2).replicated("b", template("run=0.1s")))
    await world.has(JOBSETS, "set", "Completed")
    judge("jobset-complete", await world.outcome())


async def test_jobset_runs(world, judge):
    await world.create(jobset().replicated("leader", template()).replicated("worker", template(pods=2), 2))
    await world.running(5)
    judge("jobset-running", await world.outcome())


async def test_jobset_succeeds_by_any(world, judge):
    policy = {"operator": "Any", "targetReplicatedJobs": ["leader"]}
    await world.create(
        jobset(successPolicy=policy).replicated("leader", template()).replicated("worker", template(pods=2))
    )
    await world.running(3)
    world.finish((await world.running(1, "set-leader"))[0])
    await world.has(JOBSETS, "set", "Completed")
    await world.running(0)
    judge("jobset-success-any", await world.outcome())


async def test_jobset_fails(world, judge):
    await world.create(jobset().replicated("a", template()).replicated("b", template()))
    await world.running(2)
    world.finish((await world.running(1, "set-b"))[0], 1)
    await world.has(JOBSETS, "set", "Failed")
    await world.running(0)
    judge("jobset-failed", await world.outcome())


async def test_jobset_restarts(world, judge):
    await world.create(jobset(failurePolicy={"maxRestarts": 1}).replicated("a", template(), 2))
    first = await world.running(2)
    world.finish(first[0], 1)
    await world.until(lambda: anew(world, first), "all Pods to run anew")
    judge("jobset-restarted", await world.outcome())
    for pod in await world.running(2):
        world.finish(pod)
    await world.has(JOBSETS, "set", "Completed")
    judge("jobset-restart-complete", await world.outcome())


async def test_jobset_restarts_too_often(world, judge):
    await world.create(jobset(failurePolicy={"maxRestarts": 1}).replicated("a", template("run=3s,exit=1")))
    await world.has(JOBSETS, "set", "Failed")
    await world.running(0)
    judge("jobset-max-restarts", await world.outcome())


async def test_jobset_failure_rule(world, judge):
    rule = {"name": "fatal", "action": "FailJobSet", "onJobFailureReasons": ["BackoffLimitExceeded"]}
    policy = {"maxRestarts": 3, "rules": [rule | {"targetReplicatedJobs": ["a"]}]}
    await world.create(jobset(failurePolicy=policy).replicated("a", template("run=0.1s,exit=1")))
    await world.has(JOBSETS, "set", "Failed")
    await world.running(0)
    judge("jobset-failure-rule", await world.outcome())


async def test_jobset_depends_on(world, judge):
    after = [{"name": "a", "status": "Complete"}]
    await world.create(jobset().replicated("a", template(), 2).replicated("b", template(), dependsOn=after))
    first = await world.running(2, "set-a")
    judge("jobset-depends-waiting", await world.outcome())
    for pod in first:
        world.finish(pod)
    world.finish((await world.running(1, "set-b"))[0])
    await world.has(JOBSETS, "set", "Completed")
    judge("jobset-depends", await world.outcome())


async def test_jobset_in_order(world, judge):
    policy = {"startupPolicyOrder": "InOrder"}
    await world.create(jobset(startupPolicy=policy).replicated("a", template()).replicated("b", template()))
    await world.running(1, "set-b")
    for pod in await world.running(2):
        world.finish(pod)
    await world.has(JOBSETS, "set", "Completed")
    judge("jobset-in-order", await world.outcome())


async def test_jobset_suspend_and_resume(world, judge):
    await world.create(jobset(suspend=True).replicated("a", template(), 2))
    await world.has(JOBSETS, "set", "Suspended")
    judge("jobset-suspended", await world.outcome())
    await world.change(JOBSETS, "set", {"suspend": False})
    await world.running(2)
    await world.change(JOBSETS, "set", {"suspend": True})
    await world.running(0)
    await world.has(JOBS, "set-a-0", "Suspended")
    await world.has(JOBS, "set-a-1", "Suspended")
    judge("jobset-suspended-again", await world.outcome())
    await world.change(JOBSETS, "set", {"suspend": False})
    for pod in await world.running(2):
        world.finish(pod)
    await world.has(JOBSETS, "set", "Completed")
    judge("jobset-suspend-resume", await world.outcome())


async def test_jobset_ttl(world, judge):
    await world.create(jobset(ttlSecondsAfterFinished=1).replicated("a", template("run=0.1s")))

    async def ended():
        return await world.find(JOBSETS, "set") is None

    await world.until(ended, "the JobSet to be deleted")
    await world.running(0)
    judge("jobset-ttl", await world.outcome())


async def anew(world, old):
    """Whether as many other Pods run."""
    before = {p.metadata.uid for p in old}
    now = [p for p in await world.pods() if p.metadata.uid not in before and p.status.phase == "Running"]
    return now if len(now) == len(old) else None
