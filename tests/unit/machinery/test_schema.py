"""Schemas: decoding and pruning, defaults, validation, rules."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.base.errors import Cause
from fairlead.machinery import schema, tables
from fairlead.machinery.structure import Structure

POD = tables.structure("io.k8s.api.core.v1.Pod")
JOB = tables.structure("io.k8s.api.batch.v1.Job")


def pod(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "x"}], **spec},
    }


def custom(**properties: Any) -> Structure:
    return tables.custom({"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}})


def obj(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "g/v1", "kind": "K", "metadata": {"name": "k"}, "spec": spec}


def told(causes: list[Cause]) -> list[str]:
    return [f"{c.field}: {c.message}" for c in causes]


# --- typed ---------------------------------------------------------------------------------------------------------


def test_a_correct_object_stays_as_it_is() -> None:
    found = schema.conform(POD, pod(nodeSelector={"a": "b"}, terminationGracePeriodSeconds=3))
    assert (found.obj, found.unknown, found.problems) == (
        pod(nodeSelector={"a": "b"}, terminationGracePeriodSeconds=3), [], [],
    )  # fmt: skip


def test_unknown_fields_are_reported_with_their_path_and_removed() -> None:
    given = pod(foo=1)
    given["spec"]["containers"][0]["imag"] = "y"
    found = schema.conform(POD, given)
    assert sorted(found.unknown) == ['unknown field "spec.containers[0].imag"', 'unknown field "spec.foo"']
    assert found.obj == pod()


def test_unknown_fields_can_be_told_without_a_change() -> None:
    given = pod(foo=1)
    assert schema.unknown_fields(POD, given) == ['unknown field "spec.foo"']
    assert given["spec"]["foo"] == 1


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"completions": "3"}, "string into Go struct field JobSpec.spec.completions of type int32"),
        ({"completions": 1.5}, "number 1.5 into Go struct field JobSpec.spec.completions of type int32"),
        ({"completions": 1 << 31}, "number 2147483648 into Go struct field JobSpec.spec.completions of type int32"),
        ({"suspend": "yes"}, "string into Go struct field JobSpec.spec.suspend of type bool"),
        ({"template": []}, "array into Go struct field JobSpec.spec.template of type v1.PodTemplateSpec"),
        (
            {"template": {"spec": {"containers": {}}}},
            "object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
        ),
        (
            {"template": {"spec": {"containers": [{"command": [1]}]}}},
            "number into Go struct field Container.spec.template.spec.containers.command of type string",
        ),
    ],
)
def test_a_wrong_type_is_told_as_gos_decoder_does(spec: dict[str, Any], problem: str) -> None:
    assert schema.conform(JOB, {"spec": spec}).problems == [f"json: cannot unmarshal {problem}"]


def test_labels_must_be_texts() -> None:
    problems = schema.conform(POD, {"metadata": {"labels": {"a": True}}}).problems
    assert problems == ["json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string"]


def test_quantities_become_canonical_texts() -> None:
    given = pod()
    given["spec"]["containers"][0]["resources"] = {"limits": {"cpu": 1.0, "memory": "1024Mi", "nvidia.com/gpu": 2}}
    found = schema.conform(POD, given)
    limits = found.obj["spec"]["containers"][0]["resources"]["limits"]
    assert limits == {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": "2"}


def test_a_malformed_quantity_is_a_problem() -> None:
    given = pod()
    given["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "one"}}
    assert "quantities must match the regular expression" in schema.conform(POD, given).problems[0]


def test_null_is_absent() -> None:
    given = pod(nodeName=None, nodeSelector={"a": None})
    given["metadata"]["creationTimestamp"] = None
    assert schema.conform(POD, given).obj == pod(nodeSelector={"a": ""})


def test_times_become_utc() -> None:
    given = pod()
    given["metadata"]["creationTimestamp"] = "2026-01-02T04:04:05.5+01:00"
    found = schema.conform(POD, given)
    assert found.obj["metadata"]["creationTimestamp"] == "2026-01-02T03:04:05Z"
    assert not found.problems


def test_a_time_that_is_none_is_a_problem() -> None:
    given = {"metadata": {"creationTimestamp": "yesterday"}}
    assert schema.conform(POD, given).problems[0].startswith('parsing time "yesterday" as')


def test_secret_data_is_base64() -> None:
    secret = tables.structure("io.k8s.api.core.v1.Secret")
    assert schema.conform(secret, {"data": {"k": "YWJj"}}).problems == []
    assert schema.conform(secret, {"data": {"k": "a!c="}}).problems == ["illegal base64 data at input byte 1"]


def test_ports_may_be_numbers_or_names() -> None:
    service = tables.structure("io.k8s.api.core.v1.Service")
    for target in (80, "http"):
        assert not schema.conform(service, {"spec": {"ports": [{"targetPort": target}]}}).problems
    assert schema.conform(service, {"spec": {"ports": [{"targetPort": True}]}}).problems


def test_recursive_schemas_are_followed() -> None:
    crd = tables.structure("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition")
    inner = {"type": "object", "properties": {"a": {"type": "string", "typo": 1}}}
    found = schema.conform(crd, {"spec": {"versions": [{"schema": {"openAPIV3Schema": inner}}]}})
    assert found.unknown == ['unknown field "spec.versions[0].schema.openAPIV3Schema.properties.a.typo"']


# --- untyped: pruning and defaults ---------------------------------------------------------------------------------


def test_a_custom_object_is_pruned_but_for_what_preserves() -> None:
    kind = custom(
        a={"type": "string"}, free={"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        half={"type": "object", "properties": {"a": {"type": "string"}}, "x-kubernetes-preserve-unknown-fields": True},
    )  # fmt: skip
    found = schema.conform(kind, obj(a="x", b=1, free={"x": {"y": 1}}, half={"a": "1", "z": 2}))
    assert found.obj["spec"] == {"a": "x", "free": {"x": {"y": 1}}, "half": {"a": "1", "z": 2}}
    assert found.unknown == ['unknown field "spec.b"']


def test_an_embedded_resource_keeps_its_identity() -> None:
    kind = custom(it={"type": "object", "x-kubernetes-embedded-resource": True, "properties": {}})
    embedded = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}
    assert schema.conform(kind, obj(it={**embedded, "spec": {}})).obj["spec"]["it"] == embedded


def test_metadata_of_custom_objects_is_typed() -> None:
    given = obj()
    given["metadata"] = {"labels": {"a": 1}, "foo": 2}
    found = schema.conform(custom(), given)
    assert found.unknown == ['unknown field "metadata.foo"']
    where = "Go struct field ObjectMeta.metadata.labels of type string"
    assert found.problems == [f"json: cannot unmarshal number into {where}"]


def test_whole_floats_become_integers() -> None:
    kind = custom(n={"type": "integer"}, q={"x-kubernetes-int-or-string": True})
    found = schema.conform(kind, obj(n=3.0, q=1.0))
    assert [type(v) for v in found.obj["spec"].values()] == [int, int]


def test_defaults_fill_what_is_missing_where_the_parent_is_there() -> None:
    inner = {"type": "object", "properties": {"a": {"type": "integer", "default": 1}}}
    kind = custom(
        one=inner, two=inner, three={**inner, "default": {}}, many={"type": "array", "items": inner},
        named={"type": "object", "additionalProperties": inner}, text={"type": "string", "default": "x"},
    )  # fmt: skip
    given = obj(one={}, many=[{}, {"a": 5}], named={"k": {}})
    schema.default(kind, given)
    assert given["spec"] == {
        "one": {"a": 1}, "three": {"a": 1}, "many": [{"a": 1}, {"a": 5}], "named": {"k": {"a": 1}}, "text": "x",
    }  # fmt: skip


def test_null_is_dropped_or_defaulted_unless_it_is_allowed() -> None:
    kind = custom(
        a={"type": "string", "default": "x"},
        b={"type": "string"},
        c={"type": "string", "nullable": True, "default": "y"},
    )
    given = schema.conform(kind, obj(a=None, b=None, c=None)).obj
    schema.default(kind, given)
    assert given["spec"] == {"a": "x", "c": None}


def test_a_default_is_never_shared() -> None:
    kind = custom(a={"type": "array", "items": {"type": "string"}, "default": []})
    first, second = obj(), obj()
    schema.default(kind, first)
    first["spec"]["a"].append("x")
    schema.default(kind, second)
    assert second["spec"]["a"] == []


# --- untyped: validation -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("node", "value", "message"),
    [
        ({"type": "integer"}, "x", 'Invalid value: "string": spec.a in body must be of type integer: "string"'),
        ({"type": "string"}, 1, 'Invalid value: "integer": spec.a in body must be of type string: "integer"'),
        ({"type": "string", "enum": ["A", "B"]}, "C", 'Unsupported value: "C": supported values: "A", "B"'),
        ({"type": "string", "pattern": "^a+$"}, "b", "Invalid value: \"b\": spec.a in body should match '^a+$'"),
        ({"type": "string", "minLength": 1}, "", 'Invalid value: "": spec.a in body should be at least 1 chars long'),
        ({"type": "string", "maxLength": 2}, "abc", "Too long: may not be more than 2 bytes"),
        ({"type": "integer", "minimum": 1}, 0, "Invalid value: 0: spec.a in body should be greater than or equal to 1"),
        ({"type": "integer", "maximum": 1}, 2, "Invalid value: 2: spec.a in body should be less than or equal to 1"),
        (
            {"type": "integer", "maximum": 2, "exclusiveMaximum": True}, 2,
            "Invalid value: 2: spec.a in body should be less than 2",
        ),
        ({"type": "integer", "multipleOf": 2}, 3, "Invalid value: 3: spec.a in body should be a multiple of 2"),
        (
            {"type": "array", "items": {"type": "string"}, "maxItems": 1}, ["a", "b"],
            "Too many: 2: must have at most 1 items",
        ),
        (
            {"type": "string", "format": "date-time"}, "x",
            'Invalid value: "x": spec.a in body must be of type date-time: "x"',
        ),
        ({"type": "object", "properties": {}, "minProperties": 1}, {},
         "Invalid value: 0: spec.a in body should have at least 1 properties"),
    ],
)  # fmt: skip
def test_a_broken_constraint_is_told_in_upstreams_words(node: dict[str, Any], value: Any, message: str) -> None:
    assert told(schema.validate(custom(a=node), obj(a=value))) == [f"spec.a: {message}"]


def test_a_required_field_is_missed() -> None:
    kind = custom(a={"type": "object", "required": ["b"], "properties": {"b": {"type": "string"}}})
    assert schema.validate(kind, obj(a={})) == [Cause("FieldValueRequired", "Required value", "spec.a.b")]


def test_sets_and_list_maps_have_no_duplicates() -> None:
    kind = custom(
        s={"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        m={"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"],
           "items": {"type": "object", "properties": {"n": {"type": "string"}, "v": {"type": "integer"}}}},
    )  # fmt: skip
    given = obj(s=["a", "b", "a"], m=[{"n": "x", "v": 1}, {"n": "x", "v": 2}])
    assert told(schema.validate(kind, given)) == [
        'spec.s[2]: Duplicate value: "a"', 'spec.m[1]: Duplicate value: {"n":"x"}',
    ]  # fmt: skip


def test_int_or_string_takes_both_and_nothing_else() -> None:
    kind = custom(a={"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]})
    assert [bool(schema.validate(kind, obj(a=v))) for v in (1, "1", 1.0, 1.5, True, [])] == [False] * 3 + [True] * 3


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": 1}, None),
        ({}, '"spec.it" must validate one and only one schema (oneOf). Found none valid'),
        ({"a": 1, "b": 1}, '"spec.it" must validate one and only one schema (oneOf). Found 2 valid alternatives'),
    ],
)
def test_one_of(value: Any, message: str | None) -> None:
    number = {"type": "integer"}
    kind = custom(it={
        "type": "object", "properties": {"a": number, "b": number}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
    })  # fmt: skip
    found = told(schema.validate(kind, obj(it=value)))
    assert found == ([f'spec.it: Invalid value: "": {message}'] if message else [])


def test_not_and_any_of() -> None:
    kind = custom(a={"type": "string", "not": {"enum": ["x"]}}, b={"type": "string", "anyOf": [{"pattern": "^a"}]})
    assert told(schema.validate(kind, obj(a="x", b="b"))) == [
        'spec.a: Invalid value: "": "spec.a" must not validate the schema (not)',
        'spec.b: Invalid value: "": "spec.b" must validate at least one schema (anyOf)',
    ]


def test_a_schema_may_restrict_the_name() -> None:
    kind = tables.custom({
        "type": "object",
        "properties": {"metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 2}}}},
    })  # fmt: skip
    given = {"metadata": {"name": "abc"}}
    assert told(schema.validate(kind, given)) == ["metadata.name: Too long: may not be more than 2 bytes"]


def test_what_was_wrong_before_may_stay() -> None:
    kind = custom(a={"type": "integer", "maximum": 1}, b={"type": "integer", "maximum": 1})
    assert [c.field for c in schema.validate(kind, obj(a=2, b=2), obj(a=2, b=1))] == ["spec.b"]


# --- rules ---------------------------------------------------------------------------------------------------------


def ruled(*rules: dict[str, Any]) -> Structure:
    return custom(a={"type": "integer"}, b={
        "type": "object", "properties": {"n": {"type": "integer"}}, "x-kubernetes-validations": list(rules),
    })  # fmt: skip


def test_a_rule_that_does_not_hold() -> None:
    kind = ruled({"rule": "self.n > 1", "message": "n must be above 1"}, {"rule": "self.n < 9"})
    assert told(schema.validate(kind, obj(b={"n": 1}))) == ['spec.b: Invalid value: "object": n must be above 1']
    assert told(schema.validate(kind, obj(b={"n": 9}))) == ['spec.b: Invalid value: "object": failed rule: self.n < 9']
    assert schema.validate(kind, obj()) == []


def test_a_rule_chooses_field_reason_and_message() -> None:
    rule = {
        "rule": "self.n > 1", "fieldPath": ".n", "reason": "FieldValueForbidden",
        "messageExpression": "'not ' + string(self.n)",
    }  # fmt: skip
    assert schema.validate(ruled(rule), obj(b={"n": 1})) == [
        Cause("FieldValueForbidden", "Forbidden: not 1", "spec.b.n")
    ]


def test_a_transition_rule_counts_on_update_only() -> None:
    kind = ruled({"rule": "self.n == oldSelf.n", "message": "n is immutable"})
    new, old = obj(b={"n": 2}), obj(b={"n": 1})
    assert schema.validate(kind, new) == []
    assert told(schema.validate(kind, new, old)) == ['spec.b: Invalid value: "object": n is immutable']
    assert schema.validate(kind, new, obj()) == []


def test_a_rule_is_not_asked_of_what_has_not_changed() -> None:
    kind = ruled({"rule": "self.n > 1"})
    assert schema.validate(kind, obj(a=2, b={"n": 1}), obj(a=1, b={"n": 1})) == []


def test_elements_of_list_maps_are_matched_by_key() -> None:
    kind = custom(m={
        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"], "items": {
            "type": "object", "properties": {"n": {"type": "string"}, "v": {"type": "integer"}},
            "x-kubernetes-validations": [{"rule": "self.v >= oldSelf.v", "message": "v only grows"}],
        },
    })  # fmt: skip
    old = obj(m=[{"n": "a", "v": 1}, {"n": "b", "v": 5}])
    new = obj(m=[{"n": "b", "v": 4}, {"n": "a", "v": 1}, {"n": "c", "v": 0}])
    assert told(schema.validate(kind, new, old)) == ['spec.m[0]: Invalid value: "object": v only grows']


def test_a_rule_that_cannot_be_evaluated_is_broken() -> None:
    found = told(schema.validate(ruled({"rule": "self.missing > 1"}), obj(b={"n": 1})))
    assert len(found) == 1
    assert "rule evaluation error" in found[0]


def test_times_are_times_in_rules() -> None:
    kind = custom(at={
        "type": "object", "properties": {"t": {"type": "string", "format": "date-time"}},
        "x-kubernetes-validations": [{"rule": "self.t < timestamp('2026-01-01T00:00:00Z')", "message": "too late"}],
    })  # fmt: skip
    assert schema.validate(kind, obj(at={"t": "2025-01-01T00:00:00Z"})) == []
    assert told(schema.validate(kind, obj(at={"t": "2026-02-01T00:00:00Z"})))
