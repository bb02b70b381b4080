"""An API server over the in-memory store, on a clock that stands still, with names that are counted."""

from __future__ import annotations

from itertools import count

import pytest

from fairlead.api.core import NAMESPACES
from fairlead.apiserver import assembly
from fairlead.apiserver.local import LocalClient
from fairlead.store.memory import MemoryStore
from fairlead.testing.clock import FakeClock


class Counting:
    """A `state.Chance` that counts."""

    def __init__(self) -> None:
        self._suffixes, self._uids = count(1), count(1)

    def suffix(self) -> str:
        return f"{next(self._suffixes):05}"

    def uid(self) -> str:
        return f"uid-{next(self._uids)}"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def server(clock: FakeClock):
    """With the namespace `default` (and its service account) and nothing else."""
    made = assembly.assemble(MemoryStore(), assembly.Settings(clock=clock, chance=Counting()))
    made.definitions.start()
    await made.client().create(NAMESPACES, {"metadata": {"name": "default"}})
    yield made
    await made.close()


@pytest.fixture
def client(server: assembly.Server) -> LocalClient:
    return server.client()
