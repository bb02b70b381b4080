"""Code: a working folder as immutable ConfigMaps, named after its content.

Works on any Kubernetes: the folder becomes a tar.gz, cut into parts that fit into ConfigMaps (1 MiB each), mounted
together by one projected volume and unpacked before the command starts. Two jobs with the same code share the parts:
each job is an owner of them, so they go when the last job goes.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import os
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

PART = 900_000
"""Bytes of one part: a ConfigMap holds 1 MiB with its names."""
LIMIT = 32 * 1024 * 1024
"""Largest packed folder, in bytes."""
MOUNT = "/fairlead/code"
WORK = "/fairlead/work"

_SKIPPED = {".git", "__pycache__", ".venv", "venv", "node_modules", ".mypy_cache", ".ruff_cache", ".pytest_cache"}


class CodeError(Exception):
    """The folder cannot be uploaded; the message says what to do."""


class Code(msgspec.Struct, frozen=True):
    """A packed folder. `digest` is of the content alone: the same files give the same digest."""

    digest: str
    parts: Sequence[bytes]
    files: int
    size: int

    @property
    def names(self) -> list[str]:
        """The ConfigMaps' names, in order."""
        return [f"code-{self.digest[:16]}-{i}" for i in range(len(self.parts))]

    def manifests(self, namespace: str) -> list[dict[str, Any]]:
        """The ConfigMaps."""
        return [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": name, "namespace": namespace, "labels": {"fairlead.dev/code": self.digest[:16]}},
                "immutable": True,
                "binaryData": {f"part-{i:03}": base64.b64encode(part).decode()},
            }
            for i, (name, part) in enumerate(zip(self.names, self.parts, strict=True))
        ]


def pack(folder: Path) -> Code:
    """Pack a folder. In a git work tree, what git ignores stays out. Raises CodeError."""
    if not folder.is_dir():
        raise CodeError(f"the working folder {str(folder)!r} does not exist; name another with --workdir")
    raw, files = io.BytesIO(), 0
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in _files(folder):
            archive.add(path, str(path.relative_to(folder)), recursive=False, filter=_anonymous)
            files += 1
    packed = gzip.compress(raw.getvalue(), compresslevel=6, mtime=0)
    if len(packed) > LIMIT:
        size = f"{len(packed) / 1e6:.0f} MB packed, at most {LIMIT / 1e6:.0f} MB"
        raise CodeError(f"the working folder {str(folder)!r} is too large to upload ({size}); keep data outside of it")
    parts = [packed[i : i + PART] for i in range(0, len(packed), PART)]
    return Code(hashlib.sha256(raw.getvalue()).hexdigest(), parts, files, len(packed))


def unpacking(command: Sequence[str]) -> list[str]:
    """The command that unpacks the code into the working folder and goes on as `command` in it."""
    script = f'set -e; cat {MOUNT}/part-* | tar -xz -C {WORK}; cd {WORK}; exec "$@"'
    return ["sh", "-c", script, "fairlead", *command]


def _files(folder: Path) -> Iterator[Path]:
    listed = _git(folder)
    if listed is not None:
        yield from (folder / name for name in sorted(listed) if (folder / name).is_file())
        return
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(d for d in folders if d not in _SKIPPED)
        yield from (Path(root) / n for n in sorted(names) if not n.endswith(".pyc") and (Path(root) / n).is_file())


def _git(folder: Path) -> list[str] | None:
    """The files that git tracks or would track; None outside of a work tree or without git."""
    try:
        found = subprocess.run(
            ["git", "-C", str(folder), "ls-files", "-co", "--exclude-standard", "-z"],
            capture_output=True, check=True, timeout=30,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return [os.fsdecode(n) for n in found.stdout.split(b"\0") if n]


def _anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out what is not content, so that the digest says nothing else."""
    info.mtime, info.uid, info.gid, info.uname, info.gname = 0, 0, 0, "", ""
    return info
