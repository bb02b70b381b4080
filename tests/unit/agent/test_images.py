from __future__ import annotations

import os
import sys

import pytest

from fairlead.agent import images
from fairlead.agent.images import Rule, Table

TABLE = Table(
    [
        Rule("ghcr.io/kubeflow/*", "venv", "/opt/torch", {"A": "1"}),
        Rule("alpine*", "root", "/srv/alpine", command=("sh",)),
        Rule("evil/*", "refuse", message="not here"),
    ]
)


@pytest.mark.parametrize(
    ("image", "use"),
    [("ghcr.io/kubeflow/trainer/torch:v2", "venv"), ("alpine:3", "root"), ("evil/x", "refuse"), ("any/thing", "host")],
)
def test_first_match(image: str, use: str) -> None:
    assert TABLE.choose(image).rule.use == use


@pytest.mark.parametrize(
    ("image", "args", "command"),
    [
        ("alpine:3", (), ("sh",)),
        ("alpine:3", ("-c", "x"), ("sh", "-c", "x")),  # The table's word before what is known of the image.
        ("busybox", (), ("sh",)),
        ("docker.io/library/busybox:1.36@sha256:00", ("echo", "hi"), ("echo", "hi")),
        ("registry:5000/python", (), ("python3",)),
        ("registry:5000/own", ("train.py",), ("train.py",)),
        ("registry:5000/own", (), ()),
    ],
)
def test_containers_without_a_command(image: str, args: tuple[str, ...], command: tuple[str, ...]) -> None:
    assert images.command(TABLE.choose(image), image, args) == command


def test_the_host_runs_fairleads_own_python() -> None:
    env = images.environment(TABLE.choose("any"), {"PATH": "/bin"})
    assert env["PATH"] == os.path.join(sys.prefix, "bin") + ":/bin"


def test_a_venv_comes_first() -> None:
    env = images.environment(TABLE.choose("ghcr.io/kubeflow/x"), {"PATH": "/bin"})
    assert env == {"PATH": "/opt/torch/bin:/bin", "VIRTUAL_ENV": "/opt/torch", "A": "1"}


def test_a_root_has_none_of_the_hosts_paths() -> None:
    env = images.environment(TABLE.choose("alpine"), {"PATH": "/home/me/bin", "LANG": "C", "HF_HOME": "/x"})
    assert env["PATH"].startswith("/usr/local/sbin")
    assert "HF_HOME" not in env


def test_refusals_and_problems_speak() -> None:
    assert TABLE.choose("evil/x").description == "not here"
    assert "no bin directory" in images.problem(TABLE.choose("ghcr.io/kubeflow/x"))
    with pytest.raises(ValueError, match="needs a path"):
        Table([Rule("x", "venv")])
