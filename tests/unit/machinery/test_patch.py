import copy

import pytest

from fairlead.machinery import compiled, patch, tables

POD = tables.structure("io.k8s.api.core.v1.Pod")

# RFC 7386, appendix A.
MERGES = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}), ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}), ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}), ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}), ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}), (["a", "b"], ["c", "d"], ["c", "d"]), ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None), ({"a": "foo"}, "bar", "bar"), ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}), ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]  # fmt: skip


@pytest.mark.parametrize(("obj", "change", "result"), MERGES)
def test_merge_patch_is_rfc_7386(obj, change, result):
    before = copy.deepcopy(obj)
    assert patch.merge_patch(obj, change) == result
    assert obj == before


# RFC 6902, appendix A.
JSON_PATCHES = [
    ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"baz": "qux", "foo": "bar"}),
    ({"foo": ["bar", "baz"]}, [{"op": "add", "path": "/foo/1", "value": "qux"}], {"foo": ["bar", "qux", "baz"]}),
    ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
    ({"foo": ["bar", "qux", "baz"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["bar", "baz"]}),
    ({"baz": "qux"}, [{"op": "replace", "path": "/baz", "value": "boo"}], {"baz": "boo"}),
    (
        {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
        [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
        {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
    ),
    (
        {"foo": ["all", "grass", "cows", "eat"]}, [{"op": "move", "from": "/foo/1", "path": "/foo/3"}],
        {"foo": ["all", "cows", "eat", "grass"]},
    ),
    ({"baz": "qux", "n": [1, 2]}, [{"op": "test", "path": "/n/1", "value": 2}], {"baz": "qux", "n": [1, 2]}),
    ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/-", "value": ["abc"]}], {"foo": ["bar", ["abc"]]}),
    ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
    ({"a": {"b": 1}}, [{"op": "copy", "from": "/a", "path": "/c"}], {"a": {"b": 1}, "c": {"b": 1}}),
    ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}),
    ({"a": 1}, [{"op": "test", "path": "/missing", "value": None}], {"a": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("obj", "ops", "result"), JSON_PATCHES)
def test_json_patch_is_rfc_6902(obj, ops, result):
    before = copy.deepcopy(obj)
    assert patch.json_patch(obj, ops) == result
    assert obj == before


@pytest.mark.parametrize(
    ("op", "code", "message"),
    [
        (
            {"op": "remove", "path": "/x"},
            422,
            "remove operation does not apply: doc is missing path: /x: missing value",
        ),
        ({"op": "replace", "path": "/x", "value": 1}, 422, "doc is missing path: /x"),
        ({"op": "add", "path": "/x/y", "value": 1}, 422, "doc is missing path: /x/y"),
        ({"op": "add", "path": "/l/5", "value": 1}, 422, "invalid index: 5"),
        ({"op": "remove", "path": "/l/01"}, 422, "invalid index: 01"),
        ({"op": "move", "from": "/o", "path": "/o/p"}, 422, "cannot move into itself"),
        ({"op": "nope", "path": "/x"}, 400, "Unexpected kind: nope"),
        ({"op": "add", "path": "/x"}, 400, "value is missing"),
        ({"op": "add", "path": "x", "value": 1}, 400, "must start with '/'"),
        ("add", 400, "needs op and path"),
    ],
)
def test_json_patches_that_do_not_apply(op, code, message):
    with pytest.raises(patch.PatchError) as refused:
        patch.json_patch({"l": [1], "o": {}}, [op])
    assert (refused.value.code, message in str(refused.value)) == (code, True), str(refused.value)


def test_a_failed_test_is_an_error_of_its_own():
    with pytest.raises(patch.TestFailed) as refused:
        patch.json_patch({"a": True}, [{"op": "test", "path": "/a", "value": 1}])
    assert refused.value.code == 422
    with pytest.raises(patch.PatchError, match="must be a list"):
        patch.json_patch({}, {"op": "add"})


def pod(*containers, **spec):
    return {"spec": {"containers": list(containers), **spec}}


def test_strategic_merge_merges_lists_by_their_key():
    live = pod({"name": "a", "image": "1"}, {"name": "b", "image": "1", "env": [{"name": "X", "value": "1"}]})
    change = pod({"name": "b", "env": [{"name": "Y", "value": "2"}]})
    before = copy.deepcopy(live)
    merged = patch.strategic_merge(live, change, POD)
    env = [{"name": "Y", "value": "2"}, {"name": "X", "value": "1"}]
    assert merged == pod({"name": "a", "image": "1"}, {"name": "b", "image": "1", "env": env})
    assert live == before


def test_strategic_merge_puts_new_elements_first_as_upstream_does():
    merged = patch.strategic_merge(pod({"name": "a"}, {"name": "b"}), pod({"name": "c"}), POD)
    assert [c["name"] for c in merged["spec"]["containers"]] == ["c", "a", "b"]


def test_strategic_merge_deletes_and_replaces_elements():
    live = pod({"name": "a"}, {"name": "b"})
    assert patch.strategic_merge(live, pod({"name": "a", "$patch": "delete"}), POD) == pod({"name": "b"})
    assert patch.strategic_merge(live, pod({"name": "z"}, {"$patch": "replace"}), POD) == pod({"name": "z"})


def test_strategic_merge_of_maps():
    live = {"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"nodeSelector": {"x": "y"}}}
    change = {
        "metadata": {"labels": {"a": None, "c": "3"}},
        "spec": {"nodeSelector": {"$patch": "replace", "p": "q"}, "securityContext": {"a": None, "runAsUser": 1}},
    }
    assert patch.strategic_merge(live, change, POD) == {
        "metadata": {"labels": {"b": "2", "c": "3"}},
        "spec": {"nodeSelector": {"p": "q"}, "securityContext": {"runAsUser": 1}},
    }
    assert patch.strategic_merge(live, {"spec": {"$patch": "delete"}}, POD)["spec"] == {}
    assert "affinity" not in patch.strategic_merge(live, {"spec": {"affinity": {"$patch": "delete"}}}, POD)["spec"]


def test_retain_keys_clears_the_other_fields_of_a_union():
    live = pod({"name": "a"}, volumes=[{"name": "v", "emptyDir": {}}])
    change = {"spec": {"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}]}}
    merged = patch.strategic_merge(live, change, POD)
    assert merged["spec"]["volumes"] == [{"name": "v", "hostPath": {"path": "/x"}}]
    change["spec"]["volumes"][0]["emptyDir"] = {}
    with pytest.raises(patch.PatchError, match="retainKeys"):
        patch.strategic_merge(live, change, POD)


def test_primitive_lists_merge_delete_and_are_ordered():
    live = {"metadata": {"finalizers": ["a", "b", "c"]}}
    added = patch.strategic_merge(live, {"metadata": {"finalizers": ["d", "b"]}}, POD)
    assert added["metadata"]["finalizers"] == ["d", "a", "b", "c"]
    gone = patch.strategic_merge(live, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["b"]}}, POD)
    assert gone["metadata"]["finalizers"] == ["a", "c"]
    ordered = {"$setElementOrder/finalizers": ["c", "a"], "$deleteFromPrimitiveList/finalizers": ["b"]}
    assert patch.strategic_merge(live, {"metadata": ordered}, POD)["metadata"]["finalizers"] == ["c", "a"]


def test_set_element_order_orders_what_the_patch_names_and_weaves_in_the_rest():
    live = pod({"name": "a"}, {"name": "sidecar"}, {"name": "b"})
    change = {
        "spec": {
            "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
            "containers": [{"name": "b", "image": "2"}],
        }
    }
    merged = patch.strategic_merge(live, change, POD)["spec"]["containers"]
    assert merged == [{"name": "sidecar"}, {"name": "b", "image": "2"}, {"name": "a"}]
    change["spec"]["containers"].append({"name": "new"})
    with pytest.raises(patch.PatchError, match="does not list"):
        patch.strategic_merge(live, change, POD)


@pytest.mark.parametrize(
    "change",
    [
        pod({"image": "x"}), pod({"name": "a", "$patch": "nope"}), {"spec": {"$patch": "merge"}},
        {"metadata": {"$deleteFromPrimitiveList/finalizers": "a"}}, {"spec": {"$setElementOrder/containers": {}}}, [],
    ],
)  # fmt: skip
def test_strategic_merge_patches_that_mean_nothing(change):
    with pytest.raises(patch.PatchError) as refused:
        patch.strategic_merge({**pod({"name": "a"}), "metadata": {"finalizers": ["a"]}}, change, POD)
    assert refused.value.code == 400


def test_without_a_schema_lists_are_replaced():
    merged = patch.strategic_merge({"l": [1, 2], "m": {"a": 1}}, {"l": [3], "m": {"b": 2}}, compiled.compile({}))
    assert merged == {"l": [3], "m": {"a": 1, "b": 2}}
