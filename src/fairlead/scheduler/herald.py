"""Herald: tells conditions and events of Pods, and conditions of their groups, in the background.

It keeps the newest thing to say of each object; what is outdated before it is written is never written. A condition
that the object has already is not patched again. Telling may fail: then it is logged, and said again when there is
cause to.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from fairlead.api.core import EVENTS, PODS, Pod
from fairlead.api.meta import Condition, Resource
from fairlead.api.scheduling import POD_GROUPS, PodGroup
from fairlead.base import telemetry, timestamp
from fairlead.base.clock import Clock
from fairlead.base.errors import StatusError
from fairlead.client.protocol import Client, PatchType, WriteOptions
from fairlead.reconcile import status
from fairlead.reconcile.events import Recorder

log = telemetry.logger("scheduler")

SOURCE = "default-scheduler"
MANAGER = "fairlead-scheduler"
PATIENCE = 1.0
"""How long a gang may wait for its members, in seconds, before that is told: most are whole within moments."""
AS_STATUS = WriteOptions(manager=MANAGER, subresource="status")
AS_SCHEDULER = WriteOptions(manager=MANAGER)


class _Word(msgspec.Struct, frozen=True):
    """What is to be told of one object: an event (type, reason, message) and a condition."""

    resource: Resource[Any]
    about: Pod | PodGroup
    event: tuple[str, str, str] | None
    condition: Condition | None = None


class Herald:
    """See the module's text. Everything but `run` only notes what to say."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._recorder = Recorder(SOURCE)
        self._words: dict[str, _Word] = {}
        self._said: dict[str, Condition] = {}
        self._later: dict[str, _Word] = {}
        self._waiting, self._ripening = asyncio.Event(), asyncio.Event()

    def refuse(self, pod: Pod, message: str, *, patient: bool = False) -> None:
        """The Pod cannot be placed now. `patient`: tell it only if nothing else is to be told soon."""
        condition = Condition("PodScheduled", "False", "Unschedulable", message)
        self._note(_Word(PODS, pod, ("Warning", "FailedScheduling", message), condition), patient)

    def hold(self, pod: Pod, message: str) -> None:
        """The Pod is not to be placed yet; that is no failure, so there is no event."""
        self._note(_Word(PODS, pod, None, Condition("PodScheduled", "False", "SchedulingGated", message)))

    def group(self, group: PodGroup, reason: str, message: str, *, patient: bool = False) -> None:
        """How a group fares: `Scheduled`, or why not."""
        truth = "True" if reason == "Scheduled" else "False"
        self._note(_Word(POD_GROUPS, group, None, Condition("PodGroupScheduled", truth, reason, message)), patient)

    def assigned(self, pod: Pod, node: str) -> None:
        """The Pod was bound."""
        self._said.pop(pod.metadata.uid, None)
        self._later.pop(pod.metadata.uid, None)
        event = ("Normal", "Scheduled", f"Successfully assigned {pod.key} to {node}")
        self._words[pod.metadata.uid] = _Word(PODS, pod, event)
        self._waiting.set()

    def forget(self, uid: str) -> None:
        """The Pod is gone."""
        self._said.pop(uid, None)
        self._later.pop(uid, None)

    def _note(self, word: _Word, patient: bool = False) -> None:
        uid, condition = word.about.metadata.uid, word.condition
        if patient:
            self._later[uid] = word
            self._ripening.set()
            return
        self._later.pop(uid, None)
        if condition is None or self._said.get(uid) == condition:
            return
        self._said[uid] = condition
        if _same(_there(word), condition):
            self._words.pop(uid, None)  # told by an earlier run of the scheduler
            return
        self._words[uid] = word
        self._waiting.set()

    async def run(self) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._ripen())
            tasks.create_task(self._write())

    async def _ripen(self) -> None:
        """Tell what was to be told patiently and is still so."""
        while True:
            await self._ripening.wait()
            self._ripening.clear()
            unripe = dict(self._later)
            await self._clock.sleep(PATIENCE)
            for uid, word in unripe.items():
                if self._later.get(uid) is word:
                    self._note(word)

    async def _write(self) -> None:
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            while self._words:
                word = self._words.pop(next(iter(self._words)))
                try:
                    await self._say(word)
                except StatusError as error:
                    if error.code not in (404, 409):
                        log.warning("telling %s: %s", word.about.key, error)
                    self._said.pop(word.about.metadata.uid, None)
                await asyncio.sleep(0)

    async def _say(self, word: _Word) -> None:
        if word.condition is not None:
            patch = self._status(word, word.condition)
            await self._client.patch(word.resource, word.about.key, patch, PatchType.STRATEGIC, AS_STATUS)
        if word.event is None:
            return
        note = self._recorder.note(word.resource, word.about, word.event, self._clock.now())
        if note.count == 1:
            await self._client.create(EVENTS, note.object, AS_SCHEDULER)
            return
        try:
            await self._client.patch(EVENTS, note.key, note.patch, PatchType.MERGE, AS_SCHEDULER)
        except StatusError as error:
            self._recorder.forget(note.key)
            if error.code != 404:
                raise

    def _status(self, word: _Word, condition: Condition) -> dict[str, Any]:
        """A strategic merge: conditions are merged by type. The uid guards against another object of that name."""
        before, now = _there(word), timestamp.seconds(self._clock.now())
        unmoved = before is not None and before.status == condition.status
        since = before.lastTransitionTime if before is not None and unmoved else None
        told = {"type": condition.type, "status": condition.status, "reason": condition.reason}
        told |= {"message": condition.message, "lastTransitionTime": since or now}
        return {"metadata": {"uid": word.about.metadata.uid}, "status": {"conditions": [told]}}


def _there(word: _Word) -> Condition | None:
    """The condition as the object has it."""
    return status.find(word.about.status.conditions, word.condition.type) if word.condition is not None else None


def _same(one: Condition | None, other: Condition) -> bool:
    return one is not None and (one.status, one.reason, one.message) == (other.status, other.reason, other.message)
