"""settings: what an agent is told. The composition root makes it from the command line and files."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from fairlead.agent.containers import Timing
from fairlead.agent.images import Rule


class Settings(msgspec.Struct, frozen=True):
    """See each field. `state` is the only one that every agent must be given."""

    state: str
    """The directory for everything that must outlive the agent."""
    node: str = "local"
    labels: Mapping[str, str] = {}
    max_pods: int = 110
    fake_gpus: int = 0
    cpus: float | None = None
    """Cores to offer; None for all that the machine has."""
    memory: int | None = None
    """Bytes to offer; None for all."""
    images: tuple[Rule, ...] = ()
    environment: Mapping[str, str] = {}
    """The host's environment; containers see what `environment.INHERITED` allows."""
    api_host: str = ""
    """Where Pods reach the API server (KUBERNETES_SERVICE_HOST and the name kubernetes.default.svc); empty: nowhere."""
    api_port: int = 0
    version: str = ""
    lease_seconds: float = 10.0
    status_seconds: float = 300.0
    refresh_seconds: float = 60.0
    """How often volumes are made to follow their ConfigMaps and Secrets."""
    timing: Timing = Timing()
    parallel_starts: int = 8
    """Containers being started at the same time."""
