"""Literal managedFields below are what upstream's documentation and API servers show."""

import copy

import pytest

from fairlead.base.errors import StatusError
from fairlead.machinery import apply, compiled, fieldset, tables

META = "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1."
POD = tables.structure("io.k8s.api.core.v1.Pod")
CONFIG_MAP = tables.structure("io.k8s.api.core.v1.ConfigMap")
SERVICE = tables.structure("io.k8s.api.core.v1.Service")
DEPLOYMENT = compiled.compile(
    {
        "type": "object",
        "x-kubernetes-group-version-kind": [{"group": "apps", "version": "v1", "kind": "Deployment"}],
        "properties": {
            "metadata": {"$ref": META + "ObjectMeta"},
            "spec": {
                "type": "object",
                "properties": {
                    "replicas": {"type": "integer"},
                    "progressDeadlineSeconds": {"type": "integer"},
                    "selector": {"$ref": META + "LabelSelector"},
                    "strategy": {
                        "type": "object",
                        "properties": {
                            "type": {"type": "string"},
                            "rollingUpdate": {"type": "object", "properties": {"maxSurge": {"type": "string"}}},
                        },
                    },
                    "template": {"$ref": "#/definitions/io.k8s.api.core.v1.PodTemplateSpec"},
                },
            },
        },
    },
    tables.structure,
    "test.Deployment",
)
CUSTOM = compiled.compile(
    {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "cronSpec": {"type": "string"},
                    "atomic": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": {}},
                    "plain": {"type": "array", "items": {"type": "string"}},
                    "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                    "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                },
            }
        },
    }
)
T0, T1, T2 = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"


def config_map(data, **metadata):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "test-cm", **metadata}, "data": data}


def deployment(**spec):
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "nginx", "namespace": "x"},
        "spec": spec,
    }


def template(*containers):
    return {"metadata": {"labels": {"app": "nginx"}}, "spec": {"containers": list(containers)}}


def put(live, new, structure=CONFIG_MAP, manager="kubectl", version="v1", time=T0, **more):
    return apply.track_update(live, new, structure, manager=manager, api_version=version, time=time, **more)


def ssa(live, config, structure=CONFIG_MAP, manager="kubectl", version="v1", time=T0, **more):
    return apply.apply(live, config, structure, manager=manager, api_version=version, time=time, **more)


def entries(obj):
    return obj["metadata"].get("managedFields", [])


def owners(obj):
    return {e["manager"]: e["fieldsV1"] for e in entries(obj)}


def test_an_applied_config_map_as_in_the_documentation():
    made = ssa(None, config_map({"key": "some value"}, labels={"test-label": "test"}))
    assert entries(made) == [
        {
            "manager": "kubectl", "operation": "Apply", "apiVersion": "v1", "time": T0, "fieldsType": "FieldsV1",
            "fieldsV1": {"f:data": {"f:key": {}}, "f:metadata": {"f:labels": {"f:test-label": {}}}},
        }
    ]  # fmt: skip


def test_an_update_by_the_controller_manager_as_in_the_documentation():
    live = ssa(None, config_map({"key": "some value"}, labels={"test-label": "test"}))
    changed = {**live, "data": {"key": "new value"}}
    updated = put(live, changed, manager="kube-controller-manager", time=T1)
    assert entries(updated) == [
        {
            "manager": "kubectl", "operation": "Apply", "apiVersion": "v1", "time": T0, "fieldsType": "FieldsV1",
            "fieldsV1": {"f:metadata": {"f:labels": {"f:test-label": {}}}},
        },
        {
            "manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1", "time": T1,
            "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:key": {}}},
        },
    ]  # fmt: skip
    assert "managedFields" in live["metadata"]
    assert owners(live) == {"kubectl": {"f:data": {"f:key": {}}, "f:metadata": {"f:labels": {"f:test-label": {}}}}}


def test_a_created_deployment_owns_what_it_holds_but_not_structs_held_by_value():
    container = {
        "name": "nginx", "image": "nginx", "resources": {}, "env": [{"name": "A", "value": "1"}],
        "ports": [{"containerPort": 80, "protocol": "TCP"}],
    }  # fmt: skip
    new = deployment(
        replicas=1, selector={"matchLabels": {"app": "nginx"}}, template=template(container),
        strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}},
    )  # fmt: skip
    new["metadata"] |= {"labels": {"app": "nginx"}, "uid": "u", "generation": 1, "creationTimestamp": T0}
    made = put(None, new, DEPLOYMENT, "kubectl-create", "apps/v1")
    assert owners(made)["kubectl-create"] == {
        "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
        "f:spec": {
            "f:replicas": {},
            "f:selector": {},
            "f:strategy": {"f:rollingUpdate": {".": {}, "f:maxSurge": {}}, "f:type": {}},
            "f:template": {
                "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                "f:spec": {
                    "f:containers": {
                        'k:{"name":"nginx"}': {
                            ".": {},
                            "f:env": {".": {}, 'k:{"name":"A"}': {".": {}, "f:name": {}, "f:value": {}}},
                            "f:image": {},
                            "f:name": {},
                            "f:ports": {
                                ".": {},
                                'k:{"containerPort":80,"protocol":"TCP"}': {
                                    ".": {}, "f:containerPort": {}, "f:protocol": {},
                                },
                            },
                            "f:resources": {},
                        }
                    }
                },
            },
        },
    }  # fmt: skip


def test_a_custom_object_owns_its_spec_too():
    made = put(None, {"spec": {"cronSpec": "*", "plain": ["a"], "set": ["b"], "atomic": {"x": 1}}}, CUSTOM)
    assert owners(made)["kubectl"] == {
        "f:spec": {
            ".": {}, "f:atomic": {}, "f:cronSpec": {}, "f:plain": {}, "f:set": {".": {}, 'v:"b"': {}},
        }
    }  # fmt: skip


def test_unknown_fields_have_granular_maps_and_atomic_lists():
    made = ssa(None, {"spec": {"any": {"a": {"b": 1}, "l": [{"name": "x"}]}}}, CUSTOM)
    assert owners(made)["kubectl"] == {"f:spec": {"f:any": {"f:a": {".": {}, "f:b": {}}, "f:l": {}}}}


def test_owner_references_are_leaves_and_generate_name_is_owned():
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "123"}
    made = put(None, {"metadata": {"generateName": "x-", "ownerReferences": [owner]}}, POD)
    assert owners(made)["kubectl"] == {
        "f:metadata": {"f:generateName": {}, "f:ownerReferences": {".": {}, 'k:{"uid":"123"}': {}}}
    }


def test_a_status_write_has_its_own_entry():
    live = put(None, {"metadata": {"name": "p"}, "spec": {"nodeName": "n"}, "status": {"phase": "Pending"}}, POD)
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    new = put(live, {**live, "status": status}, POD, "agent", time=T1, subresource="status")
    assert entries(new)[1] == {
        "manager": "agent", "operation": "Update", "apiVersion": "v1", "time": T1, "fieldsType": "FieldsV1",
        "fieldsV1": {"f:status": {
            "f:conditions": {".": {}, 'k:{"type":"Ready"}': {".": {}, "f:status": {}, "f:type": {}}}, "f:phase": {},
        }},
        "subresource": "status",
    }  # fmt: skip
    assert owners(new)["kubectl"] == {"f:spec": {"f:nodeName": {}}}
    again = put(new, {**new, "status": copy.deepcopy(status)}, POD, "agent", time=T2, subresource="status")
    assert again == new


def test_fields_that_go_away_leave_every_set_and_empty_managers_vanish():
    live = put(None, config_map({"a": "1"}), manager="one")
    live = put(live, {**live, "data": {"a": "1", "b": "2"}}, manager="two", time=T1)
    assert owners(live) == {"one": {"f:data": {".": {}, "f:a": {}}}, "two": {"f:data": {"f:b": {}}}}
    gone = put(live, {**live, "data": {"a": "1"}}, manager="three", time=T2)
    assert owners(gone) == {"one": {"f:data": {".": {}, "f:a": {}}}}


def test_one_conflict_is_reported_in_upstreams_words():
    live = put(None, deployment(replicas=1), DEPLOYMENT, "kubectl-client-side-apply", "apps/v1")
    with pytest.raises(apply.Conflicts) as refused:
        ssa(live, deployment(replicas=2), DEPLOYMENT, "me", "apps/v1")
    assert refused.value.as_status() == {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Conflict", "code": 409,
        "message": (
            'Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using apps/v1: .spec.replicas'
        ),
        "details": {"causes": [{
            "reason": "FieldManagerConflict", "field": ".spec.replicas",
            "message": 'conflict with "kubectl-client-side-apply" using apps/v1',
        }]},
    }  # fmt: skip
    assert refused.value.conflicts == [('"kubectl-client-side-apply" using apps/v1', ".spec.replicas")]


def test_several_conflicts_are_listed_by_manager():
    live = ssa(None, deployment(template=template({"name": "a", "image": "1"})), DEPLOYMENT, "ci", "apps/v1")
    live = put(live, deployment(**live["spec"], replicas=1) | {"metadata": live["metadata"]}, DEPLOYMENT, "hpa",
               "apps/v1", subresource="scale")  # fmt: skip
    config = deployment(replicas=2, template=template({"name": "a", "image": "2"}))
    with pytest.raises(apply.Conflicts) as refused:
        ssa(live, config, DEPLOYMENT, "me", "apps/v1")
    assert refused.value.message == (
        'Apply failed with 2 conflicts: conflicts with "ci":\n'
        '- .spec.template.spec.containers[name="a"].image\n'
        'conflicts with "hpa" with subresource "scale" using apps/v1:\n'
        "- .spec.replicas"
    )


def test_equal_values_are_shared_and_force_takes_fields_over():
    live = ssa(None, config_map({"a": "1"}), manager="one")
    shared = ssa(live, config_map({"a": "1"}), manager="two", time=T1)
    assert owners(shared) == {"one": {"f:data": {"f:a": {}}}, "two": {"f:data": {"f:a": {}}}}
    forced = ssa(shared, config_map({"a": "2"}), manager="two", time=T2, force=True)
    assert forced["data"] == {"a": "2"}
    assert owners(forced) == {"two": {"f:data": {"f:a": {}}}}


def test_what_an_applier_no_longer_names_goes_unless_somebody_else_owns_it():
    live = ssa(None, config_map({"a": "1", "b": "2", "c": "3"}, labels={"x": "y"}), manager="one")
    live = ssa(live, config_map({"b": "2"}), manager="two", time=T1)
    live["metadata"]["uid"] = "u"
    after = ssa(live, config_map({"a": "1"}), manager="one", time=T2)
    assert after["data"] == {"a": "1", "b": "2"}
    assert "labels" not in after["metadata"]
    assert after["metadata"]["uid"] == "u"
    assert owners(after) == {"one": {"f:data": {"f:a": {}}}, "two": {"f:data": {"f:b": {}}}}


def test_a_removed_list_element_goes_and_the_others_keep_what_they_had():
    a, b = {"name": "a", "image": "1"}, {"name": "b", "image": "1"}
    live = ssa(None, deployment(template=template(a, b)), DEPLOYMENT, "one", "apps/v1")
    live["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = "Always"  # a default
    after = ssa(live, deployment(template=template(a)), DEPLOYMENT, "one", "apps/v1", time=T1)
    assert after["spec"]["template"]["spec"]["containers"] == [{**a, "imagePullPolicy": "Always"}]
    sidecar = {"name": "sidecar", "image": "s"}
    after = ssa(after, deployment(template={"spec": {"containers": [sidecar]}}), DEPLOYMENT, "two", "apps/v1")
    after = ssa(after, deployment(replicas=1), DEPLOYMENT, "one", "apps/v1")
    assert after["spec"] == {"replicas": 1, "template": {"spec": {"containers": [sidecar]}}}


def test_lists_keep_the_order_of_the_configuration_among_the_elements_of_others():
    def names(obj):
        return [c["name"] for c in obj["spec"]["template"]["spec"]["containers"]]

    live = put(None, deployment(template=template(*({"name": n} for n in "abcd"))), DEPLOYMENT, "x", "apps/v1")
    after = ssa(live, deployment(template=template(*({"name": n} for n in "cea"))), DEPLOYMENT, "me", "apps/v1")
    assert names(after) == ["b", "c", "d", "e", "a"]


def test_applying_again_changes_nothing_not_even_the_time():
    config = deployment(replicas=2, template=template({"name": "a", "image": "1"}))
    live = ssa(None, config, DEPLOYMENT, "me", "apps/v1")
    assert ssa(live, config, DEPLOYMENT, "me", "apps/v1", time=T2) == live


def test_an_apply_by_another_version_keeps_one_entry():
    live = ssa(None, config_map({"a": "1"}), manager="one")
    after = ssa(live, {**config_map({"a": "2"}), "apiVersion": "v2"}, manager="one", version="v2", time=T1)
    assert [(e["manager"], e["apiVersion"]) for e in entries(after)] == [("one", "v2")]


def test_what_was_there_before_the_first_apply_has_an_owner_too():
    live = config_map({"a": "1", "b": "2"})
    after = ssa(live, config_map({"a": "1"}), manager="me", time=T1)
    assert owners(after) == {
        "me": {"f:data": {"f:a": {}}},
        "before-first-apply": {"f:data": {".": {}, "f:a": {}, "f:b": {}}},
    }
    with pytest.raises(apply.Conflicts, match="before-first-apply"):
        ssa(live, config_map({"a": "2"}), manager="me")


def test_kubectl_takes_over_what_it_applied_on_the_clients_side():
    text = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"test-cm"},"data":{"a":"1","b":"1"}}'
    live = put(None, config_map({"a": "1", "b": "other"}, annotations={apply.LAST_APPLIED: text}), manager="csa")
    assert ssa(live, config_map({"a": "2"}), manager="kubectl")["data"] == {"a": "2", "b": "other"}
    with pytest.raises(apply.Conflicts, match=r"1 conflict: .*\.data\.b"):
        ssa(live, config_map({"a": "2", "b": "2"}), manager="kubectl")
    with pytest.raises(apply.Conflicts):
        ssa(live, config_map({"a": "2"}), manager="somebody")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (config_map({}, managedFields=[]), "metadata.managedFields must be nil"),
        ({"apiVersion": "v2"}, "Incorrect version specified in apply patch. Specified patch version: v2, expected: v1"),
        (
            {"apiVersion": "v1", "spec": {"containers": [{"image": "x"}]}},
            "associative list with keys has an element that omits all key fields",
        ),
        (
            {"apiVersion": "v1", "spec": {"containers": [{"name": "a"}, {"name": "a"}]}},
            'duplicate entries for key [name="a"]',
        ),
    ],
)
def test_bad_configurations_are_400(config, message):
    with pytest.raises(StatusError) as refused:
        ssa(None, config, POD)
    assert (refused.value.code, message in refused.value.message) == (400, True), refused.value.message


def test_nulls_in_a_configuration_unset():
    live = put(None, config_map({"a": "1", "b": "2"}), manager="one")
    after = ssa(live, config_map({"a": None}), manager="two", force=True)
    assert after["data"] == {"b": "2"}


def test_null_next_to_a_map_is_an_empty_map():
    live = ssa(None, deployment(strategy={"type": "x"}), DEPLOYMENT, "one", "apps/v1")
    live = put(live, deployment(strategy={"type": "x", "rollingUpdate": None}) | {"metadata": live["metadata"]},
               DEPLOYMENT, "two", "apps/v1")  # fmt: skip
    after = ssa(live, deployment(strategy=None), DEPLOYMENT, "one", "apps/v1")
    assert after["spec"]["strategy"] == {"rollingUpdate": None}
    filled = deployment(strategy={"rollingUpdate": {"maxSurge": "1"}}) | {"metadata": after["metadata"]}
    filled = put(after, filled, DEPLOYMENT, "three", "apps/v1")
    assert owners(filled)["three"] == {"f:spec": {"f:strategy": {"f:rollingUpdate": {"f:maxSurge": {}}}}}


def test_an_emptied_map_stays_while_somebody_owns_it():
    live = put(None, config_map({"a": "1"}), manager="one")
    live = ssa(live, config_map({"b": "2"}), manager="two")
    live = put(live, {**live, "data": {"b": "2"}}, manager="one")
    assert ssa(live, config_map({}), manager="two")["data"] == {}


def test_an_apply_of_ignored_fields_is_no_conflict():
    live = put(None, {"metadata": {"name": "p"}, "status": {"phase": "Running"}}, POD, "agent", subresource="status")
    config = {"apiVersion": "v1", "metadata": {"name": "p"}, "status": {"phase": "Failed"}}
    assert ssa(live, config, POD, "me", ignored=("status",))["status"] == {"phase": "Running"}
    with pytest.raises(apply.Conflicts, match=r"subresource \"status\" using v1: \.status\.phase"):
        ssa(live, config, POD, "me")


def test_ignored_fields_are_never_owned():
    config = {"apiVersion": "v1", "spec": {"nodeName": "n"}, "status": {"phase": "Running"}}
    made = ssa(None, config, POD, ignored={"status"})
    assert owners(made)["kubectl"] == {"f:spec": {"f:nodeName": {}}}
    status = {**made, "status": {"phase": "Failed"}}
    written = put(made, status, POD, "agent", subresource="status", ignored={"spec", "metadata"})
    assert owners(written)["agent"] == {"f:status": {"f:phase": {}}}


def test_managed_fields_may_be_reset_and_then_are_not_tracked_until_an_apply():
    live = put(None, config_map({"a": "1"}))
    for reset in ([], [{}]):
        cleared = put(live, {**live, "metadata": {**live["metadata"], "managedFields": reset}})
        assert entries(cleared) == []
        assert entries(put(cleared, {**cleared, "data": {"a": "2"}})) == []


def test_a_writer_may_edit_managed_fields_and_rubbish_is_ignored():
    live = put(None, config_map({"a": "1", "b": "1"}), manager="one")
    given = copy.deepcopy(entries(live))
    given[0]["fieldsV1"] = {"f:data": {"f:a": {".": {}}}}
    edited = put(live, {**live, "metadata": {**live["metadata"], "managedFields": given}}, manager="two")
    assert owners(edited) == {"one": {"f:data": {"f:a": {}}}}
    for rubbish in ("x", ["x"], [{"operation": "Apply"}], [{**given[0], "fieldsV1": {"f:a": 1}}],
                    [{**given[0], "fieldsV1": {"q:a": {}}}], [{**given[0], "fieldsType": "V2"}]):  # fmt: skip
        kept = put(live, {**live, "metadata": {**live["metadata"], "managedFields": rubbish}}, manager="two")
        assert owners(kept) == owners(live)


def test_old_updaters_are_merged_into_one_when_there_are_more_than_ten():
    live = put(None, config_map({}), manager="m00")
    for i in range(1, 13):
        data = {**live.get("data", {}), f"k{i:02}": "x"}
        live = put(live, {**live, "data": data}, manager=f"m{i:02}", time=f"2026-01-01T00:{i:02}:00Z")
    names = [e["manager"] for e in entries(live)]
    assert len(names) == 10
    assert names[0] == "ancient-changes"
    assert fieldset.paths(owners(live)["ancient-changes"])


def test_who_has_no_name_is_unknown():
    assert entries(put(None, config_map({"a": "1"}), manager=""))[0]["manager"] == "unknown"


def test_duplicate_elements_are_owned_as_one():
    env = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    live = put(None, deployment(template=template({"name": "c", "env": env})), DEPLOYMENT, version="apps/v1")
    path = 'k:{"name":"A"}'
    container = 'k:{"name":"c"}'

    def owned(obj):
        return owners(obj)["kubectl"]["f:spec"]["f:template"]["f:spec"]["f:containers"][container]["f:env"][path]

    assert owned(live) == {}
    single = copy.deepcopy(live)
    single["spec"]["template"]["spec"]["containers"][0]["env"] = env[:1]
    assert owned(put(live, single, DEPLOYMENT, version="apps/v1")) == {".": {}, "f:name": {}, "f:value": {}}


def test_what_a_manager_owns_can_be_asked():
    live = ssa(None, config_map({"a": "1"}), manager="one")
    assert apply.owned_by(live, "one") == {"f:data": {"f:a": {}}}
    assert apply.owned_by(live, "two") == {}
