"""Archive: a control plane in one file: its objects at one revision, its keys and tokens, its kubeconfig.

An archive is a plain tar file. Its first member, `manifest.json`, names the format, who wrote it and when, and every
other member with its size and checksum; what it does not name is not read. The control plane may run while an archive
is written (`store.backup`). A restore makes a new state folder, whole or not at all, and never touches one that is
there. It skips revisions, so that clients which saw newer ones begin anew.

Not in it: what belongs to the machine (Pods' logs, volumes and processes). A Pod that was running is, after a restore,
a Pod whose container is gone: the agent says so, and its restartPolicy decides.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import IO

import click
import msgspec

import fairlead
from fairlead.base import timestamp
from fairlead.base.clock import SYSTEM
from fairlead.sdk import home
from fairlead.store import backup, folder
from fairlead.store.mvcc import StoreError

FORMAT = 1
MANIFEST = "manifest.json"
AHEAD = 1_000_000_000
"""Revisions that a restore skips: more than a control plane writes between a backup and its loss."""
_STORE = f"store/{backup.FILE}"
_MANIFEST_LIMIT = 1 << 20


class ArchiveError(Exception):
    """An archive cannot be written or restored; the message is one line for people."""


class Member(msgspec.Struct, frozen=True):
    """A file in the archive."""

    size: int
    sha256: str
    mode: int


class Manifest(msgspec.Struct, frozen=True):
    """What an archive says about itself. `files` are by their path in the state folder."""

    format: int
    fairlead: str
    made: str
    revision: int
    objects: int
    files: dict[str, Member]


def write(place: home.Home, file: Path) -> Manifest:
    """Write an archive of the control plane in `place`, running or not. Raises ArchiveError."""
    try:
        with tempfile.TemporaryDirectory(prefix=".backup.", dir=file.parent) as scratch:
            draft, copy = Path(scratch) / "archive", Path(scratch) / backup.FILE
            copied = backup.copy(place.path / "store", copy)
            files = {_STORE: copy, **_small_files(place)}
            made = Manifest(
                FORMAT, fairlead.__version__, timestamp.seconds(SYSTEM.now()), copied.revision, copied.objects,
                {name: _member(path) for name, path in files.items()},
            )  # fmt: skip
            _pack(draft, made, files)
            draft.replace(file)
        folder.sync(file.parent)
    except FileNotFoundError as error:
        raise ArchiveError(f"{error.filename} cannot be backed up: {error.strerror}") from error
    except (OSError, StoreError) as error:
        raise ArchiveError(f"{file} is not written: {error}") from error
    return made


def restore(file: Path, place: home.Home) -> Manifest:
    """Make the state folder `place` from an archive. Raises ArchiveError."""
    target = place.path
    _require_empty(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            told = _unpack(file, draft)
            backup.advance(draft / _STORE, AHEAD)
            draft.replace(target)  # an empty folder is replaced, any other refuses
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        folder.sync(target.parent)
    except tarfile.TarError as error:
        raise ArchiveError(f"{file} is no archive of Fairlead: {error}") from error
    except (OSError, StoreError) as error:
        raise ArchiveError(f"{file} is not restored to {target}: {error}") from error
    return told


def _require_empty(target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ArchiveError(
            f"{target} is not empty, and a restore never overwrites: name a new folder with --dir, or move it away"
        )


# --- writing -------------------------------------------------------------------------------------------------------


def _small_files(place: home.Home) -> dict[str, Path]:
    """Keys, certificates, tokens, and the kubeconfig (it has the port that clients know)."""
    found = sorted(p for p in (place.path / "pki").rglob("*") if p.is_file() and not p.name.startswith("."))
    if place.kubeconfig.is_file():
        found.append(place.kubeconfig)
    return {p.relative_to(place.path).as_posix(): p for p in found}


def _member(path: Path) -> Member:
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    status = path.stat()
    return Member(status.st_size, digest, status.st_mode & 0o777)


def _pack(draft: Path, told: Manifest, files: dict[str, Path]) -> None:
    """Readable by its owner only: it has keys in it."""
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
            text = msgspec.json.format(msgspec.json.encode(told))
            tar.addfile(_header(MANIFEST, len(text)), io.BytesIO(text))
            for name, path in files.items():
                with path.open("rb") as content:
                    tar.addfile(_header(name, told.files[name].size), content)
        out.flush()
        os.fsync(out.fileno())


def _header(name: str, size: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size, header.mode, header.mtime = size, 0o600, int(SYSTEM.now())
    return header


# --- reading -------------------------------------------------------------------------------------------------------


def _unpack(file: Path, draft: Path) -> Manifest:
    """The named files, each checked, below `draft`."""
    with tarfile.open(file, "r:") as tar:
        first = tar.next()
        if first is None or first.name != MANIFEST:
            raise ArchiveError(f"{file} is no archive of Fairlead: it does not begin with {MANIFEST}")
        told = _manifest(file, tar.extractfile(first))
        left = dict(told.files)
        while (header := tar.next()) is not None:
            member, content = left.pop(header.name, None), tar.extractfile(header)
            if member is not None and content is not None:
                _place(draft / header.name, content, member)
    if left:
        raise ArchiveError(f"{file} is not whole: it lacks {', '.join(sorted(left))}")
    return told


def _manifest(file: Path, content: IO[bytes] | None) -> Manifest:
    try:
        told = msgspec.json.decode(content.read(_MANIFEST_LIMIT) if content is not None else b"", type=Manifest)
    except msgspec.DecodeError as error:
        raise ArchiveError(f"{file} is no archive of Fairlead: {MANIFEST}: {error}") from error
    if told.format > FORMAT:
        raise ArchiveError(
            f"{file} has format {told.format} (written by Fairlead {told.fairlead}), and this version reads up to "
            f"{FORMAT}: upgrade Fairlead"
        )
    wrong = [n for n in told.files if PurePosixPath(n).is_absolute() or ".." in PurePosixPath(n).parts]
    if wrong or _STORE not in told.files:
        raise ArchiveError(f"{file} is no archive of Fairlead: its manifest names {wrong or 'no store'}")
    return told


def _place(path: Path, content: IO[bytes], member: Member) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, member.mode), "w+b") as out:
        shutil.copyfileobj(content, out)
        out.flush()
        os.fsync(out.fileno())
        out.seek(0)
        if hashlib.file_digest(out, "sha256").hexdigest() != member.sha256:
            raise ArchiveError(f"{path.name} in the archive is damaged: its checksum is another. Take an older archive")


# --- the program ---------------------------------------------------------------------------------------------------


@click.command()
@click.argument("what", type=click.Choice(["backup", "restore"]))
@click.option("--dir", "directory", type=click.Path(path_type=Path), required=True)
@click.argument("file", type=click.Path(path_type=Path))
def main(what: str, directory: Path, file: Path) -> None:
    """What `fairlead backup` and `fairlead restore` become."""
    place = home.Home(directory.absolute())
    try:
        told = write(place, file.absolute()) if what == "backup" else restore(file.absolute(), place)
    except ArchiveError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    having = f"{told.objects} objects at revision {told.revision}"
    if what == "backup":
        click.echo(f"wrote {file}: {having}, with keys and tokens (keep it secret)")
    else:
        click.echo(f"restored {having}, as of {told.made}; start it with: fairlead up --dir {place.path}")


if __name__ == "__main__":
    main()
