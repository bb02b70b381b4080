"""Leadership by a Lease (coordination.k8s.io): of several managers, one works.

The rules are those of client-go's leader election, so both sorts of candidates may stand for one Lease: a holder renews
`renewTime`; a candidate that has not seen the Lease *change* for the holder's `leaseDurationSeconds`, by its own clock,
takes it over; a holder that could not renew for `renew_deadline` gives up before anyone may take over. Clocks of
different machines are never compared. `decide` is the rule; `Elector` is the shell that acts on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from fairlead.api import coordination
from fairlead.api.coordination import Lease
from fairlead.api.meta import Key
from fairlead.base import telemetry, timestamp
from fairlead.base.clock import Clock
from fairlead.base.errors import StatusError
from fairlead.client.protocol import Client, PatchType, WriteOptions

log = telemetry.logger("lease")


class Candidate(msgspec.Struct, frozen=True):
    """Who stands for which Lease, and how patiently (client-go's defaults)."""

    identity: str
    key: Key
    duration: float = 15.0
    renew_deadline: float = 10.0
    retry: float = 2.0


class Observed(msgspec.Struct, frozen=True):
    """The Lease as last read (None: there is none) and when it was first seen in that state, on the own clock."""

    lease: Lease | None = None
    since: float = 0.0

    def then(self, lease: Lease | None, now: float) -> Observed:
        """After another read."""
        seen = self.lease.spec if self.lease else None
        return Observed(lease, self.since if seen is not None and lease and lease.spec == seen else now)


class Make(msgspec.Struct, frozen=True):
    """Create the Lease with this spec."""

    spec: dict[str, Any]


class Take(msgspec.Struct, frozen=True):
    """Patch the Lease's spec, provided it is still at `revision`."""

    spec: dict[str, Any]
    revision: str


class Wait(msgspec.Struct, frozen=True):
    """Somebody else holds it."""

    holder: str


def decide(candidate: Candidate, observed: Observed, now: float, wall: float) -> Make | Take | Wait:
    """What a candidate does about the Lease. `now` is on the clock of `observed.since`; `wall` goes into the Lease."""
    spec = {
        "holderIdentity": candidate.identity,
        "leaseDurationSeconds": max(1, round(candidate.duration)),
        "renewTime": timestamp.micro(wall),
    }
    lease = observed.lease
    if lease is None:
        return Make(spec | {"acquireTime": timestamp.micro(wall), "leaseTransitions": 0})
    held = lease.spec
    if held.holderIdentity == candidate.identity:
        return Take(spec, lease.metadata.resourceVersion)
    if held.holderIdentity and observed.since + held.leaseDurationSeconds > now:
        return Wait(held.holderIdentity)
    changed = {"acquireTime": timestamp.micro(wall), "leaseTransitions": held.leaseTransitions + 1}
    return Take(spec | changed, lease.metadata.resourceVersion)


def release(lease: Lease, wall: float) -> Take:
    """Let go of a Lease, so that the next candidate need not wait. A holder may be absent, but not empty."""
    now = timestamp.micro(wall)
    spec = {"holderIdentity": None, "leaseDurationSeconds": 1, "renewTime": now, "acquireTime": now}
    return Take(spec, lease.metadata.resourceVersion)


class LeaseLost(Exception):
    """The Lease could not be renewed in time; another candidate may lead now."""


class Elector:
    """Leads once the Lease is held, as long as it is held."""

    def __init__(self, client: Client, clock: Clock, candidate: Candidate) -> None:
        self._client, self._clock, self._candidate = client, clock, candidate
        self._observed = Observed()
        self.leading = False

    async def lead(self, work: Callable[[], Awaitable[None]]) -> None:
        """Wait for the Lease, then `work` while it is renewed; released at the end. Raises LeaseLost."""
        while not await self._try():
            await self._clock.sleep(self._candidate.retry)
        self.leading = True
        log.info("%s leads (%s)", self._candidate.identity, self._candidate.key)
        working = asyncio.ensure_future(work())
        renewing = asyncio.ensure_future(self._renew())
        try:
            await asyncio.wait((working, renewing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.leading = False
            lost = renewing.done() and not renewing.cancelled()
            await _end(working, renewing)
            if not lost:
                await self._release()
        for task in (renewing, working):
            if not task.cancelled():
                task.result()

    async def _renew(self) -> None:
        last = self._clock.monotonic()
        while True:
            await self._clock.sleep(self._candidate.retry)
            if await self._try():
                last = self._clock.monotonic()
            elif self._clock.monotonic() - last >= self._candidate.renew_deadline:
                raise LeaseLost(f"{self._candidate.identity} could not renew lease {self._candidate.key} in time")

    async def _try(self) -> bool:
        """One attempt to get or keep the Lease."""
        now = self._clock.monotonic()
        try:
            self._observed = self._observed.then(await self._read(), now)
            decision = decide(self._candidate, self._observed, now, self._clock.now())
            if isinstance(decision, Wait):
                return False
            self._observed = Observed(await self._write(decision), now)
        except (StatusError, OSError, TimeoutError) as error:
            log.debug("lease %s: %s", self._candidate.key, error)
            return False
        return True

    async def _read(self) -> Lease | None:
        try:
            return await self._client.get(coordination.LEASES, self._candidate.key)
        except StatusError as error:
            if error.code == 404:
                return None
            raise

    async def _write(self, decision: Make | Take) -> Lease:
        key, options = self._candidate.key, WriteOptions(manager=self._candidate.identity)
        if isinstance(decision, Make):
            obj = {
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": key.name, "namespace": key.namespace}, "spec": decision.spec,
            }  # fmt: skip
            return await self._client.create(coordination.LEASES, obj, options)
        patch = {"metadata": {"resourceVersion": decision.revision}, "spec": decision.spec}
        return await self._client.patch(coordination.LEASES, key, patch, PatchType.MERGE, options)

    async def _release(self) -> None:
        lease = self._observed.lease
        if lease is None or lease.spec.holderIdentity != self._candidate.identity:
            return
        try:
            await self._write(release(lease, self._clock.now()))
        except (StatusError, OSError, TimeoutError) as error:
            log.debug("lease %s was not released: %s", self._candidate.key, error)


async def _end(*tasks: asyncio.Future[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
