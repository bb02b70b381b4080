"""The main paths over real HTTP, as kubectl and the Python clients use them (measured requests)."""

from __future__ import annotations

import contextlib
import gzip
import io
import json

import aiohttp
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fairlead.api.core import NAMESPACES
from fairlead.api.meta import Key
from fairlead.apiserver import app, assembly, bootstrap
from fairlead.apiserver.auth import ADMIN
from fairlead.client.node import LogOptions
from fairlead.client.protocol import Binding
from fairlead.store.memory import MemoryStore

MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
TABLE = (
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
)
A = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}
POD = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "main", "image": "i"}]}}


class OneNode:
    """A node `n` whose agent has two lines to show."""

    def __init__(self):
        self.asked = []

    def connection(self, node):
        return self if node == "n" else None

    async def logs(self, namespace, pod, options):
        self.asked.append((namespace, pod, options))

        async def chunks():
            yield b"one\n"
            yield b"two\n"

        return chunks()


@pytest.fixture
def nodes():
    return OneNode()


@pytest.fixture
async def server(nodes):
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    made = assembly.assemble(MemoryStore(), assembly.Settings(tokens={"secret": ADMIN}, signing_key=key, nodes=nodes))
    made.definitions.start()
    await made.client().create(NAMESPACES, {"metadata": {"name": "default"}})
    await bootstrap.roles(made.api)
    yield made
    await made.close()


@pytest.fixture
async def http(server):
    runner = await app.serve(server.app, 0, None)
    headers = {"Authorization": "Bearer secret", "User-Agent": "kubectl/v1.33.0 (linux/amd64)"}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{app.bound_port(runner)}", headers=headers) as session:
        yield session
    await server.close()
    await runner.cleanup()


async def test_the_life_of_an_object(http):
    async with http.post(MAPS, json=A) as answer:
        assert answer.status == 201
        assert answer.content_type == "application/json"
        made = await answer.json()
    assert made["metadata"]["managedFields"][0]["manager"] == "kubectl"
    async with http.get(f"{MAPS}/a/") as answer:
        assert await answer.json() == made
    async with http.put(f"{MAPS}/a", json={**made, "data": {"k": "w"}}) as answer:
        assert (answer.status, (await answer.json())["data"]) == (200, {"k": "w"})
    merge = {"Content-Type": "application/merge-patch+json"}
    async with http.patch(f"{MAPS}/a", data=b'{"data":{"x":"y"}}', headers=merge) as answer:
        assert (await answer.json())["data"] == {"k": "w", "x": "y"}
    async with http.get(MAPS) as answer:
        listing = await answer.json()
    assert (listing["kind"], listing["apiVersion"], len(listing["items"])) == ("ConfigMapList", "v1", 1)
    async with http.delete(f"{MAPS}/a", json={"propagationPolicy": "Background"}) as answer:
        status = await answer.json()
    assert (status["kind"], status["status"], status["details"]["uid"]) == (
        "Status",
        "Success",
        made["metadata"]["uid"],
    )
    async with http.get(f"{MAPS}/a") as answer:
        assert (answer.status, (await answer.json())["reason"]) == (404, "NotFound")


@pytest.mark.parametrize(
    ("method", "path", "code", "reason"),
    [
        ("GET", "/nowhere", 404, "NotFound"),
        ("GET", "/apis/batch/v9/jobs", 404, "NotFound"),
        ("GET", "/api/v1/namespaces/default/nodes", 404, "NotFound"),
        ("GET", "/api/v1/nodes/x/proxy", 404, "NotFound"),
        ("POST", "/api/v1/configmaps", 405, "MethodNotAllowed"),
        ("DELETE", "/api/v1/namespaces", 405, "MethodNotAllowed"),
        ("POST", f"{MAPS}/a", 405, "MethodNotAllowed"),
        ("OPTIONS", MAPS, 405, "MethodNotAllowed"),
        ("GET", f"{MAPS}?limit=x", 400, "BadRequest"),
        ("GET", f"{MAPS}?watch=1&fieldSelector=spec.x=1", 400, "BadRequest"),
        ("GET", f"{MAPS}?watch=1&resourceVersion=99", 504, "Timeout"),
        ("GET", f"{MAPS}?watch=1&sendInitialEvents=true", 422, "Invalid"),
    ],
)
async def test_what_is_not_served(http, method, path, code, reason):
    async with http.request(method, path, json={} if method == "POST" else None) as answer:
        status = await answer.json()
    assert (answer.status, status["kind"], status["reason"]) == (code, "Status", reason)


async def test_credentials(http):
    async with http.get(MAPS, headers={"Authorization": "Bearer wrong"}) as answer:
        assert answer.status == 401
    async with aiohttp.ClientSession(str(http._base_url)) as anonymous, anonymous.get(MAPS) as answer:
        assert answer.status == 403
    async with aiohttp.ClientSession(str(http._base_url)) as anonymous, anonymous.get("/readyz?verbose") as answer:
        assert (answer.status, await answer.text()) == (200, "[+]ping ok\nreadyz check passed\n")


async def test_bodies_in_other_forms(http):
    yaml = "metadata:\n  name: y\ndata:\n  on: 'x'\n"
    async with http.post(MAPS, data=yaml, headers={"Content-Type": "application/yaml"}) as answer:
        assert answer.status == 201
    async with http.post(MAPS, data=json.dumps(A), skip_auto_headers=("Content-Type",)) as answer:
        assert answer.status == 201
    async with http.post(MAPS, data=b"<a/>", headers={"Content-Type": "text/xml"}) as answer:
        assert (answer.status, (await answer.json())["reason"]) == (415, "UnsupportedMediaType")
    async with http.post(MAPS, data=b"{", headers={"Content-Type": "application/json"}) as answer:
        assert answer.status == 400
    async with http.post(MAPS, data=io.BytesIO(b" " * (app.BODY_LIMIT + 1))) as answer:
        assert (answer.status, (await answer.json())["reason"]) == (413, "RequestEntityTooLarge")
    packed = gzip.compress(json.dumps({**A, "metadata": {"name": "z"}}).encode())
    async with http.post(
        MAPS, data=packed, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"}
    ) as answer:
        assert answer.status == 201


async def test_unknown_fields(http):
    async with http.post(MAPS, json={**A, "extra": 1}) as answer:
        assert answer.headers["Warning"] == '299 - "unknown field \\"extra\\""'
    async with http.post(f"{MAPS}?fieldValidation=Strict", json={**A, "extra": 1}) as answer:
        assert 'strict decoding error: unknown field "extra"' in (await answer.json())["message"]
    async with http.post(f"{MAPS}?fieldValidation=Maybe", json=A) as answer:
        assert answer.status == 422


async def test_an_apply_as_kubectl_sends_it(http):
    headers = {"Content-Type": "application/apply-patch+yaml"}
    url = f"{MAPS}/a?fieldManager=kubectl&force=false"
    async with http.patch(url, data=json.dumps(A), headers=headers) as answer:
        assert answer.status == 201
    async with http.patch(url, data="apiVersion: v1\nkind: ConfigMap\ndata: {k: w}\n", headers=headers) as answer:
        assert (answer.status, (await answer.json())["reason"]) == (400, "BadRequest")
    body = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: w}\n"
    async with http.patch(url, data=body, headers=headers) as answer:
        assert (answer.status, (await answer.json())["data"]) == (200, {"k": "w"})
    async with http.patch(f"{MAPS}/a", data=body, headers={"Content-Type": "text/plain"}) as answer:
        assert answer.status == 415


async def test_tables_and_partial_metadata(http):
    async with http.post(PODS, json=POD) as answer:
        assert answer.status == 201
    async with http.get(f"{PODS}?limit=500", headers={"Accept": TABLE}) as answer:
        table = await answer.json()
    assert (table["kind"], table["rows"][0]["cells"][0]) == ("Table", "p")
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    partial = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    async with http.get(PODS, headers={"Accept": partial}) as answer:
        listing = await answer.json()
    assert (listing["kind"], sorted(listing["items"][0])) == (
        "PartialObjectMetadataList",
        ["apiVersion", "kind", "metadata"],
    )
    async with http.get(PODS, headers={"Accept": "application/vnd.kubernetes.protobuf,application/json"}) as answer:
        assert (await answer.json())["kind"] == "PodList"
    async with http.get(PODS, headers={"Accept": "application/cbor"}) as answer:
        assert answer.status == 406


async def lines(answer, count):
    return [json.loads(await answer.content.readline()) for _ in range(count)]


async def test_watches(http):
    async with http.get(f"{MAPS}?watch=True&resourceVersion=1&allowWatchBookmarks=true&timeoutSeconds=1") as answer:
        async with http.post(MAPS, json=A) as made:
            revision = (await made.json())["metadata"]["resourceVersion"]
        (added,) = await lines(answer, 1)
        assert (added["type"], added["object"]["metadata"]["name"]) == ("ADDED", "a")
        (bookmark,) = await lines(answer, 1)
        assert bookmark["type"] == "BOOKMARK"
        assert bookmark["object"]["metadata"]["resourceVersion"] == revision
        assert bookmark["object"]["kind"] == "ConfigMap"
        assert await answer.content.read() == b""


async def test_a_watch_of_tables(http):
    await http.post(PODS, json=POD)
    async with http.get(f"{PODS}?watch=1", headers={"Accept": TABLE}) as answer:
        (first,) = await lines(answer, 1)
        await http.post(PODS, json={**POD, "metadata": {"name": "q"}})
        (second,) = await lines(answer, 1)
    assert (first["object"]["kind"], second["object"]["rows"][0]["cells"][0]) == ("Table", "q")
    assert first["object"]["columnDefinitions"]
    assert not second["object"]["columnDefinitions"]


async def test_a_watch_list(http):
    await http.post(MAPS, json=A)
    initial = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    async with http.get(f"{MAPS}?watch=1&{initial}") as answer:
        added, bookmark = await lines(answer, 2)
    assert added["type"] == "ADDED"
    assert bookmark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_a_watch_from_compacted_history(http, server):
    for name in ("a", "b"):
        await http.post(MAPS, json={**A, "metadata": {"name": name}})
    await server.api.store.compact(3)
    async with http.get(f"{MAPS}?watch=1&resourceVersion=1") as answer:
        assert answer.status == 200
        (error,) = await lines(answer, 1)
    assert (error["type"], error["object"]["code"], error["object"]["reason"]) == ("ERROR", 410, "Expired")


async def test_bindings_and_evictions(http):
    await http.post(PODS, json=POD)
    target = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}}
    async with http.post(f"{PODS}/p/binding", json=target) as answer:
        assert (answer.status, (await answer.json())["status"]) == (201, "Success")
    async with http.post("/api/v1/namespaces/default/bindings", json=target) as answer:
        assert answer.status == 409
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "deleteOptions": {"gracePeriodSeconds": 0}}
    async with http.post(f"{PODS}/p/eviction", json=eviction) as answer:
        assert answer.status == 201
    async with http.get(f"{PODS}/p") as answer:
        assert answer.status == 404


async def test_deleting_a_selection(http):
    for name, value in (("a", "1"), ("b", "1"), ("c", "2")):
        await http.post(MAPS, json={**A, "metadata": {"name": name, "labels": {"x": value}}})
    async with http.delete(f"{MAPS}?labelSelector=x%3D1") as answer:
        assert [o["metadata"]["name"] for o in (await answer.json())["items"]] == ["a", "b"]
    async with http.get(MAPS) as answer:
        assert [o["metadata"]["name"] for o in (await answer.json())["items"]] == ["c"]


async def test_questions_and_documents(http):
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    async with http.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", json=body) as answer:
        assert (await answer.json())["status"]["userInfo"]["username"] == "admin"
    for path in ("/api", "/apis", "/api/v1/", "/version/", "/openapi/v3"):
        async with http.get(path) as answer:
            assert answer.status == 200
    async with http.head("/api/v1/namespaces/default") as answer:
        assert answer.status == 200


async def test_a_token_for_a_service_account(http):
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    await http.post(accounts, json={"metadata": {"name": "robot"}})
    async with http.post(f"{accounts}/robot/token", json={"spec": {"expirationSeconds": 600}}) as answer:
        assert answer.status == 201
        token = (await answer.json())["status"]["token"]
    robot = {"Authorization": f"Bearer {token}"}
    async with http.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", json={}, headers=robot) as answer:
        assert (await answer.json())["status"]["userInfo"]["username"] == "system:serviceaccount:default:robot"
    async with http.get(MAPS, headers=robot) as answer:
        assert answer.status == 403
    async with http.post(f"{accounts}/nobody/token", json={}) as answer:
        assert answer.status == 404


async def test_logs_come_from_the_agent_of_the_node(http, server, nodes):
    await http.post(PODS, json=POD)
    async with http.get(f"{PODS}/p/log") as answer:
        assert answer.status == 400
    await server.client().bind([Binding(Key("default", "p"), "n")])
    running = [
        {"name": "main", "state": {"running": {}}, "ready": True, "restartCount": 0, "image": "i", "imageID": ""}
    ]
    merge = {"Content-Type": "application/merge-patch+json"}
    status = json.dumps({"status": {"phase": "Running", "containerStatuses": running}})
    async with http.patch(f"{PODS}/p/status", data=status, headers=merge) as answer:
        assert answer.status == 200
    async with http.get(f"{PODS}/p/log?container=main&follow=True", headers={"Accept": "application/json"}) as answer:
        assert (answer.status, answer.content_type, await answer.text()) == (200, "text/plain", "one\ntwo\n")
    assert nodes.asked == [("default", "p", LogOptions("main", follow=True))]


async def test_a_watch_ends_when_the_server_stops(http, server):
    async with http.get(f"{MAPS}?watch=1&resourceVersion=1") as answer:
        await server.close()
        with contextlib.suppress(aiohttp.ClientError):
            assert await answer.content.read() == b""


async def test_a_port_in_use(http, server):
    with pytest.raises(OSError, match="is in use: stop what uses it, or choose another"):
        await app.serve(server.app, http._base_url.port, None)
