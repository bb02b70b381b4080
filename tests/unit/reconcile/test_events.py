from fairlead.api import core
from fairlead.api.meta import Key
from fairlead.reconcile.events import WINDOW, Recorder
from fairlead.testing import builders
from fairlead.testing.clock import START

POD = builders.pod("p").view()
SAYS = ("Normal", "Started", "it runs")


def test_the_first_is_made_whole() -> None:
    note = Recorder("kubelet", "n").note(core.PODS, POD, SAYS, START)
    assert note.count == 1
    assert note.object == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": note.key.name, "namespace": "default"},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": "default",
            "name": "p",
            "uid": "uid-pod-p",
            "resourceVersion": "1",
        },
        "type": "Normal",
        "reason": "Started",
        "message": "it runs",
        "source": {"component": "kubelet", "host": "n"},
        "reportingComponent": "kubelet",
        "reportingInstance": "n",
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:00Z",
        "count": 1,
    }
    assert note.key.name.startswith("p.")


def test_equal_ones_are_counted_for_a_while() -> None:
    recorder = Recorder("c")
    first = recorder.note(core.PODS, POD, SAYS, START)
    second = recorder.note(core.PODS, POD, SAYS, START + 1)
    assert (second.key, second.count) == (first.key, 2)
    assert second.patch == {"count": 2, "lastTimestamp": "2026-01-01T00:00:01Z", "message": "it runs"}
    other = recorder.note(core.PODS, POD, ("Normal", "Started", "it runs again"), START + 1)
    assert (other.count, other.key == first.key) == (1, False)
    late = recorder.note(core.PODS, POD, SAYS, START + 2 + WINDOW)
    assert (late.count, late.key == first.key) == (1, False)


def test_one_that_is_gone_starts_anew() -> None:
    recorder = Recorder("c")
    first = recorder.note(core.PODS, POD, SAYS, START)
    recorder.forget(first.key)
    assert recorder.note(core.PODS, POD, SAYS, START).count == 1


def test_cluster_scoped_objects_have_theirs_in_default() -> None:
    note = Recorder("c").note(core.NODES, builders.node("n").view(), SAYS, START)
    assert note.key == Key("default", note.key.name)
