"""The real client against a real server on loopback, which plays whatever answer a test needs."""

import asyncio
import datetime
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fairlead.api.core import NODES, PODS
from fairlead.api.meta import Key
from fairlead.base.errors import StatusError
from fairlead.client.http import HttpClient
from fairlead.client.kubeconfig import Connection
from fairlead.client.protocol import Binding, ListOptions, PatchType, WatchEvent

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"namespace": "ml", "name": "a", "resourceVersion": "5"},
}


class Server:
    """Answers by `handler` and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any, dict[str, str]]] = []
        self.handler: Handler = self.ok
        self.base = ""

    async def ok(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(POD)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        self.asked.append((request.method, request.raw_path, body, dict(request.headers)))
        return await self.handler(request)

    @property
    def lines(self) -> list[str]:
        return [f"{method} {path}" for method, path, _, _ in self.asked]


async def start(server: Server, tls: ssl.SSLContext | None = None) -> web.AppRunner:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    server.base = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    return runner


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    runner = await start(server)
    yield server
    await runner.cleanup()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[HttpClient]:
    client = HttpClient(Connection(server.base, token="secret"))
    yield client
    await client.close()


def failing(code: int, reason: str, **headers: str) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        status = {"kind": "Status", "code": code, "reason": reason, "message": f"it is {reason}"}
        return web.json_response(status, status=code, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return answer


def first(handler: Handler, then: Handler) -> Handler:
    handlers = iter([handler])

    async def answer(request: web.Request) -> web.StreamResponse:
        return await next(handlers, then)(request)

    return answer


async def test_every_verb(server: Server, client: HttpClient) -> None:
    key = Key("ml", "a")
    pod = await client.get(PODS, key)
    assert (pod.key, pod.metadata.resourceVersion) == (key, "5")
    assert (await client.create(PODS, POD)).key == key
    assert (await client.apply(PODS, POD)).key == key
    assert (await client.patch(PODS.plain, key, {"a": None}, PatchType.MERGE)) == POD
    await client.delete(PODS, key)
    await client.bind([Binding(key, "n1"), Binding(Key("ml", "b"), "n2")])
    query = "?fieldManager=fairlead&fieldValidation=Strict"
    assert server.lines == [
        "GET /api/v1/namespaces/ml/pods/a",
        f"POST /api/v1/namespaces/ml/pods{query}",
        f"PATCH /api/v1/namespaces/ml/pods/a{query}",
        f"PATCH /api/v1/namespaces/ml/pods/a{query}",
        "DELETE /api/v1/namespaces/ml/pods/a",
        "POST /api/v1/namespaces/ml/pods/a/binding",
        "POST /api/v1/namespaces/ml/pods/b/binding",
    ]
    assert {headers["Authorization"] for *_, headers in server.asked} == {"Bearer secret"}
    assert [headers.get("Content-Type") for *_, headers in server.asked[:4]] == [
        None, "application/json", "application/apply-patch+yaml", "application/merge-patch+json",
    ]  # fmt: skip


async def test_what_is_percent_encoded_stays_so(server: Server, client: HttpClient) -> None:
    await client.list(PODS, "ml", ListOptions(labels="a in (b,c)", continues="x+/="))
    assert server.lines == ["GET /api/v1/namespaces/ml/pods?labelSelector=a+in+%28b%2Cc%29&continue=x%2B%2F%3D"]


async def test_a_failure_is_a_status_error(server: Server, client: HttpClient) -> None:
    server.handler = failing(404, "NotFound")
    with pytest.raises(StatusError, match="it is NotFound") as caught:
        await client.get(PODS, Key("ml", "a"))
    assert (caught.value.code, caught.value.reason) == (404, "NotFound")
    with pytest.raises(StatusError):
        await anext(client.watch(PODS))
    assert len(server.asked) == 2


async def test_binding_stops_at_the_first_failure(server: Server, client: HttpClient) -> None:
    server.handler = failing(409, "Conflict")
    with pytest.raises(StatusError):
        await client.bind([Binding(Key("ml", "a"), "n1"), Binding(Key("ml", "b"), "n1")])
    assert len(server.asked) == 1


async def test_asked_to_come_again_it_does(server: Server, client: HttpClient) -> None:
    server.handler = first(failing(429, "TooManyRequests", Retry_After="0"), server.ok)
    await client.create(PODS, POD)
    assert len(server.asked) == 2


async def test_asked_to_come_again_too_often_it_gives_up(server: Server, client: HttpClient) -> None:
    server.handler = failing(429, "TooManyRequests", Retry_After="0")
    with pytest.raises(StatusError, match="TooManyRequests"):
        await client.get(PODS, Key("ml", "a"))
    assert len(server.asked) == 5


async def test_a_refusal_without_a_time_is_final(server: Server, client: HttpClient) -> None:
    server.handler = failing(429, "TooManyRequests")
    with pytest.raises(StatusError):
        await client.get(PODS, Key("ml", "a"))
    assert len(server.asked) == 1


async def hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def test_a_get_whose_connection_breaks_is_sent_again(server: Server, client: HttpClient) -> None:
    server.handler = first(hang_up, server.ok)
    assert (await client.get(PODS, Key("ml", "a"))).metadata.name == "a"
    server.handler = first(hang_up, server.ok)
    with pytest.raises(StatusError, match="cannot be reached") as caught:
        await client.create(PODS, POD)
    assert (caught.value.code, caught.value.reason) == (503, "ServiceUnavailable")
    assert len(server.asked) == 3


async def test_a_server_that_is_not_there() -> None:
    client = HttpClient(Connection("http://127.0.0.1:1"))
    with pytest.raises(StatusError, match=r"http://127.0.0.1:1 cannot be reached: .*; is it running") as caught:
        await client.get(PODS, Key("ml", "a"))
    assert caught.value.code == 503
    await client.close()


def streaming(*chunks: bytes, then: Callable[[web.Request], None] | None = None) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        if then is not None:
            then(request)
        return response

    return answer


LINE = b'{"type":"ADDED","object":{"kind":"Pod","metadata":{"name":"%s","resourceVersion":"%d"}}}\n'


async def test_watch_yields_events_until_the_server_ends_it(server: Server, client: HttpClient) -> None:
    bookmark = b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}\n'
    long = LINE % (b"x" * 300_000, 8)
    server.handler = streaming((LINE % (b"a", 7))[:20], (LINE % (b"a", 7))[20:] + long[:1000], long[1000:], bookmark)
    events = [event async for event in client.watch(PODS, "ml", ListOptions(revision="6"))]
    assert [(e.type, e.revision, e.object and len(e.object.metadata.name)) for e in events] == [
        ("ADDED", "7", 1), ("ADDED", "8", 300_000), ("BOOKMARK", "9", None),
    ]  # fmt: skip
    assert "resourceVersion=6" in server.lines[0]


async def test_a_watch_whose_connection_breaks_ends(server: Server, client: HttpClient) -> None:
    def cut(request: web.Request) -> None:
        assert request.transport is not None
        request.transport.close()

    server.handler = streaming(LINE % (b"a", 7), LINE[:10], then=cut)
    assert [e.revision async for e in client.watch(PODS)] == ["7"]


async def read(watch: AsyncIterator[WatchEvent[Any]], into: list[WatchEvent[Any]]) -> None:
    async for event in watch:
        into.append(event)


async def test_an_expired_watch_says_so(server: Server, client: HttpClient) -> None:
    status = b'{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}\n'
    server.handler = streaming(LINE % (b"a", 7), status)
    seen: list[WatchEvent[Any]] = []
    with pytest.raises(StatusError, match="too old") as caught:
        await read(client.watch(PODS), seen)
    assert (caught.value.code, len(seen)) == (410, 1)


async def test_leaving_a_watch_closes_its_connection(server: Server, client: HttpClient) -> None:
    gone = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(LINE % (b"a", 7))
                await asyncio.sleep(0.01)
        except ConnectionError:
            gone.set()
            raise

    server.handler = endless
    watch = client.watch(PODS)
    await anext(watch)
    await watch.aclose()  # type: ignore[attr-defined]
    await asyncio.wait_for(gone.wait(), 10)


async def test_logs(server: Server, client: HttpClient) -> None:
    server.handler = streaming(b"one\n", b"two\n")
    chunks = [chunk async for chunk in client.stream_logs(Key("ml", "a"), {"follow": "true", "container": "main"})]
    assert b"".join(chunks) == b"one\ntwo\n"
    assert server.lines == ["GET /api/v1/namespaces/ml/pods/a/log?follow=true&container=main"]


async def test_resources_by_the_aggregated_form(server: Server, client: HttpClient) -> None:
    def root(group: str, plural: str, kind: str) -> dict[str, Any]:
        entry = {"resource": plural, "responseKind": {"kind": kind}, "scope": "Namespaced", "verbs": ["get"]}
        versions = [{"version": "v1", "resources": [entry]}]
        return {"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"name": group}, "versions": versions}]}

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(root("", "pods", "Pod") if request.path == "/api" else root("batch", "jobs", "Job"))

    server.handler = answer
    assert [r.gvr for r in await client.resources()] == [("", "v1", "pods"), ("batch", "v1", "jobs")]
    assert sorted(server.lines) == ["GET /api", "GET /apis"]
    assert "as=APIGroupDiscoveryList" in server.asked[0][3]["Accept"]


async def test_resources_of_an_older_server(server: Server, client: HttpClient) -> None:
    documents: dict[str, Any] = {
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "groups": [{
            "name": "batch", "versions": [{"groupVersion": "batch/v1"}],
            "preferredVersion": {"groupVersion": "batch/v1"},
        }]},
        "/api/v1": {"groupVersion": "v1", "resources": [{"name": "nodes", "kind": "Node", "namespaced": False}]},
        "/apis/batch/v1": {
            "groupVersion": "batch/v1", "resources": [{"name": "jobs", "kind": "Job", "namespaced": True}],
        },
    }  # fmt: skip

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(documents[request.path])

    server.handler = answer
    assert [(r.gvr, r.namespaced) for r in await client.resources()] == [
        (("", "v1", "nodes"), False), (("batch", "v1", "jobs"), True),
    ]  # fmt: skip


async def test_raw(server: Server, client: HttpClient) -> None:
    assert b'"kind": "Pod"' in await client.raw("GET", "/version?x=1")
    assert server.lines == ["GET /version?x=1"]


async def test_a_warning_is_logged_once(
    server: Server, client: HttpClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(POD, headers={"Warning": '299 - "spec.x has \\"no\\" effect here"'})

    server.handler = answer
    monkeypatch.setattr(logging.getLogger("fairlead"), "propagate", True)
    for _ in range(2):
        await client.get(PODS, Key("ml", "a"))
    assert [record.message for record in caplog.records] == ['spec.x has "no" effect here']


class Ticks:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


async def test_a_token_file_is_read_again_after_a_minute(server: Server, tmp_path: Path) -> None:
    file, ticks = tmp_path / "token", Ticks()
    file.write_text("old\n")
    client = HttpClient(Connection(server.base, token_file=file), ticks=ticks)
    await client.get(NODES, Key("", "n1"))
    file.write_text("new\n")
    ticks.time += 59
    await client.get(NODES, Key("", "n1"))
    ticks.time += 2
    await client.get(NODES, Key("", "n1"))
    assert [headers["Authorization"] for *_, headers in server.asked] == ["Bearer old", "Bearer old", "Bearer new"]
    file.unlink()
    ticks.time += 61
    with pytest.raises(StatusError, match=r"token file .* cannot be read") as caught:
        await client.get(NODES, Key("", "n1"))
    assert caught.value.code == 401
    await client.close()


# --- TLS -------------------------------------------------------------------------------------------------------------


def certificate(name: str) -> tuple[str, str]:
    """A self-signed certificate for a host name, and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(1).not_valid_before(start).not_valid_after(start.replace(year=2120))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


async def test_tls_trusts_the_ca_and_shows_the_client_certificate(tmp_path: Path) -> None:
    cert, key = certificate("fairlead.test")
    mine, my_key = certificate("me")
    (tmp_path / "server.pem").write_text(cert + key)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "server.pem")
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(cadata=mine)
    server = Server()
    runner = await start(server, tls)
    trusted = Connection(server.base, ca=cert, certificate=mine, key=my_key, server_name="fairlead.test")
    client = HttpClient(trusted)
    assert (await client.get(PODS, Key("ml", "a"))).metadata.name == "a"
    stranger = HttpClient(Connection(server.base, ca=mine, certificate=mine, key=my_key, server_name="fairlead.test"))
    with pytest.raises(StatusError, match="certificate verify failed"):
        await stranger.get(PODS, Key("ml", "a"))
    careless = HttpClient(Connection(server.base, insecure=True, certificate=mine, key=my_key))
    assert (await careless.get(PODS, Key("ml", "a"))).metadata.name == "a"
    for one in (client, stranger, careless):
        await one.close()
    await runner.cleanup()
