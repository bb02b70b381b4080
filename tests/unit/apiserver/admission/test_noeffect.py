"""Who is told of fields without effect, and who is not."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.api.core import NAMESPACES, PODS
from fairlead.apiserver import assembly, identity, rest
from fairlead.apiserver.state import Call
from fairlead.base.errors import StatusError

Server = assembly.Server


async def warnings(server: Server, obj: dict[str, Any], *, verb: str = "create") -> list[str]:
    served = server.api.catalog.find(*PODS.gvr)
    assert served is not None
    name = "" if verb == "create" else obj["metadata"]["name"]
    call = Call(served, identity.LOCAL, "default", name, manager="test", warnings=[])
    if verb == "create":
        await rest.create(server.api, call, obj)
    else:
        await rest.patch(server.api, call, "application/merge-patch+json", obj)
    return [text.partition(":")[0] for text in call.warnings]


def pod(name: str = "p", **meta: Any) -> dict[str, Any]:
    spec = {"hostPID": True, "containers": [{"name": "c", "image": "busybox"}]}
    return {"metadata": {"name": name, **meta}, "spec": spec}


async def test_the_author_is_told(server: Server) -> None:
    assert await warnings(server, pod()) == ["spec.hostPID"]


async def test_a_write_that_leaves_the_spec_alone_is_not_spoken_of(server: Server) -> None:
    await warnings(server, pod())
    assert await warnings(server, {"metadata": {"name": "p", "labels": {"a": "b"}}}, verb="patch") == []


async def test_what_a_controller_makes_is_not_spoken_of(server: Server) -> None:
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u", "controller": True}
    assert await warnings(server, pod(ownerReferences=[owner])) == []


async def test_a_refused_object_is_only_refused(server: Server) -> None:
    assert (await server.client().list(NAMESPACES)).items
    with pytest.raises(StatusError) as refused:
        await warnings(server, {**pod(), "spec": {"hostPID": True, "containers": []}})
    assert refused.value.code == 422
