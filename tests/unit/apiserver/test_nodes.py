"""What a node's agent may do."""

from __future__ import annotations

import pytest

from fairlead.apiserver import encoding, nodes, rbac, requestinfo
from fairlead.apiserver.identity import User
from fairlead.store.memory import MemoryStore
from fairlead.store.mvcc import Put

POD = {
    "metadata": {"name": "p", "namespace": "a", "uid": "u"},
    "spec": {
        "nodeName": "n1",
        "serviceAccountName": "robot",
        "imagePullSecrets": [{"name": "pull"}],
        "initContainers": [{"name": "i", "envFrom": [{"secretRef": {"name": "from"}}]}],
        "containers": [{"name": "c", "env": [{"name": "E", "valueFrom": {"configMapKeyRef": {"name": "env"}}}]}],
        "volumes": [
            {"name": "s", "secret": {"secretName": "vol"}},
            {"name": "p", "projected": {"sources": [{"configMap": {"name": "proj"}}, {"secret": {"name": "psec"}}]}},
            {"name": "c", "persistentVolumeClaim": {"claimName": "claim"}},
        ],
    },
}


@pytest.fixture
async def authorizer():
    store = MemoryStore()
    other = {**POD, "metadata": {**POD["metadata"], "name": "q"}, "spec": {**POD["spec"], "nodeName": "n2"}}
    await store.commit([Put("/registry/core/pods/a/p", lambda _: encoding.encode(POD), 0)])
    await store.commit([Put("/registry/core/pods/b/q", lambda _: encoding.encode(other), 0)])
    return rbac.Authorizer(None, (nodes.NodeAuthority(store),))


N1 = User("system:node:n1", groups=("system:nodes", "system:authenticated"))


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/v1/namespaces/a/secrets/pull", True),
        ("GET", "/api/v1/namespaces/a/secrets/from", True),
        ("GET", "/api/v1/namespaces/a/secrets/vol", True),
        ("GET", "/api/v1/namespaces/a/secrets/psec", True),
        ("GET", "/api/v1/namespaces/a/configmaps/env", True),
        ("GET", "/api/v1/namespaces/a/configmaps/proj", True),
        ("GET", "/api/v1/namespaces/a/persistentvolumeclaims/claim", True),
        ("GET", "/api/v1/namespaces/a/secrets/env", False),
        ("GET", "/api/v1/namespaces/b/secrets/vol", False),
        ("GET", "/api/v1/namespaces/a/secrets", False),
        ("GET", "/api/v1/secrets", False),
        ("DELETE", "/api/v1/namespaces/a/secrets/vol", False),
        ("POST", "/api/v1/namespaces/a/serviceaccounts/robot/token", True),
        ("POST", "/api/v1/namespaces/a/serviceaccounts/default/token", False),
        ("GET", "/api/v1/nodes/n1", True),
        ("GET", "/api/v1/nodes/n2", False),
        ("PATCH", "/api/v1/nodes/n1/status", True),
        ("PATCH", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1", True),
        ("PATCH", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n2", False),
        ("GET", "/apis/coordination.k8s.io/v1/namespaces/default/leases/n1", False),
        ("POST", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", True),
        ("GET", "/api/v1/pods", True),
        ("PATCH", "/api/v1/namespaces/a/pods/p/status", True),
        ("POST", "/api/v1/namespaces/a/events", True),
        ("POST", "/apis/batch/v1/namespaces/a/jobs", False),
        ("DELETE", "/api/v1/namespaces/a/configmaps/env", False),
    ],
)
async def test_what_follows_from_its_pods(authorizer, method, path, allowed):
    info = requestinfo.parse(method, path, {})
    assert authorizer.permits(N1, info) is allowed
    assert authorizer.explain(N1, info).allowed is allowed


async def test_the_reason_is_told(authorizer):
    info = requestinfo.parse("GET", "/api/v1/namespaces/b/secrets/vol", {})
    assert authorizer.explain(N1, info).reason == "no relationship found between node 'n1' and this object"


async def test_others_are_no_nodes(authorizer):
    info = requestinfo.parse("GET", "/api/v1/nodes/n1", {})
    for user in (User("system:node:n1"), User("n1", groups=("system:nodes",)), User("eve")):
        assert not authorizer.permits(user, info)
    assert nodes.node_of(nodes.user_of("x")) == "x"
