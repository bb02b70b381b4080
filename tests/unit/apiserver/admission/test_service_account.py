"""What a Pod gets of its service account."""

from __future__ import annotations

import pytest

from fairlead.api.core import NAMESPACES, PODS, SERVICE_ACCOUNTS
from fairlead.api.meta import Key
from fairlead.apiserver.admission import service_account
from fairlead.base.errors import StatusError
from fairlead.client.protocol import DeleteOptions

PATH = "/var/run/secrets/kubernetes.io/serviceaccount"


@pytest.fixture
def client(server):
    return server.client()


async def pod(client, *, mounts=(), **spec):
    container = {"name": "c", "image": "i", "volumeMounts": list(mounts)}
    body = {"metadata": {"namespace": "default", "name": "p"}, "spec": {"containers": [container], **spec}}
    return (await client.create(PODS.plain, body))["spec"]


def mounted(container):
    return [m["name"] for m in container.get("volumeMounts", []) if m["mountPath"] == PATH]


async def account(client, name, **fields):
    await client.create(SERVICE_ACCOUNTS, {"metadata": {"namespace": "default", "name": name}, **fields})


async def test_credentials_are_mounted_into_every_container(client):
    spec = await pod(client, initContainers=[{"name": "i", "image": "i"}])
    (volume,) = spec["volumes"]
    assert volume["name"].startswith("kube-api-access-")
    assert [mounted(c) for c in (*spec["initContainers"], *spec["containers"])] == [[volume["name"]]] * 2
    assert volume["projected"] == {
        "defaultMode": 420,
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {
                "downwardAPI": {
                    "items": [
                        {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
                    ]
                }
            },
        ],
    }


@pytest.mark.parametrize(
    ("by_account", "by_pod", "expected"),
    [(None, None, True), (False, None, False), (False, True, True), (True, False, False), (None, False, False)],
)
async def test_the_pods_word_comes_before_the_accounts(client, by_account, by_pod, expected):
    await account(client, "robot", **({} if by_account is None else {"automountServiceAccountToken": by_account}))
    own = {} if by_pod is None else {"automountServiceAccountToken": by_pod}
    spec = await pod(client, serviceAccountName="robot", **own)
    assert bool(spec.get("volumes")) is expected
    assert bool(mounted(spec["containers"][0])) is expected


async def test_what_a_container_mounts_there_itself_stays(client):
    own = {"name": "mine", "mountPath": PATH}
    spec = await pod(client, mounts=[own], volumes=[{"name": "mine", "emptyDir": {}}])
    assert [v["name"] for v in spec["volumes"]] == ["mine"]
    assert spec["containers"][0]["volumeMounts"] == [own]


async def test_a_volume_that_is_there_is_used(client):
    volume = service_account.volume("kube-api-access-abcde")
    spec = await pod(client, volumes=[volume])
    assert [v["name"] for v in spec["volumes"]] == ["kube-api-access-abcde"]
    assert mounted(spec["containers"][0]) == ["kube-api-access-abcde"]


async def test_pull_secrets_are_the_accounts_unless_the_pod_has_its_own(client):
    await account(client, "robot", imagePullSecrets=[{"name": "a"}])
    spec = await pod(client, serviceAccountName="robot")
    assert spec["imagePullSecrets"] == [{"name": "a"}]
    await client.delete(PODS, Key("default", "p"), DeleteOptions(grace_seconds=0))
    spec = await pod(client, serviceAccountName="robot", imagePullSecrets=[{"name": "b"}])
    assert spec["imagePullSecrets"] == [{"name": "b"}]


async def test_the_account_must_exist(client):
    with pytest.raises(StatusError) as caught:
        await pod(client, serviceAccountName="gone")
    assert caught.value.message == (
        'pods "p" is forbidden: error looking up service account default/gone: serviceaccount "gone" not found'
    )


async def test_a_namespace_comes_with_its_account(client):
    await client.create(NAMESPACES, {"metadata": {"name": "team"}})
    found = await client.get(SERVICE_ACCOUNTS, Key("team", "default"))
    assert found.metadata.uid
    await client.delete(SERVICE_ACCOUNTS, Key("default", "default"))
    with pytest.raises(StatusError, match='serviceaccount "default" not found'):
        await pod(client)
