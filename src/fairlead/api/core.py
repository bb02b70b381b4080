"""core/v1: the kinds that Pods need."""

from __future__ import annotations

from typing import Any

from fairlead.api.meta import Condition, Object, Resource, View

Quantity = str | int | float
Quantities = dict[str, Quantity]


class ObjectReference(View, frozen=True):
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    apiVersion: str = ""
    resourceVersion: str = ""
    fieldPath: str = ""


class LocalObjectReference(View, frozen=True):
    name: str = ""


# --- environment ---------------------------------------------------------------------------------------------------


class KeySelector(View, frozen=True):
    key: str
    name: str = ""
    optional: bool = False


class FieldRef(View, frozen=True):
    fieldPath: str
    apiVersion: str = "v1"


class ResourceFieldRef(View, frozen=True):
    resource: str
    containerName: str = ""
    divisor: Quantity = "0"


class EnvVarSource(View, frozen=True):
    fieldRef: FieldRef | None = None
    resourceFieldRef: ResourceFieldRef | None = None
    configMapKeyRef: KeySelector | None = None
    secretKeyRef: KeySelector | None = None


class EnvVar(View, frozen=True):
    name: str
    value: str = ""
    valueFrom: EnvVarSource | None = None


class EnvSourceRef(View, frozen=True):
    name: str = ""
    optional: bool = False


class EnvFromSource(View, frozen=True):
    prefix: str = ""
    configMapRef: EnvSourceRef | None = None
    secretRef: EnvSourceRef | None = None


# --- volumes -------------------------------------------------------------------------------------------------------


class KeyToPath(View, frozen=True):
    key: str
    path: str
    mode: int | None = None


class EmptyDirSource(View, frozen=True):
    medium: str = ""
    sizeLimit: Quantity | None = None


class HostPathSource(View, frozen=True):
    path: str
    type: str = ""


class ConfigMapSource(View, frozen=True):
    name: str = ""
    items: list[KeyToPath] = []
    defaultMode: int | None = None
    optional: bool = False


class SecretSource(View, frozen=True):
    secretName: str = ""
    items: list[KeyToPath] = []
    defaultMode: int | None = None
    optional: bool = False


class SecretProjection(View, frozen=True):
    name: str = ""
    items: list[KeyToPath] = []
    optional: bool = False


class DownwardFile(View, frozen=True):
    path: str
    fieldRef: FieldRef | None = None
    resourceFieldRef: ResourceFieldRef | None = None
    mode: int | None = None


class DownwardSource(View, frozen=True):
    items: list[DownwardFile] = []
    defaultMode: int | None = None


class TokenProjection(View, frozen=True):
    path: str
    audience: str = ""
    expirationSeconds: int = 3600


class Projection(View, frozen=True):
    configMap: ConfigMapSource | None = None
    secret: SecretProjection | None = None
    downwardAPI: DownwardSource | None = None
    serviceAccountToken: TokenProjection | None = None


class ProjectedSource(View, frozen=True):
    sources: list[Projection] = []
    defaultMode: int | None = None


class ClaimSource(View, frozen=True):
    claimName: str
    readOnly: bool = False


class Volume(View, frozen=True):
    name: str
    emptyDir: EmptyDirSource | None = None
    hostPath: HostPathSource | None = None
    configMap: ConfigMapSource | None = None
    secret: SecretSource | None = None
    downwardAPI: DownwardSource | None = None
    projected: ProjectedSource | None = None
    persistentVolumeClaim: ClaimSource | None = None


class VolumeMount(View, frozen=True):
    name: str
    mountPath: str
    subPath: str = ""
    subPathExpr: str = ""
    readOnly: bool = False


# --- containers and Pods -------------------------------------------------------------------------------------------


class ContainerPort(View, frozen=True):
    containerPort: int
    name: str = ""
    protocol: str = "TCP"
    hostPort: int = 0


class ResourceRequirements(View, frozen=True):
    limits: Quantities = {}
    requests: Quantities = {}


class SecurityContext(View, frozen=True):
    runAsUser: int | None = None
    runAsGroup: int | None = None
    fsGroup: int | None = None
    privileged: bool = False


class ExecAction(View, frozen=True):
    command: list[str] = []


class HttpHeader(View, frozen=True):
    name: str
    value: str = ""


class HttpGetAction(View, frozen=True):
    port: int | str
    path: str = ""
    host: str = ""
    scheme: str = "HTTP"
    httpHeaders: list[HttpHeader] = []


class TcpSocketAction(View, frozen=True):
    port: int | str
    host: str = ""


class GrpcAction(View, frozen=True):
    port: int
    service: str = ""


class SleepAction(View, frozen=True):
    seconds: int


class Act(View, frozen=True):
    """What a probe or a hook does: one of these."""

    exec: ExecAction | None = None
    httpGet: HttpGetAction | None = None
    tcpSocket: TcpSocketAction | None = None
    grpc: GrpcAction | None = None
    sleep: SleepAction | None = None


class Probe(Act, frozen=True):
    initialDelaySeconds: int = 0
    periodSeconds: int = 10
    timeoutSeconds: int = 1
    successThreshold: int = 1
    failureThreshold: int = 3
    terminationGracePeriodSeconds: int | None = None


class Lifecycle(View, frozen=True):
    postStart: Act | None = None
    preStop: Act | None = None
    stopSignal: str = ""


class Container(View, frozen=True):
    name: str
    image: str = ""
    command: list[str] = []
    args: list[str] = []
    workingDir: str = ""
    env: list[EnvVar] = []
    envFrom: list[EnvFromSource] = []
    ports: list[ContainerPort] = []
    resources: ResourceRequirements = ResourceRequirements()
    volumeMounts: list[VolumeMount] = []
    restartPolicy: str = ""
    startupProbe: Probe | None = None
    livenessProbe: Probe | None = None
    readinessProbe: Probe | None = None
    lifecycle: Lifecycle | None = None
    securityContext: SecurityContext | None = None
    terminationMessagePath: str = ""
    terminationMessagePolicy: str = ""
    tty: bool = False
    stdin: bool = False
    stdinOnce: bool = False
    targetContainerName: str = ""
    """Ephemeral containers only: whose processes it shares."""


class Toleration(View, frozen=True):
    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""
    tolerationSeconds: int | None = None


class Requirement(View, frozen=True):
    """One expression of a node selector (operators In, NotIn, Exists, DoesNotExist, Gt, Lt)."""

    key: str
    operator: str
    values: list[str] = []


class NodeSelectorTerm(View, frozen=True):
    matchExpressions: list[Requirement] = []
    matchFields: list[Requirement] = []


class NodeSelector(View, frozen=True):
    nodeSelectorTerms: list[NodeSelectorTerm] = []


class PreferredTerm(View, frozen=True):
    weight: int
    preference: NodeSelectorTerm


class NodeAffinity(View, frozen=True):
    requiredDuringSchedulingIgnoredDuringExecution: NodeSelector | None = None
    preferredDuringSchedulingIgnoredDuringExecution: list[PreferredTerm] = []


class Affinity(View, frozen=True):
    nodeAffinity: NodeAffinity | None = None
    podAffinity: dict[str, Any] | None = None
    podAntiAffinity: dict[str, Any] | None = None


class SchedulingGate(View, frozen=True):
    name: str


class SchedulingGroup(View, frozen=True):
    """Kubernetes 1.36 (`scheduling.k8s.io/v1alpha2`): the PodGroup that a Pod is a member of."""

    podGroupName: str = ""


class HostAlias(View, frozen=True):
    ip: str
    hostnames: list[str] = []


class ReadinessGate(View, frozen=True):
    conditionType: str


class PodSpec(View, frozen=True):
    containers: list[Container] = []
    initContainers: list[Container] = []
    ephemeralContainers: list[Container] = []
    volumes: list[Volume] = []
    restartPolicy: str = "Always"
    nodeName: str = ""
    nodeSelector: dict[str, str] = {}
    affinity: Affinity | None = None
    tolerations: list[Toleration] = []
    schedulerName: str = "default-scheduler"
    schedulingGates: list[SchedulingGate] = []
    readinessGates: list[ReadinessGate] = []
    schedulingGroup: SchedulingGroup | None = None
    priority: int = 0
    priorityClassName: str = ""
    preemptionPolicy: str = "PreemptLowerPriority"
    overhead: Quantities = {}
    resources: ResourceRequirements | None = None
    """Of the Pod as a whole (KEP-2837); overrides the sum over its containers."""
    topologySpreadConstraints: list[dict[str, Any]] = []
    resourceClaims: list[dict[str, Any]] = []
    hostname: str = ""
    subdomain: str = ""
    hostNetwork: bool = False
    hostAliases: list[HostAlias] = []
    enableServiceLinks: bool = True
    setHostnameAsFQDN: bool = False
    serviceAccountName: str = ""
    automountServiceAccountToken: bool | None = None
    terminationGracePeriodSeconds: int = 30
    activeDeadlineSeconds: int | None = None
    securityContext: SecurityContext | None = None


class StateRunning(View, frozen=True):
    startedAt: str | None = None


class StateWaiting(View, frozen=True):
    reason: str = ""
    message: str = ""


class StateTerminated(View, frozen=True):
    exitCode: int
    reason: str = ""
    message: str = ""
    signal: int = 0
    startedAt: str | None = None
    finishedAt: str | None = None
    containerID: str = ""


class ContainerState(View, frozen=True):
    running: StateRunning | None = None
    waiting: StateWaiting | None = None
    terminated: StateTerminated | None = None


class ContainerStatus(View, frozen=True):
    name: str
    ready: bool = False
    restartCount: int = 0
    state: ContainerState = ContainerState()
    lastState: ContainerState = ContainerState()
    image: str = ""
    imageID: str = ""
    containerID: str = ""
    started: bool | None = None


class PodIP(View, frozen=True):
    ip: str


class PodStatus(View, frozen=True):
    phase: str = "Pending"
    reason: str = ""
    message: str = ""
    conditions: list[Condition] = []
    containerStatuses: list[ContainerStatus] = []
    initContainerStatuses: list[ContainerStatus] = []
    ephemeralContainerStatuses: list[ContainerStatus] = []
    hostIP: str = ""
    podIP: str = ""
    podIPs: list[PodIP] = []
    startTime: str | None = None
    nominatedNodeName: str = ""

    @property
    def all_containers(self) -> tuple[ContainerStatus, ...]:
        return (*self.initContainerStatuses, *self.containerStatuses, *self.ephemeralContainerStatuses)


class Pod(Object, frozen=True):
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def finished(self) -> bool:
        return self.status.phase in ("Succeeded", "Failed")

    def condition(self, type_: str) -> Condition | None:
        return next((c for c in self.status.conditions if c.type == type_), None)


# --- nodes ---------------------------------------------------------------------------------------------------------


class Taint(View, frozen=True):
    key: str
    effect: str
    value: str = ""
    timeAdded: str | None = None


class NodeSpec(View, frozen=True):
    unschedulable: bool = False
    taints: list[Taint] = []
    podCIDR: str = ""


class NodeAddress(View, frozen=True):
    type: str
    address: str


class NodeStatus(View, frozen=True):
    capacity: Quantities = {}
    allocatable: Quantities = {}
    conditions: list[Condition] = []
    addresses: list[NodeAddress] = []


class Node(Object, frozen=True):
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


# --- the rest ------------------------------------------------------------------------------------------------------


class NamespaceSpec(View, frozen=True):
    finalizers: list[str] = []


class NamespaceStatus(View, frozen=True):
    phase: str = ""
    conditions: list[Condition] = []


class Namespace(Object, frozen=True):
    spec: NamespaceSpec = NamespaceSpec()
    status: NamespaceStatus = NamespaceStatus()


class ConfigMap(Object, frozen=True):
    data: dict[str, str] = {}
    binaryData: dict[str, str] = {}
    immutable: bool = False


class Secret(Object, frozen=True):
    data: dict[str, str] = {}
    type: str = "Opaque"
    immutable: bool = False


class ServicePort(View, frozen=True):
    port: int
    name: str = ""
    protocol: str = "TCP"
    targetPort: int | str | None = None
    nodePort: int = 0
    appProtocol: str = ""


class ServiceSpec(View, frozen=True):
    selector: dict[str, str] = {}
    ports: list[ServicePort] = []
    clusterIP: str = ""
    type: str = "ClusterIP"
    externalName: str = ""
    externalIPs: list[str] = []
    sessionAffinity: str = "None"
    internalTrafficPolicy: str = "Cluster"
    externalTrafficPolicy: str = "Cluster"
    publishNotReadyAddresses: bool = False

    @property
    def virtual(self) -> str:
        """The address that stands for the Service; empty for one that has none (headless, external)."""
        return "" if self.type == "ExternalName" or self.clusterIP == "None" else self.clusterIP


class Service(Object, frozen=True):
    spec: ServiceSpec = ServiceSpec()


class Endpoints(Object, frozen=True):
    subsets: list[dict[str, Any]] = []


class ServiceAccount(Object, frozen=True):
    automountServiceAccountToken: bool | None = None


class EventSource(View, frozen=True):
    component: str = ""
    host: str = ""


class Event(Object, frozen=True):
    involvedObject: ObjectReference = ObjectReference()
    reason: str = ""
    message: str = ""
    type: str = ""
    count: int = 0
    firstTimestamp: str | None = None
    lastTimestamp: str | None = None
    source: EventSource = EventSource()


# --- persistent volumes --------------------------------------------------------------------------------------------


class LocalSource(View, frozen=True):
    path: str


class VolumeNodeAffinity(View, frozen=True):
    required: NodeSelector | None = None


class PersistentVolumeSpec(View, frozen=True):
    capacity: Quantities = {}
    accessModes: list[str] = []
    claimRef: ObjectReference | None = None
    persistentVolumeReclaimPolicy: str = "Retain"
    storageClassName: str = ""
    volumeMode: str = "Filesystem"
    nodeAffinity: VolumeNodeAffinity | None = None
    hostPath: HostPathSource | None = None
    local: LocalSource | None = None


class PersistentVolumeStatus(View, frozen=True):
    phase: str = ""
    message: str = ""
    reason: str = ""


class PersistentVolume(Object, frozen=True):
    spec: PersistentVolumeSpec = PersistentVolumeSpec()
    status: PersistentVolumeStatus = PersistentVolumeStatus()


class PersistentVolumeClaimSpec(View, frozen=True):
    accessModes: list[str] = []
    resources: ResourceRequirements = ResourceRequirements()
    selector: dict[str, Any] | None = None
    storageClassName: str | None = None
    """None: whatever the default is. Empty: no class, so a volume without one."""
    volumeName: str = ""
    volumeMode: str = "Filesystem"


class PersistentVolumeClaimStatus(View, frozen=True):
    phase: str = ""
    accessModes: list[str] = []
    capacity: Quantities = {}
    conditions: list[Condition] = []


class PersistentVolumeClaim(Object, frozen=True):
    spec: PersistentVolumeClaimSpec = PersistentVolumeClaimSpec()
    status: PersistentVolumeClaimStatus = PersistentVolumeClaimStatus()

    @property
    def bound(self) -> bool:
        return self.status.phase == "Bound" and bool(self.spec.volumeName)


class ReplicationControllerSpec(View, frozen=True):
    replicas: int = 1
    minReadySeconds: int = 0
    selector: dict[str, str] = {}
    template: dict[str, Any] = {}


class ReplicationControllerStatus(View, frozen=True):
    replicas: int = 0
    fullyLabeledReplicas: int = 0
    readyReplicas: int = 0
    availableReplicas: int = 0
    observedGeneration: int = 0
    conditions: list[Condition] = []


class ReplicationController(Object, frozen=True):
    spec: ReplicationControllerSpec = ReplicationControllerSpec()
    status: ReplicationControllerStatus = ReplicationControllerStatus()


class ResourceQuotaSpec(View, frozen=True):
    hard: Quantities = {}
    scopes: list[str] = []
    scopeSelector: dict[str, Any] | None = None


class ResourceQuotaStatus(View, frozen=True):
    hard: Quantities = {}
    used: Quantities = {}


class ResourceQuota(Object, frozen=True):
    spec: ResourceQuotaSpec = ResourceQuotaSpec()
    status: ResourceQuotaStatus = ResourceQuotaStatus()


class LimitRangeItem(View, frozen=True):
    """What one Pod, container or claim may and must ask for."""

    type: str = ""
    max: Quantities = {}
    min: Quantities = {}
    default: Quantities = {}
    defaultRequest: Quantities = {}
    maxLimitRequestRatio: Quantities = {}


class LimitRangeSpec(View, frozen=True):
    limits: list[LimitRangeItem] = []


class LimitRange(Object, frozen=True):
    spec: LimitRangeSpec = LimitRangeSpec()


def _core(kind: str, plural: str, view: type[Any], **more: Any) -> Resource[Any]:
    return Resource("", "v1", kind, plural, view, singular=kind.lower(), schema=f"io.k8s.api.core.v1.{kind}", **more)


PODS: Resource[Pod] = _core("Pod", "pods", Pod, short=("po",), categories=("all",), status=True)
NODES: Resource[Node] = _core("Node", "nodes", Node, namespaced=False, short=("no",), status=True)
NAMESPACES: Resource[Namespace] = _core(
    "Namespace", "namespaces", Namespace, namespaced=False, short=("ns",), status=True,
    verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
)  # fmt: skip
CONFIG_MAPS: Resource[ConfigMap] = _core("ConfigMap", "configmaps", ConfigMap, short=("cm",))
SECRETS: Resource[Secret] = _core("Secret", "secrets", Secret)
SERVICES: Resource[Service] = _core("Service", "services", Service, short=("svc",), categories=("all",), status=True)
SERVICE_ACCOUNTS: Resource[ServiceAccount] = _core("ServiceAccount", "serviceaccounts", ServiceAccount, short=("sa",))
EVENTS: Resource[Event] = _core("Event", "events", Event, short=("ev",))
ENDPOINTS: Resource[Endpoints] = _core("Endpoints", "endpoints", Endpoints, short=("ep",))
CLAIMS: Resource[PersistentVolumeClaim] = _core(
    "PersistentVolumeClaim", "persistentvolumeclaims", PersistentVolumeClaim, short=("pvc",), status=True
)
PERSISTENT_VOLUMES: Resource[PersistentVolume] = _core(
    "PersistentVolume", "persistentvolumes", PersistentVolume, namespaced=False, short=("pv",), status=True
)

POD_TEMPLATES: Resource[Object] = _core("PodTemplate", "podtemplates", Object)
REPLICATION_CONTROLLERS: Resource[ReplicationController] = _core(
    "ReplicationController", "replicationcontrollers", ReplicationController, short=("rc",), categories=("all",),
    status=True, scale=True,
)  # fmt: skip
QUOTAS: Resource[ResourceQuota] = _core("ResourceQuota", "resourcequotas", ResourceQuota, short=("quota",), status=True)
LIMIT_RANGES: Resource[LimitRange] = _core("LimitRange", "limitranges", LimitRange, short=("limits",))

RESOURCES: tuple[Resource[Any], ...] = (
    PODS, NODES, NAMESPACES, CONFIG_MAPS, SECRETS, SERVICES, SERVICE_ACCOUNTS, EVENTS, ENDPOINTS, CLAIMS,
    PERSISTENT_VOLUMES,
    POD_TEMPLATES, REPLICATION_CONTROLLERS, QUOTAS, LIMIT_RANGES,
)  # fmt: skip
