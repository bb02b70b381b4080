from typing import Any

from fairlead.client import discovery

AGGREGATED: dict[str, Any] = {
    "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2",
    "items": [{
        "metadata": {"name": "batch"},
        "versions": [
            {"version": "v1", "resources": [{
                "resource": "jobs", "responseKind": {"group": "batch", "version": "v1", "kind": "Job"},
                "scope": "Namespaced", "singularResource": "job", "verbs": ["get", "list"], "categories": ["all"],
                "subresources": [{"subresource": "status"}],
            }]},
            {"version": "v1beta1", "resources": [
                {"resource": "jobs", "responseKind": {"kind": "Job"}, "scope": "Namespaced", "verbs": []},
                {"resource": "olds", "responseKind": {"kind": "Old"}, "scope": "Cluster", "verbs": ["list"]},
            ]},
        ],
    }],
}  # fmt: skip


def test_aggregated() -> None:
    assert discovery.aggregated(AGGREGATED)
    job, old = discovery.from_aggregated(AGGREGATED)
    assert (job.gvr, job.kind, job.singular, job.namespaced) == (("batch", "v1", "jobs"), "Job", "job", True)
    assert (job.status, job.scale, job.verbs, job.categories) == (True, False, ("get", "list"), ("all",))
    assert (old.gvr, old.namespaced, old.view) == (("batch", "v1beta1", "olds"), False, dict)


def test_legacy_roots() -> None:
    assert discovery.version_paths({"kind": "APIVersions", "versions": ["v1"]}) == ["/api/v1"]
    groups = {
        "kind": "APIGroupList",
        "groups": [{
            "name": "batch", "preferredVersion": {"groupVersion": "batch/v1"},
            "versions": [{"groupVersion": "batch/v1beta1"}, {"groupVersion": "batch/v1"}],
        }],
    }  # fmt: skip
    assert discovery.version_paths(groups) == ["/apis/batch/v1", "/apis/batch/v1beta1"]
    assert not discovery.aggregated(groups)


def test_legacy() -> None:
    core = {
        "groupVersion": "v1",
        "resources": [
            {"name": "pods", "kind": "Pod", "namespaced": True, "shortNames": ["po"], "verbs": ["get"]},
            {"name": "pods/status", "kind": "Pod", "namespaced": True, "verbs": ["get"]},
        ],
    }  # fmt: skip
    older = {
        "groupVersion": "x.io/v1alpha1",
        "resources": [{"name": "as", "kind": "A", "namespaced": False, "verbs": []}],
    }
    newer = {"groupVersion": "x.io/v1", "resources": [{"name": "as", "kind": "A", "namespaced": False, "verbs": []}]}
    pods, custom = discovery.from_legacy([core, newer, older])
    assert (pods.gvr, pods.short, pods.status, pods.scale) == (("", "v1", "pods"), ("po",), True, False)
    assert (custom.gvr, custom.namespaced) == (("x.io", "v1", "as"), False)
