"""jobset.x-k8s.io/v1alpha2, the group's names for labels and annotations, and how a JobSet names its Jobs and Pods."""

from __future__ import annotations

from typing import Any

import msgspec

from fairlead.api.meta import Condition, Object, Resource, View

GROUP = "jobset.x-k8s.io"

# Labels of a JobSet's Jobs and Pods (also set as annotations).
JOBSET_NAME = "jobset.sigs.k8s.io/jobset-name"
JOBSET_UID = "jobset.sigs.k8s.io/jobset-uid"
REPLICATED_JOB_NAME = "jobset.sigs.k8s.io/replicatedjob-name"
REPLICATED_JOB_REPLICAS = "jobset.sigs.k8s.io/replicatedjob-replicas"
GLOBAL_REPLICAS = "jobset.sigs.k8s.io/global-replicas"
JOB_INDEX = "jobset.sigs.k8s.io/job-index"
JOB_GLOBAL_INDEX = "jobset.sigs.k8s.io/job-global-index"
JOB_KEY = "jobset.sigs.k8s.io/job-key"
RESTART_ATTEMPT = "jobset.sigs.k8s.io/restart-attempt"
GROUP_NAME = "jobset.sigs.k8s.io/group-name"
GROUP_REPLICAS = "jobset.sigs.k8s.io/group-replicas"
JOB_GROUP_INDEX = "jobset.sigs.k8s.io/job-group-index"
COORDINATOR = "jobset.sigs.k8s.io/coordinator"

CONTROLLER = "jobset.sigs.k8s.io/jobset-controller"
"""The value of `spec.managedBy` that means this controller (so does no value)."""


class DependsOn(View, frozen=True):
    name: str
    status: str
    """`Ready` or `Complete`."""


class ReplicatedJob(View, frozen=True):
    name: str
    replicas: int = 1
    groupName: str = "default"
    dependsOn: list[DependsOn] = []
    template: dict[str, Any] = {}
    """A JobTemplateSpec as it stands: it is copied into Jobs, so every field must be kept."""


class Network(View, frozen=True):
    enableDNSHostnames: bool = True
    subdomain: str = ""
    publishNotReadyAddresses: bool = True


class SuccessPolicy(View, frozen=True):
    operator: str = "All"
    targetReplicatedJobs: list[str] = []


class FailureRule(View, frozen=True):
    action: str
    name: str = ""
    onJobFailureReasons: list[str] = []
    onJobFailureMessagePatterns: list[str] = []
    targetReplicatedJobs: list[str] = []


class FailurePolicy(View, frozen=True):
    maxRestarts: int = 0
    restartStrategy: str = "Recreate"
    rules: list[FailureRule] = []


class StartupPolicy(View, frozen=True):
    startupPolicyOrder: str = "AnyOrder"


class Coordinator(View, frozen=True):
    replicatedJob: str
    jobIndex: int = 0
    podIndex: int = 0


class RetentionPolicy(View, frozen=True):
    whenDeleted: str = "Delete"


class VolumeClaimPolicy(View, frozen=True):
    templates: list[dict[str, Any]] = []
    """PersistentVolumeClaims as they stand."""
    retentionPolicy: RetentionPolicy = RetentionPolicy()


class JobSetSpec(View, frozen=True):
    replicatedJobs: list[ReplicatedJob] = []
    network: Network | None = None
    successPolicy: SuccessPolicy | None = None
    failurePolicy: FailurePolicy | None = None
    startupPolicy: StartupPolicy | None = None
    suspend: bool = False
    coordinator: Coordinator | None = None
    managedBy: str = ""
    ttlSecondsAfterFinished: int | None = None
    volumeClaimPolicies: list[VolumeClaimPolicy] = []


class ReplicatedJobStatus(View, frozen=True, omit_defaults=False):
    """The counts are written even when they are zero: the published schema requires them."""

    name: str
    ready: int = 0
    succeeded: int = 0
    failed: int = 0
    active: int = 0
    suspended: int = 0
    jobRestarts: list[int] | msgspec.UnsetType = msgspec.UNSET
    jobRestartsCountTowardsMax: list[int] | msgspec.UnsetType = msgspec.UNSET


class JobSetStatus(View, frozen=True):
    conditions: list[Condition] = []
    restarts: int = 0
    restartsCountTowardsMax: int = 0
    terminalState: str = ""
    replicatedJobsStatus: list[ReplicatedJobStatus] = []
    previousInPlaceRestartAttempt: int | None = None
    currentInPlaceRestartAttempt: int | None = None


class JobSet(Object, frozen=True):
    spec: JobSetSpec = JobSetSpec()
    status: JobSetStatus = JobSetStatus()

    def condition(self, type_: str) -> Condition | None:
        """The condition of that type when it is true."""
        return next((c for c in self.status.conditions if c.type == type_ and c.status == "True"), None)

    @property
    def subdomain(self) -> str:
        """The name of the headless Service that its Pods' host names live in."""
        named = self.spec.network.subdomain if self.spec.network else ""
        return named or self.metadata.name


def job_name(jobset: str, replicated: str, index: int) -> str:
    """The name of a child Job; its Pods' host names are this and `-<pod index>`."""
    return f"{jobset}-{replicated}-{index}"


JOBSETS: Resource[JobSet] = Resource(GROUP, "v1alpha2", "JobSet", "jobsets", JobSet, singular="jobset", status=True)

RESOURCES: tuple[Resource[Any], ...] = (JOBSETS,)
