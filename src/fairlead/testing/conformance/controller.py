"""What every controller keeps, tested on a story: a course of events that gives it work.

    @pytest.mark.parametrize("controller", controllers.discover(), ids=controller.name)
    async def test_is_settled(controller_):
        await controller.is_settled_by_its_own_changes(controller_)

- **Settled by its own changes**: once nothing moves, reconciling any object again asks for nothing.
- **Survives crashes**: killed after any of its writes and started again, it reaches the same end.

Stories are found by the kind that a controller reconciles (`STORIES`); a controller of another kind brings its own.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from fairlead import controllers
from fairlead.api import apps, autoscaling, batch, core, metrics, policy, rbac, storage, trainer
from fairlead.api import jobset as jobsets
from fairlead.api.meta import Object, Resource
from fairlead.base import timestamp
from fairlead.client.protocol import DeleteOptions
from fairlead.reconcile import reconciler
from fairlead.reconcile.reconciler import Controller, WakeAt
from fairlead.reconcile.views import Item
from fairlead.store.mvcc import Entry
from fairlead.testing import builders
from fairlead.testing.cluster import Cluster

Story = Callable[[Cluster], Awaitable[None]]

CRASHES = 12
"""At most that many crashes are tried per story, spread evenly over its writes."""

# --- the checks ----------------------------------------------------------------------------------------------------


async def is_settled_by_its_own_changes(controller: Controller[Any], story: Story | None = None) -> None:
    """Reconcile everything once more when all is quiet: nothing but waking later may be asked for."""
    async with _cluster(controller) as cluster:
        await _tell(cluster, story or story_of(controller))
        await cluster.run_until_quiet()
        runner = next(r for r in cluster.manager.runners if r.controller.name == controller.name)
        for item in await _primaries(cluster, controller):
            changes = controller.reconcile(runner.links.view(item, cluster.clock.now()))
            asked = [change for change in changes if not isinstance(change, WakeAt)]
            assert not asked, f"{controller.name} is not settled by its own changes to {item.key}: {asked}"


async def survives_crashes(controller: Controller[Any], story: Story | None = None) -> None:
    """Kill all controllers after the n-th write, for each n, and compare where they end up."""
    story = story or story_of(controller)
    async with _cluster(controller) as cluster:
        before = cluster.store.revision
        await _tell(cluster, story)
        expected, writes = await _state(cluster), cluster.store.revision - before
    step = max(1, writes // CRASHES)
    for number in range(1, writes, step):
        async with _cluster(controller) as cluster:
            await cluster.crash_after(number)
            await _tell(cluster, story)
            if not cluster.crashed:
                assert number > 1, f"the story of {controller.name} makes no controller write anything"
                return
            reached = await _state(cluster)
            assert reached == expected, (
                f"{controller.name}, killed after write {number}: {_difference(reached, expected)}"
            )


def name(controller: Controller[Any]) -> str:
    """The id of a parametrized test."""
    return controller.name


# --- stories -------------------------------------------------------------------------------------------------------


async def _jobs(cluster: Cluster) -> None:
    pod = builders.pod("x").simulate("run=2s")
    await cluster.apply(builders.job("done").indexed(3).template(pod))
    await cluster.apply(builders.job("fails").backoff_limit(1).template(builders.pod("x").simulate("run=1s,exit=1")))
    await cluster.apply(builders.job("runs").parallelism(2).completions(2))
    await cluster.run_until_quiet()


async def _jobsets(cluster: Cluster) -> None:
    job = builders.job("x").indexed(2).template(builders.pod("x").simulate("run=2s"))
    await cluster.apply(builders.jobset("set").replicated("workers", job, 2))
    await cluster.run_until_quiet()


async def _trainjobs(cluster: Cluster) -> None:
    job = builders.job("x").template(builders.pod("x").container(name="node").simulate("run=2s"))
    label = {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}
    template = {"metadata": {"labels": label}, "spec": job.wire()["spec"]}
    replicated = [{"name": "node", "template": template}]
    runtime = {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "ClusterTrainingRuntime",
        "metadata": {"name": "plain", "labels": {"trainer.kubeflow.org/framework": "torch"}},
        "spec": {
            "mlPolicy": {"numNodes": 1, "torch": {}},
            "template": {"spec": {"replicatedJobs": replicated}},
        },
    }
    await cluster.apply(runtime)
    await cluster.apply(builders.trainjob("train").runtime("plain").trainer(numNodes=2))
    await cluster.run_until_quiet()


async def _services(cluster: Cluster) -> None:
    await cluster.apply(builders.service("web").selects(app="web").port(80, 8080, "http"))
    await cluster.apply(builders.service("peers").selects(app="web").headless().spec(publishNotReadyAddresses=True))
    for name_, script in (("a", ""), ("b", "ready=3s"), ("c", "run=4s")):
        await cluster.apply(builders.pod(name_).labels(app="web").simulate(script))
    await cluster.run_until_quiet()
    await cluster.delete(core.PODS, "a")
    await cluster.run_until_quiet()


async def _namespaces(cluster: Cluster) -> None:
    await cluster.apply(builders.config_map("kube-root-ca.crt", "kube-system", {"ca.crt": "PEM"}))
    await cluster.apply(builders.namespace("stays"))
    await cluster.apply(builders.namespace("goes"))
    for number in range(3):
        await cluster.apply(builders.config_map(f"c{number}", "goes"))
    await cluster.run_until_quiet()
    await cluster.delete(core.NAMESPACES, "goes")
    await cluster.run_until_quiet()


async def _nodes(cluster: Cluster) -> None:
    for number in range(3):
        pod = builders.pod(f"p{number}")
        await cluster.apply(pod.tolerates("node.kubernetes.io/unreachable", "NoExecute", 5 * number))
    await cluster.run_until_quiet(10)
    cluster.kubelet.down.update(cluster.kubelet.nodes)
    await cluster.run_until_quiet(100)


async def _owners(cluster: Cluster) -> None:
    for way in ("Background", "Foreground", "Orphan"):
        owner = builders.config_map(way.lower())
        made = await cluster.create(owner)
        owner = owner.with_uid(made["metadata"]["uid"])
        child = builders.config_map(f"{owner.name}-child").owned_by(owner)
        made = await cluster.create(child)
        await cluster.create(
            builders.config_map(f"{owner.name}-grandchild").owned_by(child.with_uid(made["metadata"]["uid"]))
        )
        await cluster.run_until_quiet()
        await cluster.delete(core.CONFIG_MAPS, owner.name, DeleteOptions(propagation=way))
    await cluster.run_until_quiet()


async def _cluster_roles(cluster: Cluster) -> None:
    rule = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}
    kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"}
    for name_, into in (("edit", ""), ("view", "edit")):
        selectors = [{"matchLabels": {f"to-{name_}": "true"}}]
        meta = {"name": name_, "labels": {f"to-{into}": "true"} if into else {}}
        await cluster.create({**kind, "metadata": meta, "aggregationRule": {"clusterRoleSelectors": selectors}})
    await cluster.create({**kind, "metadata": {"name": "pods", "labels": {"to-view": "true"}}, "rules": [rule]})
    await cluster.run_until_quiet()


async def _replica_sets(cluster: Cluster) -> None:
    await cluster.create(builders.pod("stray").labels(app="set"))
    await cluster.apply(builders.replica_set("set", 3))
    await cluster.run_until_quiet()
    await cluster.apply(builders.replica_set("set", 1))
    await cluster.apply(builders.replica_set("late", 2).template(builders.pod("x").simulate("ready=5s")))
    await cluster.run_until_quiet()


async def _replication_controllers(cluster: Cluster) -> None:
    labels = {"app": "old"}
    template = builders.pod("x").labels(labels).restart("Always").template()
    spec = {"replicas": 2, "selector": labels, "template": template}
    await cluster.apply(builders.any_of(core.REPLICATION_CONTROLLERS, "old", spec=spec))
    await cluster.run_until_quiet()


async def _deployments(cluster: Cluster) -> None:
    rolls = builders.deployment("rolls", 4).template(builders.pod("x").simulate("ready=1s"))
    anew = builders.deployment("anew", 2).spec(strategy={"type": "Recreate"})
    for image in ("one", "two", "one"):
        await cluster.apply(rolls.image(image))
        await cluster.apply(anew.image(image))
        await cluster.run_until_quiet()
    await cluster.apply(rolls.replicas(6))
    await cluster.run_until_quiet()


async def _stateful_sets(cluster: Cluster) -> None:
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    set_ = builders.stateful_set("db", 3).template(builders.pod("x").simulate("ready=1s"))
    for image, count in (("one", 3), ("two", 3), ("two", 2)):
        await cluster.apply(set_.image(image).replicas(count).spec(volumeClaimTemplates=[claim]))
        await cluster.apply(builders.stateful_set("fast", count).spec(podManagementPolicy="Parallel").image(image))
        await cluster.run_until_quiet()


async def _daemon_sets(cluster: Cluster) -> None:
    for image in ("one", "two"):
        await cluster.apply(builders.daemon_set("everywhere").image(image))
        await cluster.run_until_quiet()


async def _cron_jobs(cluster: Cluster) -> None:
    template = {"spec": builders.job("x").template(builders.pod("x").simulate("run=90s")).wire()["spec"]}
    for way in ("Allow", "Forbid", "Replace"):
        spec: dict[str, Any] = {"schedule": "* * * * *", "concurrencyPolicy": way, "jobTemplate": template}
        await cluster.apply(builders.any_of(batch.CRON_JOBS, way.lower(), spec=spec))
    await cluster.run_until_quiet(400)
    for way in ("Allow", "Forbid", "Replace"):
        spec = {"schedule": "* * * * *", "concurrencyPolicy": way, "jobTemplate": template, "suspend": True}
        await cluster.apply(builders.any_of(batch.CRON_JOBS, way.lower(), spec=spec))
    await cluster.run_until_quiet(200)


async def _budgets(cluster: Cluster) -> None:
    await cluster.apply(builders.deployment("web", 4))
    chosen = {"matchLabels": {"app": "web"}}
    await cluster.apply(builders.any_of(policy.BUDGETS, "half", spec={"minAvailable": "50%", "selector": chosen}))
    await cluster.apply(builders.any_of(policy.BUDGETS, "one", spec={"maxUnavailable": 1, "selector": chosen}))
    await cluster.create(builders.pod("alone").labels(app="alone"))
    lonely = {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "alone"}}}
    await cluster.apply(builders.any_of(policy.BUDGETS, "unknown", spec=lonely))
    await cluster.run_until_quiet()
    await cluster.apply(builders.deployment("web", 2))
    await cluster.run_until_quiet()


async def _endpoints(cluster: Cluster) -> None:
    subset = {"addresses": [{"ip": "10.1.1.1"}], "notReadyAddresses": [{"ip": "10.1.1.2"}], "ports": [{"port": 80}]}
    for name_ in ("own", "alone"):
        await cluster.create(builders.any_of(core.ENDPOINTS, name_, subsets=[subset]))
    await cluster.apply(builders.service("own").port(80))
    await cluster.run_until_quiet()
    await cluster.apply(builders.any_of(core.ENDPOINTS, "own", subsets=[{**subset, "ports": [{"port": 81}]}]))
    await cluster.run_until_quiet()


async def _volumes(cluster: Cluster) -> None:
    asked = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}}
    later = {"volumeBindingMode": "WaitForFirstConsumer"}
    for name_, more in (("now", {}), ("later", later)):
        await cluster.create(builders.any_of(storage.STORAGE_CLASSES, name_, provisioner="example.com/none", **more))
    for name_, class_ in (("plain", ""), ("wide", ""), ("made", "now"), ("waits", "later"), ("vain", "unknown")):
        await cluster.create(builders.any_of(core.CLAIMS, name_, spec={**asked, "storageClassName": class_}))
    for name_, size, way in (("small", "1Gi", "Retain"), ("fits", "2Gi", "Retain"), ("large", "9Gi", "Delete")):
        spec = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}}
        await cluster.create(
            builders.any_of(core.PERSISTENT_VOLUMES, name_, spec={**spec, "persistentVolumeReclaimPolicy": way})
        )
    await cluster.run_until_quiet()
    for claim in ("plain", "wide"):
        await cluster.delete(core.CLAIMS, claim)
    await cluster.run_until_quiet()
    await cluster.delete(core.PERSISTENT_VOLUMES, "fits")
    await cluster.run_until_quiet()


async def _autoscalers(cluster: Cluster) -> None:
    def measured(namespace: str) -> Sequence[Entry]:
        """Every Pod uses half a core."""
        found = []
        for entry in cluster.store.list(f"/registry/core/pods/{namespace}").entries:
            pod = msgspec.json.decode(entry.value)
            if pod.get("status", {}).get("phase") == "Running":
                usage = [{"name": "main", "usage": {"cpu": "500m"}}]
                meta = {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"]}
                text = {"metadata": meta, "timestamp": timestamp.seconds(cluster.clock.now()), "window": "10s"}
                found.append(Entry(entry.key, msgspec.json.encode({**text, "containers": usage}), 1, 1))
        return found

    cluster.api.sources[metrics.POD_METRICS.gvr] = measured
    for name_, asked in (("grows", "250m"), ("shrinks", "2")):
        pod = builders.pod("x").requests(cpu=asked)
        await cluster.apply(builders.deployment(name_, 2).template(pod).changed(lambda w: w["spec"].pop("replicas")))
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name_}
        spec = {"scaleTargetRef": target, "maxReplicas": 5}
        await cluster.apply(builders.any_of(autoscaling.AUTOSCALERS, name_, spec=spec))
    await cluster.run_until_quiet(700)


async def _quotas(cluster: Cluster) -> None:
    hard = {"pods": "5", "requests.cpu": "4", "services": "2", "count/deployments.apps": "3", "configmaps": "9"}
    await cluster.apply(builders.any_of(core.QUOTAS, "team", spec={"hard": hard}))
    await cluster.apply(builders.deployment("web", 2).template(builders.pod("x").requests(cpu="500m")))
    await cluster.apply(builders.service("web").selects(app="web").port(80))
    await cluster.run_until_quiet()
    await cluster.delete(core.SERVICES, "web")
    await cluster.run_until_quiet()


STORIES: dict[Resource[Any], Story] = {
    core.ENDPOINTS: _endpoints,
    core.CLAIMS: _volumes,
    core.PERSISTENT_VOLUMES: _volumes,
    batch.JOBS: _jobs,
    batch.CRON_JOBS: _cron_jobs,
    jobsets.JOBSETS: _jobsets,
    trainer.TRAIN_JOBS: _trainjobs,
    core.SERVICES: _services,
    core.NAMESPACES: _namespaces,
    core.NODES: _nodes,
    rbac.CLUSTER_ROLES: _cluster_roles,
    apps.REPLICA_SETS: _replica_sets,
    core.REPLICATION_CONTROLLERS: _replication_controllers,
    apps.DEPLOYMENTS: _deployments,
    apps.STATEFUL_SETS: _stateful_sets,
    apps.DAEMON_SETS: _daemon_sets,
    policy.BUDGETS: _budgets,
    core.QUOTAS: _quotas,
    autoscaling.AUTOSCALERS: _autoscalers,
    reconciler.EVERY: _owners,
}


def story_of(controller: Controller[Any]) -> Story:
    """The story for the kind that the controller reconciles."""
    found = STORIES.get(controller.primary)
    if found is None:
        raise LookupError(
            f"there is no story for {controller.primary.qualified}, which {controller.name} reconciles: add one to "
            "STORIES, or give it to the check"
        )
    return found


# --- how -----------------------------------------------------------------------------------------------------------


def _cluster(controller: Controller[Any]) -> Cluster:
    """All controllers that there are, so that this one's objects meet what they would meet."""
    others = [c for c in controllers.discover() if c.name != controller.name]
    return Cluster([controller, *others], bundled=True, leases=True)


async def _tell(cluster: Cluster, story: Story) -> None:
    await cluster.run_until_quiet(1)
    await story(cluster)
    await cluster.run_until_quiet()


async def _primaries(cluster: Cluster, controller: Controller[Any]) -> Sequence[Item]:
    kinds = await cluster.client.resources() if controller.primary == reconciler.EVERY else [controller.primary]
    found = []
    for kind in kinds:
        found += [Item(kind, obj.key) for obj in await cluster.list(kind.seen_as(Object))]
    return found


_VOLATILE = ("uid", "resourceVersion", "managedFields", "generation", "nodeName", "podIP", "podIPs", "ip", "addresses")
_SILENT = ("events", "events.events.k8s.io", "leases.coordination.k8s.io")
_CREDENTIALS = re.compile(r"(?<=kube-api-access-)[a-z0-9]{5}")
_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_GENERATED = re.compile(r"(?<=-)[a-z0-9]{5,10}$")


async def _state(cluster: Cluster) -> Sequence[str]:
    """All objects, without what may differ from run to run: identities, times, addresses, generated names."""
    found = []
    for kind in await cluster.client.resources():
        if kind.qualified in _SILENT:
            continue
        for obj in await cluster.list(kind):
            steady = _steady(obj)
            if any(o.get("controller") for o in steady["metadata"].get("ownerReferences", ())):
                steady["metadata"]["name"] = _GENERATED.sub("*", steady["metadata"]["name"])
            text = _UID.sub("*", msgspec.json.encode(steady, order="sorted").decode())
            found.append(f"{kind.qualified} {_CREDENTIALS.sub('*', text)}")
    return sorted(found)


def _steady(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            k: _steady(v)
            for k, v in value.items()
            if k not in _VOLATILE and not k.endswith(("Time", "Timestamp", "At"))
        }
    if isinstance(value, list):
        return sorted((_steady(v) for v in value), key=lambda v: msgspec.json.encode(v, order="sorted"))
    return value


def _difference(reached: Sequence[str], expected: Sequence[str]) -> str:
    missing = [line for line in expected if line not in reached]
    extra = [line for line in reached if line not in expected]
    return f"missing {missing[:3]}, in their place {extra[:3]}"
