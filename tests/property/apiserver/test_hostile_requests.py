"""Whatever comes over HTTP, the answer is one of the API: never a 500, never silence.

A server in a thread, asked over one connection after another; a time-out of the client is a hang of the server.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairlead.apiserver import app, assembly, auth, protobuf
from fairlead.store.memory import MemoryStore

PROTOBUFS = sorted((Path(__file__).parents[2] / "golden" / "protobuf").glob("*.pb"))
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
SECONDS = 10.0
FINE = {501, 504}
"""501: not served here. 504: a resourceVersion that has not happened, as upstream."""
bounded = settings(
    max_examples=120, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)  # fmt: skip


class Wire:
    """A client that believes in nothing."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)

    def ask(self, method: str, target: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        told = {"Authorization": "Bearer t", **{k.replace("_", "-"): v for k, v in headers.items()}}
        try:
            self.connection.request(method, target, body, told)
            answer = self.connection.getresponse()
            content = answer.read()
        except (http.client.HTTPException, ConnectionError):
            self.connection.close()
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
            self.connection.request(method, target, body, told)
            answer = self.connection.getresponse()
            content = answer.read()
        assert answer.status < 500 or answer.status in FINE, (method, target, body, headers, content)
        return answer.status, content

    def send(self, method: str, target: str, value: Any, **headers: str) -> tuple[int, bytes]:
        status, content = self.ask(
            method, target, json.dumps(value).encode(), Content_Type="application/json", **headers
        )
        told = json.loads(content)
        if status >= 400:
            assert (told["kind"], told["code"]) == ("Status", status)
        return status, content


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> tuple[Any, Any]:
        made = assembly.assemble(MemoryStore(), assembly.Settings(tokens={"t": auth.ADMIN}))
        await made.start()
        return made, await app.serve(made.app, 0, None)

    async def stop() -> None:
        await made.close()
        await runner.cleanup()

    made, runner = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
    found = Wire(app.bound_port(runner))
    yield found
    found.connection.close()
    asyncio.run_coroutine_threadsafe(stop(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


# --- what is sent --------------------------------------------------------------------------------------------------

texts = st.text(max_size=20) | st.sampled_from(
    ["", "a", "1", "100m", "1e99", "-1", "0x", "True", "..", "/", "\x00", "é"]
)
leaves = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(10**30), 10**30) | texts
)  # fmt: skip
anything = st.recursive(
    leaves, lambda x: st.lists(x, max_size=4) | st.dictionaries(texts, x, max_size=4), max_leaves=12
)

META = {"name": "x", "namespace": "default", "labels": {"a": "b"}, "annotations": {"a": "b"}, "finalizers": ["x.io/y"]}
CONTAINER = {
    "name": "c", "image": "i", "command": ["a"], "env": [{"name": "A", "value": "b"}],
    "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}},
    "ports": [{"containerPort": 80, "protocol": "TCP"}], "volumeMounts": [{"name": "v", "mountPath": "/v"}],
    "livenessProbe": {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 3},
}  # fmt: skip
SPEC = {
    "containers": [CONTAINER], "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}], "restartPolicy": "Never",
    "tolerations": [{"key": "a", "operator": "Exists"}], "nodeSelector": {"a": "b"}, "schedulingGates": [{"name": "g"}],
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}]}}},
}  # fmt: skip
SAMPLES: list[tuple[str, dict[str, Any]]] = [
    (PODS, {"apiVersion": "v1", "kind": "Pod", "spec": SPEC}),
    (CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}, "binaryData": {"c": "YQ=="}}),
    ("/apis/batch/v1/namespaces/default/jobs", {
        "apiVersion": "batch/v1", "kind": "Job",
        "spec": {"template": {"spec": SPEC}, "completions": 2, "completionMode": "Indexed", "backoffLimitPerIndex": 1},
    }),
    ("/api/v1/namespaces/default/services", {
        "apiVersion": "v1", "kind": "Service",
        "spec": {"selector": {"a": "b"}, "ports": [{"port": 80, "targetPort": "http"}], "clusterIP": "None"},
    }),
    ("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}),
    ("/apis/coordination.k8s.io/v1/namespaces/default/leases", {
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": {"renewTime": "2026-01-01T00:00:00.000000Z"},
    }),
    ("/apis/jobset.x-k8s.io/v1alpha2/namespaces/default/jobsets", {
        "apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet",
        "spec": {"replicatedJobs": [{"name": "a", "replicas": 1, "template": {"spec": {"template": {"spec": SPEC}}}}]},
    }),
]  # fmt: skip


@st.composite
def broken(draw: st.DrawFn, sample: Any) -> Any:
    """The sample with something else somewhere."""
    if not isinstance(sample, dict | list) or not sample or draw(st.integers(0, 4)) == 0:
        return draw(anything)
    key = draw(st.sampled_from(sorted(sample) if isinstance(sample, dict) else range(len(sample))))
    copy: Any = dict(sample) if isinstance(sample, dict) else list(sample)
    copy[key] = draw(broken(sample[key]))
    return copy


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, Any]:
    path, sample = draw(st.sampled_from(SAMPLES))
    return path, draw(broken({**sample, "metadata": META}))


options = st.dictionaries(
    st.sampled_from([
        "limit", "continue", "resourceVersion", "resourceVersionMatch", "labelSelector", "fieldSelector", "dryRun",
        "fieldManager", "fieldValidation", "force", "propagationPolicy", "gracePeriodSeconds", "includeObject",
        "timeoutSeconds", "sendInitialEvents", "allowWatchBookmarks", "orphanDependents",
    ]), texts | st.sampled_from(["a=b", "a in (b,c)", "!a", "metadata.name=x", "All", "Strict", "Exact", "0"]),
    max_size=4,
)  # fmt: skip


def with_query(path: str, query: dict[str, str]) -> str:
    return f"{path}?{urlencode(query, errors='surrogatepass')}" if query else path


# --- never a 500 ---------------------------------------------------------------------------------------------------


@bounded
@given(requests(), st.sampled_from(["POST", "PUT"]))
def test_objects(wire: Wire, request_: tuple[str, Any], method: str) -> None:
    path, value = request_
    wire.send(method, path if method == "POST" else f"{path}/x", value)


@bounded
@given(st.data())
def test_replacing_what_is_there(wire: Wire, data: st.DataObject) -> None:
    path, sample = data.draw(st.sampled_from(SAMPLES))
    wire.send("POST", path, {**sample, "metadata": META})
    wire.send("PUT", f"{path}/x", data.draw(broken({**sample, "metadata": META})))
    wire.send("PUT", f"{path}/x/status", data.draw(broken({**sample, "metadata": META, "status": {"phase": "a"}})))


@bounded
@given(st.binary(max_size=60) | texts.map(lambda t: t.encode(errors="surrogatepass")), st.sampled_from([
    "application/json", "application/yaml", protobuf.MEDIA, "application/json;charset=x", "x", "",
]))  # fmt: skip
def test_bytes(wire: Wire, body: bytes, content_type: str) -> None:
    wire.ask("POST", CONFIG_MAPS, body, Content_Type=content_type)
    wire.ask("DELETE", f"{CONFIG_MAPS}/x", body, Content_Type=content_type)


pointers = st.sampled_from(
    ["", "/", "/data", "/data/a", "/data/-", "/metadata/labels", "/spec/containers/0", "/~", "x", "/kind"]
)
operations = st.fixed_dictionaries(
    {
        "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "x"]) | leaves,
        "path": pointers | leaves,
    },
    optional={"value": anything, "from": pointers | leaves},
)
directives = st.sampled_from([
    {"$patch": "delete"}, {"$patch": "replace"}, {"$patch": 1}, {"$retainKeys": ["a"]}, {"$retainKeys": 1},
    {"$setElementOrder/containers": [{"name": "c"}]}, {"$deleteFromPrimitiveList/finalizers": ["x.io/y"]},
])  # fmt: skip


@bounded
@given(st.data())
def test_patches(wire: Wire, data: st.DataObject) -> None:
    path, sample = data.draw(st.sampled_from(SAMPLES))
    wire.send("POST", path, {**sample, "metadata": META})
    partial = broken({**sample, "metadata": META}) | broken({"spec": sample.get("spec", {})})
    which = data.draw(st.sampled_from(["json", "merge", "strategic", "apply"]))
    if which == "json":
        body = json.dumps(data.draw(st.lists(operations, max_size=4) | anything))
    else:
        body = json.dumps(
            data.draw(partial | directives | directives.map(lambda d: {"spec": d, "metadata": d}) | anything)
        )
    kind = {"json": "json-patch+json", "merge": "merge-patch+json", "strategic": "strategic-merge-patch+json"}
    query = {"fieldManager": "m", "force": "true"} if which == "apply" else data.draw(options)
    target = with_query(data.draw(st.sampled_from([f"{path}/x", f"{path}/x/status", f"{path}/x/scale"])), query)
    wire.ask("PATCH", target, body.encode(), Content_Type=f"application/{kind.get(which, 'apply-patch+yaml')}")


yamls = st.text(st.sampled_from("ab: \n-[]{}&*!|>'\"#%@,?1.~\t"), max_size=60)


@bounded
@given(yamls)
def test_yaml(wire: Wire, text: str) -> None:
    wire.ask("POST", CONFIG_MAPS, text.encode(), Content_Type="application/yaml")
    target = f"{CONFIG_MAPS}/x?fieldManager=m"
    wire.ask("PATCH", target, text.encode(), Content_Type="application/apply-patch+yaml")


@pytest.mark.parametrize("sample", PROTOBUFS, ids=lambda p: p.stem)
def test_protobuf(wire: Wire, sample: Path) -> None:
    whole = sample.read_bytes()
    targets = {"configmap": CONFIG_MAPS, "job": "/apis/batch/v1/namespaces/default/jobs"}
    target = targets.get(sample.stem.partition("-")[2], PODS)

    @settings(bounded, max_examples=40)
    @given(st.integers(0, len(whole) - 1), st.binary(min_size=0, max_size=4), st.integers(0, 4))
    def change(at: int, by: bytes, gone: int) -> None:
        body = whole[:at] + by + whole[at + gone :]
        wire.ask("POST", target, body, Content_Type=protobuf.MEDIA)

    change()


words = st.text(st.sampled_from("abB1=!,()<> \t.-_/in notexists"), max_size=30) | texts


@bounded
@given(words, words, st.sampled_from([PODS, "/api/v1/events", "/apis/batch/v1/jobs"]))
def test_selectors(wire: Wire, labels: str, fields: str, path: str) -> None:
    for query in ({"labelSelector": labels}, {"fieldSelector": fields}, {"labelSelector": labels, "limit": "1"}):
        wire.ask("GET", with_query(path, query))


@bounded
@given(options, st.sampled_from([PODS, CONFIG_MAPS, f"{CONFIG_MAPS}/x"]), st.sampled_from(["GET", "POST", "DELETE"]))
def test_queries(wire: Wire, query: dict[str, str], path: str, method: str) -> None:
    wire.ask(method, with_query(path, query), b"{}" if method == "POST" else None, Content_Type="application/json")


@bounded
@given(options, st.sampled_from(["1", "2"]))
def test_watches_end(wire: Wire, query: dict[str, str], seconds: str) -> None:
    """Each one with a revision from the past or from nowhere, so that it ends at once."""
    asked = {**query, "watch": "1", "resourceVersion": "999999999", "timeoutSeconds": seconds}
    wire.ask("GET", with_query(CONFIG_MAPS, asked))


segments = st.sampled_from([
    "api", "apis", "v1", "namespaces", "default", "pods", "x", "status", "log", "batch", "jobs", "scale", "binding",
    "exec", "proxy", "openapi", "v2", "v3", "healthz", "version", "%00", "%2f", "..", "%ff", "eviction", "token",
    "serviceaccounts", "finalize", "ephemeralcontainers", "portforward", "attach", "apis.x", "metrics",
])  # fmt: skip


@bounded
@given(
    st.lists(segments, max_size=8), st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]), texts
)
def test_paths(wire: Wire, parts: list[str], method: str, accept: str) -> None:
    body = b"{}" if method in ("POST", "PUT", "PATCH") else None
    plain = accept.encode("latin-1", "ignore").decode("latin-1")
    header = "".join(c for c in plain if c.isprintable()).strip()
    wire.ask(method, "/" + "/".join(parts), body, Accept=header, Content_Type="application/merge-patch+json")


atoms = st.sampled_from([
    "self", "oldSelf", "self.spec", "self.spec.a", "self.spec.b", "self.spec.l", "self.spec.m", "1", "-1", "0", "1.5",
    "'a'", "true", "null", "[1,2]", "{'a': 1}", "b'x'", "1u", "size(self.spec.l)", "self.spec.s", "x",
    "duration('1s')", "quantity('1')",
    "9223372036854775807", "timestamp('2026-01-01T00:00:00Z')", "self.metadata.name", "url('http://a')",
])  # fmt: skip
operators = st.sampled_from(["+", "-", "*", "/", "%", "==", "!=", "<", "<=", "&&", "||", "in"])
calls = st.sampled_from([
    "size()", "all(i, i > 0)", "exists(i, i == 1)", "map(i, i + 1)", "matches('(a+)+$')", "startsWith('a')",
    "split(',')", "sum()", "find('a')", "format([1])", "a", "isSorted()", "substring(5)", "indexOf('a')", "charAt(9)",
    "lowerAscii()", "getSeconds()",
])  # fmt: skip
rules = st.recursive(
    atoms,
    lambda x: st.one_of(
        st.tuples(x, operators, x).map(" ".join),
        st.tuples(x, calls).map(".".join),
        x.map("!{}".format), x.map("({})".format), x.map("has({})".format),
        st.tuples(x, x).map("{0[0]}[{0[1]}]".format),
        st.tuples(x, x, x).map("{0[0]} ? {0[1]} : {0[2]}".format), x.map("string({})".format), x.map("int({})".format),
    ), max_leaves=6,
)  # fmt: skip


@bounded
@given(rules | st.text(st.sampled_from("self.spec()[]{}'\"+-*/&|!?:, 1ab"), max_size=40))
def test_cel(wire: Wire, rule: str) -> None:
    """Rules of a custom kind: when it is defined, and when objects are held to them."""
    spec = {
        "type": "object",
        "properties": {
            "a": {"type": "integer"}, "b": {"type": "boolean"}, "s": {"type": "string", "maxLength": 20},
            "l": {"type": "array", "maxItems": 5, "items": {"type": "integer"}},
            "m": {"type": "object", "maxProperties": 5, "additionalProperties": {"type": "string"}},
        },
    }  # fmt: skip
    schema = {"type": "object", "properties": {"spec": spec}, "x-kubernetes-validations": [{"rule": rule}]}
    names = {"plural": "fuzzes", "kind": "Fuzz", "singular": "fuzz", "listKind": "FuzzList"}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "fuzzes.x.io"},
        "spec": {"group": "x.io", "scope": "Namespaced", "names": names, "versions": [version]},
    }  # fmt: skip
    target = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    status, _ = wire.send("POST", target, crd)
    if status == 409:
        patch = json.dumps({"spec": {"versions": [version]}}).encode()
        status, _ = wire.ask("PATCH", f"{target}/fuzzes.x.io", patch, Content_Type="application/merge-patch+json")
    if status < 300:
        for content in (
            {},
            {"a": 1, "b": True, "s": "aaaaaaaaaaaaaaaaaaa!", "l": [1, 2], "m": {"a": "b"}},
            {"a": 2**62},
        ):
            obj = {"apiVersion": "x.io/v1", "kind": "Fuzz", "metadata": {"name": "f"}, "spec": content}
            wire.send("POST", "/apis/x.io/v1/namespaces/default/fuzzes", obj)
            wire.send("PUT", "/apis/x.io/v1/namespaces/default/fuzzes/f", obj)
            wire.ask("DELETE", "/apis/x.io/v1/namespaces/default/fuzzes/f")


@bounded
@given(texts | st.text(st.sampled_from("0123456789.eE+-KMGTPmunki"), max_size=24) | st.integers() | st.floats())
def test_quantities(wire: Wire, amount: Any) -> None:
    container = {**CONTAINER, "resources": {"limits": {"cpu": amount, "memory": amount, "x.io/y": amount}}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "q"}, "spec": {"containers": [container]}}
    text = json.dumps(pod).encode()
    wire.ask("POST", f"{PODS}?dryRun=All", text, Content_Type="application/json")


elements = st.sampled_from(
    ["f:data", "f:a", ".", 'k:{"name":"c"}', "k:{", 'v:"x"', "v:", "i:0", "i:x", "f:metadata", "x", ""]
)
fieldsets = st.recursive(st.just({}) | leaves, lambda x: st.dictionaries(elements, x, max_size=3), max_leaves=6)
managers = st.fixed_dictionaries({}, optional={
    "manager": texts, "operation": st.sampled_from(["Apply", "Update"]) | leaves, "apiVersion": st.just("v1") | leaves,
    "time": texts, "fieldsType": st.just("FieldsV1") | leaves, "fieldsV1": fieldsets, "subresource": texts,
})  # fmt: skip


@bounded
@given(st.lists(managers, max_size=3) | anything)
def test_managed_fields(wire: Wire, managed: Any) -> None:
    obj = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "mf", "managedFields": managed},
        "data": {"a": "1"},
    }
    wire.send("POST", CONFIG_MAPS, obj)
    wire.send("PUT", f"{CONFIG_MAPS}/mf", obj)
    apply = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mf"}, "data": {"a": "2"}}
    wire.ask("PATCH", f"{CONFIG_MAPS}/mf?fieldManager=m&force=1", json.dumps(apply).encode(),
             Content_Type="application/apply-patch+yaml")  # fmt: skip
    wire.ask("DELETE", f"{CONFIG_MAPS}/{quote('mf')}")


def test_limits(wire: Wire) -> None:
    wire.send("POST", CONFIG_MAPS, {"metadata": {"name": "a"}})
    big = b'{"metadata":{"name":"big"},"data":{"a":"' + b"x" * app.BODY_LIMIT + b'"}}'
    status, content = wire.ask("POST", CONFIG_MAPS, big, Content_Type="application/json")
    told = json.loads(content)
    assert (status, told["reason"]) == (413, "RequestEntityTooLarge")
    assert told["message"] == f"Request entity too large: limit is {app.BODY_LIMIT}"
    deep = b'{"metadata":{"name":"d"},"data":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001
    for method, target, kind in (
        ("POST", CONFIG_MAPS, "application/json"),
        ("PATCH", f"{CONFIG_MAPS}/a?fieldManager=m", "application/apply-patch+yaml"),
        ("PATCH", f"{CONFIG_MAPS}/a", "application/merge-patch+json"),
        ("POST", CONFIG_MAPS, "application/yaml"),
    ):
        status, content = wire.ask(method, target, deep, Content_Type=kind)
        assert (status, b"exceeds the maximum depth" in content) == (400, True), (method, kind, content)
