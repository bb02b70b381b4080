"""What concerns a request."""

from __future__ import annotations

import pytest

from fairlead.apiserver.dynamic import matching
from fairlead.apiserver.dynamic.matching import Subject

EVERY = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}


def subject(**fields):
    whole = {"operation": "CREATE", "group": "apps", "versions": ("v1", "v1beta1"), "plural": "deployments",
             "subresource": "", "namespace": "n", "name": "d"}  # fmt: skip
    return Subject(**{**whole, **fields})


@pytest.mark.parametrize(
    ("rule", "fields", "expected"),
    [
        ({}, {}, "v1"),
        ({"operations": ["UPDATE", "CREATE"]}, {}, "v1"),
        ({"operations": ["DELETE"]}, {}, None),
        ({"apiGroups": ["", "apps"]}, {}, "v1"),
        ({"apiGroups": ["batch"]}, {}, None),
        ({"apiVersions": ["v1beta1"]}, {}, "v1beta1"),
        ({"apiVersions": ["v2"]}, {}, None),
        ({"resources": ["deployments"]}, {}, "v1"),
        ({"resources": ["deployments"]}, {"subresource": "status"}, None),
        ({"resources": ["deployments/status"]}, {"subresource": "status"}, "v1"),
        ({"resources": ["deployments/*"]}, {"subresource": "status"}, "v1"),
        ({"resources": ["deployments/*"]}, {}, "v1"),
        ({"resources": ["*/scale"]}, {"subresource": "scale"}, "v1"),
        ({"resources": ["*"]}, {}, "v1"),
        ({"resources": ["*"]}, {"subresource": "status"}, None),
        ({"scope": "Namespaced"}, {}, "v1"),
        ({"scope": "Cluster"}, {}, None),
        ({"scope": "Cluster"}, {"namespace": "", "plural": "nodes"}, "v1"),
        ({"scope": "Cluster"}, {"namespace": "x", "plural": "namespaces"}, "v1"),
        ({"resourceNames": ["d"]}, {}, "v1"),
        ({"resourceNames": ["e"]}, {}, None),
    ],
)
def test_rules(rule, fields, expected):
    match = matching.match({}, [{**EVERY, **rule}])
    assert match.version_for(subject(**fields)) == expected


def test_exact_means_the_version_of_the_request():
    rules = [{**EVERY, "apiVersions": ["v1beta1"]}]
    assert matching.match({"matchPolicy": "Exact"}, rules).version_for(subject()) is None
    assert matching.match({"matchPolicy": "Equivalent"}, rules).version_for(subject()) == "v1beta1"


def test_what_is_excluded_is_not_concerned():
    match = matching.match({}, [EVERY], [{**EVERY, "resources": ["deployments"]}])
    assert match.version_for(subject()) is None
    assert match.version_for(subject(plural="replicasets")) == "v1"


def test_selectors():
    new, old = {"metadata": {"labels": {"a": "b"}}}, {"metadata": {}}
    match = matching.match({"objectSelector": {"matchLabels": {"a": "b"}}}, [EVERY])
    assert match.selects(None, new, {})
    assert match.selects(None, old, new), "one of the two states is enough"
    assert not match.selects(None, old, {})
    match = matching.match({"namespaceSelector": {"matchExpressions": [{"key": "x", "operator": "Exists"}]}}, [EVERY])
    assert match.selects({"x": "1"}, new)
    assert not match.selects({}, new)
    assert match.selects(None, new), "what is in no namespace is not asked for one"
