"""CronJobs: which times, what of Jobs that still run, what is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fairlead.api import batch
from fairlead.api.meta import Key
from fairlead.base import timestamp
from fairlead.controllers import cronjob, job
from fairlead.reconcile.reconciler import Change, Create, Delete, SetStatus, View, WakeAt
from fairlead.testing import builders
from fairlead.testing.clock import START
from fairlead.testing.cluster import Cluster

MINUTE = float(int(START) // 60 * 60)
TEMPLATE = {"metadata": {"labels": {"of": "tick"}}, "spec": builders.job("x").wire()["spec"]}


def tick(**spec: Any) -> Any:
    fields = {"schedule": "* * * * *", "jobTemplate": TEMPLATE, **spec}
    return builders.any_of(batch.CRON_JOBS, "tick", spec=fields).created(MINUTE)


def of_time(time: float, **status: Any) -> Any:
    name = f"tick-{int(time) // 60}"
    return builders.job(name).owned_by(tick()).status(startTime=timestamp.seconds(time), **status)


def ended(time: float, how: str = "Complete") -> Any:
    return of_time(time, completionTime=timestamp.seconds(time + 5)).condition(how, time=time + 5)


def reconcile(found: Any, *jobs: Any, now: float) -> Sequence[Change]:
    return cronjob.reconcile(View(Key("default", "tick"), found.view(), {batch.JOBS: builders.views(jobs)}, now))


def of(kind: type[Any], changes: Sequence[Change]) -> list[Any]:
    return [c for c in changes if isinstance(c, kind)]


def test_a_job_is_made_when_its_time_has_come() -> None:
    assert reconcile(tick(), now=MINUTE + 59) == [WakeAt(MINUTE + 60)]
    changes = reconcile(tick(), now=MINUTE + 61)
    (made,) = of(Create, changes)
    meta = made.object["metadata"]
    assert meta["name"] == f"tick-{int(MINUTE + 60) // 60}"
    assert meta["annotations"] == {cronjob.SCHEDULED: timestamp.seconds(MINUTE + 60)}
    assert meta["labels"] == {"of": "tick"}
    (status,) = of(SetStatus, changes)
    assert status.status == {"lastScheduleTime": timestamp.seconds(MINUTE + 60)}
    assert changes.index(made) < changes.index(status)


def test_of_many_missed_times_the_latest_counts() -> None:
    (made,) = of(Create, reconcile(tick(), now=MINUTE + 36_010))
    assert made.object["metadata"]["name"] == f"tick-{int(MINUTE + 36_000) // 60}"


def test_a_time_that_is_too_long_ago_is_let_go() -> None:
    hourly = tick(schedule="0 * * * *", startingDeadlineSeconds=30)
    first = (int(MINUTE) // 3600 + 1) * 3600.0
    assert len(of(Create, reconcile(hourly, now=first + 29))) == 1
    assert not of(Create, reconcile(hourly, now=first + 31))


def test_a_time_zone_moves_the_schedule() -> None:
    noon = tick(schedule="0 12 * * *", timeZone="Asia/Tokyo")
    (wake,) = of(WakeAt, reconcile(noon, now=MINUTE))
    assert timestamp.seconds(wake.time).endswith("T03:00:00Z")


def test_forbid_waits_and_replace_deletes() -> None:
    running = of_time(MINUTE)
    seen = {"lastScheduleTime": timestamp.seconds(MINUTE)}
    forbid = tick(concurrencyPolicy="Forbid").status(**seen)
    assert not of(Create, reconcile(forbid, running, now=MINUTE + 61))
    replace = tick(concurrencyPolicy="Replace").status(**seen)
    changes = reconcile(replace, running, now=MINUTE + 61)
    assert (len(of(Delete, changes)), len(of(Create, changes))) == (1, 1)
    manual = running.annotations({cronjob.MANUAL: "manual"})
    assert len(of(Create, reconcile(forbid, manual, now=MINUTE + 61))) == 1


def test_suspended_makes_nothing_and_still_forgets() -> None:
    still = tick(suspend=True, successfulJobsHistoryLimit=1)
    jobs = [ended(MINUTE + 60 * n) for n in range(3)]
    changes = reconcile(still, *jobs, now=MINUTE + 600)
    assert not of(Create, changes)
    assert [d.key.name for d in of(Delete, changes)] == [j.name for j in jobs[:2]]


def test_the_status_knows_what_runs_and_what_succeeded() -> None:
    still = tick(suspend=True)
    running, done = of_time(MINUTE + 60), ended(MINUTE)
    (status,) = of(SetStatus, reconcile(still, running, done, now=MINUTE + 90))
    assert status.status == {
        "active": [
            {"kind": "Job", "namespace": "default", "name": running.name, "uid": running.uid, "apiVersion": "batch/v1"}
        ],
        "lastSuccessfulTime": timestamp.seconds(MINUTE + 5),
    }


async def test_jobs_run_minute_by_minute() -> None:
    async with Cluster([cronjob.CONTROLLER, job.CONTROLLER]) as up:
        template = {"spec": builders.job("x").template(builders.pod("x").simulate("run=2s")).wire()["spec"]}
        await up.apply(
            builders.any_of(batch.CRON_JOBS, "tick", spec={"schedule": "* * * * *", "jobTemplate": template})
        )
        await up.run_until_quiet(310)
        found = await up.list(batch.JOBS)
        assert len(found) == 3
        assert all(j.condition("Complete") for j in found)
