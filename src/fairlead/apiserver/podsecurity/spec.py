"""What checks read of a Pod, and how they name what they find."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

Plain = Mapping[str, Any]


class Violation(NamedTuple):
    """A rule that a Pod breaks; `detail` says by what."""

    reason: str
    detail: str


class Subject(NamedTuple):
    """A Pod, or a template of one."""

    annotations: Mapping[str, str]
    spec: Plain


Check = Callable[[Subject], Violation | None]


def containers(spec: Plain) -> Iterator[Plain]:
    """All containers: initial, ordinary, ephemeral."""
    for field in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(field) or ()


def security(holder: Plain) -> Plain:
    """The security context of a Pod's spec or of a container."""
    return holder.get("securityContext") or {}


def below(holder: Plain, field: str, key: str) -> Any:
    """A field of a part of the security context."""
    return (security(holder).get(field) or {}).get(key)


def quoted(words: Iterable[str]) -> str:
    """`"a", "b"`."""
    return '"' + '", "'.join(words) + '"'


def counted(words: Sequence[str], one: str, many: str) -> str:
    """`container "a"` or `containers "a", "b"`."""
    return f"{one if len(words) == 1 else many} {quoted(words)}"


def of_containers(names: Sequence[str]) -> str:
    """`container "a"` or `containers "a", "b"`."""
    return counted(names, "container", "containers")


def setters(pod: bool, names: Sequence[str]) -> str:
    """`pod`, `container "a"`, or both."""
    return " and ".join([*(["pod"] if pod else []), *([of_containers(names)] if names else [])])


def named(spec: Plain, bad: Callable[[Plain], bool]) -> list[str]:
    """The names of containers for which that holds."""
    return [c["name"] for c in containers(spec) if bad(c)]


def in_user_namespace(spec: Plain) -> bool:
    """Root in the Pod is nobody outside: what is said of users does not matter."""
    return spec.get("hostUsers") is False


def on_windows(spec: Plain) -> bool:
    """Such Pods may not set what Linux Pods must."""
    return (spec.get("os") or {}).get("name") == "windows"
