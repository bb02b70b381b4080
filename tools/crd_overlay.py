"""What the models of `kubeflow-trainer-api` cannot say about the bundled kinds, as upstream publishes it.

`MODELS` adds to a model's schema, `FIELDS` to a field's, `BUILT_IN` to a field of a built-in definition. The rules are
written here, from the published behaviour: what is immutable, what excludes what. A kind that the package has no model
of (the coscheduling plugin's PodGroup) has its whole schema here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    model: str
    """Its name in the package; empty where `schema` says all."""
    group: str
    version: str
    kind: str
    plural: str
    scope: str = "Namespaced"
    status: bool = False
    columns: tuple[Schema, ...] = ()
    short: tuple[str, ...] = ()
    schema: Schema | None = None


AGE = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
JOBSET = ("jobset.x-k8s.io", "v1alpha2")
TRAINER = ("trainer.kubeflow.org", "v1alpha1")
QUANTITY = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)
INT_OR_STRING: Schema = {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}
COUNT: Schema = {"type": "integer", "format": "int32"}
TEXT: Schema = {"type": "string"}


def group(**fields: Schema) -> Schema:
    return {"type": "object", "properties": fields}


POD_GROUP = group(
    apiVersion=TEXT,
    kind=TEXT,
    spec=group(
        minMember={**COUNT, "minimum": 1},
        minResources={"type": "object", "additionalProperties": {**INT_OR_STRING, "pattern": QUANTITY}},
        scheduleTimeoutSeconds=COUNT,
    ),
    status=group(
        phase=TEXT, occupiedBy=TEXT, running=COUNT, succeeded=COUNT, failed=COUNT,
        scheduleStartTime={"type": "string", "format": "date-time"},
    ),
)  # fmt: skip
KINDS = (
    Kind("JobsetV1alpha2JobSet", *JOBSET, "JobSet", "jobsets", status=True, columns=(
        {"name": "TerminalState", "type": "string", "jsonPath": ".status.terminalState"},
        {"name": "Restarts", "type": "string", "jsonPath": ".status.restarts"},
        {"name": "Completed", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Completed")].status'},
        {"name": "Suspended", "type": "string", "jsonPath": ".spec.suspend"},
        AGE,
    )),
    Kind("TrainerV1alpha1TrainJob", *TRAINER, "TrainJob", "trainjobs", status=True, columns=(
        {"name": "State", "type": "string", "jsonPath": ".status.conditions[-1:].type"},
        AGE,
    )),
    Kind("TrainerV1alpha1TrainingRuntime", *TRAINER, "TrainingRuntime", "trainingruntimes"),
    Kind("TrainerV1alpha1ClusterTrainingRuntime", *TRAINER, "ClusterTrainingRuntime", "clustertrainingruntimes",
         scope="Cluster"),
    Kind("", "scheduling.x-k8s.io", "v1alpha1", "PodGroup", "podgroups", status=True, short=("pg", "pgs"), columns=(
        {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
        {"name": "MinMember", "type": "integer", "jsonPath": ".spec.minMember"},
        {"name": "Running", "type": "integer", "jsonPath": ".status.running"},
        {"name": "Succeeded", "type": "integer", "jsonPath": ".status.succeeded"},
        {"name": "Failed", "type": "integer", "jsonPath": ".status.failed"},
        AGE,
    ), schema=POD_GROUP),
)  # fmt: skip


def rule(text: str, message: str) -> Schema:
    return {"rule": text, "message": message}


def rules(*many: Schema) -> Schema:
    return {"x-kubernetes-validations": list(many)}


def list_map(key: str, most: int = 0, **more: Any) -> Schema:
    bound = {"maxItems": most} if most else {}
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key], **bound, **more}


def texts(most: int = 0, longest: int = 0, **more: Any) -> Schema:
    found: Schema = {"x-kubernetes-list-type": "atomic", **more}
    if most:
        found["maxItems"] = most
    if longest:
        found["items"] = {"maxLength": longest}
    return found


IMMUTABLE = rules(rule("self == oldSelf", "field is immutable"))
AT_LEAST_ZERO = {"minimum": 0}
NAME = {"minLength": 1, "maxLength": 253}
ENV = list_map("name", 128)
URI = {"maxLength": 2048, **rules(rule(
    "self == '' || self.matches('^[A-Za-z][A-Za-z0-9+.-]*://.+$')", "must be empty or a URI with a scheme (scheme://…)"
))}  # fmt: skip
LONG = {"format": "int64"}
PROCESSES = {"default": 1, **rules(rule("self >= 1", "must be greater than or equal to 1"))}
COUNTS = ("active", "failed", "ready", "succeeded", "suspended")

MODELS: dict[str, Schema] = {
    "JobsetV1alpha2JobSetSpec": rules(rule(
        "!has(self.startupPolicy) || self.startupPolicy.startupPolicyOrder != 'InOrder' || "
        "!has(self.replicatedJobs) || !self.replicatedJobs.exists(job, has(job.dependsOn))",
        "startupPolicy InOrder and dependsOn exclude each other",
    )),
    "JobsetV1alpha2VolumeClaimPolicy": rules(rule(
        "!has(self.templates) || self.templates.all(claim, !has(claim.metadata) || !has(claim.metadata.namespace) || "
        "claim.metadata.namespace == '')",
        "the templates' metadata.namespace must not be set",
    )),
    "TrainerV1alpha1TrainJob": {
        "required": ["spec"],
        **rules(
            rule("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
                 "metadata.name must be an RFC 1035 DNS label"),
            rule("size(self.metadata.name) <= 63", "metadata.name must be no more than 63 characters"),
        ),
    },
    "TrainerV1alpha1TrainJobStatus": {"minProperties": 1},
    "TrainerV1alpha1TrainerStatus": rules(rule("has(self.lastUpdatedTime)", "lastUpdatedTime is required")),
    "TrainerV1alpha1TrainingRuntimeSpec": {"minProperties": 1},
    "TrainerV1alpha1JobSetTemplateSpec": {"minProperties": 1},
    "TrainerV1alpha1MLPolicy": rules(rule(
        "[has(self.torch), has(self.mpi), has(self.jax), has(self.xgboost), has(self.flux)].filter(on, on).size() <= 1",
        "at most one of torch, mpi, jax, xgboost and flux may be set",
    )),
}  # fmt: skip

FIELDS: dict[str, Schema] = {
    # --- JobSet
    "JobsetV1alpha2JobSetSpec.failurePolicy": IMMUTABLE,
    "JobsetV1alpha2JobSetSpec.network": IMMUTABLE,
    "JobsetV1alpha2JobSetSpec.startupPolicy": IMMUTABLE,
    "JobsetV1alpha2JobSetSpec.successPolicy": IMMUTABLE,
    "JobsetV1alpha2JobSetSpec.replicatedJobs": list_map("name"),
    "JobsetV1alpha2JobSetSpec.ttlSecondsAfterFinished": AT_LEAST_ZERO,
    "JobsetV1alpha2JobSetSpec.volumeClaimPolicies": {**texts(50), **IMMUTABLE},
    "JobsetV1alpha2VolumeClaimPolicy.templates": texts(50),
    "JobsetV1alpha2VolumeRetentionPolicy.whenDeleted": {"default": "Delete", "enum": ["Delete", "Retain"]},
    "JobsetV1alpha2FailurePolicy.restartStrategy": {
        "default": "Recreate", "enum": ["Recreate", "BlockingRecreate", "InPlaceRestart"],
    },
    "JobsetV1alpha2FailurePolicyRule.action": {"enum": [
        "FailJobSet", "RestartJobSet", "RestartJobSetAndIgnoreMaxRestarts", "RestartJob",
        "RestartJobAndIgnoreMaxRestarts",
    ]},
    "JobsetV1alpha2FailurePolicyRule.targetReplicatedJobs": texts(),
    "JobsetV1alpha2SuccessPolicy.operator": {"enum": ["All", "Any"]},
    "JobsetV1alpha2SuccessPolicy.targetReplicatedJobs": texts(),
    "JobsetV1alpha2StartupPolicy.startupPolicyOrder": {"enum": ["AnyOrder", "InOrder"]},
    "JobsetV1alpha2ReplicatedJob.groupName": {"default": "default"},
    "JobsetV1alpha2ReplicatedJob.replicas": {"default": 1, **AT_LEAST_ZERO},
    "JobsetV1alpha2ReplicatedJob.dependsOn": {**list_map("name", 5), **IMMUTABLE},
    "JobsetV1alpha2DependsOn.status": {"enum": ["Ready", "Complete"]},
    "JobsetV1alpha2JobSetStatus.conditions": list_map("type"),
    "JobsetV1alpha2JobSetStatus.replicatedJobsStatus": list_map("name"),
    "JobsetV1alpha2JobSetStatus.currentInPlaceRestartAttempt": AT_LEAST_ZERO,
    "JobsetV1alpha2JobSetStatus.previousInPlaceRestartAttempt": AT_LEAST_ZERO,
    "JobsetV1alpha2ReplicatedJobStatus.jobRestarts": texts(1024),
    "JobsetV1alpha2ReplicatedJobStatus.jobRestartsCountTowardsMax": texts(1024),
    # --- TrainJob
    "TrainerV1alpha1TrainJobSpec.activeDeadlineSeconds": {**LONG, "minimum": 1, **IMMUTABLE},
    "TrainerV1alpha1TrainJobSpec.initializer": IMMUTABLE,
    "TrainerV1alpha1TrainJobSpec.trainer": IMMUTABLE,
    "TrainerV1alpha1TrainJobSpec.runtimeRef": IMMUTABLE,
    "TrainerV1alpha1TrainJobSpec.suspend": {"default": False},
    "TrainerV1alpha1TrainJobSpec.managedBy": {
        "default": "trainer.kubeflow.org/trainjob-controller", "maxLength": 253,
        **rules(
            rule("self in ['trainer.kubeflow.org/trainjob-controller', 'kueue.x-k8s.io/multikueue']",
                 "must be trainer.kubeflow.org/trainjob-controller or kueue.x-k8s.io/multikueue"),
            rule("self == oldSelf", "field is immutable"),
        ),
    },
    "TrainerV1alpha1TrainJobSpec.runtimePatches": list_map("manager", 16),
    "TrainerV1alpha1RuntimePatch.manager": NAME,
    "TrainerV1alpha1RuntimeRef.apiGroup": {"default": "trainer.kubeflow.org", "maxLength": 253},
    "TrainerV1alpha1RuntimeRef.kind": {"default": "ClusterTrainingRuntime", "maxLength": 253},
    "TrainerV1alpha1RuntimeRef.name": NAME,
    "TrainerV1alpha1DatasetInitializer.env": ENV,
    "TrainerV1alpha1DatasetInitializer.storageUri": URI,
    "TrainerV1alpha1ModelInitializer.env": ENV,
    "TrainerV1alpha1ModelInitializer.storageUri": URI,
    "TrainerV1alpha1Trainer.args": texts(128, 1 << 20),
    "TrainerV1alpha1Trainer.command": texts(128, 1 << 20),
    "TrainerV1alpha1Trainer.env": ENV,
    "TrainerV1alpha1Trainer.image": {"maxLength": 500},
    "TrainerV1alpha1Trainer.numNodes": AT_LEAST_ZERO,
    "TrainerV1alpha1Trainer.numProcPerNode": rules(rule("self >= 1", "must be greater than or equal to 1")),
    "TrainerV1alpha1TrainJobStatus.conditions": list_map("type", 8),
    "TrainerV1alpha1TrainJobStatus.jobsStatus": list_map("name", 100),
    "TrainerV1alpha1JobStatus.name": NAME,
    **{f"TrainerV1alpha1JobStatus.{count}": AT_LEAST_ZERO for count in COUNTS},
    "TrainerV1alpha1TrainerStatus.estimatedRemainingSeconds": AT_LEAST_ZERO,
    "TrainerV1alpha1TrainerStatus.progressPercentage": {"minimum": 0, "maximum": 100},
    "TrainerV1alpha1TrainerStatus.metrics": texts(256),
    "TrainerV1alpha1Metric.name": {"minLength": 1, "maxLength": 64},
    "TrainerV1alpha1Metric.value": {"minLength": 1, "maxLength": 64},
    "TrainerV1alpha1JobSetSpecPatch.replicatedJobs": list_map("name", 100),
    "TrainerV1alpha1ReplicatedJobPatch.name": NAME,
    "TrainerV1alpha1PodSpecPatch.containers": list_map("name", 64),
    "TrainerV1alpha1PodSpecPatch.initContainers": list_map("name", 64),
    "TrainerV1alpha1PodSpecPatch.imagePullSecrets": list_map("name", 64),
    "TrainerV1alpha1PodSpecPatch.schedulingGates": list_map("name", 16),
    "TrainerV1alpha1PodSpecPatch.serviceAccountName": {"maxLength": 253},
    "TrainerV1alpha1PodSpecPatch.volumes": list_map("name", 128),
    "TrainerV1alpha1PodSpecPatch.tolerations": texts(128),
    "TrainerV1alpha1PodSpecPatch.terminationGracePeriodSeconds": {**LONG, **AT_LEAST_ZERO},
    "TrainerV1alpha1ContainerPatch.name": NAME,
    "TrainerV1alpha1ContainerPatch.env": ENV,
    "TrainerV1alpha1ContainerPatch.volumeMounts": list_map("name", 128),
    # --- runtimes
    "TrainerV1alpha1CoschedulingPodGroupPolicySource.scheduleTimeoutSeconds": {"default": 60},
    "TrainerV1alpha1EnvInjection.targets": list_map("jobName", 16),
    "TrainerV1alpha1EnvInjectionTarget.containerNames": {
        "x-kubernetes-list-type": "set", "minItems": 1, "maxItems": 8, "items": {"maxLength": 63},
        **rules(rule("!('node' in self)", "node has the PET_* variables anyway and must not be named")),
    },
    "TrainerV1alpha1EnvInjectionTarget.jobName": NAME,
    "TrainerV1alpha1FluxMLPolicySource.numProcPerNode": PROCESSES,
    "TrainerV1alpha1MPIMLPolicySource.numProcPerNode": PROCESSES,
    "TrainerV1alpha1MPIMLPolicySource.mpiImplementation": {"default": "OpenMPI", "enum": ["OpenMPI", ""]},
    "TrainerV1alpha1MPIMLPolicySource.runLauncherAsNode": {"default": False},
    "TrainerV1alpha1MPIMLPolicySource.sshAuthMountPath": {"default": "/root/.ssh", "maxLength": 4096},
    "SchedulingV1beta1NetworkTopologySpec.highestTierAllowed": {"default": 1},
    "SchedulingV1beta1NetworkTopologySpec.mode": {"default": "hard", "enum": ["hard", "soft"]},
}  # fmt: skip

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DNS = f"{_LABEL}(\\.{_LABEL})*"
_NAMED: dict[str, Schema] = {"name": {"default": ""}}
BUILT_IN: dict[str, dict[str, Schema]] = {
    **{f"core.v1.{kind}": _NAMED for kind in (
        "LocalObjectReference", "ConfigMapKeySelector", "SecretKeySelector", "ConfigMapEnvSource", "SecretEnvSource",
        "ConfigMapVolumeSource", "ConfigMapProjection", "SecretProjection",
    )},
    "core.v1.AzureDiskVolumeSource": {"fsType": {"default": "ext4"}, "readOnly": {"default": False}},
    "core.v1.ISCSIVolumeSource": {"iscsiInterface": {"default": "default"}},
    "core.v1.RBDVolumeSource": {
        "keyring": {"default": "/etc/ceph/keyring"}, "pool": {"default": "rbd"}, "user": {"default": "admin"},
    },
    "core.v1.ScaleIOVolumeSource": {"fsType": {"default": "xfs"}, "storageMode": {"default": "ThinProvisioned"}},
    "io.k8s.apimachinery.pkg.apis.meta.v1.Condition": {
        "message": {"maxLength": 32768},
        "observedGeneration": {"minimum": 0},
        "reason": {"minLength": 1, "maxLength": 1024, "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"},
        "status": {"enum": ["True", "False", "Unknown"]},
        "type": {"maxLength": 316, "pattern": f"^({_DNS}/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"},
    },
    "core.v1.ContainerPort": {"protocol": {"default": "TCP"}},
    "core.v1.GRPCAction": {"service": {"default": ""}},
    "core.v1.FileKeySelector": {"optional": {"default": False}},
}  # fmt: skip
