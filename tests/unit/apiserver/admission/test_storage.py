"""Finalizers, the default class, and growth, through the write path."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.api.core import CLAIMS, PERSISTENT_VOLUMES
from fairlead.api.meta import Key
from fairlead.api.storage import STORAGE_CLASSES
from fairlead.apiserver.local import LocalClient
from fairlead.base.errors import StatusError
from fairlead.client.protocol import PatchType, WriteOptions

MARK = "storageclass.kubernetes.io/is-default-class"


def claim(name: str, **spec: Any) -> dict[str, Any]:
    resources = {"requests": {"storage": "1Gi"}}
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": resources, **spec},
    }


async def class_(client: LocalClient, name: str, **more: Any) -> None:
    made = {"metadata": {"name": name, "annotations": {MARK: "true"}}, "provisioner": "p", **more}
    await client.create(STORAGE_CLASSES, made)


async def test_the_newest_default_class_and_the_finalizer(client: LocalClient, clock: Any) -> None:
    assert (await client.create(CLAIMS, claim("none"))).spec.storageClassName is None
    await class_(client, "b")
    clock.advance_to(clock.now() + 5)
    await class_(client, "d")
    await class_(client, "c")
    made = await client.create(CLAIMS, claim("some"))
    assert made.spec.storageClassName == "c"
    assert made.metadata.finalizers == ["kubernetes.io/pvc-protection"]
    assert (await client.create(CLAIMS, claim("own", storageClassName=""))).spec.storageClassName == ""


async def test_a_volume_gets_its_finalizer(client: LocalClient) -> None:
    spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}}
    made = await client.create(PERSISTENT_VOLUMES, {"metadata": {"name": "v"}, "spec": spec})
    assert made.metadata.finalizers == ["kubernetes.io/pv-protection"]


@pytest.mark.parametrize("allowed", [False, True])
async def test_a_claim_grows_where_its_class_allows(client: LocalClient, allowed: bool) -> None:
    await class_(client, "c", allowVolumeExpansion=allowed)
    await client.create(CLAIMS, claim("grows"))
    key, bound = Key("default", "grows"), {"status": {"phase": "Bound"}}
    await client.patch(CLAIMS, key, bound, PatchType.MERGE, WriteOptions(subresource="status"))
    more = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
    if allowed:
        grown = await client.patch(CLAIMS, key, more, PatchType.MERGE)
        assert grown.spec.resources.requests == {"storage": "2Gi"}
        return
    with pytest.raises(StatusError, match="only dynamically provisioned pvc can be resized"):
        await client.patch(CLAIMS, key, more, PatchType.MERGE)
