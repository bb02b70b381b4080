"""batch/v1 Jobs: what becomes of them, on the embedded server and on a real one."""

from __future__ import annotations

from fairlead.api.batch import JOBS
from fairlead.testing import builders


def job(script="", restart="Never", **spec):
    # Without a token: the embedded server gives Pods theirs by other means than a volume.
    pod = builders.pod("template").labels(app="example").restart(restart).spec(automountServiceAccountToken=False)
    return builders.job("work").template(pod.simulate(script) if script else pod).spec(**spec)


async def test_job_complete(world, judge):
    await world.create(job("run=0.1s", completions=3, parallelism=2))
    await world.has(JOBS, "work", "Complete")
    judge("job-complete", await world.outcome())


async def test_job_fails_by_backoff_limit(world, judge):
    await world.create(job("run=0.1s,exit=3", backoffLimit=0))
    await world.has(JOBS, "work", "Failed")
    judge("job-backoff-limit", await world.outcome())


async def test_job_tries_again(world, judge):
    await world.create(job(backoffLimit=1))
    (first,) = await world.running(1)
    world.finish(first, 1)
    await world.until(lambda: fresh(world, first), "another Pod to run")
    (second,) = await world.running(1)
    world.finish(second)
    await world.has(JOBS, "work", "Complete")
    judge("job-second-try", await world.outcome())


async def fresh(world, old):
    return [p for p in await world.pods() if p.metadata.uid != old.metadata.uid]


async def test_job_suspend_and_resume(world, judge):
    await world.create(job(suspend=True, parallelism=2, completions=2))
    await world.has(JOBS, "work", "Suspended")
    judge("job-suspended", await world.outcome())
    await world.change(JOBS, "work", {"suspend": False})
    await world.running(2)
    judge("job-resumed", await world.outcome())
    await world.change(JOBS, "work", {"suspend": True})
    await world.has(JOBS, "work", "Suspended")
    await world.running(0)
    judge("job-suspended-again", await world.outcome())
    await world.change(JOBS, "work", {"suspend": False})
    for pod in await world.running(2):
        world.finish(pod)
    await world.has(JOBS, "work", "Complete")
    judge("job-suspend-resume", await world.outcome())


async def test_job_active_deadline(world, judge):
    await world.create(job(activeDeadlineSeconds=1))
    await world.has(JOBS, "work", "Failed")
    await world.running(0)
    judge("job-deadline", await world.outcome())


async def test_job_ttl(world, judge):
    await world.create(job("run=0.1s", ttlSecondsAfterFinished=1))

    async def ended():
        return await world.find(JOBS, "work") is None

    await world.until(ended, "the Job to be deleted")
    await world.running(0)
    judge("job-ttl", await world.outcome())


async def test_job_parallelism_is_lowered(world, judge):
    await world.create(job(parallelism=3, completions=3))
    await world.running(3)
    await world.change(JOBS, "work", {"parallelism": 1})
    await world.running(1)
    judge("job-parallelism", await world.outcome())


async def test_job_on_failure(world, judge):
    await world.create(job("run=0.1s,exit=1,fails=1", restart="OnFailure"))
    await world.has(JOBS, "work", "Complete")
    judge("job-on-failure", await world.outcome())


async def test_job_work_queue(world, judge):
    await world.create(job(parallelism=2, completions=None))
    for pod in await world.running(2):
        world.finish(pod)
    await world.has(JOBS, "work", "Complete")
    judge("job-work-queue", await world.outcome())


async def test_indexed_job(world, judge):
    await world.create(job("run=0.1s", completionMode="Indexed", completions=3, parallelism=3))
    await world.has(JOBS, "work", "Complete")
    judge("job-indexed", await world.outcome())


async def test_indexed_job_half_done(world, judge):
    await world.create(job(completionMode="Indexed", completions=3, parallelism=3))
    world.finish((await world.running(3))[1])
    await world.running(2)
    judge("job-indexed-half", await world.outcome())
