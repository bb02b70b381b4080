from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.apiserver.deletion import CRD_CLEANUP, Leave, Mark, Options, Remove, check, decide, options, released
from fairlead.base import timestamp
from fairlead.base.errors import StatusError

NOW = 1_767_225_600.0


def thing(**metadata):
    return {"metadata": {"name": "a", "uid": "u", "resourceVersion": "7", "generation": 1, **metadata}, "spec": {}}


def pod(*, node="n", phase="Running", grace=30, **metadata):
    spec = {"terminationGracePeriodSeconds": grace}
    return {**thing(**metadata), "spec": {**spec, "nodeName": node} if node else spec, "status": {"phase": phase}}


def leaving(obj, seconds):
    obj["metadata"] |= {"deletionTimestamp": timestamp.seconds(NOW + seconds), "deletionGracePeriodSeconds": seconds}
    return obj


def test_nothing_holds_it():
    assert decide(thing(), Options(), "configmaps", NOW) == Remove(thing())


def test_finalizers_hold_it():
    verdict = decide(thing(finalizers=["x/y"]), Options(), "configmaps", NOW)
    marks = {"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 0, "generation": 2}
    assert verdict == Mark(thing(finalizers=["x/y"], **marks))
    assert decide(verdict.marked, Options(), "configmaps", NOW + 5) == Leave()


@pytest.mark.parametrize(("policy", "finalizer"), [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")])
def test_propagation_is_asked_of_the_garbage_collector(policy, finalizer):
    verdict = decide(thing(), Options(propagation=policy), "jobs.batch", NOW)
    assert verdict.marked["metadata"]["finalizers"] == [finalizer]


def test_a_later_policy_replaces_an_earlier_one():
    first = decide(thing(), Options(propagation="Foreground"), "jobs.batch", NOW)
    assert isinstance(decide(first.marked, Options(propagation="Background"), "jobs.batch", NOW), Remove)


def test_a_running_pod_gets_its_grace():
    marked = decide(pod(), Options(), "pods", NOW).marked["metadata"]
    assert (marked["deletionTimestamp"], marked["deletionGracePeriodSeconds"]) == ("2026-01-01T00:00:30Z", 30)
    assert marked["generation"] == 2


@pytest.mark.parametrize("obj", [pod(node=""), pod(phase="Succeeded"), pod(phase="Failed"), pod(grace=0)])
def test_pods_without_anything_to_stop_go_at_once(obj):
    assert isinstance(decide(obj, Options(), "pods", NOW), Remove)


def test_grace_zero_removes_at_once():
    assert isinstance(decide(pod(), Options(grace_seconds=0), "pods", NOW), Remove)
    assert isinstance(decide(leaving(pod(), 30), Options(grace_seconds=0), "pods", NOW), Remove)


def test_grace_can_be_shortened_and_not_extended():
    shorter = decide(leaving(pod(), 30), Options(grace_seconds=5), "pods", NOW)
    assert shorter == Mark(leaving(pod(), 5))
    assert decide(leaving(pod(), 5), Options(grace_seconds=30), "pods", NOW) == Leave()
    assert decide(leaving(pod(), 5), Options(), "pods", NOW) == Leave()


def test_a_pod_with_finalizers_stays_after_its_grace():
    verdict = decide(leaving(pod(finalizers=["x/y"]), 30), Options(grace_seconds=0), "pods", NOW)
    assert verdict.marked["metadata"]["deletionGracePeriodSeconds"] == 0
    assert verdict.marked["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:00Z"


def test_a_namespace_waits_for_its_content():
    verdict = decide({**thing(), "spec": {"finalizers": ["kubernetes"]}}, Options(), "namespaces", NOW)
    assert verdict.marked["status"]["phase"] == "Terminating"
    assert decide(verdict.marked, Options(), "namespaces", NOW) == Leave()
    assert not released(verdict.marked, "namespaces")
    assert released({**verdict.marked, "spec": {}}, "namespaces")


def test_a_definition_is_cleaned_up_first():
    verdict = decide(thing(), Options(), "customresourcedefinitions.apiextensions.k8s.io", NOW)
    assert verdict.marked["metadata"]["finalizers"] == [CRD_CLEANUP]


def test_preconditions():
    check(thing(), Options(uid="u", revision="7"), "configmaps", "")
    with pytest.raises(StatusError, match="does not match the UID in record") as caught:
        check(thing(), Options(uid="other"), "configmaps", "")
    assert caught.value.code == 409


def test_options_from_body_and_query():
    body = {"gracePeriodSeconds": 3, "propagationPolicy": "Orphan", "preconditions": {"uid": "u"}, "dryRun": ["All"]}
    assert options(body, {}) == Options(3, "Orphan", "u", "", True)
    assert options({}, {"gracePeriodSeconds": "0", "propagationPolicy": "Foreground"}) == Options(0, "Foreground")
    with pytest.raises(StatusError, match="propagationPolicy"):
        options({"propagationPolicy": "Sideways"}, {})
    with pytest.raises(StatusError, match="whole number"):
        options({}, {"gracePeriodSeconds": "soon"})


asked = st.builds(Options, st.none() | st.integers(0, 60), st.sampled_from(["", "Background", "Foreground", "Orphan"]))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(asked, st.floats(0, 50)), max_size=6), st.sampled_from(["pods", "jobs.batch"]), st.booleans())
def test_deletion_never_turns_back(requests, kind, held):
    """A deletionTimestamp stays and never moves into the future; finalizers are never overrun; inputs are kept."""
    obj, now = pod(finalizers=["x/y"]) if held else pod(), NOW
    for request, passed in requests:
        now += passed
        before = deepcopy(obj)
        verdict = decide(obj, request, kind, now)
        assert obj == before
        match verdict:
            case Remove():
                assert not held
                return
            case Mark(marked):
                if "deletionTimestamp" in obj["metadata"]:
                    assert marked["metadata"]["deletionTimestamp"] <= obj["metadata"]["deletionTimestamp"]
                assert ("x/y" in marked["metadata"].get("finalizers", [])) == held
                obj = marked
