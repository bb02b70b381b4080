import copy

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.machinery import apply, compiled, fieldset, typed

STRUCTURE = compiled.compile(
    {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "n": {"type": "integer"},
                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                    "atomic": {"type": "object", "x-kubernetes-map-type": "atomic"},
                    "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                    "items": {
                        "type": "array",
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["name"],
                        "items": {
                            "type": "object",
                            "properties": {
                                "name": {"type": "string"},
                                "v": {"type": "integer"},
                                "w": {"type": "integer"},
                            },
                        },
                    },
                },
            }
        },
    }
)
small = st.integers(0, 2)


def optional(**fields):
    return st.fixed_dictionaries({}, optional=fields)


def elements(names):
    return st.lists(
        st.builds(lambda n, rest: {"name": n, **rest}, st.sampled_from(names), optional(v=small, w=small)),
        unique_by=lambda e: e["name"], max_size=3,
    )  # fmt: skip


def specs(alphabet):
    return optional(
        labels=st.dictionaries(st.sampled_from(alphabet), st.sampled_from("xy"), max_size=3),
        set=st.lists(st.sampled_from(alphabet), unique=True, max_size=3), items=elements(alphabet),
    )  # fmt: skip


anything = st.builds(
    lambda spec, more: {"metadata": {"name": "o"}, "spec": {**spec, **more}},
    specs("abc"), optional(n=small, atomic=st.dictionaries(st.sampled_from("pq"), small, min_size=1)),
)  # fmt: skip


def ssa(live, config, manager, force=False, time="2026-01-01T00:00:00Z"):
    return apply.apply(live, config, STRUCTURE, manager=manager, api_version="v1", time=time, force=force)


def owned(obj, manager):
    return apply.owned_by(obj, manager)


def members(given):
    return set(fieldset.paths(given))


sets = st.recursive(
    st.just({}),
    lambda inner: st.dictionaries(st.sampled_from([".", "f:a", "f:b", 'k:{"n":"x"}', 'v:"y"']), inner, max_size=4).map(
        lambda node: {k: {} if k == "." else v for k, v in node.items()}
    ),
    max_leaves=12,
).map(lambda node: {k: v for k, v in node.items() if k != "."})


@settings(max_examples=150)
@given(sets, sets)
def test_the_algebra_of_field_sets_is_that_of_their_members(a, b):
    before = copy.deepcopy((a, b))
    assert members(fieldset.union(a, b)) == members(a) | members(b)
    assert members(fieldset.difference(a, b)) == members(a) - members(b)
    assert members(fieldset.intersection(a, b)) == members(a) & members(b)
    assert fieldset.equal(a, b) == (members(a) == members(b))
    assert (a, b) == before


@settings(max_examples=100)
@given(sets)
def test_a_field_set_survives_the_wire(given_set):
    canonical = fieldset.canonical(given_set)
    read = fieldset.validated(msgspec.json.decode(msgspec.json.encode(canonical)))
    assert read == canonical == fieldset.canonical(canonical)
    assert members(read) == members(given_set)


@settings(max_examples=150)
@given(anything, anything)
def test_a_comparison_names_exactly_what_differs(old, new):
    changed, removed = typed.compare(old["spec"], new["spec"], STRUCTURE.property("spec"), False)
    assert (not changed and not removed) == (normal(old) == normal(new))
    everything = typed.everything(new["spec"], STRUCTURE.property("spec"))
    assert members(changed) <= members(everything)
    assert not members(removed) & members(everything)


def normal(obj):
    """An object without the order of its keyed lists, which nobody owns."""
    spec = dict(obj["spec"])
    if "items" in spec:
        spec["items"] = sorted(spec["items"], key=lambda e: e["name"])
    if "set" in spec:
        spec["set"] = sorted(spec["set"])
    return spec


@settings(max_examples=150)
@given(anything, anything)
def test_applying_twice_changes_nothing(live, config):
    live = apply.track_update(None, live, STRUCTURE, manager="u", api_version="v1", time="t")
    before = copy.deepcopy((live, config))
    once = ssa(live, config, "me", force=True)
    assert ssa(once, config, "me", time="2027-01-01T00:00:00Z") == once
    assert (live, config) == before


@settings(max_examples=150)
@given(anything, anything)
def test_a_forced_apply_holds_what_it_names_and_nobody_disagrees(live, config):
    live = apply.track_update(None, live, STRUCTURE, manager="u", api_version="v1", time="t")
    after = ssa(live, config, "me", force=True)
    assert normal(ssa(after, after | {"metadata": {"name": "o"}}, "checker", force=False)) == normal(after)
    for path in members(owned(after, "me")):
        assert path in members(typed.fields_of(config, STRUCTURE))
    contested = ssa(after, config, "other")
    assert contested["spec"] == after["spec"]


@settings(max_examples=150)
@given(specs("abc"), specs("xyz"))
def test_managers_of_disjoint_fields_never_conflict_and_can_leave_again(mine, theirs):
    base = ssa(None, {"metadata": {"name": "o"}, "spec": {"n": 1}}, "base")
    first = ssa(base, {"metadata": {"name": "o"}, "spec": mine}, "me")
    both = ssa(first, {"metadata": {"name": "o"}, "spec": theirs}, "you")
    left = ssa(both, {"metadata": {"name": "o"}}, "you")
    assert {k: v for k, v in normal(left).items() if v} == {k: v for k, v in normal(first).items() if v}
    assert members(owned(left, "you")) == set()


@settings(max_examples=100)
@given(anything, anything, anything)
def test_only_a_disagreement_is_a_conflict(one, two, three):
    live = ssa(ssa(None, one, "one"), two, "two", force=True)
    after = ssa(live, three, "three", force=True)
    lost = (members(owned(live, "one")) | members(owned(live, "two"))) - (
        members(owned(after, "one")) | members(owned(after, "two"))
    )
    if not lost:
        assert ssa(live, three, "three") == after
        return
    with pytest.raises(apply.Conflicts) as conflicts:
        ssa(live, three, "three")
    assert lost <= {path for _, path in conflicts.value.conflicts}
    taken = members(owned(live, "one")) | members(owned(live, "two"))
    assert {path for _, path in conflicts.value.conflicts} <= taken
    for path in members(owned(live, "one")) - members(owned(after, "one")):
        assert path in members(typed.fields_of(three, STRUCTURE)) or path not in members(owned(live, "two"))


@settings(max_examples=100)
@given(st.lists(st.tuples(st.sampled_from(["p", "q"]), anything), min_size=1, max_size=5))
def test_after_any_updates_every_field_has_one_owner(writes):
    live = None
    for manager, new in writes:
        metadata = {
            "name": "o",
            **(
                {"managedFields": live["metadata"]["managedFields"]}
                if live and "managedFields" in live["metadata"]
                else {}
            ),
        }
        live = apply.track_update(
            live, {**new, "metadata": metadata}, STRUCTURE, manager=manager, api_version="v1", time="t"
        )
    p, q = members(owned(live, "p")), members(owned(live, "q"))
    assert not p & q
    assert p | q <= members(typed.everything(live, STRUCTURE))
