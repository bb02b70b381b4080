"""Archives: what is refused, and that nothing is left behind. (It uses the disk.)"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from fairlead.sdk.home import Home
from fairlead.server import archive
from fairlead.store.mvcc import Put
from fairlead.store.sqlite import SqliteStore


@pytest.fixture
async def written(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    store = SqliteStore.open(folder / "store")
    await store.commit([Put("/a", lambda r: b"%d" % r)])
    await store.close()
    (folder / "pki").mkdir()
    (folder / "pki" / "tokens.csv").write_text("secret")
    (folder / "kubeconfig").write_text("clusters: []")
    archive.write(Home(folder), tmp_path / "backup.tar")
    return tmp_path / "backup.tar"


def changed(file: Path, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> Path:
    """A copy of an archive with other members."""
    other = file.with_name("changed.tar")
    with tarfile.open(file) as old, tarfile.open(other, "w") as new:
        for header in old:
            content = old.extractfile(header)
            assert content is not None
            member = change(header.name, content.read())
            if member is not None:
                made = tarfile.TarInfo(member[0])
                made.size = len(member[1])
                new.addfile(made, io.BytesIO(member[1]))
    return other


def refuses(file: Path, match: str) -> None:
    target = file.parent / "target"
    before = set(file.parent.iterdir())
    with pytest.raises(archive.ArchiveError, match=match):
        archive.restore(file, Home(target))
    assert set(file.parent.iterdir()) == before


def test_everything_is_there_again(written: Path) -> None:
    target = written.parent / "deep" / "target"
    told = archive.restore(written, Home(target))
    assert (told.revision, told.objects, told.format) == (1, 1, archive.FORMAT)
    assert (target / "pki" / "tokens.csv").read_text() == "secret"
    assert (target / "kubeconfig").read_text() == "clusters: []"
    assert target.stat().st_mode & 0o777 == 0o700


def test_a_changed_byte_is_found(written: Path) -> None:
    file = changed(written, lambda n, c: (n, c.replace(b"secret", b"Secret")))
    refuses(file, r"tokens\.csv in the archive is damaged")


def test_a_missing_file_is_found(written: Path) -> None:
    file = changed(written, lambda n, c: None if n == "kubeconfig" else (n, c))
    refuses(file, "is not whole: it lacks kubeconfig")


def test_half_an_archive_is_refused(written: Path) -> None:
    written.write_bytes(written.read_bytes()[: written.stat().st_size // 2])
    refuses(written, "no archive of Fairlead|is not whole")


def test_what_is_no_archive_is_refused(written: Path) -> None:
    written.write_bytes(b"something else" * 100)
    refuses(written, "no archive of Fairlead")
    refuses(written.with_name("missing"), "is not restored to")


def test_members_that_the_manifest_does_not_name_are_not_written(written: Path) -> None:
    file = changed(written, lambda n, c: ("../evil", c) if n == "kubeconfig" else (n, c))
    refuses(file, "lacks kubeconfig")


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "pki/../../evil"])
def test_a_manifest_that_points_elsewhere_is_refused(written: Path, name: str) -> None:
    def rename(n: str, content: bytes) -> tuple[str, bytes]:
        return (
            (n, content.replace(b'"kubeconfig"', msgspec.json.encode(name))) if n == "manifest.json" else (n, content)
        )

    refuses(changed(written, rename), "its manifest names")


def test_a_newer_format_is_refused(written: Path) -> None:
    file = changed(written, lambda n, c: (n, c.replace(b'"format": 1', b'"format": 2')))
    refuses(file, r"has format 2 .* reads up to 1: upgrade Fairlead")


def test_a_folder_without_a_control_plane_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(archive.ArchiveError, match="there is no store"):
        archive.write(Home(tmp_path / "none"), tmp_path / "backup.tar")
    assert list(tmp_path.iterdir()) == []


async def test_a_damaged_store_is_not_backed_up(written: Path) -> None:
    store = written.parent / "state" / "store" / "store.db"
    store.write_bytes(store.read_bytes()[:4096] + b"x" * 4096)
    with pytest.raises(archive.ArchiveError, match="is not written"):
        archive.write(Home(written.parent / "state"), written.parent / "second.tar")
    assert not (written.parent / "second.tar").exists()
