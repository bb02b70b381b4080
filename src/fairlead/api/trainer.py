"""trainer.kubeflow.org/v1alpha1: TrainJob and the runtimes that it refers to."""

from __future__ import annotations

from typing import Any

from fairlead.api.core import EnvVar, LocalObjectReference
from fairlead.api.jobset import JobSetSpec
from fairlead.api.meta import Condition, Object, ObjectMeta, Resource, View

GROUP = "trainer.kubeflow.org"

FRAMEWORK = "trainer.kubeflow.org/framework"
"""Label of a runtime: `torch`, `mpi`, …; the SDK chooses the entry point by it."""
ANCESTOR_STEP = "trainer.kubeflow.org/trainjob-ancestor-step"
"""Label of a replicated job's Job template: `trainer`, `dataset-initializer` or `model-initializer`."""
TRAINER_STEP = "trainer"
DATASET_STEP = "dataset-initializer"
MODEL_STEP = "model-initializer"
NODE = "node"
"""The container (and, by convention, the replicated job) that trains."""
LAUNCHER = "launcher"
"""The replicated job that starts MPI runs."""

CONTROLLER = "trainer.kubeflow.org/trainjob-controller"
"""The value of `spec.managedBy` that means this controller (so does no value)."""


class RuntimeRef(View, frozen=True):
    name: str
    apiGroup: str = GROUP
    kind: str = "ClusterTrainingRuntime"


class StepInitializer(View, frozen=True):
    """What fetches a dataset or a model before training."""

    storageUri: str = ""
    env: list[EnvVar] = []
    secretRef: LocalObjectReference | None = None


class Initializer(View, frozen=True):
    dataset: StepInitializer | None = None
    model: StepInitializer | None = None


class Trainer(View, frozen=True):
    image: str = ""
    command: list[str] = []
    args: list[str] = []
    env: list[dict[str, Any]] = []
    """EnvVars as they stand: they are copied into the container."""
    numNodes: int | None = None
    resourcesPerNode: dict[str, Any] = {}
    numProcPerNode: int | None = None


class RuntimePatch(View, frozen=True):
    manager: str
    time: str | None = None
    trainingRuntimeSpec: dict[str, Any] = {}
    """A partial runtime spec, as it stands: it is merged into the runtime's template."""


class TrainJobSpec(View, frozen=True, kw_only=True):
    runtimeRef: RuntimeRef
    initializer: Initializer | None = None
    trainer: Trainer | None = None
    runtimePatches: list[RuntimePatch] = []
    suspend: bool = False
    activeDeadlineSeconds: int | None = None
    managedBy: str = CONTROLLER


class StepStatus(View, frozen=True, omit_defaults=False):
    """What became of one replicated job; counts are written even when they are zero."""

    name: str
    ready: int = 0
    succeeded: int = 0
    failed: int = 0
    active: int = 0
    suspended: int = 0


class Metric(View, frozen=True):
    name: str
    value: str


class TrainerStatus(View, frozen=True):
    """What the training code itself reports."""

    lastUpdatedTime: str = ""
    progressPercentage: int | None = None
    estimatedRemainingSeconds: int | None = None
    metrics: list[Metric] = []


class TrainJobStatus(View, frozen=True):
    conditions: list[Condition] = []
    jobsStatus: list[StepStatus] = []
    trainerStatus: TrainerStatus | None = None


class TrainJob(Object, frozen=True, kw_only=True):
    spec: TrainJobSpec
    status: TrainJobStatus = TrainJobStatus()

    def condition(self, type_: str) -> Condition | None:
        """The condition of that type when it is true."""
        return next((c for c in self.status.conditions if c.type == type_ and c.status == "True"), None)


class InjectionTarget(View, frozen=True):
    jobName: str
    containerNames: list[str] = []


class EnvInjection(View, frozen=True):
    targets: list[InjectionTarget] = []


class TorchPolicy(View, frozen=True):
    envInjection: EnvInjection | None = None


class MpiPolicy(View, frozen=True):
    numProcPerNode: int = 1
    mpiImplementation: str = "OpenMPI"
    sshAuthMountPath: str = "/root/.ssh"
    runLauncherAsNode: bool = False


class FluxPolicy(View, frozen=True):
    numProcPerNode: int = 1


class MlPolicy(View, frozen=True):
    """How many nodes, and at most one framework."""

    numNodes: int = 1
    torch: TorchPolicy | None = None
    mpi: MpiPolicy | None = None
    flux: FluxPolicy | None = None
    jax: dict[str, Any] | None = None
    xgboost: dict[str, Any] | None = None


class Coscheduling(View, frozen=True):
    scheduleTimeoutSeconds: int = 60


class PodGroupPolicy(View, frozen=True):
    coscheduling: Coscheduling | None = None
    volcano: dict[str, Any] | None = None


class JobSetTemplate(View, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    spec: JobSetSpec = JobSetSpec()


class TrainingRuntimeSpec(View, frozen=True):
    mlPolicy: MlPolicy | None = None
    podGroupPolicy: PodGroupPolicy | None = None
    template: dict[str, Any] = {}
    """JobSet metadata and spec as they stand: they are copied into a JobSet. `msgspec.convert` to JobSetTemplate."""


class TrainingRuntime(Object, frozen=True):
    """A TrainingRuntime or a ClusterTrainingRuntime."""

    spec: TrainingRuntimeSpec = TrainingRuntimeSpec()


TRAIN_JOBS: Resource[TrainJob] = Resource(
    GROUP, "v1alpha1", "TrainJob", "trainjobs", TrainJob, singular="trainjob", status=True
)
TRAINING_RUNTIMES: Resource[TrainingRuntime] = Resource(
    GROUP, "v1alpha1", "TrainingRuntime", "trainingruntimes", TrainingRuntime, singular="trainingruntime"
)
CLUSTER_TRAINING_RUNTIMES: Resource[TrainingRuntime] = Resource(
    GROUP, "v1alpha1", "ClusterTrainingRuntime", "clustertrainingruntimes", TrainingRuntime,
    singular="clustertrainingruntime", namespaced=False,
)  # fmt: skip

RESOURCES: tuple[Resource[Any], ...] = (TRAIN_JOBS, TRAINING_RUNTIMES, CLUSTER_TRAINING_RUNTIMES)
