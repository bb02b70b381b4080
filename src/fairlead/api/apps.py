"""apps/v1: Deployment, ReplicaSet, StatefulSet, DaemonSet, ControllerRevision."""

from __future__ import annotations

from typing import Any

from fairlead.api.meta import Condition, Object, Resource, View

Json = dict[str, Any]
IntOrPercent = int | str


class RollingUpdate(View, frozen=True):
    """How far a rolling update may go below and above. `partition` is a StatefulSet's only."""

    maxSurge: IntOrPercent | None = None
    maxUnavailable: IntOrPercent | None = None
    partition: int = 0


class UpdateStrategy(View, frozen=True):
    type: str = "RollingUpdate"
    rollingUpdate: RollingUpdate = RollingUpdate()


class DeploymentCondition(Condition, frozen=True):
    """Deployments also tell when a condition was last looked at."""

    lastUpdateTime: str | None = None


# --- ReplicaSet ----------------------------------------------------------------------------------------------------


class ReplicaSetSpec(View, frozen=True):
    replicas: int = 1
    minReadySeconds: int = 0
    selector: Json = {}
    template: Json = {}
    """A PodTemplateSpec as it stands: it is copied into Pods, so every field must be kept."""


class ReplicaSetStatus(View, frozen=True):
    replicas: int = 0
    fullyLabeledReplicas: int = 0
    readyReplicas: int = 0
    availableReplicas: int = 0
    terminatingReplicas: int = 0
    observedGeneration: int = 0
    conditions: list[Condition] = []


class ReplicaSet(Object, frozen=True):
    spec: ReplicaSetSpec = ReplicaSetSpec()
    status: ReplicaSetStatus = ReplicaSetStatus()


# --- Deployment ----------------------------------------------------------------------------------------------------


class DeploymentSpec(View, frozen=True):
    replicas: int = 1
    selector: Json = {}
    template: Json = {}
    strategy: UpdateStrategy = UpdateStrategy()
    minReadySeconds: int = 0
    revisionHistoryLimit: int | None = None
    paused: bool = False
    progressDeadlineSeconds: int | None = None


class DeploymentStatus(View, frozen=True):
    observedGeneration: int = 0
    replicas: int = 0
    updatedReplicas: int = 0
    readyReplicas: int = 0
    availableReplicas: int = 0
    unavailableReplicas: int = 0
    terminatingReplicas: int = 0
    collisionCount: int | None = None
    conditions: list[DeploymentCondition] = []


class Deployment(Object, frozen=True):
    spec: DeploymentSpec = DeploymentSpec()
    status: DeploymentStatus = DeploymentStatus()


# --- StatefulSet ---------------------------------------------------------------------------------------------------


class Ordinals(View, frozen=True):
    start: int = 0


class ClaimRetention(View, frozen=True):
    whenDeleted: str = "Retain"
    whenScaled: str = "Retain"


class StatefulSetSpec(View, frozen=True):
    replicas: int = 1
    serviceName: str = ""
    podManagementPolicy: str = "OrderedReady"
    updateStrategy: UpdateStrategy = UpdateStrategy()
    revisionHistoryLimit: int | None = None
    minReadySeconds: int = 0
    selector: Json = {}
    template: Json = {}
    volumeClaimTemplates: list[Json] = []
    ordinals: Ordinals = Ordinals()
    persistentVolumeClaimRetentionPolicy: ClaimRetention = ClaimRetention()


class StatefulSetStatus(View, frozen=True):
    observedGeneration: int = 0
    replicas: int = 0
    readyReplicas: int = 0
    availableReplicas: int = 0
    currentReplicas: int = 0
    updatedReplicas: int = 0
    currentRevision: str = ""
    updateRevision: str = ""
    collisionCount: int | None = None
    conditions: list[Condition] = []


class StatefulSet(Object, frozen=True):
    spec: StatefulSetSpec = StatefulSetSpec()
    status: StatefulSetStatus = StatefulSetStatus()


# --- DaemonSet -----------------------------------------------------------------------------------------------------


class DaemonSetSpec(View, frozen=True):
    selector: Json = {}
    template: Json = {}
    updateStrategy: UpdateStrategy = UpdateStrategy()
    minReadySeconds: int = 0
    revisionHistoryLimit: int | None = None


class DaemonSetStatus(View, frozen=True):
    currentNumberScheduled: int = 0
    numberMisscheduled: int = 0
    desiredNumberScheduled: int = 0
    numberReady: int = 0
    observedGeneration: int = 0
    updatedNumberScheduled: int = 0
    numberAvailable: int = 0
    numberUnavailable: int = 0
    collisionCount: int | None = None
    conditions: list[Condition] = []


class DaemonSet(Object, frozen=True):
    spec: DaemonSetSpec = DaemonSetSpec()
    status: DaemonSetStatus = DaemonSetStatus()


class ControllerRevision(Object, frozen=True):
    """A template as it once was: what `kubectl rollout undo` of StatefulSets and DaemonSets goes back to."""

    revision: int = 0
    data: Any = None


def _apps(kind: str, plural: str, view: type[Any], **more: Any) -> Resource[Any]:
    schema = f"io.k8s.api.apps.v1.{kind}"
    return Resource("apps", "v1", kind, plural, view, singular=kind.lower(), schema=schema, **more)


DEPLOYMENTS: Resource[Deployment] = _apps(
    "Deployment", "deployments", Deployment, short=("deploy",), categories=("all",), status=True, scale=True
)
REPLICA_SETS: Resource[ReplicaSet] = _apps(
    "ReplicaSet", "replicasets", ReplicaSet, short=("rs",), categories=("all",), status=True, scale=True
)
STATEFUL_SETS: Resource[StatefulSet] = _apps(
    "StatefulSet", "statefulsets", StatefulSet, short=("sts",), categories=("all",), status=True, scale=True
)
DAEMON_SETS: Resource[DaemonSet] = _apps(
    "DaemonSet", "daemonsets", DaemonSet, short=("ds",), categories=("all",), status=True
)
CONTROLLER_REVISIONS: Resource[ControllerRevision] = _apps(
    "ControllerRevision", "controllerrevisions", ControllerRevision
)

RESOURCES: tuple[Resource[Any], ...] = (DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS, DAEMON_SETS, CONTROLLER_REVISIONS)
