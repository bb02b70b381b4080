"""tokens: service account tokens for Pods, each bound to its Pod, renewed when four fifths of its life are over."""

from __future__ import annotations

from collections.abc import Iterable

from fairlead.api.core import SERVICE_ACCOUNTS, Pod, TokenProjection
from fairlead.base.clock import Clock
from fairlead.client.protocol import Client, WriteOptions

_WORN = 0.8


class Tokens:
    """Asks the API server, and keeps what it got while it is good."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._kept: dict[tuple[str, str, int], tuple[float, str]] = {}

    async def of(self, pod: Pod, wanted: Iterable[TokenProjection]) -> dict[tuple[str, int], str]:
        """The tokens that a Pod's volumes ask for, by audience and seconds of validity."""
        granted = {}
        for each in wanted:
            place = (pod.metadata.uid, each.audience, each.expirationSeconds)
            kept = self._kept.get(place)
            if kept is None or kept[0] <= self._clock.now():
                renew = self._clock.now() + _WORN * each.expirationSeconds
                kept = self._kept[place] = (renew, await self._ask(pod, each))
            granted[(each.audience, each.expirationSeconds)] = kept[1]
        return granted

    def forget(self, uid: str) -> None:
        """The Pod is over."""
        for place in [p for p in self._kept if p[0] == uid]:
            del self._kept[place]

    async def _ask(self, pod: Pod, each: TokenProjection) -> str:
        bound = {"apiVersion": "v1", "kind": "Pod", "name": pod.metadata.name, "uid": pod.metadata.uid}
        spec = {
            "audiences": [each.audience] if each.audience else [],
            "expirationSeconds": each.expirationSeconds,
            "boundObjectRef": bound,
        }
        account = {"name": pod.spec.serviceAccountName or "default", "namespace": pod.metadata.namespace}
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": account, "spec": spec}
        options = WriteOptions(subresource="token")
        answer = await self._client.create(SERVICE_ACCOUNTS.plain, request, options, name=account["name"])
        return str(answer["status"]["token"])
