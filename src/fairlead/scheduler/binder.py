"""Binder: carries placements out. A gang in one call; single Pods that were decided meanwhile share a call.

A binding that fails is looked into after a while that doubles with each failure of the Pod: because Pods may be bound
one by one (real Kubernetes), each is read again, and what the server says of all of them is handed over at once, so
that a gang is taken back as a whole. Looking into one failure does not hold up other bindings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from fairlead.api.core import PODS, Pod
from fairlead.base import telemetry
from fairlead.base.clock import Clock
from fairlead.base.errors import StatusError
from fairlead.client.protocol import Binding, Client
from fairlead.scheduler.cycle import Placed, Placement

log = telemetry.logger("scheduler")

TOGETHER = 256
"""Single Pods bound in one call at most."""
RETRY, LONGEST = 0.05, 10.0
"""How long after a failed binding its Pods are looked at again, in seconds: the first time, and at most."""

Truth = Mapping[str, Pod | None]
"""Pods by uid, as the server has them; None for those that it has no longer or did not tell."""


class Binder:
    """`bound(placed)` and `failed(placed, truth, error)` are called from `run`."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        bound: Callable[[Placed], None],
        failed: Callable[[Placed, Truth, StatusError], None],
    ) -> None:
        self._client, self._clock = client, clock
        self._bound, self._failed = bound, failed
        self._queue: asyncio.Queue[Placed] = asyncio.Queue()
        self._failures: dict[str, int] = {}

    def forget(self, uid: str) -> None:
        """The Pod is gone."""
        self._failures.pop(uid, None)

    def put(self, placed: Placed) -> None:
        """Have this bound."""
        self._queue.put_nowait(placed)

    async def run(self) -> None:
        """Bind until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                for batch in _batches(await self._gathered()):
                    await self._bind(batch, tasks)

    async def _gathered(self) -> list[Placed]:
        """All that wait to be bound; at least one."""
        found = [await self._queue.get()]
        while not self._queue.empty():
            found.append(self._queue.get_nowait())
        return found

    async def _bind(self, batch: Sequence[Placed], tasks: asyncio.TaskGroup) -> None:
        """One call. If it fails, single Pods that only shared it are tried by themselves."""
        placements = [placement for placed in batch for placement in placed.placements]
        try:
            await self._client.bind([Binding(p.pod.key, p.node, p.pod.uid) for p in placements])
        except StatusError as error:
            if len(batch) == 1:
                tasks.create_task(self._look(batch[0], error))
                return
            for placed in batch:
                await self._bind([placed], tasks)
            return
        for placed in batch:
            for placement in placed.placements:
                self._failures.pop(placement.pod.uid, None)
            self._bound(placed)

    async def _look(self, placed: Placed, error: StatusError) -> None:
        """Wait, learn what became of the Pods, and say so."""
        log.warning("binding %s: %s", ", ".join(str(p.pod.key) for p in placed.placements), error)
        await self._clock.sleep(self._delay(placed))
        truth = {p.pod.uid: await self._read(p) for p in placed.placements}
        self._failed(placed, truth, error)

    def _delay(self, placed: Placed) -> float:
        most = 0
        for placement in placed.placements:
            count = self._failures[placement.pod.uid] = self._failures.get(placement.pod.uid, 0) + 1
            most = max(most, count)
        return float(min(LONGEST, RETRY * 2 ** (most - 1)))

    async def _read(self, placement: Placement) -> Pod | None:
        try:
            pod = await self._client.get(PODS, placement.pod.key)
        except StatusError:
            return None
        return pod if pod.metadata.uid == placement.pod.uid else None


def _batches(found: Sequence[Placed]) -> list[list[Placed]]:
    """A gang by itself; single Pods together."""
    groups = [[placed] for placed in found if placed.unit.group]
    singles = [placed for placed in found if not placed.unit.group]
    return groups + [singles[i : i + TOGETHER] for i in range(0, len(singles), TOGETHER)]
