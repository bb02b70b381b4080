"""The form of webhook configurations and policies, in a real server's words."""

from __future__ import annotations

import pytest

from fairlead.api import admissionregistration as kinds
from fairlead.apiserver.kinds import strategy
from fairlead.machinery import tables


def told(resource, obj):
    ways = strategy.find(resource, tables.structure(resource.schema))
    obj = {"kind": resource.kind, "metadata": {"name": "x"}, **obj}
    ways.default(obj)
    return [(c.field, c.message) for c in ways.validate(obj)], obj


RULE = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
HOOK = {"name": "a.b.c", "sideEffects": "None", "admissionReviewVersions": ["v1"], "rules": [RULE],
        "clientConfig": {"service": {"name": "s", "namespace": "n"}}}  # fmt: skip


def test_defaults_of_a_webhook():
    wrong, made = told(kinds.MUTATING_WEBHOOKS, {"webhooks": [dict(HOOK, rules=[dict(RULE)])]})
    assert wrong == []
    hook = made["webhooks"][0]
    expected = {"failurePolicy": "Fail", "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {},
                "timeoutSeconds": 10, "reinvocationPolicy": "Never"}  # fmt: skip
    assert {k: hook[k] for k in expected} == expected
    assert (hook["rules"][0]["scope"], hook["clientConfig"]["service"]["port"]) == ("*", 443)


def test_webhooks_that_make_no_sense():
    hooks = [
        {"name": "a", "clientConfig": {}, "rules": [{"operations": [], "apiGroups": [], "resources": []}]},
        {"name": "a.b.c", "clientConfig": {"url": "http://x"}, "sideEffects": "Some",
         "admissionReviewVersions": ["v2"], "timeoutSeconds": 40, "failurePolicy": "X", "matchPolicy": "Y",
         "rules": [{"operations": ["*", "CREATE"], "apiGroups": ["*", "a"], "apiVersions": ["*"],
                    "resources": ["*/*", "a"], "scope": "Z"}]},
        {**HOOK, "clientConfig": {"url": "https://x", "service": {}},
         "matchConditions": [{"name": "", "expression": "true"}, {"name": "x", "expression": "1"}],
         "namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "X"}]}},
    ]  # fmt: skip
    wrong, _ = told(kinds.VALIDATING_WEBHOOKS, {"webhooks": hooks})
    assert wrong == [
        (
            "webhooks[0].name",
            'Invalid value: "a": should be a domain with at least three segments separated by dots',
        ),
        ("webhooks[0].rules[0].operations", "Required value"),
        ("webhooks[0].rules[0].apiGroups", "Required value"),
        ("webhooks[0].rules[0].apiVersions", "Required value"),
        ("webhooks[0].rules[0].resources", "Required value"),
        ("webhooks[0].sideEffects", "Required value: must specify one of None, NoneOnDryRun"),
        ("webhooks[0].clientConfig", "Required value: exactly one of url or service is required"),
        ("webhooks[0].admissionReviewVersions", "Required value: must specify one of v1, v1beta1"),
        (
            "webhooks[1].rules[0].operations",
            'Invalid value: ["*","CREATE"]: if \'*\' is present, must not specify other operations',
        ),
        (
            "webhooks[1].rules[0].apiGroups",
            'Invalid value: ["*","a"]: if \'*\' is present, must not specify other API groups',
        ),
        (
            "webhooks[1].rules[0].resources",
            'Invalid value: ["*/*","a"]: if \'*/*\' is present, must not specify other resources',
        ),
        ("webhooks[1].rules[0].scope", 'Unsupported value: "Z": supported values: "*", "Cluster", "Namespaced"'),
        ("webhooks[1].failurePolicy", 'Unsupported value: "X": supported values: "Fail", "Ignore"'),
        ("webhooks[1].matchPolicy", 'Unsupported value: "Y": supported values: "Equivalent", "Exact"'),
        ("webhooks[1].sideEffects", 'Unsupported value: "Some": supported values: "None", "NoneOnDryRun"'),
        ("webhooks[1].timeoutSeconds", "Invalid value: 40: the timeout value must be between 1 and 30 seconds"),
        (
            "webhooks[1].clientConfig.url",
            "Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path]",
        ),
        ("webhooks[1].admissionReviewVersions", 'Invalid value: ["v2"]: must include at least one of v1, v1beta1'),
        (
            "webhooks[2].namespaceSelector.matchExpressions[0].operator",
            'Invalid value: "X": not a valid selector operator',
        ),
        ("webhooks[2].clientConfig", "Required value: exactly one of url or service is required"),
        ("webhooks[2].matchConditions[0].name", "Required value"),
        ("webhooks[2].matchConditions[1].expression", 'Invalid value: "1": must evaluate to bool but got int'),
        ("webhooks[2].name", 'Duplicate value: "a.b.c"'),
    ]


def test_policies_that_make_no_sense():
    assert told(kinds.POLICIES, {"spec": {}})[0] == [
        ("spec.matchConstraints", "Required value"),
        ("spec.validations", "Required value: validations or auditAnnotations must contain at least one item"),
        ("spec.auditAnnotations", "Required value: validations or auditAnnotations must contain at least one item"),
    ]
    every = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}
    spec = {
        "failurePolicy": "X", "paramKind": {},
        "matchConstraints": {"resourceRules": [{**every, "resourceNames": ["a", "a"]}]},
        "validations": [{"expression": ""}, {"expression": "1"},
                        {"expression": "true", "reason": "X", "message": "a\nb", "messageExpression": "1"}],
        "auditAnnotations": [{"key": "a b", "valueExpression": "1"}],
        "variables": [{"name": "a-b", "expression": "1"}],
    }  # fmt: skip
    fields = [field for field, _ in told(kinds.POLICIES, {"spec": spec})[0]]
    assert fields == [
        "spec.failurePolicy", "spec.paramKind.apiVersion", "spec.paramKind.kind",
        "spec.matchConstraints.resourceRules[0].resourceNames[1]", "spec.variables[0].name",
        "spec.validations[0].expression", "spec.validations[1].expression", "spec.validations[2].messageExpression",
        "spec.validations[2].message", "spec.validations[2].reason", "spec.auditAnnotations[0].key",
        "spec.auditAnnotations[0].valueExpression",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["object.", "nobody.x == 1", "params.x == 1"])
def test_expressions_must_be_cel_of_known_names(text):
    rules = {"resourceRules": [RULE]}
    spec = {"matchConstraints": rules, "validations": [{"expression": text}]}
    ((field, message),) = told(kinds.POLICIES, {"spec": spec})[0]
    assert field == "spec.validations[0].expression"
    assert "compilation failed: ERROR: <input>" in message


def test_bindings():
    assert told(kinds.BINDINGS, {"spec": {}})[0] == [
        ("spec.policyName", "Required value"),
        ("spec.validationActions", "Required value: at least one validation action is required"),
    ]
    spec = {"policyName": "p", "validationActions": ["Deny", "Warn", "Deny"],
            "paramRef": {"name": "a", "selector": {}, "parameterNotFoundAction": "Allow"}}  # fmt: skip
    fields = [field for field, _ in told(kinds.BINDINGS, {"spec": spec})[0]]
    assert fields == [
        "spec.paramRef.name", "spec.paramRef.selector", "spec.validationActions[2]", "spec.validationActions",
    ]  # fmt: skip
