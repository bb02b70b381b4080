"""reporter: carries Pods' statuses and Events to the API. Newest status wins; nothing waits for it, nothing is lost.

At most one status patch per Pod is under way; while it is, newer statuses replace each other. A patch names the Pod's
uid, so a Pod that was replaced under the same name is never touched. Conditions are merged by type (strategic merge
patch): other writers' conditions stay.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from fairlead.api.core import EVENTS, PODS, Pod
from fairlead.api.meta import Key
from fairlead.base import telemetry, timestamp
from fairlead.base.clock import Clock
from fairlead.base.errors import StatusError
from fairlead.client.protocol import Client, PatchType, WriteOptions

log = telemetry.logger("agent.reporter")

_STATUS = WriteOptions(manager="fairlead-agent", subresource="status", validation="Ignore")
_RETRY_FIRST, _RETRY_CAP = 0.2, 10.0
_REMEMBERED = 4096
"""Events that may still be counted up."""


class _Counted(msgspec.Struct):
    key: Key
    count: int


class Reporter:
    """See the module's text."""

    def __init__(self, client: Client, node: str, clock: Clock) -> None:
        self._client, self._node, self._clock = client, node, clock
        self._pending: dict[tuple[Key, str], dict[str, Any]] = {}
        self._senders: dict[tuple[Key, str], asyncio.Task[None]] = {}
        self._written: dict[str, int] = {}
        """By Pod's uid, the revision that our newest status made."""
        self._events: dict[tuple[str, ...], _Counted] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._serial = 0

    # --- statuses

    def publish(self, pod: Pod, status: dict[str, Any]) -> None:
        """Bring the Pod's status to the API, soon."""
        target = (pod.key, pod.metadata.uid)
        self._pending[target] = status
        if target not in self._senders:
            self._senders[target] = asyncio.create_task(self._send(target))

    async def flush(self, pod: Pod) -> None:
        """Return when the newest status is there (or the Pod is gone)."""
        sender = self._senders.get((pod.key, pod.metadata.uid))
        if sender is not None:
            await asyncio.wait({sender})

    def caught_up(self, pod: Pod) -> bool:
        """Whether this view of the Pod has all that was ever published of it."""
        meta = pod.metadata
        return (pod.key, meta.uid) not in self._senders and _number(meta.resourceVersion) >= self._written.get(
            meta.uid, 0
        )

    def forget(self, uid: str) -> None:
        self._written.pop(uid, None)

    async def _send(self, target: tuple[Key, str]) -> None:
        delay = _RETRY_FIRST
        key, uid = target
        while target in self._pending:
            status = self._pending.pop(target)
            try:
                patch = {"metadata": {"uid": uid}, "status": status}
                written = await self._client.patch(PODS, key, patch, PatchType.STRATEGIC, _STATUS)
                self._written[uid] = _number(written.metadata.resourceVersion)
                delay = _RETRY_FIRST
            except Exception as e:
                if isinstance(e, StatusError) and e.code in (404, 409, 422):
                    log.log(20 if e.code == 422 else 10, "status of pod=%s not taken: %s", key, e)
                    continue
                log.warning("status of pod=%s delayed: %s", key, e)
                self._pending.setdefault(target, status)
                await self._clock.sleep(delay)
                delay = min(delay * 2, _RETRY_CAP)
        del self._senders[target]

    # --- events

    def record(self, pod: Pod, type_: str, reason: str, message: str, container: str = "") -> None:
        """An Event on a Pod. Equal ones are counted up."""
        task = asyncio.create_task(self._record(pod, type_, reason, message, container))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _record(self, pod: Pod, type_: str, reason: str, message: str, container: str) -> None:
        same = (pod.metadata.uid, reason, message, container)
        known = self._events.get(same)
        try:
            if known is not None:
                known.count += 1
                patch = {"count": known.count, "lastTimestamp": timestamp.seconds(self._clock.now())}
                await self._client.patch(EVENTS, known.key, patch, PatchType.MERGE)
                return
            event = self._event(pod, type_, reason, message, container)
            key = Key(pod.metadata.namespace, event["metadata"]["name"])
            self._remember(same, _Counted(key, 1))
            await self._client.create(EVENTS, event)
        except Exception as e:
            self._events.pop(same, None)
            log.log(10 if isinstance(e, StatusError) else 30, "event of pod=%s not recorded: %s", pod.key, e)

    def _remember(self, same: tuple[str, ...], counted: _Counted) -> None:
        if len(self._events) >= _REMEMBERED:
            self._events.pop(next(iter(self._events)))
        self._events[same] = counted

    def _event(self, pod: Pod, type_: str, reason: str, message: str, container: str) -> dict[str, Any]:
        now = self._clock.now()
        self._serial += 1
        section = "initContainers" if any(c.name == container for c in pod.spec.initContainers) else "containers"
        about = {
            "kind": "Pod", "apiVersion": "v1", "namespace": pod.metadata.namespace, "name": pod.metadata.name,
            "uid": pod.metadata.uid, "resourceVersion": pod.metadata.resourceVersion,
        }  # fmt: skip
        if container:
            about["fieldPath"] = f"spec.{section}{{{container}}}"
        moment = timestamp.seconds(now)
        return {
            "apiVersion": "v1", "kind": "Event",
            "metadata": {
                "name": f"{pod.metadata.name[:200]}.{int(now * 1e6):x}{self._serial:x}",
                "namespace": pod.metadata.namespace,
            },
            "involvedObject": about, "type": type_, "reason": reason, "message": message[:1024], "count": 1,
            "firstTimestamp": moment, "lastTimestamp": moment,
            "source": {"component": "fairlead-agent", "host": self._node},
            "reportingComponent": "fairlead-agent", "reportingInstance": self._node,
        }  # fmt: skip

    async def close(self) -> None:
        """Give what is under way a moment, then stop."""
        tasks = {*self._senders.values(), *self._tasks}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=2)
            for task in late:
                task.cancel()


def _number(revision: str) -> int:
    """Revisions of one kind are numbers that grow (KEP-5504)."""
    return int(revision) if revision.isdigit() else 0
