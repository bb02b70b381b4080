"""images: what an image's name stands for on a node that has no images. Pure but for one look at a directory.

A table of patterns, first match first: the host's environment, a virtual environment (or any prefix with a bin/), a
root directory, or a refusal. Without a match it is the host's environment, and an Event on the Pod says so.
"""

from __future__ import annotations

import fnmatch
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec


class Rule(msgspec.Struct, frozen=True):
    """Images that match `pattern` (`*` and `?` as in a shell; `*` also matches `/`)."""

    pattern: str
    use: Literal["host", "venv", "root", "refuse"] = "host"
    path: str = ""
    """The virtual environment, or the root directory."""
    env: Mapping[str, str] = {}
    command: tuple[str, ...] = ()
    """What the image would run: for containers that name no command."""
    silent: bool = False
    """No Event: the substitution is what everybody expects."""
    message: str = ""
    """Of a refusal: what to do instead."""


class Choice(msgspec.Struct, frozen=True):
    """How a container's image is provided."""

    rule: Rule
    description: str

    @property
    def refused(self) -> bool:
        return self.rule.use == "refuse"


DEFAULT = Rule("*")

_BASES: Mapping[str, tuple[str, ...]] = {
    "busybox": ("sh",), "alpine": ("sh",), "debian": ("bash",), "ubuntu": ("bash",), "fedora": ("bash",),
    "python": ("python3",),
}  # fmt: skip
"""Public images that have no entry point, so that arguments alone are a command, and what they run without any."""


class Table:
    """The node's images."""

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        for rule in rules:
            if rule.use in ("venv", "root") and not rule.path:
                raise ValueError(f"images: pattern {rule.pattern!r} uses {rule.use}, which needs a path")
        self._rules = (*rules, DEFAULT)

    def choose(self, image: str) -> Choice:
        """What stands in for an image."""
        rule = next(r for r in self._rules if fnmatch.fnmatchcase(image, r.pattern))
        return Choice(rule, _describe(image, rule))


def command(choice: Choice, image: str, args: Sequence[str]) -> tuple[str, ...]:
    """What a container runs that names no command but, perhaps, arguments. Empty: nobody knows.

    Arguments alone are taken for the command: an image's entry point mostly prepares something and executes them.
    """
    if choice.rule.command:
        return (*choice.rule.command, *args)
    name = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    return tuple(args) or _BASES.get(name, ())


def _describe(image: str, rule: Rule) -> str:
    match rule.use:
        case "venv":
            return f'Image "{image}" stands for the environment {rule.path}'
        case "root":
            return f'Image "{image}" stands for the root directory {rule.path}'
        case "refuse":
            return rule.message or f'Image "{image}" is refused by this node\'s image table ("{rule.pattern}")'
    return f'Image "{image}" is not pulled: the container runs in the host\'s environment'


def environment(choice: Choice, below: Mapping[str, str]) -> dict[str, str]:
    """The variables that an image brings, over the host's. `python` is the environment's, or Fairlead's own."""
    result = dict(below)
    rule = choice.rule
    if rule.use == "root":
        result = {k: v for k, v in result.items() if k in ("LANG", "TZ") or k.startswith("LC_")}
        result["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        result["HOME"] = "/root"
    else:
        prefix = rule.path if rule.use == "venv" else sys.prefix
        result["PATH"] = os.path.join(prefix, "bin") + os.pathsep + result.get("PATH", os.defpath)
        if rule.use == "venv" or sys.prefix != sys.base_prefix:
            result["VIRTUAL_ENV"] = prefix
    result.update(rule.env)
    return result


def problem(choice: Choice) -> str:
    """Why the choice cannot be used now; empty when it can."""
    rule = choice.rule
    if rule.use == "venv" and not os.path.isdir(os.path.join(rule.path, "bin")):
        return f"the image table sends pattern {rule.pattern!r} to {rule.path}, which has no bin directory"
    if rule.use == "root" and not os.path.isdir(rule.path):
        return f"the image table sends pattern {rule.pattern!r} to {rule.path}, which is no directory"
    return ""
