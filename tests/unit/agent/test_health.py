from __future__ import annotations

from fairlead.agent.health import Health
from fairlead.api.core import Container, ExecAction, Probe

RUN = ExecAction(["true"])


def health(**probes: Probe) -> Health:
    made = Health(Container("main", **{f"{k}Probe": v for k, v in probes.items()}))
    made.begin(100.0)
    return made


def test_without_probes_it_is_ready_at_once() -> None:
    h = health()
    assert (h.started, h.ready, h.wake(ending=False), h.due(500, ending=False)) == (True, True, None, [])


def test_readiness_is_bad_until_the_probe_says_otherwise() -> None:
    h = health(readiness=Probe(exec=RUN, initialDelaySeconds=5, periodSeconds=10, successThreshold=2))
    assert not h.ready
    assert (h.due(104, ending=False), h.wake(ending=False)) == ([], 105)
    assert h.due(105, ending=False) == ["readiness"]
    assert (h.due(105, ending=False), h.wake(ending=False)) == ([], None), "one at a time"
    assert h.take("readiness", True, 105.2) is False
    assert not h.ready, "one success of two"
    assert h.wake(ending=False) == 115
    h.due(115, ending=False)
    h.take("readiness", True, 115.1)
    assert h.ready
    for at in (125.0, 135.0):
        h.due(at, ending=False)
        assert h.take("readiness", False, at) is False
        assert h.ready, "two failures of three"
    h.due(145, ending=False)
    assert h.take("readiness", False, 145) is False, "no container is ended because it is not ready"
    assert not h.ready


def test_a_slow_probe_skips_the_periods_that_it_took() -> None:
    h = health(liveness=Probe(exec=RUN, periodSeconds=2, timeoutSeconds=9))
    h.due(100, ending=False)
    h.take("liveness", True, 105)
    assert h.wake(ending=False) == 106


def test_liveness_fails_by_its_threshold_and_then_is_still() -> None:
    h = health(liveness=Probe(exec=RUN, failureThreshold=2))
    h.due(100, ending=False)
    assert h.take("liveness", False, 100) is False
    h.due(110, ending=False)
    assert h.take("liveness", None, 110) is False, "what could not be asked counts as nothing"
    h.due(120, ending=False)
    assert h.take("liveness", False, 120) is True
    assert h.wake(ending=False) is None
    h.begin(130)
    assert h.due(130, ending=False) == ["liveness"]


def test_the_startup_probe_holds_the_others_back() -> None:
    h = health(startup=Probe(exec=RUN, periodSeconds=1), liveness=Probe(exec=RUN), readiness=Probe(exec=RUN))
    assert not h.started
    assert h.due(100, ending=False) == ["startup"]
    h.take("startup", False, 100)
    assert h.due(101, ending=False) == ["startup"]
    h.take("startup", True, 101)
    assert (h.started, h.ready) == (True, False)
    assert h.due(101, ending=False) == ["liveness", "readiness"]


def test_a_container_that_ends_is_only_asked_for_readiness() -> None:
    h = health(liveness=Probe(exec=RUN), readiness=Probe(exec=RUN))
    assert h.due(100, ending=True) == ["readiness"]


def test_what_was_known_before_a_restart_is_resumed() -> None:
    h = health(startup=Probe(exec=RUN), readiness=Probe(exec=RUN))
    h.resume(started=True, ready=True)
    assert (h.started, h.ready) == (True, True)
    assert h.due(100, ending=False) == ["readiness"]
