"""batch/v1."""

from __future__ import annotations

from typing import Any

from fairlead.api.meta import Condition, Object, Resource, View


class OnExitCodes(View, frozen=True):
    operator: str = "In"
    values: list[int] = []
    containerName: str | None = None
    """None: any container."""


class OnPodCondition(View, frozen=True):
    type: str
    status: str = "True"


class FailureRule(View, frozen=True):
    action: str = ""
    """FailJob, FailIndex, Ignore or Count."""
    onExitCodes: OnExitCodes | None = None
    onPodConditions: list[OnPodCondition] = []


class PodFailurePolicy(View, frozen=True):
    rules: list[FailureRule] = []


class SuccessRule(View, frozen=True):
    succeededIndexes: str | None = None
    succeededCount: int | None = None


class SuccessPolicy(View, frozen=True):
    rules: list[SuccessRule] = []


class JobSpec(View, frozen=True):
    parallelism: int = 1
    completions: int | None = None
    completionMode: str = "NonIndexed"
    backoffLimit: int = 6
    backoffLimitPerIndex: int | None = None
    maxFailedIndexes: int | None = None
    podFailurePolicy: PodFailurePolicy | None = None
    successPolicy: SuccessPolicy | None = None
    suspend: bool = False
    activeDeadlineSeconds: int | None = None
    ttlSecondsAfterFinished: int | None = None
    manualSelector: bool = False
    selector: dict[str, Any] = {}
    managedBy: str = ""
    podReplacementPolicy: str = ""
    template: dict[str, Any] = {}
    """A PodTemplateSpec as it stands: it is copied into Pods, so every field must be kept."""


class UncountedPods(View, frozen=True):
    succeeded: list[str] = []
    failed: list[str] = []


class JobStatus(View, frozen=True):
    active: int = 0
    ready: int | None = None
    succeeded: int = 0
    failed: int = 0
    terminating: int | None = None
    startTime: str | None = None
    completionTime: str | None = None
    completedIndexes: str = ""
    failedIndexes: str | None = None
    """None unless there is a backoffLimitPerIndex."""
    uncountedTerminatedPods: UncountedPods | None = None
    conditions: list[Condition] = []


class Job(Object, frozen=True):
    spec: JobSpec = JobSpec()
    status: JobStatus = JobStatus()

    def condition(self, type_: str) -> Condition | None:
        """The condition of that type when it is true."""
        return next((c for c in self.status.conditions if c.type == type_ and c.status == "True"), None)


JOBS: Resource[Job] = Resource(
    "batch",
    "v1",
    "Job",
    "jobs",
    Job,
    singular="job",
    categories=("all",),
    status=True,
    schema="io.k8s.api.batch.v1.Job",
)


class CronJobSpec(View, frozen=True):
    schedule: str = ""
    timeZone: str | None = None
    startingDeadlineSeconds: int | None = None
    concurrencyPolicy: str = "Allow"
    suspend: bool = False
    jobTemplate: dict[str, Any] = {}
    """A JobTemplateSpec as it stands: it is copied into Jobs."""
    successfulJobsHistoryLimit: int = 3
    failedJobsHistoryLimit: int = 1


class CronJobStatus(View, frozen=True):
    active: list[dict[str, str]] = []
    lastScheduleTime: str | None = None
    lastSuccessfulTime: str | None = None


class CronJob(Object, frozen=True):
    spec: CronJobSpec = CronJobSpec()
    status: CronJobStatus = CronJobStatus()


CRON_JOBS: Resource[CronJob] = Resource(
    "batch",
    "v1",
    "CronJob",
    "cronjobs",
    CronJob,
    singular="cronjob",
    short=("cj",),
    categories=("all",),
    status=True,
    schema="io.k8s.api.batch.v1.CronJob",
)

RESOURCES: tuple[Resource[Any], ...] = (JOBS, CRON_JOBS)
