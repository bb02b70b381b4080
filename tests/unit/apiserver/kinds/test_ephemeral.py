"""Ephemeral containers: who may add them, how, and what they may be."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.api.core import CONFIG_MAPS, NAMESPACES, PODS
from fairlead.api.meta import Key
from fairlead.apiserver import assembly
from fairlead.apiserver.local import LocalClient
from fairlead.base.errors import StatusError
from fairlead.client.protocol import PatchType, WriteOptions
from fairlead.store.memory import MemoryStore

P = Key("default", "p")
OPTIONS = WriteOptions(subresource="ephemeralcontainers", manager="kubectl-debug")
SPEC = {
    "containers": [{"name": "main", "image": "i"}], "initContainers": [{"name": "init", "image": "i"}],
    "volumes": [{"name": "v", "emptyDir": {}}],
}  # fmt: skip


@pytest.fixture
async def client() -> Any:
    server = assembly.assemble(MemoryStore(), assembly.Settings())
    server.definitions.start()
    client = server.client()
    await client.create(NAMESPACES, {"metadata": {"name": "default"}})
    await client.create(PODS, {"metadata": {"name": "p", "namespace": "default"}, "spec": SPEC})
    yield client
    await server.close()


async def add(client: LocalClient, *containers: dict[str, Any], **more: Any) -> dict[str, Any]:
    patch = {"spec": {"ephemeralContainers": list(containers)}, **more}
    return await client.patch(PODS.plain, P, patch, PatchType.STRATEGIC, OPTIONS)


async def refusal(client: LocalClient, *containers: dict[str, Any]) -> str:
    with pytest.raises(StatusError) as caught:
        await add(client, *containers)
    assert caught.value.code == 422
    return caught.value.message.replace("\n", "")


async def test_they_are_added_and_nothing_else_is(client: LocalClient) -> None:
    debug = {"name": "debug", "image": "busybox", "targetContainerName": "main", "stdin": True}
    made = await add(client, debug, metadata={"labels": {"x": "y"}}, status={"phase": "Failed"})
    assert made["spec"]["ephemeralContainers"] == [{
        **debug, "imagePullPolicy": "Always", "resources": {}, "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }]  # fmt: skip
    assert "labels" not in made["metadata"]
    assert made["metadata"]["generation"] == 2
    assert made["status"]["phase"] == "Pending"
    twice = await add(client, {"name": "second", "image": "busybox"})
    assert sorted(c["name"] for c in twice["spec"]["ephemeralContainers"]) == ["debug", "second"]
    assert await client.get(PODS.plain, P, subresource="ephemeralcontainers") == await client.get(PODS.plain, P)


@pytest.mark.parametrize(
    ("container", "said"),
    [
        ({"name": "main", "image": "i"}, 'spec.ephemeralContainers[0].name: Duplicate value: "main"'),
        ({"name": "d"}, "spec.ephemeralContainers[0].image: Required value"),
        (
            {"name": "d", "image": "i", "targetContainerName": "nobody"},
            'spec.ephemeralContainers[0].targetContainerName: Not found: "nobody"',
        ),
        (
            {"name": "d", "image": "i", "ports": [{"containerPort": 80}]},
            "spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container",
        ),
        (
            {"name": "d", "image": "i", "resources": {"limits": {"cpu": "1"}}},
            "spec.ephemeralContainers[0].resources: Forbidden: cannot be set for an Ephemeral Container",
        ),
        (
            {"name": "d", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "x"}]},
            "spec.ephemeralContainers[0].volumeMounts[0].subPath: Forbidden: cannot be set for an Ephemeral Container",
        ),
    ],
)
async def test_rules(client: LocalClient, container: dict[str, Any], said: str) -> None:
    assert said in await refusal(client, container)


async def test_they_stay_as_they_are(client: LocalClient) -> None:
    await add(client, {"name": "d", "image": "i"})
    changed = await refusal(client, {"name": "d", "image": "j"})
    assert 'spec.ephemeralContainers: Forbidden: existing ephemeral containers "d" may not be changed' in changed
    with pytest.raises(StatusError, match='existing ephemeral containers "d" may not be removed'):
        await client.patch(PODS.plain, P, {"spec": {"ephemeralContainers": None}}, PatchType.MERGE, OPTIONS)


async def test_no_other_way_leads_to_them(client: LocalClient) -> None:
    extra = [{"name": "d", "image": "i"}]
    with pytest.raises(StatusError, match=r"spec.ephemeralContainers: Forbidden: cannot be set on create"):
        await client.create(
            PODS, {"metadata": {"name": "q", "namespace": "default"}, "spec": {**SPEC, "ephemeralContainers": extra}}
        )
    with pytest.raises(StatusError, match="pod updates may not change fields other than"):
        await client.patch(PODS.plain, P, {"spec": {"ephemeralContainers": extra}}, PatchType.STRATEGIC)


async def test_other_kinds_have_none(client: LocalClient) -> None:
    await client.create(CONFIG_MAPS, {"metadata": {"name": "c", "namespace": "default"}})
    with pytest.raises(StatusError) as caught:
        await client.patch(CONFIG_MAPS.plain, Key("default", "c"), {}, PatchType.MERGE, OPTIONS)
    assert caught.value.code == 404
