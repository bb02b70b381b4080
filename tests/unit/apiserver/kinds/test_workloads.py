"""Kinds of apps, batch, policy, quotas and networks: defaults and complaints, in upstream's words."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.base.errors import StatusError
from fairlead.testing import builders
from fairlead.testing.cluster import Cluster

POD: dict[str, Any] = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
SELECTOR = {"matchLabels": {"a": "b"}}


def obj(api_version: str, kind: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x", "namespace": "default"}, **fields}


def workload(kind: str, **spec: Any) -> dict[str, Any]:
    return obj("apps/v1", kind, spec={"selector": SELECTOR, "template": POD, **spec})


async def made(manifest: dict[str, Any]) -> dict[str, Any]:
    async with Cluster() as up:
        return await up.create(manifest)


async def complaint(manifest: dict[str, Any]) -> str:
    async with Cluster() as up:
        with pytest.raises(StatusError) as error:
            await up.create(manifest)
        return error.value.message


async def test_defaults() -> None:
    deployment = await made(workload("Deployment"))
    rolling = {"maxUnavailable": "25%", "maxSurge": "25%"}
    spec = deployment["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": rolling}
    assert (spec["replicas"], spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (1, 10, 600)
    assert (deployment["status"], deployment["metadata"]["generation"]) == ({}, 1)
    assert (await made(workload("ReplicaSet")))["status"] == {"replicas": 0}
    stateful = await made(workload("StatefulSet"))
    assert stateful["status"] == {"replicas": 0, "availableReplicas": 0}
    assert stateful["spec"]["updateStrategy"] == {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
    daemon = await made(workload("DaemonSet"))
    assert daemon["metadata"]["annotations"] == {"deprecated.daemonset.template.generation": "1"}
    assert daemon["spec"]["updateStrategy"]["rollingUpdate"] == {"maxUnavailable": 1, "maxSurge": 0}
    old = await made(obj("v1", "ReplicationController", spec={"template": POD}))
    assert (old["spec"]["selector"], old["metadata"]["labels"]) == ({"a": "b"}, {"a": "b"})


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        (workload("Deployment", selector=None), "spec.selector: Required value"),
        (workload("Deployment", selector={}), "empty selector is invalid for deployment"),
        (workload("StatefulSet", selector={"matchLabels": {"a": "c"}}), "`selector` does not match template `labels`"),
        (workload("Deployment", replicas=-1), "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
        (
            workload("Deployment", strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}),
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
        ),
        (
            workload("Deployment", strategy={"type": "Recreate", "rollingUpdate": {}}),
            "may not be specified when strategy `type` is 'Recreate'",
        ),
        (workload("StatefulSet", podManagementPolicy="x"), "must be 'OrderedReady' or 'Parallel'"),
        (
            workload("ReplicaSet", template={**POD, "spec": {**POD["spec"], "restartPolicy": "Never"}}),
            'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
        ),
        (obj("policy/v1", "PodDisruptionBudget", spec={"minAvailable": 1, "maxUnavailable": 1}), "cannot be both set"),
        (
            obj("batch/v1", "CronJob", spec={"schedule": "* * *", "jobTemplate": {"spec": {"template": {
                "spec": {**POD["spec"], "restartPolicy": "Never"}}}}}),
            "expected exactly 5 fields, found 3",
        ),
        (
            obj("networking.k8s.io/v1", "Ingress", spec={"rules": [{"http": {"paths": [
                {"path": "/", "backend": {"service": {"name": "a", "port": {"number": 80}}}}]}}]}),
            "spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified",
        ),
        (obj("v1", "ResourceQuota", spec={"hard": {"pods": "-1"}}), "must be greater than or equal to 0"),
        (obj("autoscaling/v2", "HorizontalPodAutoscaler", spec={
            "maxReplicas": 1, "minReplicas": 2, "scaleTargetRef": {"kind": "Deployment", "name": "x"}}),
            "must be greater than or equal to `minReplicas`"),
    ],
)  # fmt: skip
async def test_complaints(manifest: dict[str, Any], says: str) -> None:
    assert says in await complaint(manifest)


async def test_what_may_not_change() -> None:
    async with Cluster() as up:
        await up.apply(builders.deployment("web"))
        with pytest.raises(StatusError, match="field is immutable"):
            await up.apply(builders.deployment("web").spec(selector={"matchLabels": {"app": "web", "b": "c"}}).template(
                builders.pod("x").labels(b="c")))  # fmt: skip
        await up.apply(builders.stateful_set("db"))
        with pytest.raises(StatusError, match="updates to statefulset spec for fields other than"):
            await up.apply(builders.stateful_set("db").spec(serviceName="other"))


async def test_a_policy_of_networks_gets_its_types() -> None:
    spec = {"podSelector": {}, "egress": [{}], "ingress": [{"ports": [{"port": 80}]}]}
    policy = await made(obj("networking.k8s.io/v1", "NetworkPolicy", spec=spec))
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert policy["spec"]["ingress"][0]["ports"] == [{"port": 80, "protocol": "TCP"}]
