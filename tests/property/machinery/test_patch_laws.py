import copy

from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.machinery import compiled, patch

names = st.sampled_from(["a", "b", "c", "d/e", "~"])
scalars = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(["", "x", "y"]))
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=12
)
objects = st.dictionaries(names, documents, max_size=4)


def without_nulls(value):
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return value


def merge_diff(old, new):
    """The merge patch from one document without nulls in its maps to another."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    change = {k: None for k in old if k not in new}
    for key, value in new.items():
        if key not in old:
            change[key] = value
        elif old[key] != value or type(old[key]) is not type(value):
            change[key] = merge_diff(old[key], value)
    return change


def json_diff(old, new, path=""):
    """A JSON patch from one document to another."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return [{"op": "replace", "path": path, "value": new}] if old != new or type(old) is not type(new) else []
    ops = [{"op": "remove", "path": f"{path}/{escaped(k)}"} for k in old if k not in new]
    for key, value in new.items():
        at = f"{path}/{escaped(key)}"
        ops += json_diff(old[key], value, at) if key in old else [{"op": "add", "path": at, "value": value}]
    return ops


def escaped(name):
    return name.replace("~", "~0").replace("/", "~1")


@settings(max_examples=150)
@given(objects, objects)
def test_a_merge_patch_is_idempotent_and_leaves_its_inputs(obj, change):
    before = copy.deepcopy((obj, change))
    once = patch.merge_patch(obj, change)
    assert patch.merge_patch(once, change) == once
    assert (obj, change) == before


@settings(max_examples=150)
@given(objects, objects)
def test_a_merge_diff_applied_gives_the_other_document(old, new):
    old, new = without_nulls(old), without_nulls(new)
    assert patch.merge_patch(old, merge_diff(old, new)) == new


@settings(max_examples=150)
@given(objects, objects)
def test_a_json_diff_applied_gives_the_other_document(old, new):
    before = copy.deepcopy(old)
    ops = json_diff(old, new)
    assert patch.json_patch(old, [*ops, {"op": "test", "path": "", "value": new}]) == new
    assert old == before


KEYED = compiled.compile(
    {
        "type": "object",
        "properties": {
            "items": {
                "type": "array",
                "x-kubernetes-patch-merge-key": "name",
                "x-kubernetes-patch-strategy": "merge",
                "items": {"type": "object"},
            },
            "words": {"type": "array", "x-kubernetes-patch-strategy": "merge", "items": {"type": "string"}},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    }
)
elements = st.builds(
    lambda ids, values: [{"name": i, **v} for i, v in zip(ids, values, strict=False)],
    st.lists(st.sampled_from("abcde"), unique=True, max_size=5),
    st.lists(st.dictionaries(st.sampled_from(["x", "y"]), st.integers(0, 2)), min_size=5, max_size=5),
)
keyed = st.fixed_dictionaries(
    {
        "items": elements,
        "words": st.lists(st.sampled_from("pqrst"), unique=True, max_size=5),
        "labels": st.dictionaries(st.sampled_from("lmn"), st.sampled_from("12")),
    }
)


def strategic_diff(old, new):
    """The strategic merge patch that kubectl would send from one object to another."""
    before = {e["name"]: e for e in old["items"]}
    after = {e["name"]: e for e in new["items"]}
    items = [{"name": n, "$patch": "delete"} for n in before if n not in after]
    items += [{"name": n, **merge_diff(before.get(n, {}), e)} for n, e in after.items()]
    return {
        "labels": merge_diff(old["labels"], new["labels"]),
        "$setElementOrder/items": [{"name": n} for n in after], "items": items,
        "$deleteFromPrimitiveList/words": [w for w in old["words"] if w not in new["words"]],
        "$setElementOrder/words": new["words"], "words": [w for w in new["words"] if w not in old["words"]],
    }  # fmt: skip


@settings(max_examples=150)
@given(keyed, keyed)
def test_a_strategic_diff_applied_gives_the_other_object_in_its_order(old, new):
    before = copy.deepcopy(old)
    change = strategic_diff(old, new)
    merged = patch.strategic_merge(old, change, KEYED)
    assert merged == new
    assert old == before
    assert patch.strategic_merge(merged, change, KEYED) == merged


@settings(max_examples=100)
@given(keyed)
def test_patching_an_object_with_itself_changes_nothing(obj):
    assert patch.strategic_merge(obj, obj, KEYED) == obj
