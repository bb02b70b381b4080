"""What a request for logs means, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.apiserver import streams
from fairlead.base import errors
from fairlead.client.node import LogOptions

NOW = 1_790_000_000.0  # 2026-09-21T14:13:20Z


def status(name: str, *, last: bool = False, **state: Any) -> dict[str, Any]:
    return {"name": name, "state": state, "lastState": {"terminated": {"exitCode": 1}} if last else {}}


def pod(*containers: str, init: tuple[str, ...] = (), statuses: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    running = [status(name, running={}) for name in (*containers, *init)]
    return {
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {
            "nodeName": "n", "containers": [{"name": c} for c in containers],
            "initContainers": [{"name": c} for c in init],
        },
        "status": {"containerStatuses": running if statuses is None else statuses},
    }  # fmt: skip


def refusal(obj: dict[str, Any], **query: str) -> tuple[int, str]:
    with pytest.raises(errors.StatusError) as caught:
        streams.log_options(query, obj, now=NOW)
    return caught.value.code, caught.value.message


def test_by_default() -> None:
    assert streams.log_options({}, pod("c", init=("i",)), now=NOW) == LogOptions("c")


def test_every_parameter() -> None:
    query = {
        "container": "i", "follow": "True", "timestamps": "1", "sinceSeconds": "60", "tailLines": "0",
        "limitBytes": "7", "insecureSkipTLSVerifyBackend": "true", "previous": "false",
    }  # fmt: skip

    assert streams.log_options(query, pod("c", "d", init=("i",)), now=NOW) == LogOptions(
        "i", follow=True, timestamps=True, since=NOW - 60, tail_lines=0, limit_bytes=7
    )


def test_since_a_time() -> None:
    options = streams.log_options({"sinceTime": "2026-09-21T14:13:20+00:00"}, pod("c"), now=NOW)

    assert options.since == NOW


def test_one_of_many_containers_has_to_be_named() -> None:
    assert refusal(pod("a", "b")) == (400, "a container name must be specified for pod p, choose one of: [a b]")
    assert refusal(pod("a", "b", init=("i", "j"))) == (
        400,
        "a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [i j]",
    )


def test_an_unknown_container() -> None:
    assert refusal(pod("a"), container="z") == (400, "container z is not valid for pod p")


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({}, "ContainerCreating"),
        ({"waiting": {"reason": "PodInitializing"}}, "PodInitializing"),
        ({"waiting": {"reason": "ErrImagePull"}}, "image can't be pulled"),
    ],
)
def test_a_container_that_has_not_started(state: dict[str, Any], reason: str) -> None:
    obj = pod("c", statuses=[status("c", **state)] if state else [])

    assert refusal(obj) == (400, f'container "c" in pod "p" is waiting to start: {reason}')


@pytest.mark.parametrize(
    "container",
    [status("c", terminated={"exitCode": 0}), status("c", last=True, waiting={"reason": "CrashLoopBackOff"})],
)
def test_a_container_that_has_run_has_a_log(container: dict[str, Any]) -> None:
    assert streams.log_options({}, pod("c", statuses=[container]), now=NOW).container == "c"


def test_previous() -> None:
    crashed = pod("c", statuses=[status("c", last=True, running={})])

    assert streams.log_options({"previous": "true"}, crashed, now=NOW).previous
    assert refusal(pod("c"), previous="true") == (
        400, 'previous terminated container "c" in pod "p" not found'
    )  # fmt: skip


@pytest.mark.parametrize(
    ("query", "code", "text"),
    [
        ({"tailLines": "-1"}, 422, "tailLines: Invalid value: -1: must be greater than or equal to 0"),
        ({"limitBytes": "0"}, 422, "limitBytes: Invalid value: 0: must be greater than 0"),
        ({"sinceSeconds": "0"}, 422, "sinceSeconds: Invalid value: 0: must be greater than 0"),
        ({"sinceSeconds": "5", "sinceTime": "2026-09-21T14:13:20Z"}, 422, "at most one of `sinceTime`"),
        ({"sinceTime": "yesterday"}, 400, "sinceTime: "),
        ({"tailLines": "many"}, 400, "tailLines: 'many' is not a number"),
    ],
)
def test_bad_parameters(query: dict[str, str], code: int, text: str) -> None:
    found = refusal(pod("c"), **query)

    assert found[0] == code
    assert text in found[1]
