"""Aggregated ClusterRoles."""

from __future__ import annotations

from fairlead.api import rbac
from fairlead.api.meta import Key
from fairlead.controllers import clusterrole
from fairlead.testing.cluster import Cluster

PODS = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}
JOBS = {"verbs": ["get"], "apiGroups": ["batch"], "resources": ["jobs"]}


def role(name, *rules, into="", gathers=""):
    made = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name, "labels": {f"to-{into}": "true"} if into else {}},
        "rules": list(rules),
    }
    if gathers:
        made["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {f"to-{gathers}": "true"}}]}
    return made


async def rules_of(cluster, name):
    found = await cluster.client.get(rbac.CLUSTER_ROLES.plain, Key("", name))
    return found.get("rules")


async def test_gathers_through_several_steps_and_lets_go():
    async with Cluster([clusterrole.CONTROLLER]) as cluster:
        await cluster.create(role("edit", gathers="edit"))
        await cluster.create(role("view", into="edit", gathers="view"))
        await cluster.create(role("b-pods", PODS, into="view"))
        await cluster.create(role("a-jobs", JOBS, PODS, into="edit"))
        await cluster.run_until_quiet()
        assert await rules_of(cluster, "view") == [PODS]
        assert await rules_of(cluster, "edit") == [JOBS, PODS]

        await cluster.client.delete(rbac.CLUSTER_ROLES, Key("", "a-jobs"))
        await cluster.run_until_quiet()
        assert await rules_of(cluster, "edit") == [PODS]

        await cluster.client.delete(rbac.CLUSTER_ROLES, Key("", "b-pods"))
        await cluster.run_until_quiet()
        assert await rules_of(cluster, "edit") == []


async def test_what_was_written_by_hand_is_replaced():
    async with Cluster([clusterrole.CONTROLLER]) as cluster:
        await cluster.create(role("view", JOBS, gathers="view"))
        await cluster.create(role("plain", JOBS))
        await cluster.run_until_quiet()
        assert await rules_of(cluster, "view") == []
        assert await rules_of(cluster, "plain") == [JOBS]
