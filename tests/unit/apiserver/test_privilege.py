"""Whether rules cover others, and how what is missing is told."""

from __future__ import annotations

import pytest

from fairlead.apiserver import privilege

READ = {"verbs": ["get", "list"], "apiGroups": ["", "apps"], "resources": ["pods", "*/scale"]}
NAMED = {"verbs": ["*"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a", "b"]}
PATHS = {"verbs": ["get"], "nonResourceURLs": ["/logs/*", "/version"]}
HELD = (READ, NAMED, PATHS)


@pytest.mark.parametrize(
    "wanted",
    [
        {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]},
        {"verbs": ["list"], "apiGroups": ["apps"], "resources": ["deployments/scale"]},
        {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["x"]},
        {"verbs": ["delete"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["b"]},
        {"verbs": ["get"], "nonResourceURLs": ["/logs/a", "/version", "/logs/*"]},
    ],
)
def test_covered(wanted):
    assert privilege.missing(HELD, [wanted]) == []


@pytest.mark.parametrize(
    "wanted",
    [
        {"verbs": ["*"], "apiGroups": [""], "resources": ["pods"]},
        {"verbs": ["get"], "apiGroups": ["*"], "resources": ["pods"]},
        {"verbs": ["get"], "apiGroups": [""], "resources": ["*"]},
        {"verbs": ["get"], "apiGroups": [""], "resources": ["pods/log"]},
        {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]},
        {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["c"]},
        {"verbs": ["get"], "nonResourceURLs": ["/logs"]},
        {"verbs": ["post"], "nonResourceURLs": ["/version"]},
    ],
)
def test_not_covered(wanted):
    assert privilege.missing(HELD, [wanted]) != []


def test_a_rule_may_be_covered_by_several():
    wanted = {"verbs": ["get", "list"], "apiGroups": ["", "apps"], "resources": ["pods"]}
    apart = [
        {"verbs": [verb], "apiGroups": [group], "resources": ["pods"]}
        for verb in ("get", "list")
        for group in ("", "apps")
    ]
    assert privilege.missing(apart, [wanted]) == []


def test_what_is_missing_is_one_line_for_each_kind():
    wanted = [
        {"verbs": ["get", "watch"], "apiGroups": [""], "resources": ["nodes", "secrets"]},
        {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["x"]},
        {"verbs": ["get", "put"], "nonResourceURLs": ["/x"]},
    ]
    assert privilege.described(privilege.missing(HELD, wanted)).splitlines() == [
        '{APIGroups:[""], Resources:["nodes"], Verbs:["get" "watch"]}',
        '{APIGroups:[""], Resources:["secrets"], ResourceNames:["x"], Verbs:["get"]}',
        '{APIGroups:[""], Resources:["secrets"], Verbs:["get" "watch"]}',
        '{NonResourceURLs:["/x"], Verbs:["get"]}',
        '{NonResourceURLs:["/x"], Verbs:["put"]}',
    ]
