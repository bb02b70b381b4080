"""Claims: tells claims that wait for their first consumer on which node it is, and waits until they are bound.

Only then is the Pod bound to the node: a volume that cannot be had there sends the Pod back to be placed anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from fairlead.api.core import CLAIMS, PersistentVolumeClaim
from fairlead.api.meta import Key
from fairlead.base import errors, telemetry
from fairlead.base.clock import Clock
from fairlead.base.errors import StatusError
from fairlead.client.protocol import Client, PatchType, WriteOptions
from fairlead.reconcile import storage as rules
from fairlead.scheduler.cycle import Placed

log = telemetry.logger("scheduler")

PATIENCE = 120.0
"""How long a claim may take to be bound, in seconds, before its Pod is placed anew."""
_AS = WriteOptions(manager="fairlead-scheduler")


class Claims:
    """`ready(placed)` and `failed(placed, error)` are called from tasks of `settle`."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        known: Mapping[Key, PersistentVolumeClaim],
        ready: Callable[[Placed], None],
        failed: Callable[[Placed, StatusError], None],
    ) -> None:
        self._client, self._clock, self._known = client, clock, known
        self._ready, self._failed = ready, failed
        self._nodes: dict[Key, str] = {}
        self._moved = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def moved(self) -> None:
        """A claim has changed."""
        self._moved.set()
        self._moved = asyncio.Event()

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    def settle(self, placed: Placed, wanted: Mapping[Key, str]) -> None:
        """Have the claims bound on those nodes, then hand the placement on."""
        task = asyncio.create_task(self._settle(placed, dict(wanted)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _settle(self, placed: Placed, wanted: dict[Key, str]) -> None:
        taken = next((k for k, node in wanted.items() if self._nodes.get(k, node) != node), None)
        if taken is not None:
            self._failed(placed, errors.unavailable(f'persistentvolumeclaim "{taken.name}" is to be on another node'))
            return
        self._nodes.update(wanted)
        try:
            for key, node in wanted.items():
                await self._select(key, node)
            await self._bound(wanted)
        except TimeoutError:
            await self._undo(wanted)
            self._failed(placed, errors.unavailable("binding volumes: timed out waiting for the condition"))
        except StatusError as error:
            self._failed(placed, error)
        else:
            self._ready(placed)
        finally:
            for key in wanted:
                self._nodes.pop(key, None)

    async def _select(self, key: Key, node: str | None) -> None:
        patch = {"metadata": {"annotations": {rules.SELECTED_NODE: node}}}
        await self._client.patch(CLAIMS, key, patch, PatchType.MERGE, _AS)

    async def _bound(self, wanted: Mapping[Key, str]) -> None:
        """Return when all are bound. Raises TimeoutError, or StatusError when a claim is gone."""
        end = self._clock.monotonic() + PATIENCE
        while True:
            moved = self._moved
            claims = [self._known.get(key) for key in wanted]
            if all(c is not None and c.bound for c in claims):
                return
            if any(c is None or c.metadata.deleting for c in claims):
                raise errors.unavailable("a persistentvolumeclaim of the pod is gone")
            left = end - self._clock.monotonic()
            if left <= 0:
                raise TimeoutError
            await self._wait(moved, left)

    async def _wait(self, moved: asyncio.Event, seconds: float) -> None:
        waits = [asyncio.ensure_future(moved.wait()), asyncio.ensure_future(self._clock.sleep(seconds))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _undo(self, wanted: Mapping[Key, str]) -> None:
        for key in wanted:
            claim = self._known.get(key)
            if claim is not None and not claim.spec.volumeName:
                try:
                    await self._select(key, None)
                except StatusError as error:
                    log.warning("claim %s: %s", key, error)
