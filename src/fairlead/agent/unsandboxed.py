"""unsandboxed: what a container is told where it can be given no view of its own: no mounts, no hosts file. Pure.

Its command, arguments, working directory and own variables are rewritten: a mount path stands for where the volume lies
on the host, a peer's name for its address. What a program has written into itself (a path in its source) is not found;
for that there are variables that say where each volume lies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from fairlead.agent.runtimes import Mount
from fairlead.api.core import Pod

PREFIX = "FAIRLEAD_MOUNT"


def variables(mounts: Iterable[Mount]) -> dict[str, str]:
    """Where volumes lie: `FAIRLEAD_MOUNT_<path>`."""
    return {PREFIX + re.sub(r"[^A-Z0-9]", "_", m.target.upper()): m.source for m in mounts}


class Rewriting:
    """What is replaced by what."""

    def __init__(self, mounts: Sequence[Mount], names: Mapping[str, str]) -> None:
        self._places = {m.target.rstrip("/"): m.source for m in mounts if m.kind == "bind" and m.target != "/"}
        self._names = names
        # The longest first: a mount may lie below another, a name may begin with another.
        self._path = _alternatives(self._places, r"(?<![\w./~$-])", r"(?=/|$|[^\w.-]|\.(?:$|\s))")
        self._name = _alternatives(names, r"(?<![\w.-])", r"(?![\w-]|\.\w)")

    def text(self, text: str) -> str:
        """With paths and names replaced: those that stand alone, between separators."""
        if self._path is not None:
            text = self._path.sub(lambda m: self._places[m[0]], text)
        return self.names(text)

    def names(self, text: str) -> str:
        """With names replaced, paths as they are."""
        return text if self._name is None else self._name.sub(lambda m: self._names[m[0]], text)

    def values(self, values: Mapping[str, str], below: Mapping[str, str]) -> dict[str, str]:
        """Variables. Paths in those that come from the host (`below`) are the host's."""
        return {k: self.names(v) if below.get(k) == v else self.text(v) for k, v in values.items()}


def _alternatives(words: Iterable[str], before: str, after: str) -> re.Pattern[str] | None:
    ordered = sorted(words, key=len, reverse=True)
    return re.compile(before + "(?:" + "|".join(map(re.escape, ordered)) + ")" + after) if ordered else None


def unknown(texts: Iterable[str], pod: Pod, names: Mapping[str, str]) -> set[str]:
    """What looks like the name of a peer (`<host>.<the Pod's own subdomain>`) and has no address yet."""
    subdomain, namespace = pod.spec.subdomain, pod.metadata.namespace
    if not subdomain:
        return set()
    looks = re.compile(
        rf"(?<![\w.-])[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.{re.escape(subdomain)}(?:\.{re.escape(namespace)}(?:\.svc"
        r"(?:\.cluster\.local)?)?)?(?![\w-]|\.\w)"
    )
    return {name for text in texts for name in looks.findall(text) if name not in names}
