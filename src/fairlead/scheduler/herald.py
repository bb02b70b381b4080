"""Herald: tells Pods' conditions and events, in the background.

It keeps the newest thing to say of each Pod; what is outdated before it is written is never written. A condition that
the Pod has already is not patched again. Telling may fail: then it is logged, and said again when there is cause to.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from fairlead.api.core import EVENTS, PODS, Pod
from fairlead.base import telemetry, timestamp
from fairlead.base.clock import Clock
from fairlead.base.errors import StatusError
from fairlead.client.protocol import Client, PatchType, WriteOptions
from fairlead.reconcile.events import Recorder

log = telemetry.logger("scheduler")

SOURCE = "default-scheduler"
MANAGER = "fairlead-scheduler"
AS_STATUS = WriteOptions(manager=MANAGER, subresource="status")
AS_SCHEDULER = WriteOptions(manager=MANAGER)


class _Word(msgspec.Struct, frozen=True):
    """What is to be told of one Pod: an event (type, reason, message), and PodScheduled=False (reason, message)."""

    pod: Pod
    event: tuple[str, str, str] | None
    condition: tuple[str, str] | None = None


class Herald:
    """See the module's text. Everything but `run` only notes what to say."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._recorder = Recorder(SOURCE)
        self._words: dict[str, _Word] = {}
        self._said: dict[str, tuple[str, str]] = {}
        self._waiting = asyncio.Event()

    def refuse(self, pod: Pod, message: str) -> None:
        """The Pod cannot be placed now."""
        self._note(pod, ("Unschedulable", message), ("Warning", "FailedScheduling", message))

    def hold(self, pod: Pod, message: str) -> None:
        """The Pod is not to be placed yet; that is no failure, so there is no event."""
        self._note(pod, ("SchedulingGated", message), None)

    def assigned(self, pod: Pod, node: str) -> None:
        """The Pod was bound."""
        self._said.pop(pod.metadata.uid, None)
        event = ("Normal", "Scheduled", f"Successfully assigned {pod.key} to {node}")
        self._words[pod.metadata.uid] = _Word(pod, event)
        self._waiting.set()

    def forget(self, uid: str) -> None:
        """The Pod is gone."""
        self._said.pop(uid, None)

    def _note(self, pod: Pod, condition: tuple[str, str], event: tuple[str, str, str] | None) -> None:
        uid = pod.metadata.uid
        if self._said.get(uid) == condition:
            return
        self._said[uid] = condition
        there = pod.condition("PodScheduled")
        if there is not None and there.status == "False" and (there.reason, there.message) == condition:
            self._words.pop(uid, None)
            return  # told by an earlier run of the scheduler
        self._words[uid] = _Word(pod, event, condition)
        self._waiting.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            while self._words:
                word = self._words.pop(next(iter(self._words)))
                try:
                    await self._say(word)
                except StatusError as error:
                    if error.code not in (404, 409):
                        log.warning("telling %s: %s", word.pod.key, error)
                    self._said.pop(word.pod.metadata.uid, None)

    async def _say(self, word: _Word) -> None:
        if word.condition is not None:
            await self._client.patch(PODS, word.pod.key, self._status(word), PatchType.STRATEGIC, AS_STATUS)
        if word.event is None:
            return
        note = self._recorder.note(PODS, word.pod, word.event, self._clock.now())
        if note.count == 1:
            await self._client.create(EVENTS, note.object, AS_SCHEDULER)
            return
        try:
            await self._client.patch(EVENTS, note.key, note.patch, PatchType.MERGE, AS_SCHEDULER)
        except StatusError as error:
            self._recorder.forget(note.key)
            if error.code != 404:
                raise

    def _status(self, word: _Word) -> dict[str, Any]:
        """A strategic merge: conditions are merged by type. The uid guards against another Pod of the same name."""
        reason, message = word.condition or ("", "")
        before = word.pod.condition("PodScheduled")
        now = timestamp.seconds(self._clock.now())
        since = before.lastTransitionTime if before is not None and before.status == "False" else now
        scheduled = {
            "type": "PodScheduled", "status": "False", "reason": reason, "message": message,
            "lastProbeTime": None, "lastTransitionTime": since or now,
        }  # fmt: skip
        return {"metadata": {"uid": word.pod.metadata.uid}, "status": {"conditions": [scheduled]}}
