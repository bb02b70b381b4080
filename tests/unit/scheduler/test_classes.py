"""What a Pod takes, and which Pods are alike."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fairlead.api.core import Pod
from fairlead.scheduler.classes import DEFAULT_MEMORY, DEFAULT_MILLICPU, Classes, footprint


def pod(name: str = "p", **spec: Any) -> Pod:
    return msgspec.convert({"metadata": {"name": name}, "spec": spec}, Pod)


def asks(**requests: str) -> dict[str, Any]:
    return {"name": "c", "resources": {"requests": requests}}


def taken(*containers: dict[str, Any], **spec: Any) -> dict[str, int]:
    return dict(footprint(pod(containers=list(containers), **spec).spec).amounts)


def test_containers_add_up_and_a_pod_is_one() -> None:
    assert taken(asks(cpu="250m", memory="1Mi"), asks(cpu="1")) == {"cpu": 1250, "memory": 2**20, "pods": 1}


def test_init_containers_run_one_by_one() -> None:
    assert taken(asks(cpu="1"), initContainers=[asks(cpu="3"), asks(cpu="2")])["cpu"] == 3000


def test_a_sidecar_runs_on() -> None:
    sidecar = asks(cpu="1") | {"restartPolicy": "Always"}
    assert taken(asks(cpu="1"), initContainers=[sidecar])["cpu"] == 2000
    assert taken(asks(cpu="1"), initContainers=[sidecar, asks(cpu="2")])["cpu"] == 3000
    assert taken(asks(cpu="1"), initContainers=[asks(cpu="2"), sidecar])["cpu"] == 2000


def test_a_limit_is_a_request_and_overhead_comes_on_top() -> None:
    limited = {"name": "c", "resources": {"limits": {"cpu": "2", "nvidia.com/gpu": 1}}}
    assert taken(limited, overhead={"cpu": "100m"}) == {"cpu": 2100, "nvidia.com/gpu": 1, "pods": 1}


def test_the_pods_own_resources_override_those_of_its_containers() -> None:
    assert taken(asks(cpu="1"), asks(cpu="1"), resources={"requests": {"cpu": "1500m"}})["cpu"] == 1500


def test_a_missing_request_weighs_a_little() -> None:
    weighed = footprint(pod(containers=[asks(cpu="0"), asks(memory="1Gi")]).spec).weighed
    assert weighed == (DEFAULT_MILLICPU, DEFAULT_MEMORY + 2**30)


@pytest.mark.parametrize(
    "other",
    [
        {"containers": [asks(cpu="2")]},
        {"nodeSelector": {"a": "b"}},
        {"tolerations": [{"operator": "Exists"}]},
        {"priority": 5},
        {"schedulerName": "fairlead"},
        {"containers": [asks(cpu="1") | {"ports": [{"containerPort": 1, "hostPort": 1}]}]},
        {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}},
    ],
)
def test_what_a_decision_reads_makes_another_class(other: dict[str, Any]) -> None:
    classes = Classes()
    base: dict[str, Any] = {"containers": [asks(cpu="1")]}
    assert classes.of(pod(**base)) is not classes.of(pod(**(base | other)))


def test_what_no_decision_reads_makes_no_class() -> None:
    classes = Classes()
    one = pod("one", containers=[asks(cpu="1000m") | {"image": "a", "env": [{"name": "A", "value": "1"}]}])
    assert classes.of(one) is classes.of(pod("two", containers=[asks(cpu="1")], hostname="h"))
