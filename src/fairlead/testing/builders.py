"""Builders: objects for tests in one line.

    builders.pod("a").labels(app="x").requests(cpu="1").owned_by(builders.job("j")).on("node-1").phase("Running")

A builder is immutable: every call answers a new one, so a test may share a beginning. `manifest()` is what a person
would write, `wire()` the object as a server stores it (uid, resourceVersion, status), `view()` that as the typed view.
Uids and resourceVersions follow from the name, so that expected values can be written down.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from fairlead.api import apps, batch, coordination, core, trainer
from fairlead.api import jobset as jobsets
from fairlead.api.meta import Key, Object, Resource
from fairlead.base import timestamp
from fairlead.testing.clock import START

ObjectT = TypeVar("ObjectT", bound=Object)

Wire = dict[str, Any]
Quantity = str | int | float

_SERVER_FIELDS = ("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
                  "deletionGracePeriodSeconds")  # fmt: skip


class Builder(Generic[ObjectT]):
    """What every kind has. `spec` and `status` set fields of the object as they stand."""

    def __init__(self, resource: Resource[ObjectT], wire: Wire) -> None:
        self.resource = resource
        self._wire = wire

    def changed(self, change: Callable[[Wire], object]) -> Any:
        """A copy on which `change` was done."""
        wire = copy.deepcopy(self._wire)
        change(wire)
        return type(self)(self.resource, wire)

    def _meta(self, **fields: Any) -> Any:
        return self.changed(lambda w: w["metadata"].update(fields))

    @property
    def name(self) -> str:
        return str(self._wire["metadata"]["name"])

    @property
    def key(self) -> Key:
        return Key(self._wire["metadata"].get("namespace", ""), self.name)

    @property
    def uid(self) -> str:
        return str(self._wire["metadata"]["uid"])

    def labels(self, labels: Mapping[str, str] | None = None, **more: str) -> Any:
        return self._meta(labels={**self._wire["metadata"].get("labels", {}), **(labels or {}), **more})

    def annotations(self, annotations: Mapping[str, str]) -> Any:
        return self._meta(annotations={**self._wire["metadata"].get("annotations", {}), **annotations})

    def finalizers(self, *finalizers: str) -> Any:
        return self._meta(finalizers=list(finalizers))

    def with_uid(self, uid: str) -> Any:
        return self._meta(uid=uid)

    def revision(self, revision: int) -> Any:
        return self._meta(resourceVersion=str(revision))

    def created(self, time: float) -> Any:
        return self._meta(creationTimestamp=timestamp.seconds(time))

    def deleting(self, time: float = START, grace: int = 0) -> Any:
        return self._meta(deletionTimestamp=timestamp.seconds(time), deletionGracePeriodSeconds=grace)

    def owned_by(self, owner: Builder[Any], *, controller: bool = True, block: bool = True) -> Any:
        """Add an ownerReference to what another builder builds."""
        reference = {
            "apiVersion": owner.resource.api_version, "kind": owner.resource.kind, "name": owner.name,
            "uid": owner.uid, "controller": controller, "blockOwnerDeletion": block,
        }  # fmt: skip
        return self._meta(ownerReferences=[*self._wire["metadata"].get("ownerReferences", ()), reference])

    def spec(self, **fields: Any) -> Any:
        return self.changed(lambda w: w.setdefault("spec", {}).update(fields))

    def status(self, **fields: Any) -> Any:
        return self.changed(lambda w: w.setdefault("status", {}).update(fields))

    def condition(self, type_: str, status: str = "True", reason: str = "", time: float = START) -> Any:
        entry = {"type": type_, "status": status, "lastTransitionTime": timestamp.seconds(time)}
        if reason:
            entry["reason"] = reason
        kept = [c for c in self._wire.get("status", {}).get("conditions", ()) if c["type"] != type_]
        return self.status(conditions=[*kept, entry])

    def wire(self) -> Wire:
        """The object as a server stores it."""
        return copy.deepcopy(self._wire)

    def manifest(self) -> Wire:
        """The object as a person would write it: nothing that a server sets."""
        wire = self.wire()
        wire.pop("status", None)
        wire["metadata"] = {k: v for k, v in wire["metadata"].items() if k not in _SERVER_FIELDS}
        return wire

    def view(self) -> ObjectT:
        """The object as controllers see it."""
        return msgspec.convert(self._wire, self.resource.view, strict=False)


class PodBuilder(Builder[core.Pod]):
    """Pods: one container named `main` to begin with."""

    def container(self, **fields: Any) -> Any:
        """Set fields of the (first) container as they stand."""
        return self.changed(lambda w: w["spec"]["containers"][0].update(fields))

    def command(self, *command: str) -> Any:
        return self.container(command=list(command))

    def image(self, image: str) -> Any:
        return self.container(image=image)

    def env(self, **env: str) -> Any:
        return self.container(env=[{"name": k, "value": v} for k, v in env.items()])

    def port(self, number: int, name: str = "") -> Any:
        port = {"containerPort": number} | ({"name": name} if name else {})
        return self.container(ports=[*self._wire["spec"]["containers"][0].get("ports", ()), port])

    def requests(self, quantities: Mapping[str, Quantity] | None = None, **more: Quantity) -> Any:
        return self._resources("requests", {**(quantities or {}), **more})

    def limits(self, quantities: Mapping[str, Quantity] | None = None, **more: Quantity) -> Any:
        return self._resources("limits", {**(quantities or {}), **more})

    def _resources(self, which: str, quantities: Mapping[str, Quantity]) -> Any:
        found = self._wire["spec"]["containers"][0].get("resources", {})
        return self.container(resources={**found, which: dict(quantities)})

    def restart(self, policy: str) -> Any:
        return self.spec(restartPolicy=policy)

    def on(self, node: str) -> Any:
        return self.spec(nodeName=node)

    def phase(self, phase: str, reason: str = "") -> Any:
        return self.status(phase=phase, **({"reason": reason} if reason else {}))

    def ready(self, ip: str = "10.0.0.1", *, ready: bool = True) -> Any:
        """Running with an address."""
        running = self.status(phase="Running", podIP=ip, podIPs=[{"ip": ip}])
        return running.condition("Ready", "True" if ready else "False")

    def tolerates(self, key: str, effect: str = "", seconds: int | None = None) -> Any:
        toleration: Wire = {"key": key, "operator": "Exists"} | ({"effect": effect} if effect else {})
        if seconds is not None:
            toleration["tolerationSeconds"] = seconds
        return self.spec(tolerations=[*self._wire["spec"].get("tolerations", ()), toleration])

    def simulate(self, script: str) -> Any:
        """What `testing.kubelet` makes of it, for instance `run=2s,exit=1`."""
        return self.annotations({"fairlead.dev/simulate": script})

    def template(self) -> Wire:
        """The Pod as a PodTemplateSpec."""
        meta = {k: v for k, v in self._wire["metadata"].items() if k in ("labels", "annotations")}
        return {"metadata": meta, "spec": copy.deepcopy(self._wire["spec"])}


class JobBuilder(Builder[batch.Job]):
    """Jobs: one Pod to begin with."""

    def parallelism(self, count: int) -> Any:
        return self.spec(parallelism=count)

    def completions(self, count: int | None) -> Any:
        return self.spec(completions=count)

    def indexed(self, count: int) -> Any:
        return self.spec(completionMode="Indexed", completions=count, parallelism=count)

    def backoff_limit(self, limit: int) -> Any:
        return self.spec(backoffLimit=limit)

    def suspended(self, suspend: bool = True) -> Any:
        return self.spec(suspend=suspend)

    def template(self, template: PodBuilder) -> Any:
        return self.spec(template=template.template())


class SetBuilder(Builder[ObjectT]):
    """What keeps Pods of a template running; its Pods have the label `app` with its name to begin with."""

    def replicas(self, count: int) -> Any:
        return self.spec(replicas=count)

    def template(self, template: PodBuilder) -> Any:
        """The Pod as the template, with the labels that the selector wants."""
        made = template.restart("Always").template()
        wanted = self._wire["spec"]["selector"]["matchLabels"]
        made["metadata"]["labels"] = {**made["metadata"].get("labels", {}), **wanted}
        return self.spec(template=made)

    def image(self, image: str) -> Any:
        return self.changed(lambda w: w["spec"]["template"]["spec"]["containers"][0].update(image=image))


class NodeBuilder(Builder[core.Node]):
    """Nodes: ready, with some capacity to begin with."""

    def capacity(self, quantities: Mapping[str, Quantity] | None = None, **more: Quantity) -> Any:
        found = {**self._wire["status"].get("capacity", {}), **(quantities or {}), **more}
        return self.status(capacity=found, allocatable=found)

    def taint(self, key: str, effect: str, value: str = "", added: float | None = None) -> Any:
        taint = {"key": key, "effect": effect} | ({"value": value} if value else {})
        if added is not None:
            taint["timeAdded"] = timestamp.seconds(added)
        return self.spec(taints=[*self._wire.get("spec", {}).get("taints", ()), taint])

    def ready(self, status: str = "True", time: float = START) -> Any:
        return self.condition("Ready", status, time=time)


class JobSetBuilder(Builder[jobsets.JobSet]):
    """JobSets: no replicated jobs to begin with."""

    def replicated(self, name: str, job: JobBuilder, replicas: int = 1, **more: Any) -> Any:
        entry = {"name": name, "replicas": replicas, "template": {"spec": job.wire()["spec"]}, **more}
        return self.spec(replicatedJobs=[*self._wire["spec"].get("replicatedJobs", ()), entry])

    def suspended(self, suspend: bool = True) -> Any:
        return self.spec(suspend=suspend)


class TrainJobBuilder(Builder[trainer.TrainJob]):
    """TrainJobs of the runtime `torch-distributed` to begin with."""

    def runtime(self, name: str, kind: str = "ClusterTrainingRuntime") -> Any:
        return self.spec(runtimeRef={"apiGroup": "trainer.kubeflow.org", "kind": kind, "name": name})

    def trainer(self, **fields: Any) -> Any:
        return self.spec(trainer={**self._wire["spec"].get("trainer", {}), **fields})


class ServiceBuilder(Builder[core.Service]):
    """Services without ports to begin with."""

    def selects(self, **labels: str) -> Any:
        return self.spec(selector=labels)

    def port(self, number: int, target: int | str | None = None, name: str = "") -> Any:
        port: Wire = {"port": number, "protocol": "TCP"} | ({"name": name} if name else {})
        if target is not None:
            port["targetPort"] = target
        return self.spec(ports=[*self._wire["spec"].get("ports", ()), port])

    def headless(self) -> Any:
        return self.spec(clusterIP="None")


def meta(resource: Resource[Any], name: str, namespace: str = "default") -> Wire:
    """The beginning of an object: apiVersion, kind and the metadata that a server gives it."""
    metadata = {"name": name} | ({"namespace": namespace} if resource.namespaced else {})
    metadata |= {"uid": f"uid-{resource.kind.lower()}-{name}", "resourceVersion": "1"}
    metadata |= {"creationTimestamp": timestamp.seconds(START)}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}


def any_of(resource: Resource[ObjectT], name: str, namespace: str = "default", **fields: Any) -> Builder[ObjectT]:
    """An object of whichever kind."""
    return Builder(resource, meta(resource, name, namespace) | fields)


def pod(name: str, namespace: str = "default") -> PodBuilder:
    spec = {"containers": [{"name": "main", "image": "example"}], "restartPolicy": "Never"}
    return PodBuilder(core.PODS, meta(core.PODS, name, namespace) | {"spec": spec, "status": {"phase": "Pending"}})


def job(name: str, namespace: str = "default") -> JobBuilder:
    spec = {"parallelism": 1, "completions": 1, "backoffLimit": 6, "template": pod("template").template()}
    return JobBuilder(batch.JOBS, meta(batch.JOBS, name, namespace) | {"spec": spec})


def _set(resource: Resource[ObjectT], name: str, namespace: str, **spec: Any) -> SetBuilder[ObjectT]:
    labels = {"app": name}
    template = pod("template").labels(labels).restart("Always").template()
    fields = {"selector": {"matchLabels": labels}, "template": template, **spec}
    return SetBuilder(resource, meta(resource, name, namespace) | {"spec": fields})


def deployment(name: str, replicas: int = 1, namespace: str = "default") -> SetBuilder[apps.Deployment]:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
    more = {"replicas": replicas, "strategy": rolling, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600}
    return _set(apps.DEPLOYMENTS, name, namespace, **more)


def replica_set(name: str, replicas: int = 1, namespace: str = "default") -> SetBuilder[apps.ReplicaSet]:
    return _set(apps.REPLICA_SETS, name, namespace, replicas=replicas)


def stateful_set(name: str, replicas: int = 1, namespace: str = "default") -> SetBuilder[apps.StatefulSet]:
    return _set(apps.STATEFUL_SETS, name, namespace, replicas=replicas, serviceName=name)


def daemon_set(name: str, namespace: str = "default") -> SetBuilder[apps.DaemonSet]:
    return _set(apps.DAEMON_SETS, name, namespace)


def node(name: str) -> NodeBuilder:
    made = NodeBuilder(core.NODES, meta(core.NODES, name, "") | {"status": {}})
    ready: NodeBuilder = made.labels({"kubernetes.io/hostname": name}).capacity(cpu="8", memory="16Gi", pods="110")
    built: NodeBuilder = ready.ready()
    return built


def jobset(name: str, namespace: str = "default") -> JobSetBuilder:
    return JobSetBuilder(jobsets.JOBSETS, meta(jobsets.JOBSETS, name, namespace) | {"spec": {}})


def trainjob(name: str, namespace: str = "default") -> TrainJobBuilder:
    made = TrainJobBuilder(trainer.TRAIN_JOBS, meta(trainer.TRAIN_JOBS, name, namespace) | {"spec": {}})
    built: TrainJobBuilder = made.runtime("torch-distributed")
    return built


def service(name: str, namespace: str = "default") -> ServiceBuilder:
    return ServiceBuilder(core.SERVICES, meta(core.SERVICES, name, namespace) | {"spec": {}})


def namespace(name: str) -> Builder[core.Namespace]:
    fields = {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
    return any_of(core.NAMESPACES, name, "", **fields)


def config_map(name: str, namespace: str = "default", data: Mapping[str, str] | None = None) -> Builder[core.ConfigMap]:
    return any_of(core.CONFIG_MAPS, name, namespace, data=dict(data or {}))


def lease(name: str, namespace: str, holder: str, renewed: float, seconds: int = 40) -> Builder[coordination.Lease]:
    spec = {"holderIdentity": holder, "leaseDurationSeconds": seconds, "renewTime": timestamp.micro(renewed)}
    return any_of(coordination.LEASES, name, namespace, spec=spec)


def views(many: Sequence[Builder[ObjectT]]) -> Sequence[ObjectT]:
    """The views of several builders, in the order in which a reconciler sees them."""
    return sorted((b.view() for b in many), key=lambda o: o.key)
