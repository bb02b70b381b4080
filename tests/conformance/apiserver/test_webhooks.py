"""Admission webhooks over real HTTPS."""

from __future__ import annotations

import asyncio
import base64
import json
import time

import pytest
from aiohttp import web

from fairlead.api import admissionregistration as kinds
from fairlead.api.core import CONFIG_MAPS, NAMESPACES, PODS, SERVICES
from fairlead.api.discovery import ENDPOINT_SLICES
from fairlead.api.meta import Key
from fairlead.apiserver import assembly, certs, identity, rest
from fairlead.apiserver.state import Call
from fairlead.base.errors import StatusError
from fairlead.client.protocol import DeleteOptions, PatchType
from fairlead.store.memory import MemoryStore

RULE = {"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}


class Hooks:
    """A server of webhooks: each path has a function from request to response."""

    def __init__(self, certificates, port):
        self.port, self.ca = port, base64.b64encode(certificates.ca_pem).decode()
        self.answers, self.asked = {}, []

    async def handle(self, request):
        review = json.loads(await request.read())
        asked = review["request"]
        self.asked.append((request.path, asked))
        response = self.answers[request.path](asked)
        if asyncio.iscoroutine(response):
            response = await response
        if isinstance(response, web.Response):
            return response
        whole = {"uid": asked["uid"], "allowed": True, **response}
        return web.json_response({"kind": "AdmissionReview", "apiVersion": review["apiVersion"], "response": whole})

    def at(self, path):
        return {"url": f"https://localhost:{self.port}{path}", "caBundle": self.ca}


def patch(*operations):
    return {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(operations).encode()).decode()}


def adds(key, value="x"):
    """Sets a key of the data, seen what it is."""

    def answer(asked):
        if key in asked["object"].get("data", {}):
            return {}
        return patch({"op": "add", "path": f"/data/{key}", "value": value})

    return answer


@pytest.fixture
async def hooks(tmp_path):
    certificates = certs.ensure(tmp_path / "pki", now=time.time(), hosts=["hook.n.svc"])
    made = Hooks(certificates, 0)
    runner = web.ServerRunner(web.Server(made.handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=certs.server_context(certificates)).start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


@pytest.fixture
async def server():
    made = assembly.assemble(MemoryStore(), assembly.Settings())
    made.definitions.start()
    await made.client().create(NAMESPACES, {"metadata": {"name": "n", "labels": {"team": "a"}}})
    yield made
    await made.close()


@pytest.fixture
def define(server, hooks):
    """Define a webhook that is at a path of the server."""

    async def define(path, answer=None, *, mutating=False, **fields):
        if answer is not None:
            hooks.answers[path] = answer
        name = path.strip("/")
        hook = {"name": f"{name}.example.com", "rules": [RULE], "clientConfig": hooks.at(path), "sideEffects": "None",
                "admissionReviewVersions": ["v1"], **fields}  # fmt: skip
        kind = kinds.MUTATING_WEBHOOKS if mutating else kinds.VALIDATING_WEBHOOKS
        await server.client().create(kind, {"metadata": {"name": name}, "webhooks": [hook]})

    return define


@pytest.fixture
def put(server):
    async def put(name="m", **fields):
        served = server.api.catalog.find(*CONFIG_MAPS.gvr)
        call = Call(served, identity.LOCAL, "n", warnings=[], dry_run=fields.pop("dry_run", False))
        obj = {"metadata": {"name": name, "labels": fields.pop("labels", {})}, "data": {"a": "b"}}
        answer = await rest.create(server.api, call, {**obj, **fields})
        return json.loads(answer.value), call

    return put


async def refused(work, code=400):
    with pytest.raises(StatusError) as caught:
        await work
    assert caught.value.code == code
    return caught.value.message


async def test_a_validating_webhook_is_told_and_refuses(define, put, hooks):
    await define("/v", lambda asked: {"allowed": asked["name"] != "bad", "status": {"message": "no", "code": 403}})
    await put("good")
    assert await refused(put("bad"), 403) == 'admission webhook "v.example.com" denied the request: no'
    _, asked = hooks.asked[0]
    uid = asked.pop("uid")
    assert uid
    assert asked.pop("object")["data"] == {"a": "b"}
    assert asked == {
        "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
        "resource": {"group": "", "version": "v1", "resource": "configmaps"},
        "requestKind": {"group": "", "version": "v1", "kind": "ConfigMap"},
        "requestResource": {"group": "", "version": "v1", "resource": "configmaps"},
        "name": "good",
        "namespace": "n",
        "operation": "CREATE",
        "userInfo": {"username": "system:fairlead", "groups": ["system:masters", "system:authenticated"]},
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
    }


@pytest.mark.parametrize(
    ("status", "code", "text"),
    [
        ({}, 400, "denied the request without explanation"),
        ({"reason": "Why"}, 400, "denied the request: Why"),
        ({"code": 200, "message": "m"}, 400, "denied the request: m"),
        ({"code": 422, "message": "m", "reason": "Invalid"}, 422, "denied the request: m"),
    ],
)
async def test_refusals(define, put, status, code, text):
    await define("/v", lambda asked: {"allowed": False, "status": status})
    assert (await refused(put(), code)).endswith(text)


async def test_warnings_and_annotations(define, put):
    await define("/v", lambda asked: {"warnings": ["careful"], "auditAnnotations": {"k": "v"}})
    _, call = await put()
    assert (call.warnings, call.annotations) == (["careful"], {"v.example.com/k": "v"})


async def test_mutating_webhooks_go_one_after_the_other(define, put, hooks):
    await define("/a", adds("one"), mutating=True)
    await define("/b", adds("two"), mutating=True)
    made, _ = await put()
    assert made["data"] == {"a": "b", "one": "x", "two": "x"}
    assert hooks.asked[1][1]["object"]["data"] == {"a": "b", "one": "x"}
    assert len(hooks.asked) == 2


async def test_reinvocation_if_needed(define, put, hooks):
    await define("/a", adds("one"), mutating=True, reinvocationPolicy="IfNeeded")
    await define("/b", adds("two"), mutating=True, reinvocationPolicy="IfNeeded")
    await define("/c", adds("three"), mutating=True)
    await put()
    assert [path for path, _ in hooks.asked] == ["/a", "/b", "/c", "/a", "/b"]
    assert "three" in hooks.asked[3][1]["object"]["data"]


async def test_what_a_webhook_makes_is_held_to_the_schema(define, server, hooks):
    await define(
        "/p",
        lambda asked: patch({"op": "add", "path": "/spec/containers/-", "value": {"name": "side", "image": "s"}}),
        mutating=True,
        rules=[{**RULE, "operations": ["CREATE"], "resources": ["pods"]}],
    )
    pod = {"metadata": {"namespace": "n", "name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    made = await server.client().create(PODS.plain, pod)
    side = made["spec"]["containers"][1]
    assert side["imagePullPolicy"] == "Always", "defaults are filled in again"
    assert side["volumeMounts"][0]["name"] == made["spec"]["volumes"][0]["name"], "built-in plugins run again"
    hooks.answers["/p"] = lambda asked: patch({"op": "add", "path": "/spec/containers/-", "value": {"name": "B_d"}})
    pod["metadata"]["name"] = "q"
    assert "spec.containers[1].name" in await refused(server.client().create(PODS.plain, pod), 422)
    hooks.answers["/p"] = lambda asked: patch({"op": "remove", "path": "/no/such"})
    assert "failed to apply the patch" in await refused(server.client().create(PODS.plain, pod), 500)


async def test_updates_and_deletes(define, put, hooks, server):
    client = server.client()
    await put("a")
    await define("/v", lambda asked: {"allowed": False, "status": {"message": "never"}})
    await refused(client.patch(CONFIG_MAPS, Key("n", "a"), {"data": {"a": "c"}}, PatchType.MERGE))
    await refused(client.delete(CONFIG_MAPS, Key("n", "a"), DeleteOptions()))
    (_, update), (_, delete) = hooks.asked
    assert (update["operation"], update["oldObject"]["data"], update["object"]["data"]) == (
        "UPDATE", {"a": "b"}, {"a": "c"},
    )  # fmt: skip
    assert (delete["operation"], delete["object"], delete["oldObject"]["data"]) == ("DELETE", None, {"a": "b"})


async def test_selectors_conditions_and_dry_run(define, put, hooks):
    await define("/s", lambda a: {}, objectSelector={"matchLabels": {"x": "y"}})
    await define("/n", lambda a: {}, namespaceSelector={"matchLabels": {"team": "b"}})
    await define("/c", lambda a: {}, matchConditions=[{"name": "c", "expression": "object.data.a == 'z'"}])
    await put("a")
    assert hooks.asked == []
    await put("b", labels={"x": "y"}, data={"a": "z"}, dry_run=True)
    assert sorted(path for path, _ in hooks.asked) == ["/c", "/s"]
    assert hooks.asked[0][1]["dryRun"] is True


async def slowly(asked):
    await asyncio.sleep(5)
    return {}


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (slowly, "context deadline exceeded"),
        (lambda asked: web.Response(status=500, text="oops"), "the server answered 500 (oops)"),
        (lambda asked: web.Response(text="{"), "received invalid webhook response: the answer is not JSON"),
        (lambda asked: {"uid": "other"}, "expected response.uid="),
        (lambda asked: patch(), "may not be set by a validating webhook"),
    ],
)
async def test_failures_and_what_follows(define, put, server, answer, text):
    await define("/v", answer, timeoutSeconds=1)
    message = await refused(put(), 500)
    assert message.startswith('Internal error occurred: failed calling webhook "v.example.com": ')
    assert text in message
    change = [{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]
    await server.client().patch(kinds.VALIDATING_WEBHOOKS, Key("", "v"), change, PatchType.JSON)
    _, call = await put()
    assert call.annotations == {"failed-open.validating.webhook.admission.k8s.io/v.example.com": "v.example.com"}


async def test_nobody_is_there(define, put, hooks):
    await define("/v", clientConfig={"url": "https://127.0.0.1:1/x"})
    assert 'failed to call webhook: Post "https://127.0.0.1:1/x?timeout=10s": ' in await refused(put(), 500)


async def test_the_certificate_must_be_the_authoritys(define, put, hooks):
    await define("/v", lambda asked: {}, clientConfig={"url": hooks.at("/v")["url"]})
    assert "certificate" in await refused(put(), 500)


async def test_a_webhook_behind_a_service(define, put, hooks, server):
    client = server.client()
    service = {"service": {"namespace": "n", "name": "hook", "path": "/v"}, "caBundle": hooks.ca}
    await define("/v", lambda asked: {"warnings": ["hello"]}, clientConfig=service)
    shown = 'Post "https://hook.n.svc/v?timeout=10s": '
    assert shown + 'service "hook" not found' in await refused(put(), 500)
    meta = {"namespace": "n", "name": "hook"}
    port = {"name": "https", "port": 443, "targetPort": 8443}
    await client.create(SERVICES, {"metadata": meta, "spec": {"ports": [port]}})
    assert 'no endpoints available for service "hook"' in await refused(put(), 500)
    piece = {"metadata": {**meta, "name": "hook-1", "labels": {"kubernetes.io/service-name": "hook"}},
             "addressType": "IPv4", "ports": [{"name": "https", "port": hooks.port}],
             "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}]}  # fmt: skip
    await client.create(ENDPOINT_SLICES, piece)
    _, call = await put()
    assert call.warnings == ["hello"]


async def test_without_any_nothing_is_asked(define, put, server, hooks):
    review_of = server.api.dynamic.configurations
    await put("a")
    assert not review_of.may_mutate(("CREATE", "", "configmaps", ""))
    await define("/v", lambda asked: {}, rules=[{**RULE, "resources": ["secrets"]}])
    await put("b")
    assert not review_of.may_validate(("CREATE", "", "configmaps", ""))
    assert review_of.may_validate(("CREATE", "", "secrets", ""))
    assert hooks.asked == []
