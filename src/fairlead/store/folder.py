"""The folder of a store: who may use it. One process at a time, kept by a lock that dies with the process."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from fairlead.store.mvcc import StoreError


class Locked(StoreError):
    """Another process uses the folder. `pid` is its process id (0: it did not say)."""

    def __init__(self, folder: Path, pid: int) -> None:
        holder = f"process {pid}" if pid else "another process"
        super().__init__(
            f"the store in {folder} is in use by {holder}; a store belongs to one process at a time. "
            "Stop that process, or choose another folder"
        )
        self.folder, self.pid = folder, pid


class FolderLock:
    """An exclusive lock on a folder, held from construction to `release`. Raises Locked at once, never waits."""

    def __init__(self, folder: Path) -> None:
        self._fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            pid = _read_pid(self._fd)
            os.close(self._fd)
            raise Locked(folder, pid) from error
        os.ftruncate(self._fd, 0)
        # On a full disk the lock is as good without the pid in it.
        with contextlib.suppress(OSError):
            os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        """Let others in. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def prepare(folder: Path) -> None:
    """Make the folder, readable by its owner only, and make its name durable."""
    missing = not folder.exists()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if missing:
        sync(folder.parent)


def sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _read_pid(fd: int) -> int:
    text = os.pread(fd, 20, 0).strip()
    return int(text) if text.isdigit() else 0
