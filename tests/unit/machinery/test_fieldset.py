import pytest

from fairlead.machinery import fieldset

A = {"f:spec": {"f:a": {}, "f:list": {'k:{"name":"x"}': {".": {}, "f:v": {}}}}}
B = {"f:spec": {".": {}, "f:a": {}, "f:b": {}}}


def test_union():
    assert fieldset.union(A, B) == {
        "f:spec": {".": {}, "f:a": {}, "f:b": {}, "f:list": {'k:{"name":"x"}': {".": {}, "f:v": {}}}}
    }
    assert fieldset.union({"f:a": {}}, {"f:a": {"f:b": {}}}) == {"f:a": {".": {}, "f:b": {}}}
    assert fieldset.union({}, A) == A


def test_difference_takes_exactly_the_paths():
    assert fieldset.difference(A, B) == {"f:spec": {"f:list": {'k:{"name":"x"}': {".": {}, "f:v": {}}}}}
    assert fieldset.difference({"f:a": {".": {}, "f:b": {}}}, {"f:a": {}}) == {"f:a": {"f:b": {}}}
    assert fieldset.difference({"f:a": {}}, {"f:a": {"f:b": {}}}) == {"f:a": {}}
    assert fieldset.difference({"f:a": {".": {}}}, {"f:a": {}}) == {}
    assert fieldset.difference(A, A) == {}


def test_intersection():
    assert fieldset.intersection(A, B) == {"f:spec": {"f:a": {}}}
    assert fieldset.intersection({"f:a": {".": {}, "f:b": {}}}, {"f:a": {}}) == {"f:a": {}}
    assert fieldset.intersection({"f:a": {"f:b": {}}}, {"f:a": {}}) == {}


def test_leaves_are_members_without_members_below():
    assert fieldset.leaves(B) == {"f:spec": {"f:a": {}, "f:b": {}}}
    assert fieldset.leaves({"f:a": {".": {}}}) == {"f:a": {}}


def test_the_canonical_form():
    written = {"f:b": {".": {}}, "f:a": {"f:c": {}, ".": {}}}
    assert fieldset.canonical(written) == {"f:a": {".": {}, "f:c": {}}, "f:b": {}}
    assert list(fieldset.canonical(written)) == ["f:a", "f:b"]
    assert fieldset.equal(written, {"f:b": {}, "f:a": {".": {}, "f:c": {}}})


def test_paths_as_texts():
    given = {
        "f:spec": {
            "f:replicas": {},
            "f:list": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}}},
            "f:set": {'v:"x"': {}, "i:3": {}},
        }
    }
    assert list(fieldset.paths(given)) == [
        ".spec.replicas", '.spec.list[port=80,protocol="TCP"]', '.spec.list[port=80,protocol="TCP"].port',
        ".spec.set[3]", '.spec.set[="x"]',
    ]  # fmt: skip


def test_elements_are_compact_json_in_the_order_of_their_keys():
    assert fieldset.key_element({"protocol": "TCP", "port": 80}) == 'k:{"port":80,"protocol":"TCP"}'
    assert fieldset.value_element("ü") == 'v:"ü"'
    assert fieldset.key_element({"a": 2.0, "b": 2.5}) == 'k:{"a":2,"b":2.5}'


def test_a_written_set_is_brought_to_its_one_spelling():
    assert fieldset.validated({'k:{ "b": 1, "a": 2 }': {"v: 1": {}}}) == {'k:{"a":2,"b":1}': {"v:1": {}}}


@pytest.mark.parametrize(
    "written", [[], {"x:a": {}}, {"k:[]": {}}, {"k:{": {}}, {"v:": {}}, {"i:x": {}}, {"f:a": None}]
)
def test_what_is_no_field_set_is_refused(written):
    with pytest.raises(ValueError, match=r"path element|must be an object"):
        fieldset.validated(written)
