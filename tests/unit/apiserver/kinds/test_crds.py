"""CustomResourceDefinitions: defaults, names and versions, structural schemas."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.machinery import tables

TEXT = {"type": "string"}


def crd(schema: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    version = {
        "name": "v1", "served": True, "storage": True,
        "schema": {"openAPIV3Schema": schema or {"type": "object", "properties": {"spec": {"type": "object"}}}},
    }  # fmt: skip
    return {
        "metadata": {"name": "foos.a.b"},
        "spec": {
            "group": "a.b", "names": {"plural": "foos", "kind": "Foo"}, "scope": "Namespaced", "versions": [version],
            **spec,
        },
    }  # fmt: skip


def of(**spec: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"spec": {"type": "object", "properties": spec}}}


def test_names_are_completed(kinds: Any) -> None:
    made = kinds.made("CustomResourceDefinition", crd())
    assert made["spec"]["names"] == {"plural": "foos", "kind": "Foo", "singular": "foo", "listKind": "FooList"}
    assert made["spec"]["conversion"] == {"strategy": "None"}


@pytest.mark.parametrize("bundled", tables.bundled_crds(), ids=lambda c: c["metadata"]["name"])
def test_the_bundled_definitions_are_in_order(kinds: Any, bundled: dict[str, Any]) -> None:
    kinds.made("CustomResourceDefinition", bundled)


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (crd(scope="Galaxy"), 'spec.scope: Unsupported value: "Galaxy": supported values: "Cluster", "Namespaced"'),
        (crd(group="c.d"), 'metadata.name: Invalid value: "foos.a.b": must be spec.names.plural+"."+spec.group'),
        (crd(versions=[]), "spec.versions: Required value: must have at least one version"),
        (
            crd({"type": "array"}),
            'spec.versions[0].schema.openAPIV3Schema.type: Invalid value: "array": must be object',
        ),
        (
            crd(of(a={})),
            (
                "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[a].type: "
                "Required value: must not be empty for specified object fields"
            ),
        ),
        (
            crd(of(a={"type": "array"})),
            (
                "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[a].items: "
                "Required value: must be specified"
            ),
        ),
        (
            crd(of(a={"type": "string", "pattern": "("})),
            ("spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[a].pattern: Invalid value"),
        ),
        (
            crd(of(a={"type": "string", "x-kubernetes-validations": [{"rule": "self +"}]})),
            (
                "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[a]."
                "x-kubernetes-validations[0].rule: Invalid value"
            ),
        ),
        (
            crd(of(a={"type": "string", "anyOf": [{"type": "string"}]})),
            ("spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[a].anyOf[0].type: Forbidden"),
        ),
        (
            crd(
                of(
                    a={
                        "type": "array",
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["k"],
                        "items": {"type": "object", "properties": {"k": TEXT}},
                    }
                )
            ),
            (
                "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[a].items."
                "properties[k].default: Required value"
            ),
        ),
        (
            crd(conversion={"strategy": "Other"}),
            ('spec.conversion.strategy: Unsupported value: "Other": supported values: "None", "Webhook"'),
        ),
    ],
    ids=lambda v: v.split(":")[0] if isinstance(v, str) else "",
)
def test_rules(kinds: Any, given: dict[str, Any], wrong: str) -> None:
    found = kinds.create("CustomResourceDefinition", given)[1]
    assert any(f.startswith(wrong) for f in found), found


def test_exactly_one_version_is_stored(kinds: Any) -> None:
    given = crd()
    given["spec"]["versions"][0]["storage"] = False
    found = kinds.create("CustomResourceDefinition", given)[1]
    assert "must have exactly one version marked as storage version" in found[0]


def test_what_may_not_change(kinds: Any) -> None:
    old = kinds.made("CustomResourceDefinition", crd())
    assert kinds.update("CustomResourceDefinition", old, spec__scope="Cluster")[1] == [
        'spec.scope: Invalid value: "Cluster": field is immutable'
    ]
    old["status"] = {"storedVersions": ["v1"]}
    versions = [{**old["spec"]["versions"][0], "name": "v2"}]
    found = kinds.update("CustomResourceDefinition", old, spec__versions=versions)[1]
    assert found[0].startswith('status.storedVersions[0]: Invalid value: "v1": missing from spec.versions')
