"""Policies of batch/v1 Jobs: what becomes of them, on the embedded server and on a real one."""

from __future__ import annotations

from fairlead.api import core
from fairlead.api.batch import JOBS
from fairlead.client.protocol import DeleteOptions
from fairlead.testing import builders


def job(**spec):
    pod = builders.pod("template").labels(app="example").restart("Never").spec(automountServiceAccountToken=False)
    return builders.job("work").template(pod).spec(**spec)


def indexed(completions, **spec):
    return job(completionMode="Indexed", completions=completions, **{"parallelism": completions} | spec)


def on_exit(action, *codes, operator="In"):
    return {"rules": [{"action": action, "onExitCodes": {"operator": operator, "values": list(codes)}}]}


async def one(world, index):
    """The running Pod of an index."""
    (pod,) = await world.running(1, f"work-{index}-")
    return pod


async def another(world, old):
    """The running Pod of the same index that comes after it."""
    prefix = old.metadata.name[:-5]

    async def there():
        found = [p for p in await world.pods(prefix) if p.metadata.uid != old.metadata.uid]
        return [p for p in found if p.status.phase == "Running"]

    (pod,) = await world.until(there, "another Pod to run")
    return pod


async def test_failure_policy_fails_the_job(world, judge):
    await world.create(job(completions=3, parallelism=3, podFailurePolicy=on_exit("FailJob", 42)))
    world.finish((await world.running(3))[0], 42)
    await world.has(JOBS, "work", "Failed")
    judge("job-fail-job", await world.outcome())


async def test_failure_policy_ignores(world, judge):
    await world.create(job(backoffLimit=0, podFailurePolicy=on_exit("Ignore", 7)))
    (first,) = await world.running(1)
    world.finish(first, 7)
    world.finish(await another(world, first))
    await world.has(JOBS, "work", "Complete")
    judge("job-ignored-failure", await world.outcome())


async def test_failure_policy_of_other_exits(world, judge):
    await world.create(job(backoffLimit=0, podFailurePolicy=on_exit("FailJob", 1, 2, operator="NotIn")))
    world.finish((await world.running(1))[0], 2)
    await world.has(JOBS, "work", "Failed")
    judge("job-unruled-failure", await world.outcome())


async def test_failure_policy_fails_the_index(world, judge):
    await world.create(indexed(3, backoffLimitPerIndex=2, podFailurePolicy=on_exit("FailIndex", 42)))
    await world.running(3)
    world.finish(await one(world, 1), 42)
    await world.running(2)
    judge("job-fail-index", await world.outcome())
    for pod in await world.running(2):
        world.finish(pod)
    await world.has(JOBS, "work", "Failed")
    judge("job-failed-indexes", await world.outcome())


async def test_each_index_is_tried_again(world, judge):
    await world.create(indexed(2, backoffLimitPerIndex=1))
    await world.running(2)
    first = await one(world, 0)
    world.finish(first, 1)
    second = await another(world, first)
    judge("job-index-again", await world.outcome())
    world.finish(second, 1)
    world.finish(await one(world, 1))
    await world.has(JOBS, "work", "Failed")
    judge("job-index-failed-twice", await world.outcome())


async def test_ignored_failures_of_an_index(world, judge):
    await world.create(indexed(2, backoffLimitPerIndex=0, podFailurePolicy=on_exit("Ignore", 7)))
    await world.running(2)
    first = await one(world, 0)
    world.finish(first, 7)
    world.finish(await another(world, first))
    world.finish(await one(world, 1))
    await world.has(JOBS, "work", "Complete")
    judge("job-index-ignored-failure", await world.outcome())


async def test_too_many_failed_indexes(world, judge):
    await world.create(indexed(3, backoffLimitPerIndex=0, maxFailedIndexes=0))
    await world.running(3)
    world.finish(await one(world, 2), 1)
    await world.has(JOBS, "work", "Failed")
    judge("job-max-failed-indexes", await world.outcome())


async def test_success_policy_names_indexes(world, judge):
    await world.create(indexed(3, successPolicy={"rules": [{"succeededIndexes": "0"}]}))
    await world.running(3)
    world.finish(await one(world, 1))
    await world.running(2)
    world.finish(await one(world, 0))
    await world.has(JOBS, "work", "Complete")
    judge("job-success-indexes", await world.outcome())


async def test_success_policy_counts(world, judge):
    rules = [{"succeededIndexes": "1-3", "succeededCount": 3}, {"succeededCount": 2}]
    await world.create(indexed(4, successPolicy={"rules": rules}))
    await world.running(4)
    world.finish(await one(world, 0))
    world.finish(await one(world, 3))
    await world.has(JOBS, "work", "Complete")
    judge("job-success-count", await world.outcome())


async def test_replacement_of_failed_pods_only(world, judge):
    await world.create(job(podReplacementPolicy="Failed"))
    (first,) = await world.running(1)
    await world.client.delete(core.PODS, first.key, DeleteOptions())
    world.finish(await another(world, first))
    await world.has(JOBS, "work", "Complete")
    judge("job-replaced-when-failed", await world.outcome())


async def test_replacement_of_pods_on_their_way_out(world, judge):
    await world.create(job())
    (first,) = await world.running(1)
    await world.client.delete(core.PODS, first.key, DeleteOptions())
    world.finish(await another(world, first))
    await world.has(JOBS, "work", "Complete")
    judge("job-replaced-when-deleted", await world.outcome())


async def test_elastic_indexed_job(world, judge):
    await world.create(indexed(3))
    await world.running(3)
    world.finish(await one(world, 2))
    await world.running(2)
    await world.change(JOBS, "work", {"completions": 2, "parallelism": 2})
    judge("job-elastic-smaller", await world.outcome())
    await world.change(JOBS, "work", {"completions": 4, "parallelism": 4})
    for pod in await world.running(4):
        world.finish(pod)
    await world.has(JOBS, "work", "Complete")
    judge("job-elastic-larger", await world.outcome())
