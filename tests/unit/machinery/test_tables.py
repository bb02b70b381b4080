"""The package's tables: what they hold, and that they load lazily and quickly enough."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.api import builtin, coscheduling, jobset, trainer
from fairlead.machinery import tables


@pytest.mark.parametrize("resource", builtin.RESOURCES, ids=lambda r: r.kind)
def test_every_built_in_kind_and_its_list_has_a_definition(resource: Any) -> None:
    name = resource.schema
    assert "metadata" in tables.definition(name)["properties"]
    assert "items" in tables.definition(name + "List")["properties"]


def test_a_structure_is_made_once() -> None:
    job = tables.structure("io.k8s.api.batch.v1.Job")
    assert tables.structure("io.k8s.api.batch.v1.Job") is job
    meta = job.property("metadata")
    assert meta is tables.structure("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")


def test_lists_have_their_merge_facts() -> None:
    spec = tables.structure("io.k8s.api.core.v1.PodSpec")
    containers = spec.property("containers")
    assert containers is not None
    assert (containers.list_type, containers.map_keys, containers.merge_key) == ("map", ("name",), "name")


def test_every_reference_resolves() -> None:
    known = set(tables.names())
    for name in known:
        structure = tables.structure(name)
        for field in structure.names:
            assert structure.property(field) is not None, (name, field)


def test_the_protobuf_table_has_the_served_kinds() -> None:
    table = tables.protobuf()
    assert {f["json"]: f["n"] for f in table["k8s.io/api/batch/v1.Job"]["fields"]} == {
        "metadata": 1, "spec": 2, "status": 3,
    }  # fmt: skip


def test_the_bundled_definitions_are_the_views_kinds() -> None:
    served = {
        (c["spec"]["group"], c["spec"]["versions"][0]["name"], c["spec"]["names"]["plural"])
        for c in tables.bundled_crds()
    }
    assert served == {r.gvr for r in (*jobset.RESOURCES, *trainer.RESOURCES, *coscheduling.RESOURCES)}


def test_bundled_definitions_are_fresh_each_time() -> None:
    tables.bundled_crds()[0].clear()
    assert tables.bundled_crds()[0]


def test_the_stock_runtimes() -> None:
    assert [r["metadata"]["name"] for r in tables.stock_runtimes()] == ["torch-distributed", "plain"]
