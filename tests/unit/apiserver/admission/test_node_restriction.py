"""What an agent may write."""

from __future__ import annotations

import pytest

from fairlead.api.coordination import LEASES
from fairlead.api.core import NAMESPACES, NODES, PODS, SERVICE_ACCOUNTS
from fairlead.api.meta import Key
from fairlead.apiserver import nodes
from fairlead.base.errors import StatusError
from fairlead.client.protocol import Binding, PatchType, WriteOptions

STATUS = WriteOptions(subresource="status")


@pytest.fixture
async def agent(server):
    """The agent of node `n`, beside another node with a Pod on each."""
    admin = server.client()
    await admin.create(NAMESPACES, {"metadata": {"name": "kube-node-lease"}})
    for node, pod in (("n", "mine"), ("other", "theirs")):
        await admin.create(NODES, {"metadata": {"name": node}})
        spec = {"containers": [{"name": "c", "image": "i"}]}
        await admin.create(PODS, {"metadata": {"namespace": "default", "name": pod}, "spec": spec})
        await admin.bind([Binding(Key("default", pod), node)])
    return server.client(nodes.user_of("n"))


async def refused(work, text):
    with pytest.raises(StatusError, match=text) as caught:
        await work
    assert caught.value.code == 403


async def patched(agent, resource, name, patch, options=STATUS):
    key = Key("default" if resource.namespaced else "", name)
    return await agent.patch(resource, key, patch, PatchType.MERGE, options)


async def test_pods(agent):
    await patched(agent, PODS, "mine", {"status": {"phase": "Running"}})
    await refused(patched(agent, PODS, "theirs", {"status": {"phase": "Running"}}), "set to itself")
    await refused(patched(agent, PODS, "mine", {"metadata": {"labels": {"a": "b"}}}, WriteOptions()), "cannot modify")
    await refused(agent.delete(PODS, Key("default", "theirs")), "can only delete pods with spec.nodeName set to itself")
    await agent.delete(PODS, Key("default", "mine"))
    made = {"metadata": {"namespace": "default", "name": "new"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    await refused(agent.create(PODS, made), "can only create mirror pods")


async def test_nodes(agent):
    await patched(agent, NODES, "n", {"status": {"phase": "Running"}})
    await refused(patched(agent, NODES, "other", {"status": {}}), 'is not allowed to modify node "other"')
    await patched(agent, NODES, "n", {"metadata": {"labels": {"x": "y", "kubernetes.io/arch": "z"}}}, WriteOptions())
    taint = {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}
    await refused(patched(agent, NODES, "n", taint, WriteOptions()), "is not allowed to modify taints")
    for label in ("node-restriction.kubernetes.io/team", "kubernetes.io/other", "a.node-restriction.kubernetes.io/b"):
        labels = {"metadata": {"labels": {label: "x"}}}
        await refused(patched(agent, NODES, "n", labels, WriteOptions()), f"modify labels: {label}")


async def test_leases(agent):
    await agent.create(LEASES, {"metadata": {"namespace": "kube-node-lease", "name": "n"}})
    await refused(
        agent.create(LEASES, {"metadata": {"namespace": "kube-node-lease", "name": "other"}}), "same name as the"
    )
    await refused(agent.create(LEASES, {"metadata": {"namespace": "default", "name": "n"}}), "system namespace")


async def test_tokens_only_for_its_pods(agent, server):
    server.api.tokens = object()
    account = {"metadata": {"namespace": "default", "name": "default"}}
    options = WriteOptions(subresource="token")

    async def ask(**reference):
        body = {**account, "spec": {"boundObjectRef": {"kind": "Pod", **reference}} if reference else {}}
        await agent.create(SERVICE_ACCOUNTS.plain, body, options, name="default")

    theirs = await agent.get(PODS, Key("default", "theirs"))
    await refused(ask(), "not bound to a pod")
    await refused(ask(name="mine"), "without a uid")
    await refused(ask(name="mine", uid="x"), "does not match")
    await refused(ask(name="theirs", uid=theirs.metadata.uid), "scheduled on a different node")
