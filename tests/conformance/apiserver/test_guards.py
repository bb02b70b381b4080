"""What stands around the API over real HTTP: audit log, unix socket, limits."""

from __future__ import annotations

import asyncio
import json
import os

import aiohttp
import pytest

from fairlead.api import core
from fairlead.api.meta import Resource
from fairlead.apiserver import app, assembly
from fairlead.apiserver.assembly import Audit
from fairlead.apiserver.audit import policy
from fairlead.apiserver.identity import User
from fairlead.client.http import HttpClient
from fairlead.client.kubeconfig import Connection
from fairlead.store.memory import MemoryStore

USERS = {"admin": User("admin", groups=("system:masters",)), "eve": User("eve")}
MAPS = "/api/v1/namespaces/default/configmaps"
POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitManagedFields": True,
    "rules": [
        {"level": "None", "nonResourceURLs": ["/healthz*"]},
        {"level": "Metadata", "resources": [{"group": "", "resources": ["secrets"]}]},
        {"level": "RequestResponse", "verbs": ["create"], "omitStages": ["RequestReceived"]},
        {"level": "Metadata"},
    ],
}


@pytest.fixture
async def made(tmp_path):
    settings = assembly.Settings(
        tokens=USERS, audit=Audit(policy.parse(POLICY), tmp_path / "audit.log"), requests_at_once=3
    )
    server = assembly.assemble(MemoryStore(), settings)
    await server.start()
    yield server
    await server.close()


@pytest.fixture
async def http(made):
    runner = await app.serve(made.app, 0, None)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{app.bound_port(runner)}") as session:
        yield session
    await runner.cleanup()


def as_(who, **more):
    return {"Authorization": f"Bearer {who}", "User-Agent": "test/1", **more}


async def events(made, tmp_path):
    await made.app.auditor.close()
    made.app.auditor.start()
    return [json.loads(line) for line in (tmp_path / "audit.log").read_text().splitlines()]


async def test_events_have_upstreams_form(made, http, tmp_path):
    obj = {"metadata": {"name": "a"}, "data": {"k": "v"}}
    async with http.post(MAPS, json=obj, headers=as_("admin")) as answer:
        identifier = answer.headers["Audit-ID"]
    (event,) = await events(made, tmp_path)
    stamps = [event.pop("requestReceivedTimestamp"), event.pop("stageTimestamp")]
    assert stamps == sorted(stamps)
    assert len(stamps[0]) == len("2026-01-01T00:00:00.000000Z")
    answered = event.pop("responseObject")
    assert answered["metadata"]["uid"]
    assert "managedFields" not in answered["metadata"]
    assert event == {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "RequestResponse",
        "auditID": identifier,
        "stage": "ResponseComplete",
        "requestURI": MAPS,
        "verb": "create",
        "user": {"username": "admin", "groups": ["system:masters", "system:authenticated"]},
        "sourceIPs": ["127.0.0.1"],
        "userAgent": "test/1",
        "objectRef": {"resource": "configmaps", "namespace": "default", "name": "a", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 201},
        "requestObject": obj,
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
    }


async def test_levels_stages_and_refusals(made, http, tmp_path):
    secret = "/api/v1/namespaces/default/secrets"
    async with http.post(secret, json={"metadata": {"name": "s"}, "data": {}}, headers=as_("admin")):
        pass
    async with http.get(MAPS, headers=as_("admin", **{"Impersonate-User": "eve", "Audit-ID": "mine"})) as answer:
        assert answer.status == 403
    async with http.get("/healthz"):
        pass
    async with http.get(MAPS, headers=as_("wrong")) as answer:
        assert answer.status == 401
    found = await events(made, tmp_path)
    told = [(e["level"], e["stage"], e.get("responseStatus", {}).get("code")) for e in found]
    assert told == [
        ("Metadata", "RequestReceived", None),
        ("Metadata", "ResponseComplete", 201),
        ("Metadata", "RequestReceived", None),
        ("Metadata", "ResponseComplete", 403),
        ("Metadata", "ResponseComplete", 401),
    ]
    assert "requestObject" not in found[1]
    refused = found[3]
    assert (refused["user"]["username"], refused["impersonatedUser"]["username"]) == ("admin", "eve")
    assert (refused["auditID"], refused["responseStatus"]["reason"]) == ("mine", "Forbidden")
    assert refused["annotations"]["authorization.k8s.io/decision"] == "forbid"


async def test_a_watch_is_recorded_when_it_begins_and_ends(made, http, tmp_path):
    async with http.get(f"{MAPS}?watch=1&timeoutSeconds=1", headers=as_("admin")) as answer:
        await answer.read()
    await made.app.close()
    stages = [e["stage"] for e in await events(made, tmp_path)]
    assert stages == ["RequestReceived", "ResponseStarted", "ResponseComplete"]


async def test_the_unix_socket_knows_its_users(made, tmp_path):
    path = str(tmp_path / "api.sock")
    runner = await app.serve_local(made.app, path, os.getuid())
    client = HttpClient(Connection("http://localhost", socket=tmp_path / "api.sock"))
    assert (await client.list(core.NAMESPACES)).items
    who = await client.create(
        Resource("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", dict, namespaced=False), {}
    )
    assert who["status"]["userInfo"]["uid"] == str(os.getuid())
    assert "system:masters" in who["status"]["userInfo"]["groups"]
    await client.close()
    connector = aiohttp.UnixConnector(path)
    session = aiohttp.ClientSession("http://localhost", connector=connector)
    async with session, session.get(MAPS, headers=as_("eve")) as answer:
        assert answer.status == 403  # credentials go before the uid
    await runner.cleanup()


async def test_the_unix_socket_of_someone_else(made, tmp_path):
    path = str(tmp_path / "api.sock")
    runner = await app.serve_local(made.app, path, 0)
    made.app.peers = Strangers()
    session = aiohttp.ClientSession("http://localhost", connector=aiohttp.UnixConnector(path))
    async with session, session.get(MAPS) as answer:
        assert answer.status == 403
        assert 'User "unix:stranger"' in (await answer.json())["message"]
    await runner.cleanup()


class Strangers:
    """No uid is anybody in particular."""

    def user(self, uid):
        return User("unix:stranger", str(uid), ("system:authenticated",))


async def test_one_users_flood_gets_429(made, http):
    slow = Slow()
    body = {"kind": "ClusterRoleBinding", "metadata": {"name": "eve"}, "subjects": [{"kind": "User", "name": "eve"}],
            "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"}}  # fmt: skip
    async with http.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", json=body, headers=as_("admin")):
        pass

    sent = as_("eve", **{"Content-Type": "application/json"})

    async def ask(number):
        async with http.post(MAPS, data=slow.body(number), headers=sent) as answer:
            return answer.status, answer.headers.get("Retry-After")

    waiting = [asyncio.create_task(ask(number)) for number in range(3)]
    await slow.all_begun(3)
    async with http.get(MAPS, headers=as_("eve")) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
        assert (await answer.json())["reason"] == "TooManyRequests"
    async with http.get(MAPS, headers=as_("admin")) as answer:
        assert answer.status == 200
    slow.go.set()
    assert [status for status, _ in await asyncio.gather(*waiting)] == [201] * 3
    async with http.get(MAPS, headers=as_("eve")) as answer:
        assert answer.status == 200


class Slow:
    """Bodies that come when they are told to."""

    def __init__(self):
        self.begun, self.go = asyncio.Semaphore(0), asyncio.Event()

    async def all_begun(self, count):
        for _ in range(count):
            await asyncio.wait_for(self.begun.acquire(), 10)

    async def body(self, number):
        yield b'{"metadata":'
        self.begun.release()
        await self.go.wait()
        yield b'{"name":"m%d"}}' % number


async def test_bodies_that_are_nested_too_deeply(http):
    for data, kind in (
        (b'{"metadata":{"name":"d"},"data":' + b"[" * 50_000 + b"]" * 50_000 + b"}", "application/json"),
        (b"metadata: {name: d}\ndata: " + b"[" * 50_000 + b"]" * 50_000, "application/yaml"),
    ):
        async with http.post(MAPS, data=data, headers=as_("admin", **{"Content-Type": kind})) as answer:
            assert answer.status == 400
    async with http.patch(
        f"{MAPS}/kube-root-ca.crt",
        data=b"[" * 50_000 + b"]" * 50_000,
        headers=as_("admin", **{"Content-Type": "application/apply-patch+yaml"}),
    ) as answer:
        assert answer.status == 400
