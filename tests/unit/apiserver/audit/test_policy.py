"""Which rule of an audit policy decides."""

from __future__ import annotations

import pytest

from fairlead.apiserver import requestinfo
from fairlead.apiserver.audit import policy
from fairlead.apiserver.identity import User

EVE = User("eve", groups=("dev", "system:authenticated"))
HEAD = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy"}


def parsed(*rules, **more):
    return policy.parse({**HEAD, **more, "rules": list(rules)})


def decide(rules, method, path, query=None):
    info = requestinfo.parse(method, path, query or {})
    return parsed(*rules, {"level": "Metadata"}).decide(EVE, info).level


@pytest.mark.parametrize(
    ("rule", "method", "path", "fits"),
    [
        ({}, "GET", "/api/v1/pods", True),
        ({"users": ["eve"]}, "GET", "/api/v1/pods", True),
        ({"users": ["bob"]}, "GET", "/api/v1/pods", False),
        ({"userGroups": ["ops", "dev"]}, "GET", "/api/v1/pods", True),
        ({"verbs": ["list"]}, "GET", "/api/v1/pods", True),
        ({"verbs": ["get"]}, "GET", "/api/v1/pods", False),
        ({"resources": [{"group": ""}]}, "GET", "/api/v1/pods", True),
        ({"resources": [{"group": "batch"}]}, "GET", "/api/v1/pods", False),
        ({"resources": [{"resources": ["pods"]}]}, "GET", "/api/v1/namespaces/a/pods/p", True),
        ({"resources": [{"resources": ["pods"]}]}, "GET", "/api/v1/namespaces/a/pods/p/log", False),
        ({"resources": [{"resources": ["pods/log"]}]}, "GET", "/api/v1/namespaces/a/pods/p/log", True),
        ({"resources": [{"resources": ["pods/*"]}]}, "GET", "/api/v1/namespaces/a/pods/p/log", True),
        ({"resources": [{"resources": ["*/log"]}]}, "GET", "/api/v1/namespaces/a/pods/p/log", True),
        ({"resources": [{"resources": ["*/status"]}]}, "GET", "/api/v1/namespaces/a/pods/p/log", False),
        ({"resources": [{"resources": ["pods"], "resourceNames": ["q"]}]}, "GET", "/api/v1/namespaces/a/pods/p", False),
        ({"namespaces": ["a"]}, "GET", "/api/v1/namespaces/a/pods/p", True),
        ({"namespaces": ["a"]}, "GET", "/api/v1/namespaces/b/pods/p", False),
        ({"namespaces": [""]}, "GET", "/api/v1/nodes/n", True),
        ({"namespaces": ["a"]}, "GET", "/version", False),
        ({"nonResourceURLs": ["/healthz*"]}, "GET", "/healthz/ping", True),
        ({"nonResourceURLs": ["/version"]}, "GET", "/healthz", False),
        ({"nonResourceURLs": ["*"]}, "GET", "/api/v1/pods", False),
    ],
)
def test_the_first_rule_that_fits(rule, method, path, fits):
    assert decide([{**rule, "level": "RequestResponse"}], method, path) == ("RequestResponse" if fits else "Metadata")


def test_what_no_rule_fits_is_not_recorded():
    info = requestinfo.parse("GET", "/api/v1/pods", {})
    assert parsed({"level": "Request", "users": ["bob"]}).decide(EVE, info) == policy.NOTHING
    assert parsed({"level": "None"}, {"level": "Request"}).decide(EVE, info) == policy.NOTHING


def test_stages_and_managers():
    rule = {"level": "Request", "omitStages": ["RequestReceived"], "omitManagedFields": False}
    info = requestinfo.parse("GET", "/api/v1/pods", {})
    found = parsed(rule, omitStages=["ResponseStarted"], omitManagedFields=True).decide(EVE, info)
    assert found == policy.Decision("Request", frozenset(("RequestReceived", "ResponseStarted")), False)
    assert (found.requests, found.responses) == (True, False)


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"rules": []}, "apiVersion must be audit.k8s.io/v1"),
        ({**HEAD, "rules": [{"level": "Everything"}]}, "level"),
        ({**HEAD, "rules": [{"level": "None", "verb": ["get"]}]}, "verb"),
        ({**HEAD, "rules": [{"level": "None", "nonResourceURLs": ["/a"], "namespaces": ["b"]}]}, "both regular"),
        ({**HEAD, "rules": [{"level": "None", "nonResourceURLs": ["/a*b"]}]}, "last character"),
        ({**HEAD, "rules": [{"level": "None", "resources": [{"resourceNames": ["b"]}]}]}, "requires at least one"),
        ([], "audit policy"),
    ],
)
def test_policies_that_make_no_sense(document, why):
    with pytest.raises(policy.Invalid, match=why):
        policy.parse(document)
