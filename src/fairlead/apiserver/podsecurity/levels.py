"""Levels: what a namespace's labels ask for, and what a Pod breaks of it.

A level is `privileged` (nothing is checked), `baseline` or `restricted`; a version (`v1.30`) is that of the standards:
checks come and change with Kubernetes' minor versions, `latest` is the newest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import NamedTuple

from fairlead.apiserver.podsecurity import baseline, restricted
from fairlead.apiserver.podsecurity.spec import Check, Subject, Violation
from fairlead.base.errors import Cause
from fairlead.machinery import causes

PREFIX = "pod-security.kubernetes.io/"
LEVELS = ("privileged", "baseline", "restricted")
LATEST = 1 << 30
_VERSION = re.compile(r"v1\.(0|[1-9][0-9]*)")

_BASELINE: tuple[tuple[str, int, Check], ...] = (
    ("appArmorProfile", 0, baseline.app_armor),
    ("capabilities_baseline", 0, baseline.capabilities),
    ("hostNamespaces", 0, baseline.host_namespaces),
    ("hostPathVolumes", 0, baseline.host_paths),
    ("hostPorts", 0, baseline.host_ports),
    ("hostProbesAndHostLifecycle", 34, baseline.host_probes),
    ("privileged", 0, baseline.privileged),
    ("procMount", 0, baseline.proc_mount),
    ("procMount", 35, baseline.proc_mount_35),
    ("seLinuxOptions", 0, baseline.selinux_1),
    ("seLinuxOptions", 31, baseline.selinux_31),
    ("seccompProfile_baseline", 0, baseline.seccomp_annotations),
    ("seccompProfile_baseline", 19, baseline.seccomp),
    ("sysctls", 0, baseline.sysctls_1),
    ("sysctls", 27, baseline.sysctls_27),
    ("sysctls", 29, baseline.sysctls_29),
    ("sysctls", 32, baseline.sysctls_32),
    ("windowsHostProcess", 0, baseline.windows_host_process),
)
_RESTRICTED: tuple[tuple[str, int, Check], ...] = (
    ("allowPrivilegeEscalation", 8, restricted.privilege_escalation),
    ("allowPrivilegeEscalation", 25, restricted.not_on_windows(restricted.privilege_escalation)),
    ("capabilities_restricted", 22, restricted.capabilities),
    ("capabilities_restricted", 25, restricted.not_on_windows(restricted.capabilities)),
    ("procMount_restricted", 35, baseline.proc_mount),
    ("restrictedVolumes", 0, restricted.volumes),
    ("runAsNonRoot", 0, restricted.run_as_non_root),
    ("runAsNonRoot", 35, restricted.anyone_in_user_namespace(restricted.run_as_non_root)),
    ("runAsUser", 23, restricted.run_as_user),
    ("runAsUser", 35, restricted.anyone_in_user_namespace(restricted.run_as_user)),
    ("seccompProfile_restricted", 19, restricted.seccomp),
    ("seccompProfile_restricted", 25, restricted.not_on_windows(restricted.seccomp)),
)
_INSTEAD = {
    "capabilities_restricted": "capabilities_baseline",
    "procMount_restricted": "procMount",
    "restrictedVolumes": "hostPathVolumes",
    "seccompProfile_restricted": "seccompProfile_baseline",
}
"""A stricter check, and the one that it takes the place of."""


class Level(NamedTuple):
    """A level at a minor version."""

    name: str = "privileged"
    minor: int = LATEST

    def __str__(self) -> str:
        return f"{self.name}:{'latest' if self.minor == LATEST else f'v1.{self.minor}'}"

    @property
    def checks_nothing(self) -> bool:
        return self.name == "privileged"

    @property
    def rank(self) -> int:
        """How strict it is."""
        return LEVELS.index(self.name)


class Policy(NamedTuple):
    """What a namespace asks for."""

    enforce: Level = Level()
    audit: Level = Level()
    warn: Level = Level()

    @property
    def checks_nothing(self) -> bool:
        return self.enforce.checks_nothing and self.audit.checks_nothing and self.warn.checks_nothing


NOTHING = Policy()


def read(labels: Mapping[str, str]) -> tuple[Policy, list[Cause]]:
    """The policy in a namespace's labels, and what is wrong with them.

    Where nothing is said of warnings, what is enforced is warned of. A level that is wrong is `restricted` where it is
    enforced and `privileged` where it only tells; a version that is wrong is the latest.
    """
    wrong: list[Cause] = []
    enforce = _level(labels, "enforce", "restricted", wrong)
    audit, warn = _level(labels, "audit", "privileged", wrong), _level(labels, "warn", "privileged", wrong)
    asked = labels.get(f"{PREFIX}enforce", "") in LEVELS and f"{PREFIX}warn" not in labels
    if asked and enforce.rank > warn.rank:
        warn = Level(enforce.name, warn.minor if f"{PREFIX}warn-version" in labels else enforce.minor)
    return Policy(enforce, audit, warn), wrong


def _level(labels: Mapping[str, str], mode: str, otherwise: str, wrong: list[Cause]) -> Level:
    name, minor = labels.get(PREFIX + mode, "privileged"), LATEST
    if name not in LEVELS:
        wrong.append(causes.invalid(_path(mode), name, f"must be one of {', '.join(LEVELS)}"))
        name = otherwise
    version = labels.get(f"{PREFIX}{mode}-version", "latest")
    if version != "latest":
        found = _VERSION.fullmatch(version)
        if found is None:
            wrong.append(causes.invalid(_path(f"{mode}-version"), version, 'must be "latest" or "v1.x"'))
        else:
            minor = int(found[1])
    return Level(name, minor)


def _path(label: str) -> str:
    return f"metadata.labels[{PREFIX}{label}]"


def evaluate(level: Level, pod: Subject) -> list[Violation]:
    """The rules of the level that the Pod breaks."""
    return [broken for check in _checks(level) if (broken := check(pod)) is not None]


def detail(violations: Iterable[Violation]) -> str:
    """What is broken and by what."""
    return ", ".join(f"{v.reason} ({v.detail})" for v in violations)


def reasons(violations: Iterable[Violation]) -> str:
    """What is broken."""
    return ", ".join(v.reason for v in violations)


@cache
def _checks(level: Level) -> tuple[Check, ...]:
    if level.checks_nothing:
        return ()
    basic = _at(_BASELINE, level.minor)
    if level.name == "baseline":
        return tuple(basic.values())
    more = _at(_RESTRICTED, level.minor)
    replaced = {_INSTEAD[name] for name in more if name in _INSTEAD}
    return (*(check for name, check in basic.items() if name not in replaced), *more.values())


def _at(table: tuple[tuple[str, int, Check], ...], minor: int) -> dict[str, Check]:
    """The checks of a version: of each name the newest that is not newer."""
    return {name: check for name, since, check in table if since <= minor}
