"""Kubeconfig files: which server, and as whom.

`load` looks where kubectl looks ($KUBECONFIG with its merge rules, ~/.kube/config) and then for a Pod's own service
account. Credentials are read from files at once, except a token file, whose token is replaced while we run.

What would start a program (`exec`) or needs a provider's plugin is refused, with what to do instead.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

_IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class ConfigError(Exception):
    """A kubeconfig that cannot be used; the message says which, why, and what helps."""


class Connection(msgspec.Struct, frozen=True):
    """A server and an identity. Certificates and the key are PEM."""

    server: str
    namespace: str = "default"
    token: str = ""
    token_file: Path | None = None
    """Read again now and then; it goes before `token`."""
    ca: str = ""
    certificate: str = ""
    key: str = ""
    insecure: bool = False
    """Accept any server certificate."""
    server_name: str = ""
    """The name to expect in the server's certificate, where it is not the host's."""
    proxy: str = ""
    socket: Path | None = None
    """A unix socket to connect to; the server knows the user by the process that connects."""

    @property
    def place(self) -> str:
        """Where the server is, for people."""
        return str(self.socket or self.server)


def load(path: str | Path | None = None, context: str = "") -> Connection:
    """The connection of a kubeconfig's (current) context. Raises ConfigError.

    Without `path`: $KUBECONFIG, else ~/.kube/config, else the service account of the Pod that this runs in.
    """
    files = [Path(path)] if path else _default_files()
    if not files:
        return _in_cluster()
    return _resolve(_merged(files), context, ":".join(map(str, files)))


# --- finding and merging ---------------------------------------------------------------------------------------------


def _default_files() -> list[Path]:
    named = os.environ.get("KUBECONFIG", "")
    if named:
        # Files that are missing are skipped, as kubectl does, unless none is there.
        files = [Path(part) for part in named.split(os.pathsep) if part]
        return [file for file in files if file.exists()] or files
    default = Path.home() / ".kube" / "config"
    if default.exists():
        return [default]
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return []
    raise ConfigError(
        f"no Kubernetes API server is configured: $KUBECONFIG is not set and {default} does not exist. "
        "Start one with `fairlead up`, or set KUBECONFIG"
    )


def _merged(files: list[Path]) -> dict[str, Any]:
    """One configuration of several files: the first to name something wins."""
    merged: dict[str, Any] = {"current-context": "", "clusters": {}, "users": {}, "contexts": {}}
    for file in files:
        config = _read(file)
        merged["current-context"] = merged["current-context"] or config.get("current-context") or ""
        for section in ("clusters", "users", "contexts"):
            for entry in config.get(section) or ():
                content = dict(entry.get(section[:-1]) or {})
                merged[section].setdefault(entry.get("name"), {**content, "": file.parent})
    return merged


def _read(file: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load(file.read_text())
    except OSError as error:
        raise ConfigError(f"kubeconfig {file} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"kubeconfig {file} is not YAML: {error}") from error
    if not isinstance(config, dict):
        raise ConfigError(f"kubeconfig {file} is not a configuration; it should have clusters, users and contexts")
    return config


def _resolve(config: dict[str, Any], context: str, where: str) -> Connection:
    wanted = context or config["current-context"]
    if not wanted:
        raise ConfigError(f"kubeconfig {where} has no current-context; run `kubectl config use-context NAME`")
    chosen = _entry(config, "contexts", wanted, where)
    cluster = _entry(config, "clusters", chosen.get("cluster", ""), where)
    user = _entry(config, "users", chosen["user"], where) if chosen.get("user") else {}
    if not cluster.get("server"):
        raise ConfigError(f"cluster {chosen.get('cluster')!r} in kubeconfig {where} names no server")
    _refuse_plugins(user, chosen.get("user", ""), where)
    token_file = _place(user, "tokenFile")
    return Connection(
        server=str(cluster["server"]).rstrip("/"),
        namespace=chosen.get("namespace") or "default",
        token=user.get("token") or "",
        token_file=token_file,
        ca=_pem(cluster, "certificate-authority", where),
        certificate=_pem(user, "client-certificate", where),
        key=_pem(user, "client-key", where),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        server_name=cluster.get("tls-server-name") or "",
        proxy=cluster.get("proxy-url") or "",
    )


def _entry(config: dict[str, Any], section: str, name: str, where: str) -> dict[str, Any]:
    found: dict[str, Any] | None = config[section].get(name)
    if found is None:
        known = ", ".join(sorted(map(str, config[section]))) or "none"
        raise ConfigError(f"kubeconfig {where} has no {section[:-1]} {name!r} (it has: {known})")
    return found


def _refuse_plugins(user: Mapping[str, Any], name: str, where: str) -> None:
    for field, what in (("exec", "runs a program"), ("auth-provider", "needs a plugin"), ("username", "is a password")):
        if user.get(field):
            raise ConfigError(
                f"user {name!r} in kubeconfig {where} logs in by {field!r}, which {what}; Fairlead does not do that. "
                "Give the user a token, for instance of `kubectl create token`, or a client certificate"
            )


def _place(section: Mapping[str, Any], field: str) -> Path | None:
    """A file that a kubeconfig names, relative to the kubeconfig's own folder."""
    named = section.get(field)
    return Path(section[""], named) if named else None


def _pem(section: Mapping[str, Any], field: str, where: str) -> str:
    data, file = section.get(f"{field}-data"), _place(section, field)
    try:
        if data:
            return base64.b64decode(data, validate=True).decode("ascii")
        return file.read_text("ascii") if file else ""
    except OSError as error:
        raise ConfigError(f"{field} {file} of kubeconfig {where} cannot be read: {error.strerror}") from error
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ConfigError(f"{field} of kubeconfig {where} is not a PEM certificate or key: {error}") from error


def _in_cluster() -> Connection:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    bracketed = f"[{host}]" if ":" in host else host
    try:
        return Connection(
            server=f"https://{bracketed}:{port}",
            namespace=(_IN_CLUSTER / "namespace").read_text().strip(),
            token_file=_IN_CLUSTER / "token",
            ca=(_IN_CLUSTER / "ca.crt").read_text(),
        )
    except OSError as error:
        raise ConfigError(f"the Pod's service account in {_IN_CLUSTER} cannot be read: {error}") from error
