"""Follow a TrainJob: say why it waits, stream the output of its Pods, and answer with its exit code."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

from fairlead.api import core, jobset, trainer
from fairlead.api.core import Pod
from fairlead.api.meta import Key, Resource
from fairlead.base import errors
from fairlead.client.protocol import Client, ListOptions

INDEX = "batch.kubernetes.io/job-completion-index"

Say = Callable[[str], None]


class LogClient(Client, Protocol):
    """A Client that also streams Pods' logs, as `client.http.HttpClient` does."""

    def stream_logs(self, key: Key, params: Mapping[str, str]) -> AsyncIterator[bytes]:
        """Chunks of a container's output."""


class Follower:
    """Follows one TrainJob. `out` gets the Pods' lines, `note` gets what happens to the job."""

    def __init__(self, client: LogClient, key: Key, out: Say, note: Say) -> None:
        self.client, self.key, self.out, self.note = client, key, out, note
        self._logs: dict[str, asyncio.Task[None]] = {}
        self._noted: dict[str, str] = {}
        self._codes: dict[str, int] = {}

    async def run(self) -> int:
        """Until the job has ended: 0 if it completed, else the exit code of a container that failed (1 if none did)."""
        pods = asyncio.ensure_future(self._follow_pods())
        try:
            completed = await self._until_ended()
            await self._sweep()
            await asyncio.gather(*self._logs.values())
        finally:
            pods.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await pods
        if completed:
            return 0
        return next((code for code in self._codes.values() if code), 1)

    async def _until_ended(self) -> bool:
        fields = ListOptions(fields=f"metadata.name={self.key.name}")
        async for job in live(self.client, trainer.TRAIN_JOBS, self.key.namespace, fields):
            if job.metadata.deleting:
                raise errors.not_found("trainjobs", trainer.GROUP, self.key.name)
            for type_ in ("Complete", "Failed"):
                ended = job.condition(type_)
                if ended is not None:
                    self.note(f"{type_.lower()}: {ended.message}")
                    return type_ == "Complete"
            if job.spec.suspend:
                self._once(self.key.name, "suspended: waits for admission to its queue")
        raise errors.not_found("trainjobs", trainer.GROUP, self.key.name)

    async def _follow_pods(self) -> None:
        selector = ListOptions(labels=f"{jobset.JOBSET_NAME}={self.key.name}")
        async for pod in live(self.client, core.PODS, self.key.namespace, selector):
            self._see(pod)

    async def _sweep(self) -> None:
        """See every Pod once more: the job may have ended before the watch told of the last ones."""
        selector = ListOptions(labels=f"{jobset.JOBSET_NAME}={self.key.name}")
        for pod in (await self.client.list(core.PODS, self.key.namespace, selector)).items:
            self._see(pod)

    def _see(self, pod: Pod) -> None:
        for status in pod.status.containerStatuses:
            if status.state.terminated is not None:
                self._codes[pod.metadata.uid] = status.state.terminated.exitCode
            if status.state.waiting is not None and status.state.waiting.message:
                self._once(pod.metadata.name, f"{status.state.waiting.reason}: {status.state.waiting.message}")
        scheduled = pod.condition("PodScheduled")
        if scheduled is not None and scheduled.status == "False":
            self._once(pod.metadata.name, f"waits: {scheduled.message}")
        started = any(s.state.running or s.state.terminated for s in pod.status.containerStatuses)
        if started and pod.metadata.uid not in self._logs:
            self._logs[pod.metadata.uid] = asyncio.ensure_future(self._stream(pod))

    def _once(self, about: str, text: str) -> None:
        if self._noted.get(about) != text:
            self._noted[about] = text
            self.note(f"{about}: {text}")

    async def _stream(self, pod: Pod) -> None:
        prefix = f"[{step(pod)}] "
        rest = b""
        chunks = self.client.stream_logs(pod.key, {"follow": "true", "container": pod.spec.containers[0].name})
        try:
            async for chunk in chunks:
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self.out(prefix + line.decode(errors="replace"))
        except errors.StatusError as error:
            self.note(f"{pod.metadata.name}: no log: {error.message}")
        if rest:
            self.out(prefix + rest.decode(errors="replace"))


def step(pod: Pod) -> str:
    """`node-0`: the step and index that a Pod of a TrainJob has."""
    name = pod.metadata.labels.get(jobset.REPLICATED_JOB_NAME, pod.metadata.name)
    return f"{name}-{pod.metadata.annotations.get(INDEX, '0')}"


async def live(client: Client, resource: Resource[Any], namespace: str, options: ListOptions) -> AsyncIterator[Any]:
    """Objects as they are and as they become, over lost connections and expired watches, until the caller stops.

    Ends when a listed object has been deleted and nothing matches any more.
    """
    while True:
        listing = await client.list(resource, namespace, options)
        for item in listing.items:
            yield item
        resumed = ListOptions(labels=options.labels, fields=options.fields, revision=listing.revision)
        try:
            async for event in client.watch(resource, namespace, resumed):
                if event.object is not None:
                    yield event.object
        except errors.StatusError as error:
            if error.code != 410:
                raise
        except OSError:
            await asyncio.sleep(0.5)
