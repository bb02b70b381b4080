import pytest

from fairlead.apiserver.requestinfo import RequestInfo, boolean, parse


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("GET", "/api/v1/namespaces/default/pods", {}, ("list", "", "v1", "default", "pods", "", "")),
        ("GET", "/api/v1/pods/", {"watch": "True"}, ("watch", "", "v1", "", "pods", "", "")),
        ("GET", "/api/v1/pods", {"watch": "false"}, ("list", "", "v1", "", "pods", "", "")),
        ("HEAD", "/api/v1/nodes/n", {}, ("get", "", "v1", "", "nodes", "n", "")),
        ("GET", "/api/v1/nodes/n", {"watch": "1"}, ("get", "", "v1", "", "nodes", "n", "")),
        ("POST", "/apis/batch/v1/namespaces/a/jobs", {}, ("create", "batch", "v1", "a", "jobs", "", "")),
        ("PATCH", "/apis/g/v1/namespaces/a/jobs/j/status", {}, ("patch", "g", "v1", "a", "jobs", "j", "status")),
        ("DELETE", "/api/v1/namespaces/a/pods", {}, ("deletecollection", "", "v1", "a", "pods", "", "")),
        ("DELETE", "/api/v1/namespaces/a", {}, ("delete", "", "v1", "a", "namespaces", "a", "")),
        ("PUT", "/api/v1/namespaces/a/finalize", {}, ("update", "", "v1", "a", "namespaces", "a", "finalize")),
        ("GET", "/api/v1/namespaces", {}, ("list", "", "v1", "", "namespaces", "", "")),
        ("GET", "/apis/g.io/v1/things/system%3Anode", {}, ("get", "g.io", "v1", "", "things", "system:node", "")),
    ],
)
def test_resource_paths(method, path, query, expected):
    verb, group, version, namespace, plural, name, subresource = expected
    assert parse(method, path, query) == RequestInfo(verb, path, group, version, namespace, plural, name, subresource)


@pytest.mark.parametrize("path", ["/", "/api", "/api/v1", "/api/v1/", "/apis/batch", "/apis/batch/v1/", "/version/"])
def test_paths_without_a_kind_are_no_resource_requests(path):
    assert parse("GET", path, {}) == RequestInfo("get", path)


@pytest.mark.parametrize("word", ["1", "t", "T", "true", "TRUE", "True"])
def test_go_takes_these_for_true(word):
    assert boolean({"watch": word}, "watch")


@pytest.mark.parametrize("query", [{}, {"watch": "0"}, {"watch": "f"}, {"watch": "False"}])
def test_false_and_absent(query):
    assert not boolean(query, "watch")
