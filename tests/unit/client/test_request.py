from typing import Any

import msgspec
import pytest

from fairlead.api.batch import JOBS
from fairlead.api.core import NODES, PODS, Pod
from fairlead.api.meta import Key
from fairlead.base.errors import StatusError
from fairlead.client import request
from fairlead.client.protocol import (
    Binding,
    DeleteOptions,
    Listing,
    ListOptions,
    PatchType,
    WatchEvent,
    WriteOptions,
)
from fairlead.client.request import Request

POD = Key("ml", "a")


def encoded(value: Any) -> bytes:
    return msgspec.json.encode(value)


def body(asked: Request) -> Any:
    assert asked.body is not None
    return msgspec.json.decode(asked.body)


@pytest.mark.parametrize(
    ("resource", "key", "subresource", "expected"),
    [
        (PODS, Key("", ""), "", "/api/v1/pods"),
        (PODS, Key("ml", ""), "", "/api/v1/namespaces/ml/pods"),
        (PODS, POD, "log", "/api/v1/namespaces/ml/pods/a/log"),
        (JOBS, POD, "status", "/apis/batch/v1/namespaces/ml/jobs/a/status"),
        (NODES, Key("ml", "n1"), "", "/api/v1/nodes/n1"),
        (NODES, Key("", "a/b?c"), "", "/api/v1/nodes/a%2Fb%3Fc"),
    ],
)
def test_paths(resource: Any, key: Key, subresource: str, expected: str) -> None:
    assert request.path(resource, key, subresource) == expected


def test_get() -> None:
    assert request.get(PODS, POD) == Request("GET", "/api/v1/namespaces/ml/pods/a")


@pytest.mark.parametrize("build", [
    lambda key: request.get(PODS, key),
    lambda key: request.delete(PODS, key, DeleteOptions()),
    lambda key: request.patch(PODS, key, {}, PatchType.MERGE, WriteOptions()),
    lambda key: request.bind(Binding(key, "n1")),
    lambda key: request.logs(key, {}),
])  # fmt: skip
def test_a_request_on_one_object_needs_a_name(build: Any) -> None:
    with pytest.raises(StatusError, match="a name is needed") as caught:
        build(Key("ml", ""))
    assert caught.value.code == 400


def test_list_asks_for_a_page() -> None:
    options = ListOptions(labels="app in (a,b)", fields="spec.nodeName=n1", limit=500, revision="7")
    assert request.list_(PODS, "ml", options) == Request(
        "GET",
        "/api/v1/namespaces/ml/pods?labelSelector=app+in+%28a%2Cb%29&fieldSelector=spec.nodeName%3Dn1"
        "&limit=500&resourceVersion=7",
    )
    # A token fixes the revision itself; servers refuse both.
    more = request.list_(PODS, "", ListOptions(limit=500, continues="abc=", revision="7"))
    assert more.target == "/api/v1/pods?limit=500&continue=abc%3D"


def test_watch_asks_for_bookmarks_and_an_end() -> None:
    assert request.watch(JOBS, "", ListOptions(revision="7", labels="a=b")).target == (
        "/apis/batch/v1/jobs?watch=true&allowWatchBookmarks=true&timeoutSeconds=480&resourceVersion=7&labelSelector=a%3Db"
    )


def test_create_adds_the_type_and_names_the_manager() -> None:
    asked = request.create(PODS, {"metadata": {"namespace": "ml", "name": "a"}}, WriteOptions(dry_run=True))
    target = "/api/v1/namespaces/ml/pods?fieldManager=fairlead&dryRun=All&fieldValidation=Strict"
    assert (asked.method, asked.target, asked.content_type) == ("POST", target, "application/json")
    assert body(asked) == {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "ml", "name": "a"}}


def test_create_of_a_subresource_keeps_its_own_type() -> None:
    eviction = {"metadata": {"namespace": "ml", "name": "a"}}
    asked = request.create(PODS, eviction, WriteOptions(subresource="eviction"), "a")
    assert asked.target.startswith("/api/v1/namespaces/ml/pods/a/eviction?")
    assert body(asked) == eviction


def test_create_needs_a_namespace_unless_the_kind_has_none() -> None:
    with pytest.raises(StatusError, match=r"pods live in a namespace; set metadata\.namespace of 'a'"):
        request.create(PODS, {"metadata": {"name": "a"}}, WriteOptions())
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "namespace": "ml"}}
    assert request.create(NODES, node, WriteOptions()).target.startswith("/api/v1/nodes?")


def test_apply() -> None:
    obj = {"metadata": {"namespace": "ml", "name": "a"}, "spec": {"nodeName": "n1"}}
    asked = request.apply(PODS, obj, WriteOptions(manager="m", force=True, subresource="status", validation="Warn"))
    assert (asked.method, asked.content_type) == ("PATCH", "application/apply-patch+yaml")
    assert asked.target == "/api/v1/namespaces/ml/pods/a/status?fieldManager=m&fieldValidation=Warn&force=true"
    assert body(asked) == {"apiVersion": "v1", "kind": "Pod", **obj}
    with pytest.raises(StatusError, match="field manager"):
        request.apply(PODS, obj, WriteOptions(manager=""))


def test_patch_sends_its_kind_and_never_force() -> None:
    operations = [{"op": "remove", "path": "/spec"}]
    asked = request.patch(PODS, POD, operations, PatchType.JSON, WriteOptions(force=True))
    assert asked.target == "/api/v1/namespaces/ml/pods/a?fieldManager=fairlead&fieldValidation=Strict"
    assert (asked.content_type, body(asked)) == ("application/json-patch+json", operations)


def test_delete_sends_what_was_asked_for() -> None:
    plain = {"apiVersion": "v1", "kind": "DeleteOptions"}
    assert body(request.delete(PODS, POD, DeleteOptions())) == plain
    options = DeleteOptions(grace_seconds=0, propagation="Foreground", uid="u", revision="7")
    assert body(request.delete(PODS, POD, options)) == {
        **plain, "gracePeriodSeconds": 0, "propagationPolicy": "Foreground",
        "preconditions": {"uid": "u", "resourceVersion": "7"},
    }  # fmt: skip


def test_bind() -> None:
    asked = request.bind(Binding(POD, "n1", uid="u"))
    assert (asked.method, asked.target) == ("POST", "/api/v1/namespaces/ml/pods/a/binding")
    assert body(asked) == {
        "apiVersion": "v1", "kind": "Binding", "metadata": {"namespace": "ml", "name": "a", "uid": "u"},
        "target": {"apiVersion": "v1", "kind": "Node", "name": "n1"},
    }  # fmt: skip


# --- answers ---------------------------------------------------------------------------------------------------------


def test_a_failure_is_the_answered_status() -> None:
    status = {"kind": "Status", "code": 409, "reason": "AlreadyExists", "message": "there", "details": {"name": "a"}}
    error = request.failure(409, {}, encoded(status))
    assert (error.code, error.reason, error.message, error.details) == (409, "AlreadyExists", "there", {"name": "a"})


@pytest.mark.parametrize(
    ("status", "answer", "reason", "message"),
    [
        (502, b"<html>Bad Gateway</html>", "Unknown", "<html>Bad Gateway</html>"),
        (503, b"", "ServiceUnavailable", "the server answered 503"),
        (403, b'"no"', "Forbidden", '"no"'),
        (500, b"\xff", "InternalError", "�"),
    ],
)
def test_a_failure_without_a_status(status: int, answer: bytes, reason: str, message: str) -> None:
    error = request.failure(status, {}, answer)
    assert (error.code, error.reason, error.message) == (status, reason, message)


def test_retry_after_is_a_detail() -> None:
    assert request.failure(429, {"Retry-After": "3"}, b"").details == {"retryAfterSeconds": 3}
    said = {"kind": "Status", "code": 429, "details": {"retryAfterSeconds": 9}}
    assert request.failure(429, {"Retry-After": "3"}, encoded(said)).details == {"retryAfterSeconds": 9}


def test_an_object_is_decoded_to_its_view() -> None:
    pod = request.decode(PODS, b'{"metadata":{"name":"a"},"spec":{"unknown":1,"containers":[{"name":"c"}]}}')
    assert isinstance(pod, Pod)
    assert (pod.apiVersion, pod.kind, pod.spec.containers[0].name) == ("v1", "Pod", "c")


def test_an_object_that_does_not_fit_names_the_field() -> None:
    with pytest.raises(StatusError, match=r"answer about pods is not what Pod declares.*\$\.metadata\.name"):
        request.decode(PODS, b'{"metadata":{"name":1}}')


def test_a_page() -> None:
    answer = {
        "kind": "PodList", "metadata": {"resourceVersion": "9", "continue": "abc", "remainingItemCount": 3},
        "items": [{"metadata": {"name": "a", "managedFields": [{}]}}],
    }  # fmt: skip
    listing = request.page(PODS, encoded(answer))
    assert (listing.revision, listing.continues, listing.remaining) == ("9", "abc", 3)
    assert [(p.kind, p.metadata.name) for p in listing.items] == [("Pod", "a")]
    assert request.page(PODS.plain, encoded(answer)).items == [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}
    ]


def test_an_empty_page() -> None:
    assert request.page(PODS, b'{"metadata":{"resourceVersion":"9"},"items":null}') == Listing([], "9")


def test_watch_lines() -> None:
    obj = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "resourceVersion": "8", "managedFields": []}}
    event = request.event(PODS, encoded({"type": "ADDED", "object": obj}))
    assert event == WatchEvent("ADDED", request.decode(PODS, encoded(obj)), "8")
    plain = request.event(PODS.plain, encoded({"type": "DELETED", "object": obj}))
    stripped = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "resourceVersion": "8"}}
    assert plain == WatchEvent("DELETED", stripped, "8")
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "12"}}}
    assert request.event(PODS, encoded(bookmark)) == WatchEvent("BOOKMARK", None, "12")


def test_an_error_line_is_raised() -> None:
    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
    with pytest.raises(StatusError, match="too old") as caught:
        request.event(PODS, encoded({"type": "ERROR", "object": status}))
    assert (caught.value.code, caught.value.reason) == (410, "Expired")


@pytest.mark.parametrize("line", [b"{", b'{"type":"NEW","object":{}}', b'{"type":"ADDED","object":{"metadata":1}}'])
def test_a_bad_line_is_an_error(line: bytes) -> None:
    with pytest.raises(StatusError) as caught:
        request.event(PODS, line)
    assert caught.value.code == 500


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_lines_come_whole_however_they_are_cut(size: int) -> None:
    stream = b"one\ntwo\n\n" + b"x" * 50 + b"\nlast"
    lines = request.Lines()
    found = [line for start in range(0, len(stream), size) for line in lines.feed(stream[start : start + size])]
    assert found == [b"one", b"two", b"x" * 50]
    assert lines.feed(b"!\n") == [b"last!"]
