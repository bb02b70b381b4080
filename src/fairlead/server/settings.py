"""What the embedded control plane is told: the command line, and a configuration file for what is longer."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

import msgspec
import yaml

from fairlead.agent.images import Rule


class SettingsError(Exception):
    """A setting is wrong; the message names it and says what would be right."""


class Audit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is written down of requests, and where. Sizes are in MiB; 0 is without limit."""

    policy: Path
    """A file with an `audit.k8s.io/v1 Policy`."""
    path: Path | None = None
    """Default: `audit.log` in the state folder."""
    maxSize: int = 100
    maxBackups: int = 10
    maxAge: int = 30
    """Days."""


class Configuration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The configuration file (YAML). Everything in it is optional."""

    images: tuple[Rule, ...] = ()
    """What images stand for on this machine; the first pattern that matches decides."""
    labels: Mapping[str, str] = {}
    """Labels of the Node."""
    cpus: float | None = None
    memory: int | None = None
    """What the Node offers: cores, bytes. Default: all that the machine has."""
    maxPods: int = 110
    environment: Mapping[str, str] = {}
    """Variables for every container, over the host's."""
    audit: Audit | None = None
    requestsAtOnce: int = 200
    """How many requests of one user may be under way; group system:masters is exempt."""


class Settings(msgspec.Struct, frozen=True):
    """See the command line's help. `port` None means: the last one, else 6443 or a free one."""

    directory: Path
    port: int | None = None
    fake_gpus: int = 0
    network: str = "auto"
    sandbox: str = "auto"
    node: str = ""
    configuration: Configuration = Configuration()

    @property
    def node_name(self) -> str:
        """The Node's name: as given, else the host's as a DNS name."""
        if self.node:
            return self.node
        name = "".join(c if c.isalnum() and c.isascii() else "-" for c in socket.gethostname().lower()).strip("-")
        return name or "local"


def configuration(path: Path | None) -> Configuration:
    """Read the configuration file. Raises SettingsError."""
    if path is None:
        return Configuration()
    try:
        return msgspec.convert(yaml.safe_load(path.read_text()) or {}, Configuration, dec_hook=_path)
    except (OSError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise SettingsError(f"{path}: {error}") from error


def _path(type_: type, value: object) -> Path:
    if type_ is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"{value!r} is no path")


FIRST_PORT = 6443


def ports(settings: Settings, last: int | None) -> tuple[int, ...]:
    """The ports to try, in order: the one that was asked for and no other, or what clients know from before."""
    if settings.port is not None:
        return (settings.port,)
    return (last, 0) if last is not None else (FIRST_PORT, 0)


def last_port(kubeconfig: Path) -> int | None:
    """The port that running Pods and users' kubeconfigs know from before."""
    try:
        server = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
        return int(server.rpartition(":")[2])
    except (OSError, ValueError, TypeError, KeyError, IndexError, yaml.YAMLError):
        return None
