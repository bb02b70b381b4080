"""One control plane for the end-to-end tests, and the kubectls that drive it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fairlead.testing import plane as planes
from fairlead.testing.plane import Plane

MINORS = (29, 33)


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """A running `fairlead up --fake-gpus 4`, shared: each test has a namespace or names of its own."""
    folder = tmp_path_factory.mktemp("plane")
    config = folder / "config.yaml"
    config.write_text("cpus: 16\n")  # what fits must not depend on the machine
    with planes.started(folder / "state", "--fake-gpus", "4", "--config", str(config)) as up:
        yield up


@pytest.fixture(params=MINORS, ids=lambda m: f"kubectl-1.{m}")
def kubectl(request: pytest.FixtureRequest, plane: Plane) -> Callable[..., Any]:
    """`kubectl("get", "pods")` of one version; where that version is not installed, the one on PATH."""
    program = planes.find_kubectl(request.param)
    if program is None and request.param == MINORS[-1]:
        program = planes.find_kubectl()
    if program is None:
        pytest.skip(f"there is no kubectl 1.{request.param}: install one, or any on PATH for the newest case")

    def run(*arguments: str, **more: Any) -> Any:
        return plane.kubectl(*arguments, program=program, **more)

    return run


@pytest.fixture
def namespace(plane: Plane, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own; its deletion must empty it."""
    name = "t-" + "".join(c if c.isalnum() else "-" for c in request.node.name.lower())[:40].strip("-")
    plane.kubectl("create", "namespace", name)
    yield name
    plane.kubectl("delete", "namespace", name, "--wait=true", "--timeout=60s")


@pytest.fixture
def examples() -> Path:
    """The project's example manifests."""
    return Path(__file__).parents[2] / "examples"
